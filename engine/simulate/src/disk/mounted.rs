//! The disk as the journal calls it: each call may be the last of its process, or fail.

use std::{
    io,
    sync::{Arc, MutexGuard},
};

use fraudgate_server::journal::disk::{Disk, SegmentFile};

use super::{File, SimulatedDisk, State, broken, dead, full};

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
        state.seals.see(segment, bytes, 0);
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
