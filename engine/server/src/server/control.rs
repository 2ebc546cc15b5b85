//! How a running server is spoken to from other threads: a bounded channel to it, and what it leaves behind when it ends.

use std::{
    borrow::Cow,
    sync::{Arc, Condvar, Mutex, PoisonError, mpsc as replies},
    time::{Duration, Instant},
};

use fraudgate_core::{origin::Offset, road::Engine};
use tokio::sync::{mpsc, oneshot};

use super::{Journaled, ServerError};
use crate::{
    journal::snapshot::take::Outcome,
    scoring::bulk::{Hand, Kind, Record},
    transport::Credentials,
};

/// Counters by name.
pub type Stats = Vec<(Cow<'static, str>, u64)>;

/// How long the server's thread may take to answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// What the server's thread is told.
pub enum Control {
    /// To say what it counted.
    Stats(replies::SyncSender<Stats>),
    /// To say these with what it counted: the newest of each name.
    Tell(Stats),
    /// To say what the digest of its state is.
    Digest(replies::SyncSender<[u8; 32]>),
    /// To do handshakes with these from now on.
    Renew(Credentials),
    /// Whether other places' transactions are folded here too far behind them.
    MirrorBehind(bool),
    /// To say how far streams were taken in.
    Offsets(replies::SyncSender<Vec<Offset>>),
    /// To take a snapshot, and to say of which sequence it is.
    Snapshot(replies::SyncSender<Outcome>),
    /// To serve with this engine from now on, whose state is there, and with its journal.
    TakeOver(Box<(Engine, Option<Journaled>)>),
    /// To stop, and to give what is under way this long.
    Drain(Duration),
}

/// How it ended: well, or by a failure.
#[derive(Default)]
pub struct Ended {
    how: Mutex<Option<Result<(), String>>>,
    changed: Condvar,
}

impl Ended {
    /// It ended.
    pub fn tell(&self, how: Result<(), String>) {
        *self.how.lock().unwrap_or_else(PoisonError::into_inner) = Some(how);
        self.changed.notify_all();
    }

    /// How it ended, if it does so before `deadline`.
    fn wait(&self, deadline: Option<Instant>) -> Option<Result<(), String>> {
        let mut how = self.how.lock().unwrap_or_else(PoisonError::into_inner);
        while how.is_none() {
            how = match deadline {
                None => self.changed.wait(how).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        break;
                    }
                    self.changed
                        .wait_timeout(how, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        how.clone()
    }
}

/// A server that serves. When it is dropped, the server stops at once.
pub struct Running {
    /// The port that it listens on.
    pub port: u16,
    controls: mpsc::Sender<Control>,
    hands: mpsc::Sender<Hand>,
    ended: Arc<Ended>,
}

impl Running {
    /// A server behind a channel.
    pub fn new(port: u16, controls: mpsc::Sender<Control>, hands: mpsc::Sender<Hand>, ended: Arc<Ended>) -> Running {
        Running {
            port,
            controls,
            hands,
            ended,
        }
    }

    /// Hands records of streams over, and waits until they are taken: gives how many were, from the first on. Where those are
    /// not all, the engine takes nothing for now: hand over the others later, before any that follow them.
    pub fn take(&self, kind: Kind, records: Vec<Record>) -> Result<usize, ServerError> {
        let (taken, told) = oneshot::channel();
        let hand = Hand { kind, records, taken };
        if self.hands.blocking_send(hand).is_ok()
            && let Ok(taken) = told.blocking_recv()
        {
            return Ok(taken);
        }
        self.wait(Some(Duration::ZERO))?;
        Err(ServerError("the server does not run".to_owned()))
    }

    /// Has answers say, or not, that other places' transactions are folded here too far behind them.
    pub fn mirror_behind(&self, behind: bool) -> Result<(), ServerError> {
        self.say(Control::MirrorBehind(behind))
    }

    /// Has it do handshakes with these from now on. A connection that stands stays, unless other authorities are asked for.
    pub fn renew(&self, credentials: Credentials) -> Result<(), ServerError> {
        self.say(Control::Renew(credentials))
    }

    /// Has it say these with what it counted: the newest of each name.
    pub fn tell(&self, told: Stats) -> Result<(), ServerError> {
        self.say(Control::Tell(told))
    }

    fn say(&self, control: Control) -> Result<(), ServerError> {
        if self.controls.blocking_send(control).is_ok() {
            return Ok(());
        }
        self.wait(Some(Duration::ZERO))?;
        Err(ServerError("the server does not run".to_owned()))
    }

    /// How far streams were taken in: topic, partition, and the highest offset.
    pub fn offsets(&self) -> Result<Vec<Offset>, ServerError> {
        self.ask(Control::Offsets)
    }

    /// Takes no more, finishes what is under way within `time`, and stops. A server that has stopped stays so.
    pub fn drain(&self, time: Duration) -> Result<(), ServerError> {
        match self.controls.try_send(Control::Drain(time)) {
            Err(mpsc::error::TrySendError::Full(_)) => {
                return Err(ServerError("the server does not listen".to_owned()));
            }
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => {}
        }
        match self.wait(Some(time.saturating_add(ANSWER_WITHIN)))? {
            true => Ok(()),
            false => Err(ServerError(format!("the server did not stop within {time:?}"))),
        }
    }

    /// Waits until it has stopped, at most `time`; says whether it has. A failure of its thread is an error.
    pub fn wait(&self, time: Option<Duration>) -> Result<bool, ServerError> {
        // A time that no clock can hold is for ever.
        let deadline = time.and_then(|time| Instant::now().checked_add(time));
        match self.ended.wait(deadline) {
            None => Ok(false),
            Some(Ok(())) => Ok(true),
            Some(Err(failure)) => Err(ServerError(failure)),
        }
    }

    /// What it has counted.
    pub fn stats(&self) -> Result<Stats, ServerError> {
        self.ask(Control::Stats)
    }

    /// The digest of its state. Nothing is answered while it is computed.
    pub fn digest(&self) -> Result<[u8; 32], ServerError> {
        self.ask(Control::Digest)
    }

    /// Takes a snapshot, while it serves; comes back when that is written, at most after `time`. Gives the sequence of the
    /// newest input that is in it.
    pub fn snapshot(&self, time: Duration) -> Result<u64, ServerError> {
        let taken = self.ask_within(Control::Snapshot, time)?;
        taken.map_err(|why| ServerError(format!("snapshot: {why}")))
    }

    /// Has it serve with an engine whose state is there, in the place of the one that stood in.
    pub(super) fn take_over(&self, engine: Engine, journal: Option<Journaled>) -> Result<(), ServerError> {
        let told = self.controls.try_send(Control::TakeOver(Box::new((engine, journal))));
        if told.is_err() {
            self.wait(Some(Duration::ZERO))?;
            return Err(ServerError("the server does not run".to_owned()));
        }
        Ok(())
    }

    fn ask<T>(&self, what: impl FnOnce(replies::SyncSender<T>) -> Control) -> Result<T, ServerError> {
        self.ask_within(what, ANSWER_WITHIN)
    }

    fn ask_within<T>(
        &self,
        what: impl FnOnce(replies::SyncSender<T>) -> Control,
        time: Duration,
    ) -> Result<T, ServerError> {
        let (sender, receiver) = replies::sync_channel(1);
        if self.controls.try_send(what(sender)).is_err() {
            self.wait(Some(Duration::ZERO))?;
            return Err(ServerError("the server does not run".to_owned()));
        }
        receiver
            .recv_timeout(time)
            .map_err(|_| ServerError("the server does not answer".to_owned()))
    }
}
