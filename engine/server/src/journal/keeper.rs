//! The thread that does what may block: syncs in groups, makes the next segment ready before it is needed, removes old ones.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use fraudgate_core::journal::segment::Header;

use super::{JournalError, Settings, disk::Disk, disk::SegmentFile, failed, keyring::Keyring, segment::Segment};

/// How soon a segment that could not be made is tried again.
const AGAIN: Duration = Duration::from_millis(250);
/// How often is looked for segments that may go.
const LOOK: Duration = Duration::from_secs(1);

/// A segment that is ready to be written to.
pub struct Prepared {
    /// Its number.
    pub number: u64,
    /// Its key.
    pub key: [u8; 32],
    /// Its file.
    pub file: Arc<dyn SegmentFile>,
}

/// What the engine's thread and the keeper's share.
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
    error: Option<String>,
}

/// The thread.
pub struct Keeper {
    /// How it is spoken to.
    pub desk: Arc<Desk>,
    thread: Option<JoinHandle<()>>,
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

    /// Segments before this one are needed by nobody.
    pub fn release(&self, segment: u64) {
        self.state().needed = segment;
    }

    /// Why the next segment could not be made, or an old one not removed.
    pub fn error(&self) -> Option<String> {
        self.state().error.clone()
    }
}

impl Keeper {
    /// Starts the thread. The first segment is ready when this comes back.
    pub fn start(
        disk: Arc<dyn Disk>,
        keyring: Keyring,
        settings: &Settings,
        epoch: u64,
        next: u64,
        tell: Box<dyn Fn() + Send + Sync>,
    ) -> Result<Keeper, JournalError> {
        let mut work = Work {
            disk,
            keyring,
            settings: settings.clone(),
            epoch,
            next,
            retained: Instant::now(),
        };
        let first = work.prepare()?;
        let desk = Arc::new(Desk {
            state: Mutex::new(State {
                prepared: Some(first),
                ..State::default()
            }),
            changed: Condvar::new(),
            tell,
        });
        let at = desk.clone();
        let thread = thread::Builder::new().name("fraudgate-keeper".to_owned());
        let thread = thread.spawn(move || work.run(&at)).map_err(|e| failed("start")(&e))?;
        Ok(Keeper {
            desk,
            thread: Some(thread),
        })
    }

    /// Syncs what there is and ends the thread.
    pub fn close(&mut self) {
        self.desk.state().closing = true;
        self.desk.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It does not panic; and if it did, what it knew is synced or not, as each segment says.
            let _ = thread.join();
        }
    }
}

struct Work {
    disk: Arc<dyn Disk>,
    keyring: Keyring,
    settings: Settings,
    epoch: u64,
    next: u64,
    retained: Instant,
}

impl Work {
    fn run(&mut self, desk: &Desk) {
        let mut again = Instant::now();
        loop {
            let (mut synced, closing) = self.sync(desk);
            if closing {
                return;
            }
            if desk.state().prepared.is_none() && again <= Instant::now() {
                let prepared = self.prepare();
                let mut state = desk.state();
                match prepared {
                    Ok(prepared) => {
                        state.prepared = Some(prepared);
                        state.error = None;
                    }
                    Err(error) => {
                        state.error = Some(error.0);
                        again = Instant::now() + AGAIN;
                    }
                }
                synced = true;
            }
            if self.retained.elapsed() >= LOOK {
                self.retained = Instant::now();
                let needed = desk.state().needed;
                if let Err(error) = self.retain(needed) {
                    desk.state().error = Some(error.0);
                }
            }
            if synced {
                (desk.tell)();
            }
            let mut state = desk.state();
            if !state.urgent && !state.closing {
                let waited = desk.changed.wait_timeout(state, self.settings.interval());
                state = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            state.urgent = false;
        }
    }

    /// Syncs what was written, in order. Says whether anything was, and whether the end has come.
    fn sync(&self, desk: &Desk) -> (bool, bool) {
        let (open, closing) = {
            let state = desk.state();
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
        desk.state().open.retain(|segment| !segment.is_done());
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

    /// Removes the oldest segments, by age and size, as far as nobody needs them.
    fn retain(&mut self, needed: u64) -> Result<(), JournalError> {
        let (bytes, age) = (self.settings.retain_bytes, self.settings.retain_s);
        if bytes.is_none() && age.is_none() {
            return Ok(());
        }
        let segments = self.disk.segments().map_err(|e| failed("retention")(&e))?;
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut first = None;
        for (place, &segment) in segments.iter().enumerate() {
            let Some(&after) = segments.get(place + 1).filter(|_| segment < needed) else {
                break;
            };
            let head = self.disk.read(after, 96).map_err(|e| failed("retention")(&e))?;
            // Its newest input came before the segment after was opened.
            let Ok(header) = Header::read(&head) else { break };
            let old = Duration::from_micros(u64::try_from(header.opened_at_us).unwrap_or(0));
            let aged = age.is_some_and(|age| since.saturating_sub(old).as_secs() > age);
            let held = (segments.len() - place) as u64 * self.settings.segment_bytes;
            if !aged && bytes.is_none_or(|bytes| held <= bytes) {
                break;
            }
            self.disk.remove(segment).map_err(|e| failed("retention")(&e))?;
            first = Some(after);
        }
        first.map_or(Ok(()), |first| self.keyring.forget(first))
    }
}
