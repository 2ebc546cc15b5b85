//! Takes in again what the journal holds: finds the segments that hang together, reads them in order, folds their records.

use fraudgate_core::{
    journal::{
        gap::Gap,
        reader::{Damage, Next, Reader, Tail},
        record::Records,
        rewritten::LONG_HEADER,
        segment::{self, End, Header},
    },
    replay::{Ahead, Replay},
    road::Engine,
};

use super::{
    JournalError,
    chain::{Broken, all_headers, chain, ends, gap_behind, headers, length, vouched},
    disk::Disk,
    failed,
    keyring::Keyring,
    snapshot,
};

/// What a journal held.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovered {
    /// The epoch that begins now.
    pub epoch: u64,
    /// The number of the next segment.
    pub next_segment: u64,
    /// Where the journal ends.
    pub end: Option<End>,
    /// The sequence of the snapshot that was taken in, and its number.
    pub snapshot: Option<(u64, u64)>,
    /// Snapshots that were passed over, newest first, and why.
    pub passed_over: Vec<(u64, String)>,
    /// Inputs that were taken in from the journal.
    pub inputs: u64,
    /// Bytes at the end that were no whole drain, and are cut.
    pub torn: usize,
    /// Segments that were read.
    pub segments: usize,
    /// Programs of which nothing was journaled.
    pub fresh: Vec<String>,
    /// What is lost, as a person accepted.
    pub gaps: Vec<Gap>,
    /// How each segment ends, oldest first.
    pub(super) walked: Vec<Tail>,
}

/// What reads a journal: told of each segment, then of each of its chunks' records, in order.
pub trait Visit {
    /// The next segment.
    fn segment(&mut self, header: &Header) -> Result<(), JournalError>;
    /// The next drain: the sequence of its first input, and its records. What comes of it counts for nothing when one of them
    /// cannot be read: then the walk fails as a whole, whether or not it was looked at here.
    fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), JournalError>;
    /// Inputs are lost here, as a person accepted.
    fn gap(&mut self, _: &Gap) -> Result<(), JournalError> {
        Ok(())
    }
}

/// Takes a journal in to an engine whose programs are added and which has taken nothing yet. `progress` is told how many
/// bytes are read and how many there are.
pub fn recover(
    disk: &dyn Disk,
    keyring: &mut Keyring,
    engine: &mut Engine,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Recovered, JournalError> {
    let gaps = keyring.gaps();
    let chain = chain(&all_headers(disk, keyring.begun(), keyring.ends())?, gaps)?;
    let all = disk.snapshots().map_err(|e| failed("snapshots")(&e))?;
    let bytes = all.iter().map(|(_, bytes)| bytes).max().copied().unwrap_or(0);
    let length = length(&chain, gaps);
    let mut tell = |done: u64| progress(done.min(bytes), bytes + length);
    let found = snapshot::load::newest(disk, keyring, engine, &chain, &mut tell)?;
    let (replay, from) = match &found.loaded {
        None => (Replay::new(engine), 0),
        Some((header, loaded)) => {
            // What could not be taken from the snapshot is folded anew, as far as the journal reaches back.
            let is_whole = loaded.programs.iter().all(|&is_loaded| is_loaded);
            let from = header
                .place
                .filter(|_| is_whole)
                .map_or(0, |place| goes_on(&chain, place));
            (Replay::behind(engine, loaded), from)
        }
    };
    let mut fold = Fold(Ahead::new(replay));
    let mut tell = |done: u64, all: u64| progress(bytes + done, bytes + all);
    let mut recovered = read(disk, keyring, from, &mut fold, &mut tell)?;
    recovered.snapshot = found.loaded.map(|(header, _)| (header.sequence, header.number));
    recovered.passed_over = found.passed_over;
    let replay = fold.0.done().map_err(|e| failed("replay")(&e))?;
    recovered.inputs = replay.inputs;
    recovered.fresh = replay.finish(recovered.epoch);
    make_sure(disk, keyring, &recovered)?;
    disk.discard_snapshots().map_err(|e| failed("snapshots")(&e))?;
    for blank in blanks(disk)? {
        disk.remove(blank)
            .map_err(|e| failed(&format!("segment {blank}"))(&e))?;
    }
    Ok(recovered)
}

struct Fold<'e>(Ahead<'e>);

impl Visit for Fold<'_> {
    fn gap(&mut self, gap: &Gap) -> Result<(), JournalError> {
        self.0.gap(gap).map_err(|e| failed("gap")(&e))
    }

    fn segment(&mut self, header: &Header) -> Result<(), JournalError> {
        let begun = self.0.segment(header.epoch, header.first);
        begun.map_err(|e| failed(&format!("segment {}", header.segment))(&e))
    }

    fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), JournalError> {
        self.0.drain(first, records).map_err(|e| failed("replay")(&e))
    }
}

/// The segment in which what is behind a place begins. A snapshot is cut where a segment ends; that the next one was still to
/// begin when the process died is why it may be the same.
fn goes_on(chain: &[Header], place: End) -> u64 {
    let behind = chain.iter().find(|header| header.previous == Some(place));
    behind.map_or(place.segment, |header| header.segment)
}

