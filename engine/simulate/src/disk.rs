//! The simulated disk, behind the trait that the journal knows. What is written stands in a cache that survives the process;
//! what is synced survives the machine. When power is lost, each page that was not synced is kept, lost or torn by itself.
//! A sync that fails leaves pages that pass for clean and are lost. A fuse kills the process in the middle of any call.

mod file;
mod mounted;
mod rot;
mod vouch;

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use file::File;
pub use mounted::Mounted;
pub use rot::Rot;

use crate::{random::Random, seals::Seals, trace::Trace};

/// A disk, and what is wrong with it.
pub struct SimulatedDisk(Mutex<State>);

/// What a disk does wrong until it is told otherwise: each fault comes once in so many calls; 0 is never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// A write that fails, a part of it done.
    pub write: usize,
    /// A sync that fails, and takes pages with it.
    pub sync: usize,
    /// A segment that cannot be made, or a key that cannot be written.
    pub create: usize,
    /// A read that fails.
    pub read: usize,
    /// A segment for which less room is reserved than was asked.
    pub short: usize,
}

/// What has happened to a disk.
#[derive(Clone, Copy, Debug, Default)]
pub struct Suffered {
    /// Writes that failed.
    pub writes: u64,
    /// Syncs that failed.
    pub syncs: u64,
    /// Reads that failed.
    pub reads: u64,
    /// Pages that were torn when power was lost.
    pub torn: u64,
    /// Pages that were lost.
    pub lost: u64,
}

struct State {
    files: BTreeMap<u64, File>,
    /// Snapshots that have their names, and those that do not yet.
    snapshots: BTreeMap<u64, File>,
    drafts: BTreeMap<u64, File>,
    /// Segments whose removal would not survive the loss of power.
    ghosts: BTreeMap<u64, File>,
    keys: File,
    /// The key file that comes back when power is lost before the name of the new one is synced.
    old_keys: Option<File>,
    page: usize,
    random: Random,
    faults: Faults,
    suffered: Suffered,
    /// Calls until the process is killed.
    fuse: Option<usize>,
    dead: bool,
    /// Files that were opened in an earlier life do nothing.
    life: u64,
    seals: Seals,
    trace: Trace,
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}

fn broken() -> io::Error {
    io::Error::from_raw_os_error(5)
}

fn full() -> io::Error {
    io::ErrorKind::StorageFull.into()
}

impl State {
    /// Every call passes here: says whether the process is killed in the middle of it.
    fn call(&mut self) -> io::Result<bool> {
        if self.dead {
            return Err(dead());
        }
        match &mut self.fuse {
            Some(0) => {
                self.dead = true;
                self.fuse = None;
                self.trace.tell("killed in a call", &[]);
                Ok(true)
            }
            Some(left) => {
                *left -= 1;
                Ok(false)
            }
            None => Ok(false),
        }
    }

    fn fails(&mut self, fault: fn(&Faults) -> usize) -> bool {
        let once_in = fault(&self.faults);
        once_in > 0 && self.random.once_in(once_in)
    }

    fn sync_names(&mut self) {
        self.ghosts.clear();
        self.old_keys = None;
        for file in self.files.values_mut().chain(self.drafts.values_mut()) {
            file.named = true;
        }
    }

