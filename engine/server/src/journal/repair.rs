//! Repair, as a person's decision: what is damaged is set aside under another name and never deleted, what is lost with it is
//! named, and a line in the key file says so, so that the journal can be taken in again. Nothing is guessed: the first
//! readable segment behind the damage goes on, because it states its programs and its first sequence.

use std::{collections::BTreeSet, io, path::Path, sync::Arc};

use fraudgate_core::journal::{
    chunk,
    gap::Gap,
    keys::Begun,
    reader::Tail,
    record::{Record, Records},
    rewritten::{LONG_HEADER, Rewritten},
    segment::Header,
};
use serde_json::{Value, json};

use super::{
    JournalError, Recovered,
    chain::{Broken, all_headers},
    disk::{Disk, Folder, SegmentFile},
    failed,
    keyring::Keyring,
    recovery::{Visit, read_on},
};

/// The fewest bytes of an input: a transaction of a history with neither keys nor numbers (`journal/draft.rs`). Where nothing
/// behind the damage tells how many inputs were there, there were no more than would fit.
const LEAST: u64 = 27;

/// Says what is damaged, and what is lost with it; with `really`, sets that aside. No event of what is lost is later than
/// `through_us`, the time of day and how far ahead of it an event is taken. Nobody else may have the journal open.
pub fn repair(path: &Path, secret: &[u8; 32], through_us: i64, really: bool) -> Result<Value, JournalError> {
    let folder = Folder::open(path).map_err(|e| failed(&path.display().to_string())(&e))?;
    let folder = Arc::new(folder);
    let keyring = Keyring::open(folder.clone(), secret)?;
    let mut plan = Plan {
        disk: folder.clone(),
        keyring,
        through_us,
        hidden: BTreeSet::new(),
        cut: BTreeSet::new(),
        gaps: Vec::new(),
        found: Vec::new(),
    };
    // Each turn sets a segment aside or accepts a gap behind one: there are no more turns than that.
    let most = 2 * folder.segments().map_err(|e| failed("folder")(&e))?.len() + 1;
    let mut broken = plan.broken();
    for _ in 0..most {
        let Some(one) = broken else { break };
        plan.found.push(one.to_string());
        plan.mend(one, None)?;
        broken = plan.broken();
    }
    if let Some(still) = broken {
        return Err(still.into());
    }
    let mut set_aside = Vec::new();
    if really {
        for (segments, keep) in [(&plan.cut, true), (&plan.hidden, false)] {
            for &segment in segments {
                let name = folder.set_aside(segment, keep);
                set_aside.push(name.map_err(|e| failed(&format!("segment {segment}"))(&e))?);
            }
        }
        let mut keyring = Keyring::open(folder, secret)?;
        plan.gaps.iter().cloned().try_for_each(|gap| keyring.say_gap(gap))?;
    }
    let lost: u64 = plan.gaps.iter().map(Gap::inputs).sum();
    Ok(json!({
        "found": plan.found,
        "segments": plan.cut.iter().chain(&plan.hidden).collect::<Vec<_>>(),
        "lost": plan.gaps.iter().map(|gap| json!({
            "first": gap.first, "last": gap.last, "inputs": gap.inputs(),
            // Where another segment goes on, its header says which sequence it begins with.
            "is_bound": gap.resumes.is_none(),
        })).collect::<Vec<_>>(),
        "inputs": lost,
        "done": really,
        "set_aside": set_aside,
    }))
}

/// What would be done.
struct Plan {
    disk: Arc<dyn Disk>,
    /// With the gaps so far, which the file does not name yet.
    keyring: Keyring,
    through_us: i64,
    /// Segments that are set aside as a whole.
    hidden: BTreeSet<u64>,
    /// Segments of which the beginning is kept.
    cut: BTreeSet<u64>,
    gaps: Vec<Gap>,
    found: Vec<String>,
}

impl Plan {
    /// What is wrong with what would be left.
    fn broken(&self) -> Option<Broken> {
        let all = all_headers(&self.view(u64::MAX), self.keyring.begun(), self.keyring.ends());
        self.survey(u64::MAX).and(all).err()
    }

    /// Reads what would be left, of the segments before one.
    fn survey(&self, before: u64) -> Result<Recovered, Broken> {
        let view = self.view(before);
        read_on(&view, &self.keyring, 0, &mut Nobody, &mut |_, _| {})
    }

