//! Takes snapshots, on the engine's thread: asks for a key, makes the cut between two drains, sweeps in slices, hands pieces
//! over to a [`scribe`](super::scribe), and has a snapshot published only when the journal has synced what it holds. When the
//! scribe cannot keep up the sweep waits, and never the engine.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, TrySendError},
    },
};

use fraudgate_core::road::Engine;

use super::{
    Status,
    scribe::{Begun, Told},
};
use crate::journal::{self, Settings, keeper::Desk};

/// What is swept at once, in bytes, as a rule: at most 50 us on a machine whose caches hold none of it.
pub const SLICE: usize = 1 << 13;
/// Pieces that may wait for the scribe.
pub const PIECES: usize = 16;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The cut was made: slices follow at once.
    Cut,
    /// More, at once.
    More,
    /// Something must happen elsewhere first.
    Wait,
    /// Nothing is under way.
    Idle,
}

/// What is told to whoever asked for a snapshot: the sequence that it is of, or why there is none.
pub type Outcome = Result<u64, String>;

/// Takes snapshots.
pub struct Taking {
    /// What is swept at once, in bytes.
    pub slice: usize,
    desk: Arc<Desk>,
    journal: Arc<journal::Status>,
    status: Arc<Status>,
    epoch: u64,
    scribe: SyncSender<Told>,
    spare: Receiver<Vec<u8>>,
    every: Every,
    stage: Stage,
    /// What the scribe had no room for.
    unsent: VecDeque<Told>,
    /// Asked for since the one under way began, and for the one under way.
    asked: Vec<Tell>,
    waiting: Vec<Tell>,
}

type Tell = Box<dyn FnOnce(Outcome) + Send>;

/// How often a snapshot is taken by itself, and since when none was.
struct Every {
    bytes: Option<u64>,
    inputs: Option<u64>,
    since_bytes: u64,
    since_input: u64,
}

enum Stage {
    Idle,
    /// The keeper makes a key.
    Asked,
    Sweeping(UnderWay),
    /// All is handed over but the end, which waits for the journal.
    Swept(UnderWay),
    /// The scribe publishes it.
    Ended(UnderWay),
}

#[derive(Clone, Copy)]
struct UnderWay {
    sequence: u64,
    /// What had failed of the journal, and of snapshots, and how many were taken, when it began.
    journal_failures: u64,
    failures: u64,
    taken: u64,
}

impl Taking {
    /// Takes them from now on: the newest that there is holds inputs through `since`.
    pub fn new(
        settings: &Settings,
        (desk, journal, epoch): (Arc<Desk>, Arc<journal::Status>, u64),
        status: Arc<Status>,
        scribe: SyncSender<Told>,
        spare: Receiver<Vec<u8>>,
        since: u64,
    ) -> Taking {
        Taking {
            slice: SLICE,
            every: Every {
                bytes: settings.snapshot_bytes,
                inputs: settings.snapshot_inputs,
                since_bytes: journal.bytes.load(Ordering::Relaxed),
                since_input: since,
            },
            desk,
            journal,
            status,
            epoch,
            scribe,
            spare,
            stage: Stage::Idle,
            unsent: VecDeque::new(),
            asked: Vec::new(),
            waiting: Vec::new(),
        }
    }

    /// What it tells of itself.
    pub fn status(&self) -> &Status {
        &self.status
    }

    /// Takes one as soon as can be, and tells how that went.
    pub fn ask(&mut self, tell: Tell) {
        self.asked.push(tell);
    }

