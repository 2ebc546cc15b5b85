//! Appends drains, on the engine's thread. What is not synced yet is kept in memory, sealed as it was written: when a file
//! fails it is never trusted again, and all that was not synced in it is sealed anew and written to a fresh one. What
//! cannot be written waits; when too much waits, the journal takes no more.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
};

use fraudgate_core::{
    broken::{self, Broken},
    journal::{
        Draft, Durability, Journal,
        chunk::{self, Seal, TAG},
        segment::{End, HEADER, Header, Open},
    },
    program::Program,
    rescore::Spool,
    transaction::Clock,
};

use super::{
    Attended, JournalError, Promise, Settings, Status,
    keeper::{Desk, Prepared},
    recovery::Recovered,
    segment::Segment,
    unsynced::{Drain, Sealed, Unsynced},
};

/// The most bytes of buffers that are kept to be used again: what is under way between two syncs at full load.
const SPARE: usize = 1 << 23;

/// The engine's journal.
pub struct Writer {
    attended: Attended,
    desk: Arc<Desk>,
    promise: Promise,
    segment_bytes: u64,
    buffer_bytes: usize,
    spool_inputs: Option<u64>,
    epoch: u64,
    /// When the drain under way began.
    now: Clock,
    current: Option<Current>,
    /// Where the journal ends that is known to be synced.
    good: Option<End>,
    unsynced: Unsynced,
    waiting: VecDeque<Drain>,
    held: usize,
    spare: Vec<Vec<u8>>,
    /// Bytes of the spare buffers.
    spared: usize,
    status: Arc<Status>,
}

struct Current {
    segment: Arc<Segment>,
    open: Open,
    seal: Arc<Seal>,
    /// Until it is written. It comes last, so that a segment stands only when all that waited for it stands in it: until
    /// then it may still stand in a file that was given up.
    header: Option<[u8; HEADER]>,
}

impl Writer {
    /// Goes on behind what was recovered, at `now`. Opens the first segment, which states `programs`.
    pub fn begin(
        attended: Attended,
        settings: &Settings,
        recovered: &Recovered,
        next: u64,
        programs: &[Program],
        now: Clock,
    ) -> Result<Writer, JournalError> {
        let status = Arc::new(Status::default());
        status.written.store(next - 1, Ordering::Relaxed);
        status.synced.store(next - 1, Ordering::Relaxed);
        let mut writer = Writer {
            desk: attended.desk.clone(),
            attended,
            promise: settings.promise,
            segment_bytes: settings.segment_bytes,
            buffer_bytes: settings.buffer_bytes,
            spool_inputs: settings.spool_inputs,
            epoch: recovered.epoch,
            now,
            current: None,
            good: recovered.end,
            unsynced: Unsynced::default(),
            waiting: VecDeque::new(),
            held: 0,
            spare: Vec::new(),
            spared: 0,
            status,
        };
        writer.roll(programs);
        writer.stand();
        match writer.current {
            Some(_) => Ok(writer),
            None => Err(JournalError("the first segment cannot be written to".to_owned())),
        }
    }

    /// What it tells of itself.
    pub fn status(&self) -> Arc<Status> {
        self.status.clone()
    }

    /// Takes note of what was synced, and of what failed.
    fn settle(&mut self) {
        self.link();
        // What was synced before a file failed stays so.
        while let Some((mut drain, end)) = self.unsynced.pop_synced() {
            self.good = Some(end);
            self.held -= drain.bytes.len();
            self.status.synced.store(drain.through(), Ordering::Relaxed);
            if self.spared + drain.bytes.capacity() <= SPARE {
                drain.bytes.clear();
                self.spared += drain.bytes.capacity();
                self.spare.push(drain.bytes);
            }
        }
        let failed = |segment: &Arc<Segment>| segment.has_failed();
        if self.current.as_ref().is_some_and(|current| failed(&current.segment))
            || self.unsynced.front().is_some_and(|front| failed(&front.segment))
        {
            self.abandon();
        }
        self.status.held.store(self.held as u64, Ordering::Relaxed);
    }

    /// Takes the digests of what was written without.
    fn link(&mut self) {
        if let Some(current) = &mut self.current {
            self.unsynced.link(&mut current.open);
        }
    }

