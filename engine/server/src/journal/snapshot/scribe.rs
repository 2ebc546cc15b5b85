//! Seals and writes what is swept, away from the engine's thread: under a name that counts for nothing until all of it is
//! synced. A plain value that is told what comes; [`attend`] drives it on a thread of its own, a simulation by hand.

use std::{
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, TryRecvError},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use fraudgate_core::{
    journal::{chunk::Seal, segment::End},
    snapshot::{
        Buffers, Piece, end,
        file::{HEADER, Header},
    },
};

use super::{Kept, Prepared, Status, take::PIECES};
use crate::journal::{
    JournalError,
    attend::{SCRIBE, step_back},
    disk::{Disk, SegmentFile},
    failed,
};

/// Bytes after which is synced: a sync of all at the end would have those of the journal wait.
const SYNC: u64 = 1 << 22;

/// Buffers that pieces are written into: those on their way, and what is open or at hand of a program or two.
const BUFFERS: usize = PIECES + 12;

/// How soon is looked for what is told while a snapshot is written: who waits asleep is woken by who tells, and that is the
/// engine's thread.
const SOON: Duration = Duration::from_millis(1);

/// What is told to a scribe.
pub enum Told {
    /// A snapshot begins.
    Begin(Begun),
    /// A piece of it.
    Piece(Piece),
    /// All pieces came, and what the snapshot holds survives in the journal.
    End,
    /// It is not to be.
    GiveUp,
}

/// A snapshot that begins.
pub struct Begun {
    /// Its number and its key.
    pub prepared: Prepared,
    /// Which life of the scorer writes it.
    pub epoch: u64,
    /// The sequence of the newest input that is in it.
    pub sequence: u64,
    /// Where the journal ends there.
    pub place: Option<End>,
}

/// Writes snapshots, one after the other.
pub struct Scribe {
    disk: Arc<dyn Disk>,
    keep: usize,
    /// Snapshots that failed their check: they go when there is a better one.
    bad: Vec<u64>,
    status: Arc<Status>,
    /// Told which are kept.
    tell: Box<dyn Fn(Kept) + Send>,
    writing: Option<Writing>,
}

struct Writing {
    header: Header,
    seal: Seal,
    file: Arc<dyn SegmentFile>,
    /// The next piece's number.
    next: u32,
    offset: u64,
    synced: u64,
}

impl Scribe {
    /// One that keeps the `keep` newest snapshots, none of which is among the `bad`; `tell` is told of it.
    pub fn new(
        disk: Arc<dyn Disk>,
        keep: usize,
        bad: Vec<u64>,
        status: Arc<Status>,
        tell: Box<dyn Fn(Kept) + Send>,
    ) -> Scribe {
        Scribe {
            disk,
            keep,
            bad,
            status,
            tell,
            writing: None,
        }
    }

    /// Does what it is told. Gives a buffer that may be used again.
    pub fn hear(&mut self, told: Told) -> Option<Vec<u8>> {
        let (done, spare) = match told {
            Told::Begin(begun) => (self.begin(begun), None),
            Told::Piece(piece) if self.writing.is_some() => match self.piece(piece) {
                Ok(spare) => (Ok(()), Some(spare)),
                Err(error) => (Err(error), None),
            },
            // What was given up is still told to its end.
            Told::Piece(piece) => (Ok(()), Some(piece.bytes)),
            Told::End if self.writing.is_some() => (self.publish(), None),
            Told::End => (Ok(()), None),
            Told::GiveUp => {
                self.discard();
                (Ok(()), None)
            }
        };
        if done.is_err() {
            self.discard();
            self.status.failures.fetch_add(1, Ordering::Release);
        }
        spare
    }

    /// Begins a snapshot.
    pub fn begin(&mut self, begun: Begun) -> Result<(), JournalError> {
        self.discard();
        let Begun {
            prepared: Prepared { number, key },
            epoch,
            sequence,
            place,
        } = begun;
        let header = Header {
            number,
            epoch,
            sequence,
            place,
        };
        let what = format!("snapshot {number}");
        let seal = header
            .seal(&key)
            .map_err(|_| failed(&what)(&"its key cannot be used"))?;
        let file = self.disk.create_snapshot(number).map_err(|e| failed(&what)(&e))?;
        let writing = self.writing.insert(Writing {
            header,
            seal,
            file,
            next: 0,
            offset: HEADER as u64,
            synced: 0,
        });
        let head = writing.header.write();
        writing.file.write_at(&head, 0).map_err(|e| failed(&what)(&e))
    }

    /// Writes a piece. Gives its buffer.
    pub fn piece(&mut self, piece: Piece) -> Result<Vec<u8>, JournalError> {
        let Some(writing) = &mut self.writing else {
            return Ok(piece.bytes);
        };
        writing.piece(piece)
    }

