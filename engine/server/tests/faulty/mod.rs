//! A journal's disk that fails when it is told to.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use crate::waited::until;
use fraudgate_server::journal::disk::{Disk, Folder, SegmentFile};

/// What a disk does wrong.
#[derive(Default)]
pub struct Faults {
    pub write: AtomicBool,
    pub sync: AtomicBool,
    pub create: AtomicBool,
    pub keys: AtomicBool,
    /// How often a sync, or the writing of a key, has failed.
    pub failed: AtomicUsize,
}

impl Faults {
    /// Has syncs or keys fail while something is done, and until one has failed.
    pub fn meanwhile(&self, kind: &AtomicBool, act: impl FnOnce()) {
        let before = self.failed.load(Ordering::SeqCst);
        kind.store(true, Ordering::SeqCst);
        act();
        until("a fault", || self.failed.load(Ordering::SeqCst) > before);
        kind.store(false, Ordering::SeqCst);
    }
}

/// A folder that fails when it is told to. When a sync fails, what was not synced is gone, as it is in a kernel that could
/// not write its pages and dropped them.
pub struct Faulty {
    pub folder: Folder,
    pub path: PathBuf,
    pub faults: Arc<Faults>,
}

struct FaultyFile {
    file: Arc<dyn SegmentFile>,
    path: PathBuf,
    unsynced: Mutex<Vec<(u64, usize)>>,
    faults: Arc<Faults>,
}

impl SegmentFile for FaultyFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.faults.write.load(Ordering::SeqCst) {
            // Half of it may be there.
            self.file.write_at(&bytes[..bytes.len() / 2], offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.unsynced.lock().unwrap().push((offset, bytes.len()));
        self.file.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        if self.faults.sync.load(Ordering::SeqCst) {
            let file = File::options().write(true).open(&self.path)?;
            for (offset, length) in self.unsynced.lock().unwrap().drain(..) {
                file.write_all_at(&vec![0; length], offset)?;
            }
            self.faults.failed.fetch_add(1, Ordering::SeqCst);
            return Err(io::Error::from_raw_os_error(5));
        }
        self.unsynced.lock().unwrap().clear();
        self.file.sync()
    }
}

impl Disk for Faulty {
    fn create(&self, segment: u64, bytes: u64) -> io::Result<Arc<dyn SegmentFile>> {
        if self.faults.create.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(Arc::new(FaultyFile {
            file: self.folder.create(segment, bytes)?,
            path: self.path.join(format!("{segment:016}.segment")),
            unsynced: Mutex::default(),
            faults: self.faults.clone(),
        }))
    }
    fn segments(&self) -> io::Result<Vec<u64>> {
        self.folder.segments()
    }
    fn read(&self, segment: u64, bytes: u64) -> io::Result<Vec<u8>> {
        self.folder.read(segment, bytes)
    }
    fn read_from(&self, segment: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.folder.read_from(segment, offset, bytes)
    }
    fn renew(&self, segment: u64, from: u64, to: u64) -> io::Result<()> {
        self.folder.renew(segment, from, to)
    }
    fn replace(&self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.folder.replace(segment, bytes)
    }
    fn remove(&self, segment: u64) -> io::Result<()> {
        self.folder.remove(segment)
    }
    fn keys(&self) -> io::Result<Vec<u8>> {
        self.folder.keys()
    }
    fn append_keys(&self, line: &[u8]) -> io::Result<()> {
        if self.faults.keys.load(Ordering::SeqCst) {
            self.folder.append_keys(&line[..line.len() / 2])?;
            self.faults.failed.fetch_add(1, Ordering::SeqCst);
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.folder.append_keys(line)
    }
    fn replace_keys(&self, lines: &[u8]) -> io::Result<()> {
        self.folder.replace_keys(lines)
    }
    fn create_snapshot(&self, number: u64) -> io::Result<Arc<dyn SegmentFile>> {
        self.folder.create_snapshot(number)
    }
    fn publish_snapshot(&self, number: u64) -> io::Result<()> {
        self.folder.publish_snapshot(number)
    }
    fn snapshots(&self) -> io::Result<Vec<(u64, u64)>> {
        self.folder.snapshots()
    }
    fn read_snapshot(&self, number: u64, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.folder.read_snapshot(number, from, bytes)
    }
    fn remove_snapshot(&self, number: u64) -> io::Result<()> {
        self.folder.remove_snapshot(number)
    }
    fn discard_snapshots(&self) -> io::Result<()> {
        self.folder.discard_snapshots()
    }
}
