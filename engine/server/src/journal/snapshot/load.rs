//! Takes in the newest snapshot that is whole and hangs together with the journal. One that fails its check is passed over
//! for the one before, and said so.

use fraudgate_core::{
    journal::{
        chunk,
        rewritten::{LONG_HEADER, Rewritten},
        segment::{self, Chain, End},
    },
    road::Engine,
    snapshot::{
        Load, Loaded,
        file::{HEADER, Header, Opened},
    },
};

use crate::journal::{JournalError, disk::Disk, failed, keyring::Keyring};

/// Bytes that are read together.
const PART: usize = 1 << 22;

/// What was found of snapshots.
#[derive(Debug, Default)]
pub struct Found {
    /// The one that was taken in.
    pub loaded: Option<(Header, Loaded)>,
    /// Those that were passed over, newest first, and why.
    pub passed_over: Vec<(u64, String)>,
}

/// Takes the newest good snapshot in to an engine whose programs are added and which has taken nothing yet. `journal` are
/// the segments that hang together, oldest first. `progress` is told how many bytes are read.
pub fn newest(
    disk: &dyn Disk,
    keyring: &Keyring,
    engine: &mut Engine,
    journal: &[segment::Header],
    progress: &mut dyn FnMut(u64),
) -> Result<Found, JournalError> {
    let mut found = Found::default();
    let mut all = disk.snapshots().map_err(|e| failed("snapshots")(&e))?;
    while let Some((number, _)) = all.pop() {
        let hangs = |header: &Header| hangs(disk, journal, header);
        match load(disk, keyring, engine, number, hangs, progress) {
            Ok(loaded) => {
                found.loaded = Some(loaded);
                return Ok(found);
            }
            Err(JournalError(why)) => found.passed_over.push((number, why)),
        }
    }
    let begins = journal.first().map(|header| header.first);
    match found.passed_over.first() {
        // What they held is nowhere else: a state that begins here without a word would pass for a whole one.
        Some((number, why)) if begins != Some(1) => Err(JournalError(format!(
            "snapshot {number}: {why}; no other one is good, and the journal before is gone: put a copy of one in its \
             place, or remove the snapshots to begin with what is left"
        ))),
        _ => Ok(found),
    }
}

/// Reads a snapshot to its end without taking it in anywhere; see [`newest`].
pub fn load(
    disk: &dyn Disk,
    keyring: &Keyring,
    engine: &mut Engine,
    number: u64,
    is_believed: impl FnOnce(&Header) -> Result<(), JournalError>,
    progress: &mut dyn FnMut(u64),
) -> Result<(Header, Loaded), JournalError> {
    let error = |e: &dyn std::fmt::Display| JournalError(e.to_string());
    let read = |from, bytes| disk.read_snapshot(number, from, bytes).map_err(|e| error(&e));
    let header = Header::read(&read(0, HEADER)?).map_err(|e| error(&e))?;
    if header.number != number {
        return Err(error(&"its header is that of another"));
    }
    is_believed(&header)?;
    let mut opened = Opened::new(header.clone(), &keyring.key(number)?).map_err(|e| error(&e))?;
    let mut load = Load::new(engine);
    let (mut at, mut bytes) = (HEADER as u64, Vec::new());
    loop {
        let more = read(at, PART)?;
        at += more.len() as u64;
        let is_last = more.is_empty();
        bytes.extend_from_slice(&more);
        let mut done = 0;
        while let Some((length, body)) = opened.open(&mut bytes[done..]).map_err(|e| error(&e))? {
            load.piece(body).map_err(|e| error(&e))?;
            done += length;
        }
        bytes.drain(..done);
        progress(at);
        if is_last {
            break;
        }
    }
    if !bytes.is_empty() || !load.is_ended() {
        return Err(error(&"it is cut short, or something stands behind it"));
    }
    let loaded = load.finish().map_err(|e| error(&e))?;
    Ok((header, loaded))
}

/// Whether the journal goes on where a snapshot was cut: it holds that place, or begins there.
fn hangs(disk: &dyn Disk, journal: &[segment::Header], header: &Header) -> Result<(), JournalError> {
    let strange = || JournalError("the journal does not go on where it was cut".to_owned());
    let at = header.place.and_then(|place| {
        let at = journal.iter().position(|segment| segment.segment == place.segment)?;
        Some((at, place))
    });
    match at {
        Some((at, place)) => {
            let end = journal.get(at + 1).and_then(|after| after.previous);
            let reaches = end.is_none_or(|end| end.offset >= place.offset);
            // The segment behind names the very place: nothing before it has to be read.
            let hangs = end == Some(place) || reaches && holds(disk, place)?;
            hangs.then_some(()).ok_or_else(strange)
        }
        None => {
            let goes_on =
                |first: &segment::Header| first.first == header.sequence + 1 && first.previous == header.place;
            journal.first().is_none_or(goes_on).then_some(()).ok_or_else(strange)
        }
    }
}

/// Whether a segment has this digest there. Needs no key.
fn holds(disk: &dyn Disk, place: End) -> Result<bool, JournalError> {
    let read = |bytes: u64| {
        let read = disk.read(place.segment, bytes);
        read.map_err(|e| failed(&format!("segment {}", place.segment))(&e))
    };
    if let Ok(Some(rewritten)) = Rewritten::read(&read(LONG_HEADER as u64)?) {
        // It stands for all of the segment, whose end was checked when it was rewritten.
        return Ok(place.offset <= rewritten.stands_for.offset);
    }
    let bytes = read(place.offset)?;
    let Some(head) = bytes.first_chunk() else {
        return Ok(false);
    };
    let (mut chain, mut at) = (Chain::begin(head), segment::HEADER);
    while let Some(whole) = bytes.get(at..).and_then(|rest| chunk::Header::read(rest)?.whole(rest)) {
        chain = chain.then(whole);
        at += whole.len();
    }
    Ok((at as u64, chain.0) == (place.offset, place.digest))
}