    fn file(&mut self, segment: u64) -> io::Result<&mut File> {
        // No number comes twice.
        let file = self.files.get_mut(&segment);
        file.or_else(|| self.drafts.get_mut(&segment))
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }
    fn write_at(&mut self, segment: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        let killed = self.call()?;
        let fails = !killed && self.fails(|faults| faults.write);
        let part = if killed || fails {
            self.random.below(bytes.len() + 1)
        } else {
            bytes.len()
        };
        self.trace.tell("write", &[segment, offset, part as u64]);
        let (page, offset) = (self.page, offset as usize);
        self.seals.see(segment, bytes, offset);
        let written_back = self.random.once_in(8);
        let pick = self.random.number() as usize;
        let file = self.file(segment)?;
        file.write(&bytes[..part], offset, page);
        if written_back && let Some(&number) = file.dirty.iter().nth(pick % file.dirty.len().max(1)) {
            // The kernel writes pages when it likes to.
            file.keep(number, page, page);
            file.dirty.remove(&number);
        }
        if killed {
            return Err(dead());
        }
        if fails {
            self.suffered.writes += 1;
            return Err(if self.random.once_in(2) { full() } else { broken() });
        }
        Ok(())
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        let killed = self.call()?;
        let fails = !killed && self.fails(|faults| faults.sync);
        self.trace.tell("sync", &[segment, u64::from(fails)]);
        let page = self.page;
        let mut random = self.random.clone();
        let file = self.file(segment)?;
        if killed || fails {
            for number in file.dirty.clone() {
                if random.once_in(2) {
                    file.keep(number, page, page);
                    file.dirty.remove(&number);
                }
            }
        }
        if fails {
            // They pass for clean from now on; the next sync says nothing.
            file.dirty.clear();
            if random.once_in(2) {
                file.forget_lost(page, &mut random);
            }
        } else if !killed {
            file.sync(page);
        }
        self.random = random;
        if killed {
            return Err(dead());
        }
        if fails {
            self.suffered.syncs += 1;
            return Err(broken());
        }
        Ok(())
    }
}

impl SimulatedDisk {
    /// An empty one. `page` is what is written or lost together.
    pub fn new(seed: u64, page: usize, secret: &[u8; 32], trace: Trace) -> Arc<SimulatedDisk> {
        Arc::new(SimulatedDisk(Mutex::new(State {
            files: BTreeMap::new(),
            snapshots: BTreeMap::new(),
            drafts: BTreeMap::new(),
            ghosts: BTreeMap::new(),
            keys: File::default(),
            old_keys: None,
            page,
            random: Random::new(seed, 2),
            faults: Faults::default(),
            suffered: Suffered::default(),
            fuse: None,
            dead: false,
            life: 0,
            seals: Seals::new(secret),
            trace,
        })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What it does wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.state().faults = faults;
    }

    /// Kills the process in the call after so many others.
    pub fn light_fuse(&self, calls: usize) {
        self.state().fuse = Some(calls);
    }

    /// Whether the process was killed.
    pub fn is_dead(&self) -> bool {
        self.state().dead
    }

    /// What has happened to it.
    pub fn suffered(&self) -> Suffered {
        self.state().suffered
    }

    /// What was sealed twice under one nonce, if anything was.
    pub fn sealed_twice(&self) -> Option<String> {
        self.state().seals.twice.clone()
    }

    /// The inputs of each segment that was rewritten, and the last erasure that it honours.
    pub fn rewritten(&self) -> Vec<(std::ops::Range<u64>, u64)> {
        self.state().files.values().filter_map(vouch::rewriting).collect()
    }

    /// The process dies; with `power`, the machine does. What comes next is another process.
    pub fn restart(&self, power: bool) {
        let state = &mut *self.state();
        state.life += 1;
        state.dead = false;
        state.fuse = None;
        state.trace.tell(if power { "power lost" } else { "process died" }, &[]);
        let (page, random) = (state.page, &mut state.random);
        if !power {
            return;
        }
        for (number, ghost) in std::mem::take(&mut state.ghosts) {
            if random.once_in(2) {
                state.files.insert(number, ghost);
            }
        }
        if let Some(old) = state.old_keys.take()
            && random.once_in(2)
        {
            state.keys = old;
        }
        state.files.retain(|_, file| file.named || random.once_in(2));
        state.drafts.retain(|_, file| file.named || random.once_in(2));
        let snapshots = state.snapshots.values_mut().chain(state.drafts.values_mut());
        for file in state.files.values_mut().chain([&mut state.keys]).chain(snapshots) {
            file.lose_power(page, random, &mut state.suffered);
            file.named = true;
        }
    }
}