    /// Does a little: at most a slice of the sweep. Between two drains.
    pub fn turn(&mut self, engine: &mut Engine) -> Turn {
        while let Ok(bytes) = self.spare.try_recv() {
            engine.reuse(bytes);
        }
        if !self.flush() {
            return Turn::Wait;
        }
        match self.stage {
            Stage::Idle => {
                if self.asked.is_empty() && !self.every.is_due(engine.sequence(), &self.journal) {
                    return Turn::Idle;
                }
                self.desk.ask_for_snapshot();
                self.stage = Stage::Asked;
                Turn::Wait
            }
            Stage::Asked => self.cut(engine),
            Stage::Sweeping(under_way) | Stage::Swept(under_way) | Stage::Ended(under_way)
                if self.has_failed(under_way) =>
            {
                engine.end_sweep();
                self.unsent.clear();
                self.send(Told::GiveUp);
                self.finish(Err("it could not be written".to_owned()));
                Turn::Idle
            }
            Stage::Sweeping(under_way) => self.sweep(engine, under_way),
            Stage::Swept(under_way) => {
                if self.journal.synced.load(Ordering::Relaxed) < under_way.sequence {
                    return Turn::Wait;
                }
                self.stage = Stage::Ended(under_way);
                self.send(Told::End);
                Turn::Wait
            }
            Stage::Ended(under_way) => {
                if self.status.taken.load(Ordering::Acquire) == under_way.taken {
                    return Turn::Wait;
                }
                self.finish(Ok(under_way.sequence));
                Turn::Idle
            }
        }
    }

    fn cut(&mut self, engine: &mut Engine) -> Turn {
        let Some(prepared) = self.desk.take_snapshot() else {
            return Turn::Wait;
        };
        // What waits to be written has no place yet.
        let Some(place) = engine.cut_journal() else {
            self.desk.return_snapshot(prepared);
            return Turn::Wait;
        };
        self.desk.hold_cut(Some(place.segment));
        let sequence = engine.sequence();
        self.every.since_bytes = self.journal.bytes.load(Ordering::Relaxed);
        self.every.since_input = sequence;
        self.waiting.append(&mut self.asked);
        self.stage = Stage::Sweeping(UnderWay {
            sequence,
            journal_failures: self.journal.failures.load(Ordering::Relaxed),
            failures: self.status.failures.load(Ordering::Acquire),
            taken: self.status.taken.load(Ordering::Acquire),
        });
        let first = engine.cut();
        self.send(Told::Begin(Begun {
            prepared,
            epoch: self.epoch,
            sequence,
            place: Some(place),
        }));
        self.send(Told::Piece(first));
        Turn::Cut
    }

    fn sweep(&mut self, engine: &mut Engine, under_way: UnderWay) -> Turn {
        if let Some(piece) = engine.take_piece() {
            return match self.send(Told::Piece(piece)) {
                true => Turn::More,
                false => Turn::Wait,
            };
        }
        if engine.sweep(self.slice) {
            match engine.take_piece() {
                Some(piece) => {
                    self.send(Told::Piece(piece));
                }
                None => {
                    engine.end_sweep();
                    self.stage = Stage::Swept(under_way);
                }
            }
        }
        Turn::More
    }

    /// Whether the scribe failed, or the journal did before it had synced what the snapshot holds: that may stand elsewhere now.
    fn has_failed(&self, under_way: UnderWay) -> bool {
        let unsynced = !matches!(self.stage, Stage::Ended(_));
        self.status.failures.load(Ordering::Acquire) != under_way.failures
            || unsynced && self.journal.failures.load(Ordering::Relaxed) != under_way.journal_failures
    }

    fn finish(&mut self, outcome: Outcome) {
        self.stage = Stage::Idle;
        // Those that are kept were told before.
        self.desk.hold_cut(None);
        self.waiting.drain(..).for_each(|tell| tell(outcome.clone()));
    }

    /// Hands something over to the scribe, behind what it had no room for. Says whether it had room for all.
    fn send(&mut self, told: Told) -> bool {
        self.unsent.push_back(told);
        self.flush()
    }

    fn flush(&mut self) -> bool {
        while let Some(told) = self.unsent.pop_front() {
            match self.scribe.try_send(told) {
                Ok(()) => {}
                Err(TrySendError::Full(told)) => {
                    self.unsent.push_front(told);
                    return false;
                }
                // Its thread is gone, and with it what is under way.
                Err(TrySendError::Disconnected(_)) => {
                    self.status.failures.fetch_add(1, Ordering::Release);
                }
            }
        }
        true
    }
}

impl Every {
    fn is_due(&self, sequence: u64, journal: &journal::Status) -> bool {
        let bytes = journal.bytes.load(Ordering::Relaxed).saturating_sub(self.since_bytes);
        let inputs = sequence.saturating_sub(self.since_input);
        inputs > 0 && (self.bytes.is_some_and(|most| bytes >= most) || self.inputs.is_some_and(|most| inputs >= most))
    }
}