    /// Writes what waits, as far as that can be done.
    fn write(&mut self, programs: &[Program]) {
        let full = |current: &Current| current.open.offset() >= self.segment_bytes;
        if !self.waiting.is_empty() && self.current.as_ref().is_none_or(full) {
            // Without another segment a full one grows: its size is a wish.
            self.roll(programs);
        }
        while let Some(mut plain) = self.waiting.pop_front() {
            let Some(current) = &mut self.current else {
                self.waiting.push_front(plain);
                break;
            };
            let settled = self
                .unsynced
                .front()
                .is_none_or(|front| Arc::ptr_eq(&front.segment, &current.segment));
            let synced = if settled { current.synced() } else { 0 };
            let before = plain.bytes.len();
            let Ok(at) = current
                .open
                .seal_unlinked(&mut plain.bytes, plain.first, synced, plain.count)
            else {
                // It has as many chunks as it can number.
                self.waiting.push_front(plain);
                self.abandon();
                break;
            };
            let wrote = current.segment.file.write_at(&plain.bytes, at);
            let until = current.open.offset();
            self.status.bytes.fetch_add(until - at, Ordering::Relaxed);
            self.held += plain.bytes.len() - before;
            self.unsynced.push(Sealed {
                drain: plain,
                until,
                segment: current.segment.clone(),
                seal: current.seal.clone(),
                end: None,
            });
            if wrote.is_err() {
                self.abandon();
                break;
            }
        }
        self.stand();
        if self.promise == Promise::Synced && !self.unsynced.is_empty() {
            self.desk.hurry();
        }
    }

    /// What was written stands: the segment has its header, and all before it is in it or in those before.
    fn stand(&mut self) {
        let Some(current) = &mut self.current else { return };
        if let Some(header) = current.header.take()
            && current.segment.file.write_at(&header, 0).is_err()
        {
            self.abandon();
            return;
        }
        current.segment.wrote(current.open.offset());
        if let Some(last) = self.unsynced.back() {
            self.status.written.store(last.drain.through(), Ordering::Relaxed);
        }
    }

