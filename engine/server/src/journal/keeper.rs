//! What may block, away from the engine's thread: syncs in groups, makes the next segment ready before it is needed, removes
//! old ones. A plain value that is told the time; [`super::attend`] drives it on a thread of its own, a simulation by hand.

use std::{
    collections::BTreeMap,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fraudgate_core::{
    journal::{
        keys::Begun,
        segment::{HEADER, Header},
    },
    transaction::Clock,
};

use super::{
    JournalError, Promise, Settings, disk::Disk, disk::SegmentFile, failed, keyring::Keyring, segment::Segment,
    snapshot,
};

/// How soon a segment that could not be made is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// How often is looked for segments that may go.
const LOOK: Duration = Duration::from_secs(1);

/// What the clocks say.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Since some beginning: never jumps.
    pub elapsed: Duration,
    /// The time of day: may be set back and forth.
    pub clock: Clock,
}

/// A segment that is ready to be written to.
pub struct Prepared {
    /// Its number.
    pub number: u64,
    /// Its key.
    pub key: [u8; 32],
    /// Its file.
    pub file: Arc<dyn SegmentFile>,
}

/// What the engine's thread and the keeper share.
pub struct Desk {
    state: Mutex<State>,
    changed: Condvar,
    /// Called after something was synced, failed, or became ready.
    tell: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    prepared: Option<Prepared>,
    /// Segments that are not wholly synced, in order.
    open: Vec<Arc<Segment>>,
    /// Someone waits for a sync.
    urgent: bool,
    closing: bool,
    /// Segments before this one may be removed.
    needed: u64,
    /// Likewise, as each cursor needs them.
    cursors: BTreeMap<String, u64>,
    /// Someone wants to write a snapshot.
    snapshot_asked: bool,
    snapshot: Option<snapshot::Prepared>,
    /// Which snapshots are kept; what they need is needed.
    kept: snapshot::Kept,
    /// The segment in which a snapshot was cut that is being written.
    cut: Option<u64>,
    error: Option<String>,
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the next segment, if it is ready.
    pub fn take(&self) -> Option<Prepared> {
        let prepared = self.state().prepared.take();
        if prepared.is_some() {
            self.changed.notify_one();
        }
        prepared
    }

    /// Syncs a segment from now on.
    pub fn open(&self, segment: Arc<Segment>) {
        self.state().open.push(segment);
    }

    /// Syncs at once.
    pub fn hurry(&self) {
        self.state().urgent = true;
        self.changed.notify_one();
    }

    /// Whether a sync is asked for that was not begun.
    pub fn is_hurried(&self) -> bool {
        self.state().urgent
    }

    /// Syncs a last time.
    pub fn close(&self) {
        self.state().closing = true;
        self.changed.notify_one();
    }

    /// Segments before this one are needed by nobody.
    pub fn release(&self, segment: u64) {
        self.state().needed = segment;
    }

    /// Segments before this one are not needed by a cursor; all from it on are, until it says otherwise.
    pub fn pin(&self, cursor: &str, segment: u64) {
        self.state().cursors.insert(cursor.to_owned(), segment);
    }

    /// The first segment that anybody needs.
    fn needed(&self) -> u64 {
        let state = self.state();
        let of_cursors = state.cursors.values().copied();
        of_cursors
            .chain(state.kept.needs)
            .chain(state.cut)
            .fold(state.needed, u64::min)
    }

    /// Makes a snapshot's key.
    pub fn ask_for_snapshot(&self) {
        self.state().snapshot_asked = true;
        self.changed.notify_one();
    }

    /// The snapshot that was asked for, when its key is there.
    pub fn take_snapshot(&self) -> Option<snapshot::Prepared> {
        self.state().snapshot.take()
    }

    /// It is not used yet.
    pub fn return_snapshot(&self, prepared: snapshot::Prepared) {
        self.state().snapshot = Some(prepared);
    }

    /// A snapshot was cut in this segment, and is being written; none is any more.
    pub fn hold_cut(&self, segment: Option<u64>) {
        self.state().cut = segment;
    }

    /// From now on these snapshots are kept.
    pub fn keep(&self, kept: snapshot::Kept) {
        let mut state = self.state();
        let gone = std::mem::replace(&mut state.kept, kept).gone;
        state.kept.gone.extend(gone);
    }

    /// Why the next segment could not be made, or an old one not removed.
    pub fn error(&self) -> Option<String> {
        self.state().error.clone()
    }

    /// Waits until something is asked of the keeper, at most so long.
    pub fn wait(&self, most: Duration) {
        let state = self.state();
        if !state.urgent && !state.closing {
            drop(self.changed.wait_timeout(state, most));
        }
    }
}

/// Keeps a journal's files.
pub struct Keeper {
    desk: Arc<Desk>,
    disk: Arc<dyn Disk>,
    keyring: Keyring,
    settings: Settings,
    epoch: u64,
    next: u64,
    /// The newest snapshot that a key was made for: it may be written for long, and has its name only then.
    snapshot: Option<u64>,
    /// When a segment that could not be made is tried again.
    again: Duration,
    /// When is looked for segments that may go.
    look: Duration,
}

