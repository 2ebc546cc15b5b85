//! Cursors over the journal: what leaves the scorer for a topic or for the cloud is read here, behind the writer and away
//! from the engine's thread, never beyond what is promised. A cursor goes by sequence: where a file was given up and its
//! drains were written anew, it goes on in the one that took its place, without a gap and without a repetition. Its place
//! is kept in a file, and what it has not passed is not removed.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io,
    sync::{Arc, Mutex, PoisonError, atomic::Ordering},
};

use fraudgate_core::journal::{
    chunk::{self, Seal},
    gap::Gap,
    record::Records,
    rewritten::{LONG_HEADER, begins},
    segment::{HEADER, Header},
};

use super::{
    JournalError, Promise, Status,
    disk::Disk,
    failed,
    keeper::Desk,
    keyring::{self, Keyring},
    place::{Place, Places},
    recovery::Visit,
};

/// How much is read of a segment at once: a segment is made of zeros, and those behind its end are read in vain.
const READ: usize = 1 << 16;

/// What cursors share: the journal that a scorer writes.
pub struct Cursors {
    disk: Arc<dyn Disk>,
    places: Places,
    secret: [u8; 32],
    promise: Promise,
    status: Arc<Status>,
    desk: Arc<Desk>,
    /// The names of those that are open.
    open: Mutex<BTreeSet<String>>,
}

impl Cursors {
    /// Those of a journal that is written to.
    pub fn new(
        disk: Arc<dyn Disk>,
        places: Places,
        secret: &[u8; 32],
        promise: Promise,
        status: Arc<Status>,
        desk: Arc<Desk>,
    ) -> Cursors {
        Cursors {
            disk,
            places,
            secret: *secret,
            promise,
            status,
            desk,
            open: Mutex::default(),
        }
    }

    /// Opens a cursor where it was left; one that is new begins with the oldest input there is. One name, one cursor.
    pub fn open(self: &Arc<Cursors>, name: &str) -> Result<Cursor, JournalError> {
        let headers = self.headers(0)?;
        let oldest = headers.values().next();
        let place = match self.places.read(name)? {
            Some(place) => place,
            None => Place {
                sequence: oldest.map_or(0, |header| header.first.saturating_sub(1)),
                epoch: oldest.map_or(0, |header| header.epoch),
                segment: oldest.map_or(0, |header| header.segment),
            },
        };
        // What a later life took it may have given sequences that were delivered before the end of the journal was lost.
        let later = headers.values().filter(|header| header.epoch > place.epoch);
        let sequence = later.fold(place.sequence, |sequence, header| {
            sequence.min(header.first.saturating_sub(1))
        });
        if !self.names().insert(name.to_owned()) {
            return Err(JournalError(format!("cursor {name}: it is open already")));
        }
        self.desk.pin(name, place.segment);
        Ok(Cursor {
            journal: self.clone(),
            name: name.to_owned(),
            next: sequence + 1,
            gaps: keyring::gaps(&*self.disk)?,
            tail: None,
            passed: VecDeque::new(),
        })
    }

    /// What is to be scored again is shipped through a sequence: the bound on what waits for it goes by that.
    pub fn shipped(&self, through: u64) {
        self.status.shipped.store(through, Ordering::Relaxed);
    }

    fn names(&self) -> std::sync::MutexGuard<'_, BTreeSet<String>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sequence through which may be read.
    fn promised(&self) -> u64 {
        match self.promise {
            Promise::Written => self.status.written.load(Ordering::Relaxed),
            Promise::Synced => self.status.synced.load(Ordering::Relaxed),
        }
    }

    /// The headers of the segments from a number on. One that is being written, or was just removed, has none.
    fn headers(&self, from: u64) -> Result<BTreeMap<u64, Header>, JournalError> {
        let mut headers = BTreeMap::new();
        let segments = self.disk.segments().map_err(|e| failed("folder")(&e))?;
        for number in segments.into_iter().filter(|&number| number >= from) {
            match self.disk.read(number, HEADER as u64) {
                Ok(head) => headers.extend(
                    Header::read(&head)
                        .ok()
                        .filter(|header| header.segment == number)
                        .map(|header| (number, header)),
                ),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(failed(&format!("segment {number}"))(&error)),
            }
        }
        Ok(headers)
    }
}

