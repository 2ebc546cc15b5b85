//! A server's journal: what it holds is taken in before the server starts, and what comes is journaled from then on.

use std::{
    cell::RefCell,
    sync::{Arc, atomic::Ordering, mpsc::sync_channel},
    time::{Duration, Instant},
};

use fraudgate_core::{
    road::{Answer, Asked},
    wire,
};
use tokio::sync::Notify;

use super::{Server, ServerError};
use crate::journal::{
    Promise, Recovered, Status, Writer, armed, attend, clock,
    cursor::Cursors,
    disk::Folder,
    keeper::Keeper,
    keyring::Keyring,
    place::Places,
    recover,
    snapshot::{
        self,
        scribe::{self, Scribe, Scribing},
        take::{PIECES, Taking, Turn},
    },
};

/// What a running server keeps of its journal.
pub struct Journaled {
    /// What an answer waits for.
    pub promise: Promise,
    /// Told when something was synced, failed, or can be written again.
    pub news: Arc<Notify>,
    /// Takes snapshots.
    pub taking: RefCell<Taking>,
    /// Writes them; behind `taking`, which it ends after.
    _scribing: Scribing,
    status: Arc<Status>,
    recovered: Recovered,
    cursors: Arc<Cursors>,
}

impl Server {
    /// How the journal is read behind the scorer; nothing before it was taken in.
    pub fn cursors(&self) -> Option<Arc<Cursors>> {
        self.journal.as_ref().map(|journal| journal.cursors.clone())
    }

    /// Takes in what the journal holds and journals from now on: after the programs were added, before they are warmed.
    /// `secret` is the key-encryption key; `progress` is told how many bytes are read and how many there are. Gives what
    /// was found; only its fresh programs may be warmed, as the others have their state.
    pub fn recover(&mut self, secret: &[u8; 32], progress: &mut dyn FnMut(u64, u64)) -> Result<Recovered, ServerError> {
        let error = |e: &dyn std::fmt::Display| ServerError(e.to_string());
        let Some(settings) = self.config.journal.clone() else {
            return Err(ServerError("journal: none is configured".to_owned()));
        };
        if self.journal.is_some() || self.engine.sequence() > 0 {
            return Err(ServerError(
                "journal: it was taken in already, or something else was".to_owned(),
            ));
        }
        let folder = Folder::open(&settings.folder)
            .map_err(|e| ServerError(format!("journal: {}: {e}", settings.folder.display())))?;
        let disk = armed(Arc::new(folder)).map_err(|e| error(&e))?;
        let mut keyring = Keyring::open(disk.clone(), secret).map_err(|e| error(&e))?;
        let recovered = recover(&*disk, &mut keyring, &mut self.engine, progress).map_err(|e| error(&e))?;
        let bad: Vec<u64> = recovered.passed_over.iter().map(|&(number, _)| number).collect();
        let kept = scribe::kept(&*disk, &bad).map_err(|e| error(&e))?;
        let news = Arc::new(Notify::new());
        let tell = news.clone();
        let tell = Box::new(move || tell.notify_one());
        let (epoch, next) = (recovered.epoch, recovered.next_segment);
        let keeper = Keeper::begin(disk.clone(), keyring, &settings, epoch, next, tell).map_err(|e| error(&e))?;
        let (places, desk) = (Places::new(&settings.folder), keeper.desk().clone());
        places.pin(&desk).map_err(|e| error(&e))?;
        desk.keep(kept);
        let attended = attend(keeper).map_err(|e| error(&e))?;
        let (next, programs) = (self.engine.sequence() + 1, self.engine.programs());
        let writer = Writer::begin(attended, &settings, &recovered, next, programs, clock()).map_err(|e| error(&e))?;
        let taken = Arc::new(snapshot::Status::default());
        if let Some((sequence, number)) = recovered.snapshot {
            taken.sequence.store(sequence, Ordering::Relaxed);
            taken.number.store(number, Ordering::Relaxed);
        }
        let (tell, told) = sync_channel(PIECES);
        let (give_back, spare) = sync_channel(PIECES);
        let keeps = desk.clone();
        let keep = Box::new(move |kept| keeps.keep(kept));
        let scribe = Scribe::new(disk, settings.snapshots, bad, taken.clone(), keep);
        let scribing = scribe::attend(scribe, told, give_back).map_err(|e| error(&e))?;
        let journal = (desk.clone(), writer.status(), recovered.epoch);
        let since = recovered.snapshot.map_or(0, |(sequence, _)| sequence);
        self.journal = Some(Journaled {
            taking: RefCell::new(Taking::new(&settings, journal, taken, tell, spare, since)),
            _scribing: scribing,
            promise: settings.promise,
            news,
            cursors: Arc::new(Cursors::new(
                // Who reads behind does not hold the folder.
                Arc::new(Folder::look(&settings.folder)),
                places,
                secret,
                settings.promise,
                writer.status(),
                desk,
            )),
            status: writer.status(),
            recovered: recovered.clone(),
        });
        self.engine.journal_to(Box::new(writer));
        Ok(recovered)
    }

