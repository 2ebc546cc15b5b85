//! Named places at which the process dies as `kill -9` ends it, so that tests can show what it leaves behind there:
//! `FRAUDGATE_DIE=append.after:120` kills it in the 120th call that passes there. A disk around the disk, put there at a
//! start and only when the variable is set: else nothing of this is on anyone's way.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use rustix::process::{Signal, getpid, kill_process};

use super::{
    JournalError,
    disk::{Disk, SegmentFile},
};

/// The variable that names the place.
const VARIABLE: &str = "FRAUDGATE_DIE";

/// What the journal does to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    /// A drain is appended.
    Append,
    /// A segment's header is written: from then on it stands.
    Header,
    Sync,
    /// The next segment is made.
    Roll,
    /// A line is appended to the key file.
    Key,
    /// Another key file takes its place.
    Keys,
    /// A segment is removed.
    Remove,
    /// A recovery writes once more what was left to the kernel.
    Renew,
    /// A part of a snapshot is written.
    Snapshot,
    /// A snapshot gets its name.
    Publish,
}

/// Where in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Before,
    /// A half of it is done.
    Half,
    After,
}

type Place = (Act, Moment);

/// Every place, by its name.
const PLACES: [(&str, Place); 24] = [
    ("append.before", (Act::Append, Moment::Before)),
    ("append.half", (Act::Append, Moment::Half)),
    ("append.after", (Act::Append, Moment::After)),
    ("header.before", (Act::Header, Moment::Before)),
    ("header.half", (Act::Header, Moment::Half)),
    ("header.after", (Act::Header, Moment::After)),
    ("sync.before", (Act::Sync, Moment::Before)),
    ("sync.after", (Act::Sync, Moment::After)),
    ("roll.before", (Act::Roll, Moment::Before)),
    ("roll.after", (Act::Roll, Moment::After)),
    ("key.before", (Act::Key, Moment::Before)),
    ("key.half", (Act::Key, Moment::Half)),
    ("key.after", (Act::Key, Moment::After)),
    ("keys.before", (Act::Keys, Moment::Before)),
    ("keys.after", (Act::Keys, Moment::After)),
    ("remove.before", (Act::Remove, Moment::Before)),
    ("remove.after", (Act::Remove, Moment::After)),
    ("renew.before", (Act::Renew, Moment::Before)),
    ("renew.after", (Act::Renew, Moment::After)),
    ("snapshot.before", (Act::Snapshot, Moment::Before)),
    ("snapshot.half", (Act::Snapshot, Moment::Half)),
    ("snapshot.after", (Act::Snapshot, Moment::After)),
    ("publish.before", (Act::Publish, Moment::Before)),
    ("publish.after", (Act::Publish, Moment::After)),
];

/// The disk as it is, or one that kills the process where the environment says so.
pub fn armed(disk: Arc<dyn Disk>) -> Result<Arc<dyn Disk>, JournalError> {
    let Some(wanted) = std::env::var_os(VARIABLE) else {
        return Ok(disk);
    };
    let unknown = || {
        let names: Vec<&str> = PLACES.iter().map(|(name, _)| *name).collect();
        JournalError(format!(
            "{VARIABLE}: PLACE:CALL, where PLACE is one of {}",
            names.join(", ")
        ))
    };
    let (name, call) = wanted
        .to_str()
        .and_then(|wanted| wanted.split_once(':'))
        .ok_or_else(unknown)?;
    let known = PLACES.iter().find(|(known, _)| *known == name);
    let (&(_, place), call) = known.zip(call.parse().ok()).ok_or_else(unknown)?;
    let trap = Arc::new(Trap {
        place,
        left: AtomicU64::new(call),
    });
    Ok(Arc::new(Dying { disk, trap }))
}

struct Trap {
    place: Place,
    /// Calls that come to the place, the last of which dies there.
    left: AtomicU64,
}