/// A reader of the journal that is written to.
pub struct Cursor {
    journal: Arc<Cursors>,
    name: String,
    /// What is lost; a running scorer finds no more of it.
    gaps: Vec<Gap>,
    /// The next sequence.
    next: u64,
    tail: Option<Tail>,
    /// The segments that were entered and are not kept as passed: each with its epoch and the sequence at which it was.
    passed: VecDeque<Entered>,
}

struct Entered {
    segment: u64,
    epoch: u64,
    at: u64,
}

/// The segment that is read.
struct Tail {
    segment: u64,
    seal: Seal,
    /// Where the next chunk begins, and its number.
    offset: u64,
    number: u32,
    /// What was read, and where in it the next chunk begins.
    ahead: Vec<u8>,
    at: usize,
}

impl Cursor {
    /// Reads whole drains until they are `most` inputs or more, or nothing more is promised. Gives the sequence through which
    /// all was visited; each segment's first drain, which states its programs, is visited also where it holds nothing new.
    pub fn read(&mut self, most: u64, visit: &mut dyn Visit) -> Result<u64, JournalError> {
        let until = self.next.saturating_add(most);
        let promised = self.journal.promised();
        while self.next <= promised && self.next < until {
            if !self.step(promised, visit)? {
                break;
            }
        }
        Ok(self.next - 1)
    }

    /// Keeps that all through a sequence, which [`Cursor::read`] gave, is dealt with: a cursor that is opened anew goes on
    /// behind it.
    pub fn keep(&mut self, through: u64) -> Result<(), JournalError> {
        while self.passed.get(1).is_some_and(|after| after.at <= through + 1) {
            self.passed.pop_front();
        }
        let Some(entered) = self.passed.front() else {
            return Ok(());
        };
        let place = Place {
            sequence: through,
            epoch: entered.epoch,
            segment: entered.segment,
        };
        self.journal.places.keep(&self.name, place)?;
        self.journal.desk.pin(&self.name, place.segment);
        Ok(())
    }

    /// The sequence through which all was read.
    pub fn through(&self) -> u64 {
        self.next - 1
    }

    /// How many inputs are promised that were not read.
    pub fn behind(&self) -> u64 {
        (self.journal.promised() + 1).saturating_sub(self.next)
    }

    /// What an input survives by now that was read.
    pub fn is_synced(&self, sequence: u64) -> bool {
        sequence <= self.journal.status.synced.load(Ordering::Relaxed)
    }

    /// Visits the next drain, or enters the next segment. Says whether there was either.
    fn step(&mut self, promised: u64, visit: &mut dyn Visit) -> Result<bool, JournalError> {
        if let Some(tail) = &mut self.tail
            && let Some(header) = tail.fill(&*self.journal.disk)?
        {
            let last = (header.first + u64::from(header.count)).saturating_sub(1);
            if header.count > 0 && last > promised {
                return Ok(false);
            }
            let (segment, offset) = (tail.segment, tail.offset);
            let damaged = |what: &str| JournalError(format!("segment {segment}, offset {offset}: {what}"));
            if header.count > 0 && header.first > self.next {
                return Err(damaged("inputs before it are missing"));
            }
            if header.count == 0 || last >= self.next {
                let body = tail
                    .open(&header)
                    .ok_or_else(|| damaged("it is not as it was sealed"))?;
                let mut records = Records::new(body).map_err(|_| damaged("it is in a format unknown here"))?;
                visit.drain(header.first, &mut records)?;
                self.next = self.next.max(last + 1);
            }
            tail.advance(&header);
            return Ok(true);
        }
        self.enter(visit)
    }

