//! Which segments hang together, and what keeps a journal from being taken in.

use std::{
    collections::BTreeMap,
    fmt::{Display, Formatter},
};

use fraudgate_core::journal::{
    chunk,
    gap::Gap,
    keys::Begun,
    reader::{Damage, Tail},
    rewritten::LONG_HEADER,
    segment::{self, End, Header, NoHeader},
};

use super::{JournalError, disk::Disk, failed};

/// Why a journal is not taken in.
#[derive(Clone, Debug)]
pub enum Broken {
    /// A part of a segment is not as it was written.
    Chunk {
        /// What is before it.
        at: Box<Tail>,
        /// What is wrong.
        damage: Damage,
        /// The segment behind.
        next: Option<Box<Header>>,
    },
    /// A segment's header is not as it was written.
    Header(u64),
    /// A segment is not there that another one follows.
    Gone {
        /// The one that is not there.
        segment: u64,
        /// The one that follows.
        follower: Header,
    },
    /// The newest segment is not there, though the key file says that it was written to.
    Newest(u64),
    /// Nothing that could be set aside.
    Other(JournalError),
}

impl From<JournalError> for Broken {
    fn from(error: JournalError) -> Broken {
        Broken::Other(error)
    }
}

impl From<Broken> for JournalError {
    fn from(broken: Broken) -> JournalError {
        match broken {
            Broken::Other(error) => error,
            named => JournalError(named.to_string()),
        }
    }
}

impl Display for Broken {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Broken::Chunk { damage, .. } => damage.fmt(f),
            Broken::Header(segment) => write!(f, "segment {segment}: its header is damaged"),
            Broken::Gone { segment, follower } => write!(
                f,
                "segment {segment} is gone, though segment {} follows it and older ones are there",
                follower.segment
            ),
            Broken::Newest(segment) => write!(
                f,
                "segment {segment} is gone, though the key file says that it was written to"
            ),
            Broken::Other(error) => error.fmt(f),
        }
    }
}

/// The headers of the segments that were ever written to. `said` are the ends that the key file knows.
pub fn headers(disk: &dyn Disk, said: &[End]) -> Result<BTreeMap<u64, Header>, Broken> {
    let said = |number| said.iter().any(|end| end.segment == number);
    let (mut headers, mut damaged) = (BTreeMap::new(), Vec::new());
    for number in disk.segments().map_err(|e| failed("folder")(&e))? {
        let what = format!("segment {number}");
        let head = disk
            .read(number, segment::HEADER as u64)
            .map_err(|e| failed(&what)(&e))?;
        match Header::read(&head) {
            Ok(header) if header.segment == number => {
                headers.insert(number, header);
            }
            Err(NoHeader::Blank | NoHeader::Damaged) if said(number) => return Err(Broken::Header(number)),
            Err(NoHeader::Blank) => {}
            Err(NoHeader::Damaged) if head.is_empty() => {}
            Err(NoHeader::Format(format)) => {
                return Err(Broken::Other(JournalError(format!(
                    "{what}: it has format {format}; this engine reads {}",
                    segment::FORMAT
                ))));
            }
            Err(NoHeader::Damaged) => damaged.push(number),
            Ok(_) => return Err(Broken::Header(number)),
        }
    }
    for number in damaged {
        let named = |header: &Header| header.previous.is_some_and(|previous| previous.segment == number);
        // A header is written last: where it is not whole, and nothing says that it was synced, it was being written.
        if headers.values().any(named) || synced_through(disk, number)? > segment::HEADER as u64 {
            return Err(Broken::Header(number));
        }
    }
    Ok(headers)
}

/// The same, and the newest segment that the key file says was written to must be among them, or one behind it, which would
/// miss it.
pub fn all_headers(disk: &dyn Disk, begun: &[Begun], said: &[End]) -> Result<BTreeMap<u64, Header>, Broken> {
    let headers = headers(disk, said)?;
    let begun = begun.iter().map(|begun| begun.segment);
    match begun.chain(said.iter().map(|end| end.segment)).max() {
        Some(newest) if headers.range(newest..).next().is_none() => Err(Broken::Newest(newest)),
        _ => Ok(headers),
    }
}

/// The segments that hang together, oldest first: each names the one before, or a gap does. One that none names was abandoned.
pub fn chain(headers: &BTreeMap<u64, Header>, gaps: &[Gap]) -> Result<Vec<Header>, Broken> {
    let mut chain = Vec::new();
    let mut at = headers.last_key_value().map(|(_, header)| header);
    while let Some(header) = at {
        chain.push(header.clone());
        let gap = gaps.iter().rev().find(|gap| gap.resumes == Some(header.segment));
        let before = gap.map(|gap| gap.segment).or(header.previous.map(|end| end.segment));
        at = match before {
            None => None,
            Some(before) => match headers.get(&before) {
                Some(before) if before.segment < header.segment => Some(before),
                // Retention removes from the oldest on.
                None if headers.range(..before).next().is_none() => None,
                _ => {
                    return Err(Broken::Gone {
                        segment: before,
                        follower: header.clone(),
                    });
                }
            },
        };
    }
    chain.reverse();
    Ok(chain)
}

/// The bytes of segments, but for the last: where that ends is not known yet.
pub fn length(chain: &[Header], gaps: &[Gap]) -> u64 {
    let ends = (0..chain.len()).filter_map(|place| ends(chain, place, gaps));
    ends.map(|end| end.offset).sum()
}

/// Where the segment at a place ends, as a gap says, or the segment after.
pub fn ends(chain: &[Header], place: usize, gaps: &[Gap]) -> Option<End> {
    let gap = chain.get(place).and_then(|header| gap_behind(header.segment, gaps));
    let after = || chain.get(place + 1).and_then(|after| after.previous);
    gap.and_then(Gap::after).or_else(after)
}

/// The gap behind a segment.
pub fn gap_behind(segment: u64, gaps: &[Gap]) -> Option<&Gap> {
    gaps.iter().rev().find(|gap| gap.segment == segment)
}

/// Whether something says that what is damaged was synced: a segment that follows it, or one that named its end and was given
/// up since.
pub fn vouched(
    disk: &dyn Disk,
    headers: &BTreeMap<u64, Header>,
    following: &[Header],
    damage: &Damage,
) -> Result<bool, JournalError> {
    let names = |header: &&Header| {
        let end = header.previous.filter(|end| end.segment == damage.segment);
        end.is_some_and(|end| end.offset > damage.offset)
    };
    for header in following.iter().chain(headers.values().filter(names)) {
        if synced_through(disk, header.segment)? > 0 {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The offset through which a segment, and all before it, was surely synced, as its own chunks say: its header's end when only
/// all before it was; 0 when nothing says so. Needs no key.
fn synced_through(disk: &dyn Disk, number: u64) -> Result<u64, JournalError> {
    let bytes = disk.read(number, u64::MAX);
    let bytes = bytes.map_err(|e| failed(&format!("segment {number}"))(&e))?;
    let mut synced = 0;
    // Its header may be what is damaged, so either length is tried: nothing else reads as a chunk there.
    for mut at in [segment::HEADER, LONG_HEADER] {
        while let Some(head) = bytes.get(at..).and_then(chunk::Header::read) {
            let Some(whole) = head.whole(&bytes[at..]) else { break };
            synced = synced.max(head.synced);
            at += whole.len();
        }
    }
    Ok(synced)
}
