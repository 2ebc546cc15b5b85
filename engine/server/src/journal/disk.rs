//! What the journal asks of a file system, and a folder that gives it. A trait, so that tests can let it fail.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::Arc,
};

use rustix::{
    fs::{FallocateFlags, SeekFrom, fallocate, seek},
    io::Errno,
};

/// A place for segments and their keys.
pub trait Disk: Send + Sync {
    /// Makes a new segment of zeros, and makes sure that its name survives the loss of power.
    fn create(&self, segment: u64, bytes: u64) -> io::Result<Arc<dyn SegmentFile>>;
    /// The numbers of the segments that there are, in order.
    fn segments(&self) -> io::Result<Vec<u64>>;
    /// At most `bytes` of a segment, from its beginning; zeros that were never written may be missing at the end.
    fn read(&self, segment: u64, bytes: u64) -> io::Result<Vec<u8>>;
    /// At most `bytes` of a segment, from an offset on.
    fn read_from(&self, segment: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Writes a part of a segment once more as it reads, and syncs it. Another process wrote it; when its sync failed, a sync
    /// alone would say nothing of what was lost.
    fn renew(&self, segment: u64, from: u64, to: u64) -> io::Result<()>;
    /// Puts another file in a segment's place, synced, whole or not at all.
    fn replace(&self, segment: u64, bytes: &[u8]) -> io::Result<()>;
    /// Removes a segment, and makes sure that its name does not come back.
    fn remove(&self, segment: u64) -> io::Result<()>;
    /// The key file; empty when there is none.
    fn keys(&self) -> io::Result<Vec<u8>>;
    /// Appends to the key file, and syncs it.
    fn append_keys(&self, line: &[u8]) -> io::Result<()>;
    /// Puts another key file in its place, whole or not at all.
    fn replace_keys(&self, lines: &[u8]) -> io::Result<()>;
    /// Makes a new file for a snapshot, under a name that counts for nothing.
    fn create_snapshot(&self, number: u64) -> io::Result<Arc<dyn SegmentFile>>;
    /// Gives a snapshot that is synced its name, and makes sure that the name survives the loss of power.
    fn publish_snapshot(&self, number: u64) -> io::Result<()>;
    /// The numbers of the snapshots that have their names, in order, with their bytes.
    fn snapshots(&self) -> io::Result<Vec<(u64, u64)>>;
    /// At most `bytes` of a snapshot, from an offset.
    fn read_snapshot(&self, number: u64, from: u64, bytes: usize) -> io::Result<Vec<u8>>;
    /// Removes a snapshot, whether it has its name or not.
    fn remove_snapshot(&self, number: u64) -> io::Result<()>;
    /// Removes all snapshots that never got their names.
    fn discard_snapshots(&self) -> io::Result<()>;
}

/// A segment's file.
pub trait SegmentFile: Send + Sync {
    /// Writes all of `bytes`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Comes back when what was written survives the loss of power.
    fn sync(&self) -> io::Result<()>;
}

impl SegmentFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// A folder of segments, `0000000000000001.segment` and so on, of snapshots, `0000000000000007.snapshot`, and `keys`.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Held while the folder is in use, by one process alone.
    _lock: Option<File>,
}

impl Folder {
    /// Opens a folder to write to, and makes it where there is none. Only its owner may look in.
    pub fn open(path: &Path) -> io::Result<Folder> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let lock = private()
            .write(true)
            .create(true)
            .truncate(false)
            .open(path.join("lock"))?;
        lock.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => io::Error::other("another process has it open"),
            TryLockError::Error(error) => error,
        })?;
        Ok(Folder {
            path: path.to_owned(),
            _lock: Some(lock),
        })
    }

    /// A folder to look into, also while a process writes to it.
    pub fn look(path: &Path) -> Folder {
        Folder {
            path: path.to_owned(),
            _lock: None,
        }
    }

    /// Gives a segment a name under which nobody looks for it or removes it. With `keep`, it has its own name too. Gives the
    /// name.
    pub fn set_aside(&self, segment: u64, keep: bool) -> io::Result<String> {
        let mut name = format!("{segment:016}.damaged");
        let mut times = 1;
        while self.path.join(&name).try_exists()? {
            times += 1;
            name = format!("{segment:016}.damaged.{times}");
        }
        let (own, aside) = (self.segment(segment), self.path.join(&name));
        match keep {
            true => std::fs::hard_link(own, aside)?,
            false => std::fs::rename(own, aside)?,
        }
        self.sync_names()?;
        Ok(name)
    }

    fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016}.segment"))
    }

    fn snapshot(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016}.snapshot"))
    }

    /// Where a snapshot is until it has its name.
    fn unnamed(&self, number: u64) -> PathBuf {
        self.path.join(format!("{number:016}.snapshot.new"))
    }

    /// Writes a file, by another name first.
    fn put(&self, name: &Path, fresh: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = private().write(true).create(true).truncate(true).open(fresh)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(fresh, name)?;
        self.sync_names()
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

/// Where what was written of a file ends: what is only reserved behind it reads as zeros, and is not worth reading. Never
/// less than a page of what there is, so that a segment without a header shows as such.
fn written(file: &File) -> io::Result<u64> {
    const PAGE: u64 = 4_096;
    let (length, mut end) = (file.metadata()?.len(), 0);
    while end < length {
        match seek(file, SeekFrom::Data(end)) {
            Ok(data) => end = seek(file, SeekFrom::Hole(data))?,
            Err(Errno::NXIO) => break,
            // Not every file system tells.
            Err(_) => end = length,
        }
    }
    seek(file, SeekFrom::Start(0))?;
    Ok(end.max(PAGE).min(length))
}

/// For a file that only its owner may read.
pub(super) fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.mode(0o600);
    options
}