/// Reads a journal to its end, from its first segment on, or the one of a number: then a snapshot holds what is before.
pub fn read(
    disk: &dyn Disk,
    keyring: &Keyring,
    from: u64,
    visit: &mut dyn Visit,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Recovered, JournalError> {
    all_headers(disk, keyring.begun(), keyring.ends())?;
    read_on(disk, keyring, from, visit, progress).map_err(JournalError::from)
}

/// The same, and tells what is broken.
pub fn read_on(
    disk: &dyn Disk,
    keyring: &Keyring,
    from: u64,
    visit: &mut dyn Visit,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Recovered, Broken> {
    let headers = headers(disk, keyring.ends())?;
    let gaps = keyring.gaps();
    let mut chain = chain(&headers, gaps)?;
    chain.retain(|header| header.segment >= from);
    let (segment, epoch) = keyring.newest();
    let mut recovered = Recovered {
        epoch: headers.values().map(|header| header.epoch).fold(epoch, u64::max) + 1,
        next_segment: disk
            .segments()
            .map_err(|e| failed("folder")(&e))?
            .into_iter()
            .fold(segment, u64::max)
            + 1,
        ..Recovered::default()
    };
    let (mut done, mut stated) = (0, false);
    let all = length(&chain, gaps);
    for (place, header) in chain.iter().enumerate() {
        let number = header.segment;
        let said = keyring.end(number);
        let end = ends(&chain, place, gaps).or(said);
        // One that was rewritten may be longer by what its header says more, where few keys went.
        let most = end.map_or(u64::MAX, |end| end.offset + (LONG_HEADER - segment::HEADER) as u64);
        let bytes = disk.read(number, most);
        let mut bytes = bytes.map_err(|e| failed(&format!("segment {number}"))(&e))?;
        let key = keyring.key_of(number, &bytes)?;
        visit.segment(header)?;
        let (tail, read) = match walk(&mut bytes, &key, end, visit)? {
            Ok(tail) => (tail, true),
            // A machine that lost its power may have kept segments after this one and not its end: when nothing in them or
            // in it says that this was synced, nobody was promised what is missing.
            Err(Stopped { at, damage })
                if !damage.synced
                    && said.is_none_or(|said| said.offset <= damage.offset)
                    && !vouched(disk, &headers, &chain[place + 1..], &damage)? =>
            {
                (at, false)
            }
            Err(Stopped { at, damage }) => {
                return Err(Broken::Chunk {
                    at: Box::new(at),
                    damage,
                    next: chain.get(place + 1).cloned().map(Box::new),
                });
            }
        };
        stated |= tail.end.offset > segment::HEADER as u64;
        recovered.end = Some(tail.end);
        recovered.torn = tail.torn;
        recovered.segments += 1;
        recovered.walked.push(tail);
        done += tail.end.offset;
        progress(done, done.max(all));
        if !read {
            break;
        }
        if let Some(gap) = gap_behind(number, gaps) {
            visit.gap(gap)?;
            recovered.gaps.push(gap.clone());
        }
    }
    // What stood before was removed: a state that begins here without a word would pass for a whole one.
    match chain.first() {
        Some(header) if header.first > 1 && !stated && from == 0 => Err(Broken::Other(JournalError(format!(
            "segment {}: what it states of the programs is gone, and with it since when their state is complete",
            header.segment
        )))),
        _ => Ok(recovered),
    }
}

/// Where reading had to stop.
struct Stopped {
    /// What is before.
    at: Tail,
    damage: Damage,
}

fn walk(
    bytes: &mut [u8],
    key: &[u8; 32],
    end: Option<End>,
    visit: &mut dyn Visit,
) -> Result<Result<Tail, Stopped>, JournalError> {
    let mut reader = Reader::new(bytes, key, end).map_err(|_| JournalError("a segment's header changed".to_owned()))?;
    loop {
        let at = reader.here();
        match reader.advance() {
            Ok(Next::Chunk(chunk)) => {
                let first = chunk.first;
                let unknown = || JournalError(format!("input {first} and those with it are in a format unknown here"));
                let mut records = Records::new(chunk.body).map_err(|_| unknown())?;
                visit.drain(first, &mut records)?;
                if !records.are_whole() {
                    return Err(unknown());
                }
            }
            Ok(Next::Tail(tail)) => return Ok(Ok(tail)),
            Err(damage) => return Ok(Err(Stopped { at, damage })),
        }
    }
}

/// Segments that were made ready and never written to.
fn blanks(disk: &dyn Disk) -> Result<Vec<u64>, JournalError> {
    let mut blanks = Vec::new();
    for number in disk.segments().map_err(|e| failed("folder")(&e))? {
        let head = disk
            .read(number, segment::HEADER as u64)
            .map_err(|e| failed(&format!("segment {number}"))(&e))?;
        if head.iter().all(|&byte| byte == 0) {
            blanks.push(number);
        }
    }
    Ok(blanks)
}

/// Makes sure that what was found survives the loss of power, and says so in the key file: what comes now stands behind its
/// end, and says so only when it is synced itself.
pub(super) fn make_sure(disk: &dyn Disk, keyring: &mut Keyring, found: &Recovered) -> Result<(), JournalError> {
    renew(disk, &found.walked)?;
    found.end.map_or(Ok(()), |end| keyring.say_end(end))
}

/// Makes sure that a journal that ends here survives the loss of power: what comes now says that all before it is synced, and
/// a killed process may have left its last segments to the kernel, or lost a part of them in a sync that failed.
fn renew(disk: &dyn Disk, walked: &[Tail]) -> Result<(), JournalError> {
    for Tail { end, synced, .. } in walked.iter().rev() {
        let (End { segment, offset, .. }, synced) = (*end, *synced);
        let from = if synced > segment::HEADER as u64 { synced } else { 0 };
        disk.renew(segment, from.min(offset), offset)
            .map_err(|e| failed(&format!("segment {segment}"))(&e))?;
        if synced > 0 {
            break;
        }
    }
    Ok(())
}