    /// Goes on in the segment in which the next input stands, unless that is where it is. Says whether it went.
    fn enter(&mut self, visit: &mut dyn Visit) -> Result<bool, JournalError> {
        let here = self.tail.as_ref().map_or(0, |tail| tail.segment);
        let lost = |gap: &&Gap| (gap.first..=gap.last).contains(&self.next);
        self.next = self.gaps.iter().find(lost).map_or(self.next, |gap| gap.last + 1);
        let headers = self.journal.headers(here)?;
        let mut at = headers.values().next_back();
        while let Some(header) = at.filter(|header| header.first > self.next) {
            // Back along the chain: one that no other names was given up.
            let gap = self.gaps.iter().rev().find(|gap| gap.resumes == Some(header.segment));
            let before = gap.map(|gap| gap.segment).or(header.previous.map(|end| end.segment));
            at = before.and_then(|before| headers.get(&before));
        }
        let Some(header) = at else {
            return match headers.is_empty() || here > 0 {
                true => Ok(false),
                false => Err(JournalError(format!(
                    "cursor {}: input {} and what follows it was removed before it was read",
                    self.name, self.next
                ))),
            };
        };
        if header.segment == here {
            return Ok(false);
        }
        let keyring = Keyring::open(self.journal.disk.clone(), &self.journal.secret)?;
        let what = format!("segment {}", header.segment);
        let begin = self.journal.disk.read(header.segment, LONG_HEADER as u64);
        let begin = begin.map_err(|e| failed(&what)(&e))?;
        let key = keyring.key_of(header.segment, &begin)?;
        let (chain, offset) = begins(&begin).map_err(|_| failed(&what)(&"its header changed"))?;
        let seal = Seal::new(&key, chain.0);
        visit.segment(header)?;
        self.passed.push_back(Entered {
            segment: header.segment,
            epoch: header.epoch,
            at: self.next,
        });
        self.tail = Some(Tail {
            segment: header.segment,
            seal: seal.map_err(|_| JournalError(format!("segment {}: its key cannot be used", header.segment)))?,
            offset: offset as u64,
            number: 0,
            ahead: Vec::new(),
            at: 0,
        });
        Ok(true)
    }
}

impl Drop for Cursor {
    fn drop(&mut self) {
        self.journal.names().remove(&self.name);
    }
}

impl Tail {
    /// The header of the next chunk, if it is whole by now.
    fn fill(&mut self, disk: &dyn Disk) -> Result<Option<chunk::Header>, JournalError> {
        if let Some(header) = self.whole() {
            return Ok(Some(header));
        }
        self.read(disk, READ)?;
        // One may be longer than what is read at once.
        let longer = chunk::Header::read(&self.ahead)
            .map(|header| (header.length as usize).min(chunk::LONGEST) + chunk::HEADER)
            .filter(|&length| length > self.ahead.len());
        if let Some(length) = longer {
            self.read(disk, length)?;
        }
        Ok(self.whole())
    }

    fn read(&mut self, disk: &dyn Disk, bytes: usize) -> Result<(), JournalError> {
        let read = disk.read_from(self.segment, self.offset, bytes);
        self.ahead = read.map_err(|e| failed(&format!("segment {}", self.segment))(&e))?;
        self.at = 0;
        Ok(())
    }

    fn whole(&self) -> Option<chunk::Header> {
        let ahead = &self.ahead[self.at..];
        let header = chunk::Header::read(ahead)?;
        (header.number == self.number && header.whole(ahead).is_some()).then_some(header)
    }

    /// Opens the chunk at hand, in place.
    fn open(&mut self, header: &chunk::Header) -> Option<&[u8]> {
        let end = self.at + chunk::HEADER + header.length as usize;
        let body = self.seal.open(header, self.ahead.get_mut(self.at..end)?).ok()?;
        Some(body)
    }

    /// Passes the chunk at hand.
    fn advance(&mut self, header: &chunk::Header) {
        let length = chunk::HEADER + header.length as usize;
        self.at += length;
        self.offset += length as u64;
        self.number += 1;
    }
}
