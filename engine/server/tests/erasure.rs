//! Segments that were rewritten without erased keys: the same state comes of them, the keys are gone, nothing else passes.

use std::{path::Path, sync::Arc, time::Duration};

use crate::configured::{SECRET, settings};
use crate::journaled::{copy, flip, newest, start_by_hand};
use crate::shop::{ask, drain, engine, erase, purchase};
use fraudgate_core::{
    journal::{
        reader::{Next, Reader},
        record::{Record, Records},
        rewritten::LONG_HEADER,
    },
    road::{Asked, Engine},
    transaction::KeyHash,
};
use fraudgate_server::journal::{
    JournalError, Writer, attend, clock,
    disk::{Disk, Folder},
    erasure::{Rewrote, rewrite},
    keeper::{Keeper, Now},
    keyring::Keyring,
    recover,
    repair::repair,
};
use tempfile::TempDir;

/// One life: goes on with the journal in a folder.
fn start(path: &Path) -> Engine {
    let disk: Arc<dyn Disk> = Arc::new(Folder::open(path).unwrap());
    let mut keyring = Keyring::open(disk.clone(), &SECRET).unwrap();
    let mut engine = engine(0);
    let recovered = recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {}).unwrap();
    let (epoch, next) = (recovered.epoch, recovered.next_segment);
    let keeper = Keeper::begin(disk, keyring, &settings(path), epoch, next, Box::new(|| {})).unwrap();
    let attended = attend(keeper).unwrap();
    let (next, programs) = (engine.sequence() + 1, engine.programs());
    let writer = Writer::begin(attended, &settings(path), &recovered, next, programs, clock()).unwrap();
    engine.journal_to(Box::new(writer));
    engine
}

fn send(engine: &mut Engine, ids: std::ops::Range<u32>) {
    for id in ids {
        let transaction = purchase(&id.to_string(), i64::from(id) * 60_000_000, id as u8 % 5, i64::from(id));
        let asked = ask(engine, &transaction);
        drain(engine, vec![asked]);
    }
}

/// Erases customer 2 after `before` purchases of five customers in two lives, of which each opens a segment at least; gives
/// the key, and the digest of the state after 60 more in a third one.
fn journal(path: &Path, before: u32) -> (KeyHash, [u8; 32]) {
    send(&mut start(path), 0..before / 2);
    let mut engine = start(path);
    send(&mut engine, before / 2..before);
    let asked = erase(&engine, 2);
    let Asked::Erasure(erasure) = &asked else { panic!() };
    let key = erasure.key;
    drain(&mut engine, vec![asked]);
    drop(engine);
    let mut engine = start(path);
    send(&mut engine, before..before + 60);
    (key, engine.digest())
}

fn rewritten(path: &Path) -> Result<Rewrote, JournalError> {
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(path));
    let mut keyring = Keyring::open(disk.clone(), &SECRET)?;
    rewrite(&*disk, &mut keyring, &mut |_, _| {})
}

/// The digest that a folder makes.
fn digest(path: &Path) -> Result<[u8; 32], JournalError> {
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(path));
    let mut keyring = Keyring::open(disk.clone(), &SECRET)?;
    let mut engine = engine(0);
    recover(&*disk, &mut keyring, &mut engine, &mut |_, _| {})?;
    Ok(engine.digest())
}

/// The sequences at which records name a key, of all segments that the key file's keys open.
fn naming(path: &Path, key: KeyHash) -> Vec<u64> {
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(path));
    let keyring = Keyring::open(disk.clone(), &SECRET).unwrap();
    let mut naming = Vec::new();
    for segment in disk.segments().unwrap() {
        let mut bytes = disk.read(segment, u64::MAX).unwrap();
        let secret = keyring.key_of(segment, &bytes).unwrap();
        let Ok(mut reader) = Reader::new(&mut bytes, &secret, None) else {
            continue;
        };
        while let Next::Chunk(chunk) = reader.advance().unwrap() {
            let mut sequence = chunk.first;
            for record in Records::new(chunk.body).unwrap().map(Result::unwrap) {
                if let Record::Transaction(admitted, _) = &record
                    && admitted.transaction.entities.contains(&Some(key))
                {
                    naming.push(sequence);
                }
                sequence += u64::from(!matches!(record, Record::Program(_)));
            }
        }
    }
    naming
}

fn file(path: &Path, segment: u64) -> std::path::PathBuf {
    path.join(format!("{segment:016}.segment"))
}

