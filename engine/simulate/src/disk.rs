//! The simulated disk, behind the trait that the journal knows. What is written stands in a cache that survives the process;
//! what is synced survives the machine. When power is lost, each page that was not synced is kept, lost or torn by itself.
//! A sync that fails leaves pages that pass for clean and are lost. A fuse kills the process in the middle of any call.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use fraudgate_server::journal::disk::{Disk, SegmentFile};

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

/// A bit that was flipped in what was synced.
#[derive(Clone, Copy, Debug)]
pub struct Rot {
    /// The segment or the snapshot; `None` is the key file.
    pub segment: Option<u64>,
    /// Which byte.
    pub offset: usize,
    bit: u8,
    made: u64,
    /// The sequence from which on inputs may be lost by it unnoticed: it stands where nothing says any more that it was synced.
    pub unvouched: Option<u64>,
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

#[derive(Clone, Default)]
struct File {
    /// What is read.
    cached: Vec<u8>,
    /// What survives the machine.
    durable: Vec<u8>,
    /// Pages that were not synced. One that is cached otherwise than durable and not here was lost by a failed sync.
    dirty: BTreeSet<usize>,
    /// Whether its name survives the machine.
    named: bool,
    /// Tells it from another one of its name.
    made: u64,
}

impl File {
    fn write(&mut self, bytes: &[u8], offset: usize, page: usize) {
        let end = offset + bytes.len();
        if self.cached.len() < end {
            self.cached.resize(end, 0);
        }
        self.cached[offset..end].copy_from_slice(bytes);
        if end > offset {
            self.dirty.extend(offset / page..=(end - 1) / page);
        }
    }

    /// A page reaches the platter, up to a byte of it.
    fn keep(&mut self, number: usize, page: usize, through: usize) {
        let from = number * page;
        let to = (from + through.min(page)).min(self.cached.len());
        if from < to {
            if self.durable.len() < to {
                self.durable.resize(to, 0);
            }
            self.durable[from..to].copy_from_slice(&self.cached[from..to]);
        }
    }

    fn sync(&mut self, page: usize) {
        for number in std::mem::take(&mut self.dirty) {
            self.keep(number, page, page);
        }
        if self.durable.len() < self.cached.len() {
            self.durable.resize(self.cached.len(), 0);
        }
    }

    /// Pages that a failed sync lost go from the cache too.
    fn forget_lost(&mut self, page: usize, random: &mut Random) {
        for number in 0..self.cached.len().div_ceil(page) {
            if !self.dirty.contains(&number) && random.once_in(2) {
                let from = number * page;
                for at in from..(from + page).min(self.cached.len()) {
                    self.cached[at] = self.durable.get(at).copied().unwrap_or(0);
                }
            }
        }
    }

    /// The machine goes down.
    fn lose_power(&mut self, page: usize, random: &mut Random, suffered: &mut Suffered) {
        for number in std::mem::take(&mut self.dirty) {
            match random.below(3) {
                0 => self.keep(number, page, page),
                1 => {
                    suffered.torn += 1;
                    let through = random.below(page);
                    self.keep(number, page, through);
                }
                _ => suffered.lost += 1,
            }
        }
        self.cached = self.durable.clone();
    }
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

