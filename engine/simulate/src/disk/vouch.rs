//! What later writings say of earlier ones: the simulator's own reading of the format.

use std::collections::BTreeMap;

use fraudgate_core::journal::{
    chunk,
    keys::SyncedEnd,
    rewritten::{Rewritten, begins},
    segment::{HEADER, Header},
};

use super::File;

/// The chunks of a segment: where each begins, and its header.
fn chunks(bytes: &[u8]) -> Vec<(usize, chunk::Header)> {
    let (mut at, mut chunks) = (begins(bytes).map_or(HEADER, |(_, at)| at), Vec::new());
    while let Some(header) = bytes.get(at..).and_then(chunk::Header::read) {
        let Some(whole) = header.whole(&bytes[at..]) else { break };
        chunks.push((at, header));
        at += whole.len();
    }
    chunks
}

/// The sequence behind a segment's last whole chunk, if it was ever written to.
fn next(bytes: &[u8]) -> Option<u64> {
    let header = Header::read(bytes).ok()?;
    let last = self::chunks(bytes).last().copied();
    Some(last.map_or(header.first, |(_, last)| last.first + u64::from(last.count)))
}

/// The inputs of a segment that was rewritten, from the first to the one behind, and the last erasure that it honours.
pub(super) fn rewriting(file: &File) -> Option<(std::ops::Range<u64>, u64)> {
    let rewritten = Rewritten::read(&file.cached).ok().flatten()?;
    let first = Header::read(&file.cached).ok()?.first;
    Some((first..next(&file.cached)?, rewritten.through))
}

/// Whether the key file says that a segment is synced through more than `offset`.
fn said(keys: &File, segment: u64, offset: u64) -> bool {
    keys.cached.split_inclusive(|&byte| byte == b'\n').any(|line| {
        let said = serde_json::from_slice::<SyncedEnd>(line)
            .ok()
            .filter(|_| line.ends_with(b"\n"));
        let end = said.and_then(|said| said.read());
        end.is_some_and(|end| end.segment == segment && end.offset > offset)
    })
}

/// From which sequence on inputs are lost when a place is, when nothing later says that it was synced.
pub(super) fn unvouched(files: &BTreeMap<u64, File>, keys: &File, segment: u64, offset: usize) -> Option<u64> {
    let bytes = &files.get(&segment)?.cached;
    // It was synced as a whole before it had its place.
    if matches!(Rewritten::read(bytes), Ok(Some(_))) {
        return None;
    }
    let chunks = self::chunks(bytes);
    let place = chunks.iter().rposition(|&(at, _)| at <= offset);
    // Of the header, if not of a chunk.
    let begins = place.map_or(0, |place| chunks[place].0);
    let later = &chunks[place.map_or(0, |place| place + 1)..];
    let within = later
        .iter()
        .any(|(_, header)| header.synced > begins.max(HEADER) as u64);
    let beyond = files.values().any(|file| {
        let names = Header::read(&file.cached).ok().and_then(|header| header.previous);
        names.is_some_and(|end| end.segment == segment && end.offset > begins as u64)
            && self::chunks(&file.cached).iter().any(|(_, header)| header.synced > 0)
    });
    if within || beyond || said(keys, segment, begins as u64) {
        return None;
    }
    match place {
        Some(place) => Some(chunks[place].1.first),
        // Without its header the segment is gone as a whole. What it was begun with may stand in the one before, given up.
        None => {
            let mut before = files.range(..segment).rev();
            Some(before.find_map(|(_, file)| next(&file.cached)).unwrap_or(1))
        }
    }
}