#[test]
fn rewritten_segments_name_an_erased_key_no_more_and_make_the_same_state() {
    let folder = TempDir::new().unwrap();
    let (key, live) = journal(folder.path(), 60);
    assert_eq!(digest(folder.path()).unwrap(), live);
    let before = naming(folder.path(), key);
    assert_eq!(before.len(), 24, "twelve before the erasure, and twelve after it");
    let rewrote = rewritten(folder.path()).unwrap();
    assert_eq!((rewrote.erasures, rewrote.keys), (1, 12));
    assert!(rewrote.segments.len() > 1, "{rewrote:?}");
    assert_eq!(digest(folder.path()).unwrap(), live);
    let after: Vec<u64> = before.into_iter().filter(|&sequence| sequence > 61).collect();
    assert_eq!(naming(folder.path(), key), after);
    // There is nothing left to do, and a later life goes on behind it.
    assert_eq!(rewritten(folder.path()).unwrap().segments, Vec::<u64>::new());
    let mut engine = start(folder.path());
    assert_eq!(engine.digest(), live);
    send(&mut engine, 200..220);
    let live = engine.digest();
    drop(engine);
    assert_eq!(digest(folder.path()).unwrap(), live);
}

#[test]
fn a_copy_of_what_was_rewritten_opens_under_no_key_that_is_left() {
    let folder = TempDir::new().unwrap();
    journal(folder.path(), 60);
    let copy = copy(folder.path());
    let rewrote = rewritten(folder.path()).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(folder.path()));
    let keyring = Keyring::open(disk, &SECRET).unwrap();
    for &segment in &rewrote.segments {
        let mut bytes = std::fs::read(file(copy.path(), segment)).unwrap();
        let key = keyring.key_of(segment, &bytes).unwrap();
        let mut reader = Reader::new(&mut bytes, &key, None).unwrap();
        assert!(reader.advance().is_err(), "segment {segment}");
        // Put back, it is named as damage.
        let there = std::fs::read(file(folder.path(), segment)).unwrap();
        std::fs::copy(file(copy.path(), segment), file(folder.path(), segment)).unwrap();
        assert!(digest(folder.path()).is_err());
        std::fs::write(file(folder.path(), segment), there).unwrap();
    }
    digest(folder.path()).unwrap();
}

#[test]
fn nothing_but_what_was_rewritten_passes_in_the_place_of_a_segment() {
    let folder = TempDir::new().unwrap();
    journal(folder.path(), 60);
    let segments = rewritten(folder.path()).unwrap().segments;
    let path = file(folder.path(), segments[0]);
    let whole = std::fs::read(&path).unwrap();
    let length = whole.len();
    let bits = (0..LONG_HEADER * 8).chain((0..400).map(|i| i * 7_919 % (length * 8)));
    for bit in bits {
        let mut flipped = whole.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&path, flipped).unwrap();
        assert!(digest(folder.path()).is_err(), "bit {bit}");
    }
    // An empty file of the oldest segment is one that retention removed.
    for cut in (1..length).step_by(97) {
        std::fs::write(&path, &whole[..cut]).unwrap();
        assert!(digest(folder.path()).is_err(), "cut to {cut}");
    }
    // One of another erasure, with another end, in its place: the header of one with the chunks of the other, CRC and all.
    let mut other = whole.clone();
    let through = u64::from_le_bytes(whole[96 + 48..96 + 56].try_into().unwrap());
    other[96 + 48..96 + 56].copy_from_slice(&(through + 1).to_le_bytes());
    let crc = crc32c::crc32c(&other[..LONG_HEADER - 4]);
    other[LONG_HEADER - 4..LONG_HEADER].copy_from_slice(&crc.to_le_bytes());
    std::fs::write(&path, &other).unwrap();
    assert!(
        digest(folder.path())
            .unwrap_err()
            .0
            .contains("not sealed with this segment's key")
    );
    std::fs::write(&path, &whole).unwrap();
    digest(folder.path()).unwrap();
}

#[test]
fn a_second_erasure_rewrites_what_was_rewritten() {
    let folder = TempDir::new().unwrap();
    let (first, _) = journal(folder.path(), 60);
    rewritten(folder.path()).unwrap();
    let mut engine = start(folder.path());
    let asked = erase(&engine, 3);
    let Asked::Erasure(erasure) = &asked else { panic!() };
    let second = erasure.key;
    drain(&mut engine, vec![asked]);
    let asked = erase(&engine, 2);
    drain(&mut engine, vec![asked]);
    let live = engine.digest();
    drop(engine);
    drop(start(folder.path()));
    let rewrote = rewritten(folder.path()).unwrap();
    assert!(rewrote.keys > 12 && rewrote.erasures == 3, "{rewrote:?}");
    assert_eq!(naming(folder.path(), first), Vec::<u64>::new());
    assert_eq!(naming(folder.path(), second), Vec::<u64>::new());
    assert_eq!(digest(folder.path()).unwrap(), live);
}