    fn rot_a_snapshot(&mut self) -> Option<Rot> {
        let numbers: Vec<u64> = self.snapshots.keys().copied().collect();
        let number = self.random.one_of(&numbers);
        let file = self.snapshots.get_mut(&number)?;
        let rot = Rot {
            segment: Some(number),
            offset: self.random.below(file.durable.len().max(1)),
            bit: 1 << self.random.below(8),
            made: file.made,
            unvouched: None,
        };
        for bytes in [&mut file.durable, &mut file.cached] {
            *bytes.get_mut(rot.offset)? ^= rot.bit;
        }
        self.trace
            .tell("snapshot rots", &[number, rot.offset as u64, u64::from(rot.bit)]);
        Some(rot)
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

    /// Flips a bit of something that was synced, if there is anything.
    pub fn rot(&self) -> Option<Rot> {
        let state = &mut *self.state();
        if !state.snapshots.is_empty() && state.random.once_in(3) {
            return state.rot_a_snapshot();
        }
        let of_keys = state.random.once_in(8);
        let written: Vec<u64> = state
            .files
            .iter()
            .filter(|(_, file)| file.durable.iter().any(|&byte| byte != 0))
            .map(|(&number, _)| number)
            .collect();
        if !of_keys && written.is_empty() {
            return None;
        }
        let segment = (!of_keys).then(|| state.random.one_of(&written));
        let file = match segment {
            Some(segment) => state.files.get(&segment)?,
            None => &state.keys,
        };
        let end = file.durable.iter().rposition(|&byte| byte != 0)? + 1;
        let offset = state.random.below(end);
        if file.dirty.contains(&(offset / state.page)) || file.cached.get(offset) != file.durable.get(offset) {
            return None;
        }
        let bit = 1 << state.random.below(8);
        let unvouched = segment.and_then(|segment| vouch::unvouched(&state.files, &state.keys, segment, offset));
        let file = match segment {
            Some(segment) => state.files.get_mut(&segment)?,
            None => &mut state.keys,
        };
        let rot = Rot {
            segment,
            offset,
            bit,
            made: file.made,
            unvouched,
        };
        file.durable[offset] ^= bit;
        file.cached[offset] ^= bit;
        let number = segment.unwrap_or(0);
        state.trace.tell("rot", &[number, offset as u64, u64::from(bit)]);
        state.trace.remark(|| format!("{rot:?}"));
        Some(rot)
    }

    /// What [`Rot::unvouched`] says, by what is on the disk now.
    pub fn unvouched(&self, rot: &Rot) -> Option<u64> {
        let segment = rot.segment?;
        let state = self.state();
        // As it would read without the flipped bit.
        let mut files = state.files.clone();
        *files.get_mut(&segment)?.cached.get_mut(rot.offset)? ^= rot.bit;
        vouch::unvouched(&files, &state.keys, segment, rot.offset)
    }

    /// Puts a flipped bit right, as from a copy elsewhere.
    pub fn heal(&self, rot: Rot) {
        let state = &mut *self.state();
        let file = match rot.segment {
            Some(number) => state.files.get_mut(&number).or(state.snapshots.get_mut(&number)),
            None => Some(&mut state.keys),
        };
        // It may have been replaced since.
        if let Some(file) = file
            && file.made == rot.made
        {
            for bytes in [&mut file.durable, &mut file.cached] {
                if let Some(byte) = bytes.get_mut(rot.offset) {
                    *byte ^= rot.bit;
                }
            }
        }
    }
}

/// The disk as one process has it open.
#[derive(Clone)]
pub struct Mounted {
    disk: Arc<SimulatedDisk>,
    life: u64,
}

struct Opened {
    mounted: Mounted,
    segment: u64,
}

impl Mounted {
    /// For the process that lives now.
    pub fn new(disk: &Arc<SimulatedDisk>) -> Mounted {
        let life = disk.state().life;
        Mounted {
            disk: disk.clone(),
            life,
        }
    }