    /// All is there: writes the last piece, gives the snapshot its name, and removes those that are too many.
    pub fn publish(&mut self) -> Result<(), JournalError> {
        self.piece(end())?;
        let Some(Writing {
            header, file, offset, ..
        }) = self.writing.take()
        else {
            return Ok(());
        };
        let what = format!("snapshot {}", header.number);
        let published = file.sync().and_then(|()| self.disk.publish_snapshot(header.number));
        if let Err(error) = published {
            // Whether it has its name is not known; a whole one does no harm.
            let _ = self.disk.remove_snapshot(header.number);
            return Err(failed(&what)(&error));
        }
        self.status.number.store(header.number, Ordering::Relaxed);
        self.status.sequence.store(header.sequence, Ordering::Relaxed);
        self.status.bytes.store(offset, Ordering::Relaxed);
        // What cannot be removed now goes with the next one.
        if let Ok(kept) = self.retain() {
            (self.tell)(kept);
        }
        self.status.taken.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Removes the oldest, and those that failed their check. Gives what is left.
    fn retain(&mut self) -> Result<Kept, JournalError> {
        let all = self.disk.snapshots().map_err(|e| failed("snapshots")(&e))?;
        let good = all.iter().filter(|(number, _)| !self.bad.contains(number)).count();
        let mut surplus = good.saturating_sub(self.keep.max(1));
        let mut kept = Kept::default();
        for (number, _) in all {
            let is_bad = self.bad.contains(&number);
            if !is_bad && surplus == 0 {
                let place = place(&*self.disk, number);
                kept.numbers.push(number);
                kept.needs = Some(kept.needs.map_or(place, |needs| needs.min(place)));
                continue;
            }
            surplus -= usize::from(!is_bad);
            self.disk
                .remove_snapshot(number)
                .map_err(|e| failed(&format!("snapshot {number}"))(&e))?;
            kept.gone.push(number);
        }
        self.bad.clear();
        Ok(kept)
    }

    /// Gives up what is being written.
    fn discard(&mut self) {
        if let Some(writing) = self.writing.take() {
            // What stays behind has no name, and goes at the next start.
            let _ = self.disk.remove_snapshot(writing.header.number);
        }
    }
}

impl Writing {
    fn piece(&mut self, piece: Piece) -> Result<Vec<u8>, JournalError> {
        let what = format!("snapshot {}", self.header.number);
        let Piece { mut bytes, count } = piece;
        let next = self.next.checked_add(1);
        let sealed = self.seal.seal(&mut bytes, self.next, self.header.sequence, 0, count);
        self.next = next.ok_or_else(|| failed(&what)(&"it has too many pieces"))?;
        sealed.map_err(|_| failed(&what)(&"a piece could not be sealed"))?;
        self.file.write_at(&bytes, self.offset).map_err(|e| failed(&what)(&e))?;
        self.offset += bytes.len() as u64;
        if self.offset - self.synced >= SYNC {
            self.file.sync().map_err(|e| failed(&what)(&e))?;
            self.synced = self.offset;
        }
        Ok(bytes)
    }
}

/// The segment in which a snapshot's place is; the first there may be when that cannot be read.
fn place(disk: &dyn Disk, number: u64) -> u64 {
    let head = disk.read_snapshot(number, 0, HEADER).ok();
    let header = head.and_then(|head| Header::read(&head).ok());
    header.and_then(|header| header.place).map_or(0, |place| place.segment)
}

/// Which snapshots are there, and what they need, but for those that failed their check.
pub fn kept(disk: &dyn Disk, bad: &[u64]) -> Result<Kept, JournalError> {
    let all = disk.snapshots().map_err(|e| failed("snapshots")(&e))?;
    let numbers: Vec<u64> = all.into_iter().map(|(number, _)| number).collect();
    let good = numbers.iter().filter(|number| !bad.contains(number));
    let needs = good.map(|&number| place(disk, number)).min();
    Ok(Kept {
        // Where none is good the journal alone makes the state again: nothing of it may go before a good one is there.
        needs: needs.or((!numbers.is_empty()).then_some(0)),
        numbers,
        gone: Vec::new(),
    })
}

/// Drives a scribe on a thread of its own, until nobody can tell it anything any more.
pub fn attend(mut scribe: Scribe, told: Receiver<Told>, spare: SyncSender<Vec<u8>>) -> Result<Scribing, JournalError> {
    let run = move || {
        step_back(SCRIBE);
        // Touched here, so that it is not the engine's thread that waits for memory; until then it asks for its own.
        let _ = (0..BUFFERS).try_for_each(|_| spare.send(Buffers::touched()));
        while let Some(told) = next(&told, scribe.writing.is_some()) {
            if let Some(bytes) = scribe.hear(told) {
                // Who sweeps may have enough of them.
                let _ = spare.try_send(bytes);
            }
        }
        scribe.discard();
    };
    let thread = thread::Builder::new().name("fraudgate-scribe".to_owned());
    let thread = thread.spawn(run).map_err(|e| failed("start")(&e))?;
    Ok(Scribing(Some(thread)))
}

/// A scribe's thread. Dropped behind who tells it, and hears of it, it waits for its end: then the folder is let go of.
pub struct Scribing(Option<JoinHandle<()>>);

impl Drop for Scribing {
    fn drop(&mut self) {
        // It does not panic; and if it did, a snapshot is not published.
        let _ = self.0.take().map(JoinHandle::join);
    }
}

/// What is told next; nothing when nobody can tell anything any more.
fn next(told: &Receiver<Told>, is_writing: bool) -> Option<Told> {
    loop {
        match told.try_recv() {
            Ok(told) => return Some(told),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if is_writing => thread::sleep(SOON),
            Err(TryRecvError::Empty) => return told.recv().ok(),
        }
    }
}