impl Keeper {
    /// Makes the first segment ready. `next` is its number; `tell` is called after something was synced, failed, or became
    /// ready.
    pub fn begin(
        disk: Arc<dyn Disk>,
        keyring: Keyring,
        settings: &Settings,
        epoch: u64,
        next: u64,
        tell: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Keeper, JournalError> {
        let desk = Arc::new(Desk {
            state: Mutex::default(),
            changed: Condvar::new(),
            tell,
        });
        let mut keeper = Keeper {
            desk,
            disk,
            keyring,
            settings: settings.clone(),
            epoch,
            next,
            snapshot: None,
            again: Duration::ZERO,
            look: LOOK,
        };
        let first = keeper.prepare()?;
        keeper.desk.state().prepared = Some(first);
        Ok(keeper)
    }

    /// How it is spoken to.
    pub fn desk(&self) -> &Arc<Desk> {
        &self.desk
    }

    /// What answers wait for.
    pub fn promise(&self) -> Promise {
        self.settings.promise
    }

    /// Does what is due. Gives how long it may be left alone, or nothing when it was closed and all that can be is synced.
    pub fn step(&mut self, now: Now) -> Option<Duration> {
        self.desk.state().urgent = false;
        let (mut news, closing) = self.sync();
        if closing {
            return None;
        }
        if self.desk.state().prepared.is_none() && self.again <= now.elapsed {
            let prepared = self.prepare();
            let mut state = self.desk.state();
            match prepared {
                Ok(prepared) => {
                    state.prepared = Some(prepared);
                    state.error = None;
                }
                Err(error) => {
                    state.error = Some(error.0);
                    self.again = now.elapsed + AGAIN;
                }
            }
            news = true;
        }
        if self.desk.state().snapshot_asked {
            news |= self.prepare_snapshot();
        }
        if self.look <= now.elapsed {
            self.look = now.elapsed + LOOK;
            let needed = self.desk.needed();
            if let Err(error) = self.retain(needed, now.clock) {
                self.desk.state().error = Some(error.0);
            }
        }
        if news {
            (self.desk.tell)();
        }
        Some(self.settings.interval())
    }

    /// Syncs what was written, in order. Says whether anything was, and whether the end has come.
    fn sync(&mut self) -> (bool, bool) {
        let (open, closing) = {
            let state = self.desk.state();
            (state.open.clone(), state.closing)
        };
        let mut any = false;
        let mut failed = false;
        for segment in &open {
            // What follows a segment that failed hangs on it, and is written anew elsewhere.
            if failed {
                segment.fail();
            }
            any |= segment.sync();
            failed |= segment.has_failed();
        }
        for segment in open.iter().filter(|segment| segment.synced() > 0) {
            let (segment, bytes) = (segment.number, self.settings.segment_bytes);
            if let Err(error) = self.keyring.say_begun(Begun { segment, bytes }) {
                self.desk.state().error = Some(error.0);
            }
        }
        for end in open.iter().filter_map(|segment| segment.end()) {
            // The header of the segment behind it says the same, when that is synced.
            if let Err(error) = self.keyring.say_end(end) {
                self.desk.state().error = Some(error.0);
            }
        }
        self.desk.state().open.retain(|segment| !segment.is_done());
        (any, closing)
    }

    fn prepare(&mut self) -> Result<Prepared, JournalError> {
        let number = self.next;
        // A number that failed half way is not tried again: its key or its name may be there.
        self.next += 1;
        let key = self.keyring.make(number, self.epoch)?;
        let created = self.disk.create(number, self.settings.segment_bytes);
        let file = created.map_err(|e| {
            // What could be made of it only takes room.
            let _ = self.disk.remove(number);
            failed(&format!("segment {number}"))(&e)
        })?;
        Ok(Prepared { number, key, file })
    }

    /// Makes a snapshot's key. Says whether it is there; if not, it is tried again.
    fn prepare_snapshot(&mut self) -> bool {
        let number = self.next;
        self.next += 1;
        let made = self.keyring.make(number, self.epoch);
        let mut state = self.desk.state();
        match made {
            Ok(key) => {
                self.snapshot = Some(number);
                state.snapshot_asked = false;
                state.snapshot = Some(snapshot::Prepared { number, key });
                true
            }
            Err(error) => {
                state.error = Some(error.0);
                false
            }
        }
    }

    /// Removes the oldest segments, by age and size, as far as nobody needs them.
    fn retain(&mut self, needed: u64, now: Clock) -> Result<(), JournalError> {
        let kept = self.desk.state().kept.clone();
        if !kept.gone.is_empty() {
            self.keyring.forget(|number| kept.gone.contains(&number))?;
            self.desk.state().kept.gone.retain(|number| !kept.gone.contains(number));
        }
        let (bytes, age) = (self.settings.retain_bytes, self.settings.retain_s);
        if bytes.is_none() && age.is_none() {
            return Ok(());
        }
        let segments = self.disk.segments().map_err(|e| failed("retention")(&e))?;
        let mut first = None;
        for (place, &segment) in segments.iter().enumerate() {
            if segment >= needed {
                break;
            }
            // Its newest input came before the segment after was opened.
            let Some(header) = self.header_from(&segments[place + 1..])? else {
                break;
            };
            let old_us = now.0.saturating_sub(header.opened_at_us);
            let aged = age.is_some_and(|age| old_us / 1_000_000 > i64::try_from(age).unwrap_or(i64::MAX));
            let held = (segments.len() - place) as u64 * self.settings.segment_bytes;
            if !aged && bytes.is_none_or(|bytes| held <= bytes) {
                break;
            }
            self.disk.remove(segment).map_err(|e| failed("retention")(&e))?;
            first = segments.get(place + 1).copied();
        }
        let Some(first) = first else { return Ok(()) };
        let snapshot = self.snapshot;
        self.keyring
            .forget(|number| number < first && !kept.numbers.contains(&number) && snapshot != Some(number))
    }

    /// The first header among segments: one that was never begun has none.
    fn header_from(&self, segments: &[u64]) -> Result<Option<Header>, JournalError> {
        for &segment in segments {
            let head = self.disk.read(segment, HEADER as u64);
            if let Ok(header) = Header::read(&head.map_err(|e| failed("retention")(&e))?) {
                return Ok(Some(header));
            }
        }
        Ok(None)
    }
}