    /// Takes a snapshot of the state before the server starts, within `time`: of what was taken in and warmed, for the next
    /// start, or for another place that starts from a copy of it. Gives the sequence of the newest input that is in it.
    pub fn snapshot(&mut self, time: Duration) -> Result<u64, ServerError> {
        /// How soon is looked whether another thread is done.
        const SOON: Duration = Duration::from_millis(1);
        let Some(journal) = &self.journal else {
            return Err(ServerError("snapshot: the journal was not taken in".to_owned()));
        };
        let mut taking = journal.taking.borrow_mut();
        let (tell, told) = sync_channel(1);
        taking.ask(Box::new(move |outcome| drop(tell.try_send(outcome))));
        let began = Instant::now();
        loop {
            let turn = taking.turn(&mut self.engine);
            if let Ok(outcome) = told.try_recv() {
                return outcome.map_err(|why| ServerError(format!("snapshot: {why}")));
            }
            if began.elapsed() > time {
                return Err(ServerError(format!("snapshot: it was not written within {time:?}")));
            }
            if matches!(turn, Turn::Wait | Turn::Idle) {
                self.engine.tend_journal(clock());
                std::thread::sleep(SOON);
            }
        }
    }

    /// Erases a key of an entity of a program, before the server starts: whoever has no running scorer to ask. Gives its
    /// sequence, and whether anything was held of the key.
    pub fn erase(&mut self, program: &str, entity: &str, value: &str) -> Result<(u64, bool), ServerError> {
        self.may_take()?;
        let sent = wire::EraseRequest {
            program: program.to_owned(),
            entity: Some(wire::EntityKey {
                name: entity.to_owned(),
                value: value.to_owned(),
            }),
        };
        let admitted = self.engine.admit_erasure(&sent);
        let mut asked = vec![admitted.map_or_else(Asked::Refused, Asked::Erasure)];
        let mut answers = Vec::new();
        self.engine.drain(clock(), &mut asked, &mut answers);
        match answers.pop() {
            Some(Answer::Erased(erased)) => {
                let sequence = erased.receipt.map_or(0, |receipt| receipt.sequence);
                Ok((sequence, erased.held))
            }
            Some(Answer::Refused(refusal)) => Err(ServerError(refusal.message().into_owned())),
            Some(Answer::Decision(_) | Answer::Receipt(_)) | None => {
                Err(ServerError("the engine gave no answer to an erasure".to_owned()))
            }
        }
    }

    /// The digest of the engine's state; equal digests are equal states.
    pub fn digest(&self) -> [u8; 32] {
        self.engine.digest()
    }

    /// With a journal configured, nothing is taken before it was read: a sequence would come twice.
    pub(super) fn may_take(&self) -> Result<(), ServerError> {
        if self.config.journal.is_some() && self.journal.is_none() {
            return Err(ServerError("journal: it is configured and was not taken in".to_owned()));
        }
        Ok(())
    }
}

impl Journaled {
    /// How many inputs wait to be looked at for what is scored again, when there are `sequence`.
    pub fn spool(&self, sequence: u64) -> u64 {
        sequence.saturating_sub(self.status.shipped.load(Ordering::Relaxed))
    }

    /// What it counts.
    pub fn stats(&self) -> Vec<(&'static str, u64)> {
        let of = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let taking = self.taking.borrow();
        let taken = taking.status();
        vec![
            ("epoch", self.recovered.epoch),
            ("recovered", self.recovered.inputs),
            ("journal_lost", self.recovered.gaps.iter().map(|gap| gap.inputs()).sum()),
            ("journal_written", of(&self.status.written)),
            ("journal_synced", of(&self.status.synced)),
            ("journal_segment", of(&self.status.segment)),
            ("journal_bytes", of(&self.status.bytes)),
            ("journal_held_bytes", of(&self.status.held)),
            ("journal_failures", of(&self.status.failures)),
            ("rescore_shipped", of(&self.status.shipped)),
            ("snapshots", of(&taken.taken)),
            ("snapshot_failures", of(&taken.failures)),
            ("snapshot_sequence", of(&taken.sequence)),
            ("snapshot_bytes", of(&taken.bytes)),
        ]
    }
}