    fn state(&self) -> io::Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        if state.life == self.life {
            Ok(state)
        } else {
            Err(dead())
        }
    }
}

impl SegmentFile for Opened {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.mounted.state()?.write_at(self.segment, bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.mounted.state()?.sync(self.segment)
    }
}

impl Disk for Mounted {
    fn create(&self, segment: u64, bytes: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let mut state = self.state()?;
        let killed = state.call()?;
        let fails = !killed && state.fails(|faults| faults.create);
        let short = state.fails(|faults| faults.short);
        state.trace.tell("create", &[segment, u64::from(fails)]);
        if state.files.contains_key(&segment) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let whole = bytes as usize;
        let room = if killed || fails || short {
            state.random.below(whole + 1)
        } else {
            whole
        };
        let made = !(killed || fails) || state.random.once_in(2);
        if made {
            let file = File {
                cached: vec![0; room],
                durable: vec![0; room],
                ..File::default()
            };
            state.files.insert(segment, file);
        }
        if killed {
            return Err(dead());
        }
        if fails {
            return Err(full());
        }
        state.sync_names();
        let mounted = self.clone();
        Ok(Arc::new(Opened { mounted, segment }))
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(dead());
        }
        Ok(state.files.keys().copied().collect())
    }

    fn read_from(&self, segment: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let read = self.read(segment, offset.saturating_add(bytes as u64))?;
        Ok(read
            .get(usize::try_from(offset).unwrap_or(usize::MAX)..)
            .unwrap_or_default()
            .to_vec())
    }

