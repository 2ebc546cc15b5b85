//! What is torn or flipped is cut or named.

use super::*;

/// Journals that life; gives the segment and the digest of the state after each drain, the empty one first.
fn journaled() -> (Written, Vec<[u8; 32]>) {
    let (drains, mut engine) = life();
    let written = Written::begin(&engine, 1, 1, None);
    engine.journal_to(Box::new(written.clone()));
    let mut digests = vec![engine.digest()];
    for asked in drains {
        drain(&mut engine, asked);
        digests.push(engine.digest());
    }
    (written, digests)
}

/// Folds bytes into an engine of its own: what reading came to, and the digest of the state.
fn recovered(bytes: Vec<u8>) -> (Read, [u8; 32]) {
    let mut engine = engine(1);
    let mut replay = Replay::new(&mut engine);
    let read = fold(&mut replay, bytes, None);
    replay.finish(2);
    let digest = engine.digest();
    (read, digest)
}

#[test]
fn a_tail_torn_at_any_byte_is_cut_to_the_last_whole_drain() {
    let (written, digests) = journaled();
    let (whole, chunks) = (written.bytes(), written.chunks());
    let blank = engine(1).digest();
    for cut in 0..whole.len() {
        // The file is preallocated: what was never written reads as zeros.
        for filled in [0, 64] {
            let mut torn = whole[..cut].to_vec();
            torn.resize(cut + filled, 0);
            let stands = chunks.iter().skip(1).filter(|&&(at, _)| at <= cut).count();
            let (read, digest) = recovered(torn.clone());
            if cut < chunks[0].0 {
                assert!(matches!(read, Read::NoHeader(_)) && digest == blank, "{cut}: {read:?}");
                continue;
            }
            let expected = chunks.get(stands).map_or(whole.len(), |&(at, _)| at);
            let expected = if stands == 0 {
                chunks[0].0
            } else {
                chunks[stands].0.min(expected)
            };
            let Read::Tail(tail) = read else {
                panic!("{cut}: {read:?}")
            };
            assert_eq!(tail.end.offset as usize, expected, "{cut}");
            assert_eq!(digest, if stands == 0 { blank } else { digests[stands - 1] }, "{cut}");
        }
    }
    assert_eq!(recovered(whole).1, digests[digests.len() - 1]);
}

#[test]
fn any_flipped_bit_is_found_and_named_and_nothing_before_it_is_lost() {
    let (written, digests) = journaled();
    written.close();
    let (whole, chunks) = (written.bytes(), written.chunks());
    let blank = engine(1).digest();
    let bits: Vec<usize> = if std::env::var_os("FRAUDGATE_PROVE").is_some() {
        (0..whole.len() * 8).collect()
    } else {
        // A stride prime to everything: 1,000 bits in all parts of the segment.
        (0..1_000).map(|i| i * 7_919 % (whole.len() * 8)).collect()
    };
    for bit in bits {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let (read, digest) = recovered(flipped.clone());
        let Some(at) = chunks.iter().rposition(|&(at, _)| at <= bit / 8) else {
            assert!(matches!(read, Read::NoHeader(_)), "bit {bit}: {read:?}");
            continue;
        };
        assert_eq!(digest, if at == 0 { blank } else { digests[at - 1] }, "bit {bit}");
        let next = chunks.get(at + 1).map(|&(_, first)| first);
        match read {
            // Nobody can tell the last chunk, which holds nothing, from a write under way.
            Read::Tail(tail) if next.is_none() => assert!(tail.torn > 0, "bit {bit}"),
            Read::Damage(damage) => {
                assert_eq!((damage.segment, damage.offset as usize), (1, chunks[at].0), "bit {bit}");
                assert_eq!(damage.first, chunks[at].1, "bit {bit}");
                assert_eq!(damage.last, next.map(|first| first - 1), "bit {bit}");
            }
            other => panic!("bit {bit}: {other:?}"),
        }
        // The segment after vouches for the last chunk too.
        let mut other = engine(1);
        let vouched = fold(&mut Replay::new(&mut other), flipped, Some(written.end()));
        assert!(matches!(vouched, Read::Damage(_)), "bit {bit}: {vouched:?}");
    }
}

#[test]
fn damage_is_known_by_any_later_chunk_that_knew_the_place_synced() {
    let (drains, mut engine) = life();
    let written = Written::begin(&engine, 1, 1, None);
    engine.journal_to(Box::new(written.clone()));
    // Synced once in a while: what comes at once behind the damage knows nothing of it.
    written.sync_once_in(5);
    for asked in drains {
        drain(&mut engine, asked);
    }
    let (whole, chunks) = (written.bytes(), written.chunks());
    for place in 1..chunks.len() - 6 {
        let mut flipped = whole.clone();
        flipped[chunks[place].0 + 40] ^= 1;
        let (read, _) = recovered(flipped);
        assert!(matches!(read, Read::Damage(_)), "chunk {place}: {read:?}");
    }
}