impl Trap {
    fn pass(&self, act: Act, moment: Moment, last: impl FnOnce()) {
        if self.place == (act, moment) && self.left.fetch_sub(1, Ordering::Relaxed) == 1 {
            last();
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                thread::park();
            }
        }
    }

    /// Dies half way, when it is time, with a half written.
    fn half(&self, act: Act, bytes: &[u8], write: impl FnOnce(&[u8]) -> io::Result<()>) {
        // How much of it was written is not known anyway.
        self.pass(act, Moment::Half, || drop(write(&bytes[..bytes.len() / 2])));
    }

    fn around<T>(&self, act: Act, call: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.pass(act, Moment::Before, || ());
        let done = call()?;
        self.pass(act, Moment::After, || ());
        Ok(done)
    }
}

struct Dying {
    disk: Arc<dyn Disk>,
    trap: Arc<Trap>,
}

struct DyingFile {
    file: Arc<dyn SegmentFile>,
    /// What a write is, but for that of a segment's header.
    act: Act,
    trap: Arc<Trap>,
}

impl SegmentFile for DyingFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let act = match (self.act, offset) {
            (Act::Append, 0) => Act::Header,
            (act, _) => act,
        };
        self.trap.half(act, bytes, |half| self.file.write_at(half, offset));
        self.trap.around(act, || self.file.write_at(bytes, offset))
    }

    fn sync(&self) -> io::Result<()> {
        self.trap.around(Act::Sync, || self.file.sync())
    }
}

impl Dying {
    fn file(&self, file: Arc<dyn SegmentFile>, act: Act) -> Arc<dyn SegmentFile> {
        let trap = self.trap.clone();
        Arc::new(DyingFile { file, act, trap })
    }
}

impl Disk for Dying {
    fn create(&self, segment: u64, bytes: u64) -> io::Result<Arc<dyn SegmentFile>> {
        let file = self.trap.around(Act::Roll, || self.disk.create(segment, bytes))?;
        Ok(self.file(file, Act::Append))
    }

    fn segments(&self) -> io::Result<Vec<u64>> {
        self.disk.segments()
    }

    fn read(&self, segment: u64, bytes: u64) -> io::Result<Vec<u8>> {
        self.disk.read(segment, bytes)
    }

    fn read_from(&self, segment: u64, offset: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.disk.read_from(segment, offset, bytes)
    }

    fn renew(&self, segment: u64, from: u64, to: u64) -> io::Result<()> {
        self.trap.around(Act::Renew, || self.disk.renew(segment, from, to))
    }

    fn replace(&self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.disk.replace(segment, bytes)
    }

    fn remove(&self, segment: u64) -> io::Result<()> {
        self.trap.around(Act::Remove, || self.disk.remove(segment))
    }

    fn keys(&self) -> io::Result<Vec<u8>> {
        self.disk.keys()
    }

    fn append_keys(&self, line: &[u8]) -> io::Result<()> {
        self.trap.half(Act::Key, line, |half| self.disk.append_keys(half));
        self.trap.around(Act::Key, || self.disk.append_keys(line))
    }

    fn replace_keys(&self, lines: &[u8]) -> io::Result<()> {
        self.trap.around(Act::Keys, || self.disk.replace_keys(lines))
    }

    fn create_snapshot(&self, number: u64) -> io::Result<Arc<dyn SegmentFile>> {
        Ok(self.file(self.disk.create_snapshot(number)?, Act::Snapshot))
    }

    fn publish_snapshot(&self, number: u64) -> io::Result<()> {
        self.trap.around(Act::Publish, || self.disk.publish_snapshot(number))
    }

    fn snapshots(&self) -> io::Result<Vec<(u64, u64)>> {
        self.disk.snapshots()
    }

    fn read_snapshot(&self, number: u64, from: u64, bytes: usize) -> io::Result<Vec<u8>> {
        self.disk.read_snapshot(number, from, bytes)
    }

    fn remove_snapshot(&self, number: u64) -> io::Result<()> {
        self.disk.remove_snapshot(number)
    }

    fn discard_snapshots(&self) -> io::Result<()> {
        self.disk.discard_snapshots()
    }
}