    fn view(&self, before: u64) -> View<'_> {
        View {
            disk: &*self.disk,
            hidden: &self.hidden,
            before,
        }
    }

    /// Sets aside what is broken. `follower` is the segment that goes on behind what was surveyed.
    fn mend(&mut self, broken: Broken, follower: Option<Header>) -> Result<(), JournalError> {
        match broken {
            Broken::Chunk { at, next, .. } => {
                let segment = at.end.segment;
                let follower = next.map(|next| *next).or(follower);
                // One that was rewritten says itself where it ends, so no beginning of it can be kept.
                if self.rewritten(segment)?.is_some() {
                    self.hidden.insert(segment);
                    return self.behind_the_older(segment, follower);
                }
                self.cut.insert(segment);
                self.accept(&at, follower.as_ref())
            }
            Broken::Header(segment) => {
                let is_newest =
                    self.view(u64::MAX).segments().map_err(|e| failed("folder")(&e))?.last() == Some(&segment);
                self.hidden.insert(segment);
                // A newer one says that this one is gone, and what with it.
                match is_newest {
                    true => self.behind_the_older(segment, None),
                    false => Ok(()),
                }
            }
            Broken::Gone { follower, .. } => self.behind_the_older(follower.segment, Some(follower)),
            Broken::Newest(segment) => self.behind_the_older(segment, None),
            Broken::Other(error) => Err(error),
        }
    }

    /// Accepts a gap between what is left before a segment and the one that goes on.
    fn behind_the_older(&mut self, before: u64, follower: Option<Header>) -> Result<(), JournalError> {
        match self.survey(before) {
            Ok(older) => match older.walked.last() {
                Some(tail) => self.accept(&tail.clone(), follower.as_ref()),
                None => Ok(()),
            },
            Err(broken) => self.mend(broken, follower),
        }
    }

    fn rewritten(&self, segment: u64) -> Result<Option<Rewritten>, JournalError> {
        let bytes = self.disk.read(segment, LONG_HEADER as u64);
        let bytes = bytes.map_err(|e| failed(&format!("segment {segment}"))(&e))?;
        Ok(Rewritten::read(&bytes).ok().flatten())
    }

    fn accept(&mut self, at: &Tail, follower: Option<&Header>) -> Result<(), JournalError> {
        let last = match follower {
            Some(follower) => follower.first.saturating_sub(1),
            None => self.reach(at)?,
        };
        let gap = Gap::new(
            &at.end,
            follower.map(|follower| follower.segment),
            (at.next, last),
            self.through_us,
        );
        self.keyring.suppose_gap(gap.clone());
        self.gaps.push(gap);
        Ok(())
    }

    /// The sequence beyond which nothing of what is lost can have been, where no segment follows.
    fn reach(&self, at: &Tail) -> Result<u64, JournalError> {
        let mut through = at.next.saturating_sub(1);
        let there = self.disk.segments().map_err(|e| failed("folder")(&e))?;
        for &segment in there.iter().filter(|&&segment| segment >= at.end.segment) {
            let bytes = self.disk.read(segment, u64::MAX);
            let bytes = bytes.map_err(|e| failed(&format!("segment {segment}"))(&e))?;
            let ends = self
                .rewritten(segment)?
                .map_or(at.end.offset, |rewritten| rewritten.ends);
            let from = if segment == at.end.segment { ends } else { 0 };
            let mut behind = bytes.get(from as usize..).unwrap_or_default();
            while let Some((place, header, length)) = next_whole(behind, at.next) {
                through = through.max((header.first + u64::from(header.count)).saturating_sub(1));
                behind = &behind[place + length..];
            }
            let written = behind
                .iter()
                .rposition(|&byte| byte != 0)
                .map_or(0, |last| last as u64 + 1);
            through += written / LEAST;
        }
        // Of those that are gone the key file says how much room they had.
        let is_gone = |begun: &&Begun| begun.segment > at.end.segment && !there.contains(&begun.segment);
        let room = self.keyring.begun().iter().filter(is_gone).map(|begun| begun.bytes);
        Ok(through + room.sum::<u64>() / LEAST)
    }
}

/// The first whole chunk in bytes of which some are damaged, with inputs from `least` on.
fn next_whole(bytes: &[u8], least: u64) -> Option<(usize, chunk::Header, usize)> {
    (0..bytes.len()).find_map(|place| {
        let header = chunk::Header::read(&bytes[place..])?;
        // A chunk holds fewer inputs than bytes: a check that is cheaper than the CRC.
        if header.first < least || header.count > header.length {
            return None;
        }
        let length = header.whole(&bytes[place..])?.len();
        Some((place, header, length))
    })
}

/// Takes note of nothing: whether all of it can be read is what is asked.
struct Nobody;

impl Visit for Nobody {
    fn segment(&mut self, _: &Header) -> Result<(), JournalError> {
        Ok(())
    }

    fn drain(&mut self, _: u64, records: &mut Records) -> Result<(), JournalError> {
        records.for_each(|record: Result<Record, _>| drop(record));
        Ok(())
    }
}

/// The disk as it would be, of the segments before one. Nothing is written.
struct View<'p> {
    disk: &'p dyn Disk,
    hidden: &'p BTreeSet<u64>,
    before: u64,
}

fn looks() -> io::Error {
    io::Error::other("it is only looked at")
}

impl Disk for View<'_> {
    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut segments = self.disk.segments()?;
        segments.retain(|segment| *segment < self.before && !self.hidden.contains(segment));
        Ok(segments)
    }

    fn read(&self, segment: u64, bytes: u64) -> io::Result<Vec<u8>> {
        self.disk.read(segment, bytes)
    }

    fn read_from(&self, segment: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.disk.read_from(segment, offset, bytes)
    }

    fn keys(&self) -> io::Result<Vec<u8>> {
        self.disk.keys()
    }

    fn snapshots(&self) -> io::Result<Vec<(u64, u64)>> {
        self.disk.snapshots()
    }

    fn read_snapshot(&self, number: u64, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.disk.read_snapshot(number, from, bytes)
    }

    fn create_snapshot(&self, _: u64) -> io::Result<Arc<dyn SegmentFile>> {
        Err(looks())
    }

    fn publish_snapshot(&self, _: u64) -> io::Result<()> {
        Err(looks())
    }

    fn remove_snapshot(&self, _: u64) -> io::Result<()> {
        Err(looks())
    }

    fn discard_snapshots(&self) -> io::Result<()> {
        Err(looks())
    }

    fn create(&self, _: u64, _: u64) -> io::Result<Arc<dyn SegmentFile>> {
        Err(looks())
    }

    fn renew(&self, _: u64, _: u64, _: u64) -> io::Result<()> {
        Err(looks())
    }

    fn replace(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Err(looks())
    }

    fn remove(&self, _: u64) -> io::Result<()> {
        Err(looks())
    }

    fn append_keys(&self, _: &[u8]) -> io::Result<()> {
        Err(looks())
    }

    fn replace_keys(&self, _: &[u8]) -> io::Result<()> {
        Err(looks())
    }
}