#[test]
fn a_death_between_the_new_key_and_the_old_ones_end_leaves_a_journal_that_reads_and_is_rewritten_to_its_end() {
    let folder = TempDir::new().unwrap();
    let (key, live) = journal(folder.path(), 60);
    let keys = folder.path().join("keys");
    let old = std::fs::read(&keys).unwrap();
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(folder.path()));
    // The new key is there and the new file is not.
    let mut keyring = Keyring::open(disk.clone(), &SECRET).unwrap();
    let epoch = keyring.newest().1;
    for segment in disk.segments().unwrap() {
        keyring.make(segment, epoch).unwrap();
    }
    assert_eq!(digest(folder.path()).unwrap(), live);
    let segments = rewritten(folder.path()).unwrap().segments;
    assert!(segments.len() > 1);
    let only_new = std::fs::read(&keys).unwrap();
    // The new file is there and the old key is not gone yet.
    std::fs::write(&keys, [&old[..], &only_new[..]].concat()).unwrap();
    assert_eq!(digest(folder.path()).unwrap(), live);
    assert_eq!(rewritten(folder.path()).unwrap().segments, Vec::<u64>::new());
    assert_eq!(digest(folder.path()).unwrap(), live);
    assert!(naming(folder.path(), key).iter().all(|&sequence| sequence > 61));
    let named = String::from_utf8(std::fs::read(&keys).unwrap()).unwrap();
    for segment in segments {
        let lines = named
            .lines()
            .filter(|line| line.contains(&format!("{{\"segment\":{segment},\"epoch\"")));
        let left: std::collections::BTreeSet<&str> = lines.collect();
        assert_eq!(left.len(), 1, "segment {segment}: {left:?}");
        assert!(
            !String::from_utf8_lossy(&old).contains(left.first().unwrap()),
            "segment {segment}"
        );
    }
}

#[test]
fn a_repair_sets_a_damaged_rewritten_segment_aside_whole_and_names_what_is_lost() {
    let folder = TempDir::new().unwrap();
    journal(folder.path(), 60);
    let segments = rewritten(folder.path()).unwrap().segments;
    let segment = segments[1];
    let path = file(folder.path(), segment);
    let mut bytes = std::fs::read(&path).unwrap();
    let place = bytes.len() - 20;
    bytes[place] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(digest(folder.path()).is_err());
    let told = repair(folder.path(), &SECRET, i64::from(u32::MAX) * 1_000_000, true).unwrap();
    assert_eq!(told["segments"], serde_json::json!([segment]));
    assert!(told["inputs"].as_u64().unwrap() > 0, "{told}");
    assert!(!path.exists());
    digest(folder.path()).unwrap();
    // What is left before the gap is rewritten, and goes on.
    assert_eq!(rewritten(folder.path()).unwrap().segments, Vec::<u64>::new());
    send(&mut start(folder.path()), 300..310);
    digest(folder.path()).unwrap();
}

#[test]
fn a_segment_before_a_gap_is_rewritten_as_far_as_it_was_kept() {
    let folder = TempDir::new().unwrap();
    let (key, _) = journal(folder.path(), 60);
    let disk = Folder::look(folder.path());
    let segment = disk.segments().unwrap()[1];
    let path = file(folder.path(), segment);
    let mut bytes = std::fs::read(&path).unwrap();
    let written = bytes.iter().rposition(|&byte| byte != 0).unwrap();
    bytes[written - 20] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    repair(folder.path(), &SECRET, i64::from(u32::MAX) * 1_000_000, true).unwrap();
    let live = digest(folder.path()).unwrap();
    let rewrote = rewritten(folder.path()).unwrap();
    assert!(rewrote.segments.contains(&segment), "{rewrote:?}");
    assert_eq!(digest(folder.path()).unwrap(), live);
    assert!(naming(folder.path(), key).iter().all(|&sequence| sequence > 61));
}

#[test]
fn what_a_machine_kept_behind_an_end_that_it_lost_keeps_nothing_from_being_rewritten() {
    let folder = TempDir::new().unwrap();
    let (mut engine, mut keeper) = start_by_hand(folder.path(), &settings(folder.path()));
    // The second segment is ready, and of the first its header alone is synced.
    keeper.step(Now {
        elapsed: Duration::ZERO,
        clock: clock(),
    });
    send(&mut engine, 0..10);
    let asked = erase(&engine, 2);
    drain(&mut engine, vec![asked]);
    let live = engine.digest();
    let kept = copy(folder.path());
    let taken = std::fs::read(file(kept.path(), 1)).unwrap();
    let end = taken.iter().rposition(|&byte| byte != 0).unwrap() as u64;
    let mut id = 100;
    while newest(folder.path()) == 1 {
        send(&mut engine, id..id + 1);
        id += 1;
    }
    let left = copy(folder.path());
    flip(&file(left.path(), 1), end + 100);
    let rewrote = rewritten(left.path()).unwrap();
    assert_eq!(
        (rewrote.erasures, &rewrote.open[..], &rewrote.given_up[..]),
        (1, &[1][..], &[2][..])
    );
    // The next life goes on behind what is left, and then it is rewritten.
    let mut engine = start(left.path());
    assert_eq!(engine.digest(), live);
    send(&mut engine, 200..210);
    let live = engine.digest();
    drop(engine);
    let rewrote = rewritten(left.path()).unwrap();
    assert_eq!((rewrote.keys, &rewrote.segments[..]), (2, &[1][..]));
    assert_eq!(digest(left.path()).unwrap(), live);
}