impl Disk for Folder {
    fn create(&self, segment: u64, bytes: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let file = private()
            .read(true)
            .write(true)
            .create_new(true)
            .open(self.segment(segment))?;
        match fallocate(&file, FallocateFlags::empty(), 0, bytes) {
            // Not every file system can reserve room: then appends may be slower, and a full disk shows later.
            Err(Errno::OPNOTSUPP) => file.set_len(bytes)?,
            reserved => reserved?,
        }
        file.sync_all()?;
        self.sync_names()?;
        Ok(Arc::new(file))
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        let mut numbers = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let name = entry?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".segment"));
            numbers.extend(number.and_then(|number| number.parse::<u64>().ok()));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn read(&self, segment: u64, bytes: u64) -> io::Result<Vec<u8>> {
        let file = File::open(self.segment(segment))?;
        let bytes = bytes.min(written(&file)?);
        let mut read = Vec::with_capacity(usize::try_from(bytes).map_err(io::Error::other)?);
        file.take(bytes).read_to_end(&mut read)?;
        Ok(read)
    }

    fn read_from(&self, segment: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.segment(segment))?;
        let mut read = vec![0; bytes];
        let mut length = 0;
        while length < bytes {
            match file.read_at(&mut read[length..], offset + length as u64) {
                Ok(0) => break,
                Ok(more) => length += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        read.truncate(length);
        Ok(read)
    }

    fn renew(&self, segment: u64, from: u64, to: u64) -> io::Result<()> {
        let file = OpenOptions::new().read(true).write(true).open(self.segment(segment))?;
        let mut part = vec![0; usize::try_from(to.saturating_sub(from)).map_err(io::Error::other)?];
        file.read_exact_at(&mut part, from)?;
        file.write_all_at(&part, from)?;
        file.sync_data()
    }

    fn replace(&self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.put(&self.segment(segment), &self.path.join("segment.new"), bytes)
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        std::fs::remove_file(self.segment(segment))?;
        self.sync_names()
    }

    fn keys(&self) -> io::Result<Vec<u8>> {
        match std::fs::read(self.path.join("keys")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read,
        }
    }

    fn append_keys(&self, line: &[u8]) -> io::Result<()> {
        let mut file = private().append(true).create(true).open(self.path.join("keys"))?;
        file.write_all(line)?;
        file.sync_all()
    }

    fn replace_keys(&self, lines: &[u8]) -> io::Result<()> {
        self.put(&self.path.join("keys"), &self.path.join("keys.new"), lines)
    }

    fn create_snapshot(&self, number: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let file = private().write(true).create_new(true).open(self.unnamed(number))?;
        Ok(Arc::new(file))
    }

    fn publish_snapshot(&self, number: u64) -> io::Result<()> {
        std::fs::rename(self.unnamed(number), self.snapshot(number))?;
        self.sync_names()
    }

    fn snapshots(&self) -> io::Result<Vec<(u64, u64)>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(".snapshot"));
            if let Some(number) = number.and_then(|number| number.parse::<u64>().ok()) {
                all.push((number, entry.metadata()?.len()));
            }
        }
        all.sort_unstable();
        Ok(all)
    }

    fn read_snapshot(&self, number: u64, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        let file = File::open(self.snapshot(number))?;
        let mut read = vec![0; bytes];
        let mut there = 0;
        while there < bytes {
            match file.read_at(&mut read[there..], from + there as u64)? {
                0 => break,
                more => there += more,
            }
        }
        read.truncate(there);
        Ok(read)
    }

    fn remove_snapshot(&self, number: u64) -> io::Result<()> {
        for path in [self.unnamed(number), self.snapshot(number)] {
            match std::fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.sync_names()
    }

    fn discard_snapshots(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.path)? {
            let entry = entry?;
            if entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.ends_with(".snapshot.new"))
            {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