    fn read(&self, segment: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(dead());
        }
        if state.fails(|faults| faults.read) {
            state.suffered.reads += 1;
            return Err(broken());
        }
        let file = state.file(segment)?;
        let end = usize::try_from(bytes).unwrap_or(usize::MAX).min(file.cached.len());
        Ok(file.cached[..end].to_vec())
    }

    fn renew(&self, segment: u64, from: u64, to: u64) -> io::Result<()> {
        let state = &mut *self.state()?;
        let page = state.page;
        let file = state.file(segment)?;
        let (from, to) = (from as usize, (to as usize).min(file.cached.len()));
        if from < to {
            file.dirty.extend(from / page..=(to - 1) / page);
        }
        state.sync(segment)
    }

    fn replace(&self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        let state = &mut *self.state()?;
        let killed = state.call()?;
        let fails = !killed && state.fails(|faults| faults.create);
        state
            .trace
            .tell("replace", &[segment, bytes.len() as u64, u64::from(fails)]);
        if fails {
            return Err(full());
        }
        if killed && state.random.once_in(2) {
            return Err(dead());
        }
        let old = state.files.get_mut(&segment).ok_or(io::ErrorKind::NotFound)?;
        let fresh = File {
            cached: bytes.to_vec(),
            durable: bytes.to_vec(),
            named: true,
            made: old.made + 1,
            ..File::default()
        };
        let old = std::mem::replace(old, fresh);
        if killed {
            // It has the name, and that survives the machine, or not.
            state.ghosts.insert(segment, old);
            return Err(dead());
        }
        state.sync_names();
        Ok(())
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let killed = state.call()?;
        state.trace.tell("remove", &[segment]);
        if killed {
            if state.random.once_in(2) {
                let file = state.files.remove(&segment).ok_or(io::ErrorKind::NotFound)?;
                state.ghosts.insert(segment, file);
            }
            return Err(dead());
        }
        state.files.remove(&segment).ok_or(io::ErrorKind::NotFound)?;
        state.sync_names();
        Ok(())
    }

    fn keys(&self) -> io::Result<Vec<u8>> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(dead());
        }
        if state.fails(|faults| faults.read) {
            state.suffered.reads += 1;
            return Err(broken());
        }
        Ok(state.keys.cached.clone())
    }

    fn append_keys(&self, line: &[u8]) -> io::Result<()> {
        let state = &mut *self.state()?;
        let killed = state.call()?;
        let fails = !killed && state.fails(|faults| faults.create);
        state.trace.tell("key", &[u64::from(fails)]);
        state.seals.learn(line);
        let part = if killed || fails {
            state.random.below(line.len() + 1)
        } else {
            line.len()
        };
        let (page, end) = (state.page, state.keys.cached.len());
        state.keys.write(&line[..part], end, page);
        if killed {
            return Err(dead());
        }
        if fails {
            return Err(full());
        }
        state.keys.sync(page);
        Ok(())
    }

    fn replace_keys(&self, lines: &[u8]) -> io::Result<()> {
        let state = &mut *self.state()?;
        let killed = state.call()?;
        let fails = !killed && state.fails(|faults| faults.create);
        state.trace.tell("keys", &[lines.len() as u64, u64::from(fails)]);
        if fails {
            return Err(full());
        }
        let fresh = File {
            cached: lines.to_vec(),
            durable: lines.to_vec(),
            named: true,
            made: state.keys.made + 1,
            ..File::default()
        };
        if killed {
            // The new file has taken the old one's name, or not; and that survives the machine, or not.
            if state.random.once_in(2) {
                state.old_keys = Some(std::mem::replace(&mut state.keys, fresh));
            }
            return Err(dead());
        }
        state.keys = fresh;
        state.sync_names();
        Ok(())
    }

    fn create_snapshot(&self, number: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let mut state = self.state()?;
        let killed = state.call()?;
        let fails = !killed && state.fails(|faults| faults.create);
        state.trace.tell("create snapshot", &[number, u64::from(fails)]);
        if !fails {
            state.drafts.insert(number, File::default());
        }
        if killed {
            return Err(dead());
        }
        if fails {
            return Err(full());
        }
        let mounted = self.clone();
        Ok(Arc::new(Opened {
            mounted,
            segment: number,
        }))
    }

    fn publish_snapshot(&self, number: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let killed = state.call()?;
        let fails = !killed && state.fails(|faults| faults.create);
        state.trace.tell("publish snapshot", &[number, u64::from(fails)]);
        if !(killed || fails) || state.random.once_in(2) {
            let file = state.drafts.remove(&number).ok_or(io::ErrorKind::NotFound)?;
            state.snapshots.insert(number, file);
        }
        if killed {
            return Err(dead());
        }
        if fails {
            return Err(broken());
        }
        state.sync_names();
        Ok(())
    }

    fn snapshots(&self) -> io::Result<Vec<(u64, u64)>> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(dead());
        }
        let all = state.snapshots.iter();
        Ok(all.map(|(&number, file)| (number, file.cached.len() as u64)).collect())
    }

    fn read_snapshot(&self, number: u64, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(dead());
        }
        if state.fails(|faults| faults.read) {
            state.suffered.reads += 1;
            return Err(broken());
        }
        let file = state.snapshots.get(&number).ok_or(io::ErrorKind::NotFound)?;
        let from = (from as usize).min(file.cached.len());
        let to = from.saturating_add(bytes).min(file.cached.len());
        Ok(file.cached[from..to].to_vec())
    }

    fn remove_snapshot(&self, number: u64) -> io::Result<()> {
        let mut state = self.state()?;
        let killed = state.call()?;
        state.trace.tell("remove snapshot", &[number]);
        if !killed || state.random.once_in(2) {
            state.drafts.remove(&number);
            state.snapshots.remove(&number);
        }
        if killed { Err(dead()) } else { Ok(()) }
    }

    fn discard_snapshots(&self) -> io::Result<()> {
        let mut state = self.state()?;
        if state.call()? {
            return Err(dead());
        }
        state.drafts.clear();
        Ok(())
    }
}

/// What later writings say of earlier ones: the simulator's own reading of the format.
mod vouch {
    use std::collections::BTreeMap;

    use fraudgate_core::journal::{
        chunk,
        keys::SyncedEnd,
        segment::{HEADER, Header},
    };

    use super::File;

    /// The chunks of a segment: where each begins, and its header.
    fn chunks(bytes: &[u8]) -> Vec<(usize, chunk::Header)> {
        let (mut at, mut chunks) = (HEADER, Vec::new());
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
    pub fn unvouched(files: &BTreeMap<u64, File>, keys: &File, segment: u64, offset: usize) -> Option<u64> {
        let bytes = &files.get(&segment)?.cached;
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
}