    /// Opens the next segment, if it is ready and can be written to.
    fn roll(&mut self, programs: &[Program]) {
        let Some(prepared) = self.desk.take() else { return };
        self.link();
        let first = self
            .waiting
            .front()
            .map_or_else(|| self.status.written.load(Ordering::Relaxed) + 1, |plain| plain.first);
        let previous = self
            .current
            .as_ref()
            .map_or(self.good, |current| Some(current.open.end()));
        let header = Header {
            epoch: self.epoch,
            segment: prepared.number,
            first,
            opened_at_us: self.now.0,
            previous,
        };
        match open(&prepared, &header, self.unsynced.is_empty(), programs) {
            Some(current) => {
                self.desk.open(current.segment.clone());
                self.status.segment.store(prepared.number, Ordering::Relaxed);
                if let Some(before) = self.current.replace(current) {
                    before.segment.ends(before.open.end());
                }
                // Were the newest lost with the machine's power, the journal would end there, and could begin there only if it
                // states the programs.
                if let Some(good) = self.good.filter(|good| good.offset > HEADER as u64) {
                    self.desk.release(good.segment);
                }
            }
            None => {
                self.status.failures.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Trusts no file any more to which something was written and not synced: that is written anew.
    fn abandon(&mut self) {
        self.status.failures.fetch_add(1, Ordering::Relaxed);
        self.status.segment.store(0, Ordering::Relaxed);
        if let Some(current) = self.current.take() {
            current.segment.fail();
        }
        while let Some(sealed) = self.unsynced.pop_newest() {
            sealed.segment.fail();
            self.held -= TAG;
            let Sealed { mut drain, seal, .. } = sealed;
            let opened = chunk::Header::read(&drain.bytes)
                .and_then(|header| seal.open(&header, &mut drain.bytes).ok().map(|_| ()));
            // What this process sealed and kept in memory opens. Otherwise its memory is broken; the gap in sequences
            // will be named by whoever reads the journal.
            if opened.is_some() {
                drain.bytes.truncate(drain.bytes.len() - TAG);
                self.waiting.push_front(drain);
            }
        }
        let synced = self.status.synced.load(Ordering::Relaxed);
        self.status.written.store(synced, Ordering::Relaxed);
    }
}

/// Writes what states the programs. With `settled`, all before this segment is synced.
fn open(prepared: &Prepared, header: &Header, settled: bool, programs: &[Program]) -> Option<Current> {
    let mut open = Open::new(header, &prepared.key).ok()?;
    let mut draft = Draft::default();
    draft.begin(Clock(header.opened_at_us), header.first);
    programs.iter().for_each(|program| draft.program(&program.stated()));
    let synced = if settled { HEADER as u64 } else { 0 };
    let at = open.seal(&mut draft.bytes, header.first, synced, 0).ok()?;
    prepared.file.write_at(&draft.bytes, at).ok()?;
    Some(Current {
        segment: Segment::new(prepared.number, prepared.file.clone()),
        seal: open.seal_of(),
        open,
        header: Some(header.write()),
    })
}

impl Current {
    /// The offset through which it is synced, when all before it is.
    fn synced(&self) -> u64 {
        self.segment.synced().max(HEADER as u64)
    }
}

impl Journal for Writer {
    fn takes(&mut self, now: Clock, programs: &[Program]) -> bool {
        self.now = now;
        self.settle();
        if !self.waiting.is_empty() {
            self.write(programs);
        }
        self.held < self.buffer_bytes
    }

    fn append(&mut self, draft: &mut Draft, programs: &[Program]) {
        let spare = self.spare.pop().unwrap_or_default();
        self.spared -= spare.capacity();
        let bytes = std::mem::replace(&mut draft.bytes, spare);
        self.held += bytes.len();
        self.waiting.push_back(Drain {
            bytes,
            first: draft.first,
            count: draft.count,
        });
        if broken::is(Broken::AcknowledgeBeforeAppend) {
            let through = draft.first + u64::from(draft.count) - 1;
            self.status.written.store(through, Ordering::Relaxed);
            return;
        }
        self.write(programs);
    }

    fn rest(&mut self) {
        self.link();
    }

    fn cut(&mut self, programs: &[Program]) -> Option<End> {
        self.settle();
        let stands = |current: &&Current| current.header.is_none() && self.waiting.is_empty();
        let (number, end) = self
            .current
            .as_ref()
            .filter(stands)
            .map(|current| (current.segment.number, current.open.end()))?;
        // The last input's: a segment that holds none yet may be given up, and what comes then does not name it.
        let last = self.unsynced.end().or(self.good);
        if last != Some(end) {
            return Some(last.unwrap_or(end));
        }
        self.roll(programs);
        self.stand();
        let goes_on = |current: &Current| current.segment.number != number;
        self.current.as_ref().is_some_and(goes_on).then_some(end)
    }

    fn durability(&self, sequence: u64) -> Durability {
        if sequence <= self.status.synced.load(Ordering::Relaxed) {
            Durability::Synced
        } else if sequence <= self.status.written.load(Ordering::Relaxed) {
            Durability::Written
        } else {
            Durability::Memory
        }
    }

    fn spool(&self, sequence: u64) -> Spool {
        let waits = sequence.saturating_sub(self.status.shipped.load(Ordering::Relaxed));
        match self.spool_inputs {
            None => Spool::None,
            Some(bound) if waits <= bound => Spool::Open,
            Some(_) => Spool::Full,
        }
    }
}

impl Drop for Writer {
    /// Ends the journal well: all is synced, and a last chunk says so.
    fn drop(&mut self) {
        self.attended.close();
        self.settle();
        if let Some(current) = &mut self.current
            && self.unsynced.is_empty()
            && self.waiting.is_empty()
        {
            let next = self.status.written.load(Ordering::Relaxed) + 1;
            let mut draft = Draft::default();
            draft.begin(Clock(0), next);
            if let Ok(at) = current.open.seal(&mut draft.bytes, next, current.synced(), 0) {
                // Without it the journal is as after a crash: nothing is lost.
                let _ = current.segment.file.write_at(&draft.bytes, at);
                let _ = current.segment.file.sync();
            }
        }
    }
}
