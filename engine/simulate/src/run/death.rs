//! A life ends, the disk may rot meanwhile, the journal at rest may be rewritten; and another life begins, or says what keeps it.

use std::sync::Arc;

use fraudgate_core::journal::Durability;
use fraudgate_server::journal::{JournalError, disk::Disk, erasure, keyring::Keyring};

use super::{End, Run};
use crate::{
    disk::{Faults, Mounted, Rot},
    life::Life,
    random::Random,
    scenario::SECRET,
    truth::{Checked, Left},
};

impl Run {
    /// A life ends and another one begins.
    pub(super) fn die(&mut self, end: End) -> Checked {
        self.played.deaths[end as usize] += 1;
        let mut needed = match end {
            End::Machine => Durability::Synced,
            End::Process | End::Clean => Durability::Written,
        };
        if end == End::Clean {
            // The engine goes first, and with it the writer, which ends its keeper: as when a server stops.
            self.life.end(&self.scenario)?;
            self.trace.tell("stopped", &[]);
            self.notice_lost_pages();
            if self.random.once_in(2) {
                needed = Durability::Synced;
                self.disk.restart(true);
            }
        }
        self.disk.restart(end == End::Machine);
        if self.random.once_in(2) {
            self.clients.cut();
        }
        let mut rot: Option<Rot> = None;
        if self.random.once_in(5) {
            rot = self.disk.rot();
        }
        if self.eraser.once_in(4) && self.rewrite(rot.as_mut())? {
            needed = Durability::Synced;
        }
        let mut attempts = 0;
        loop {
            attempts += 1;
            if attempts > 3 {
                self.disk.set_faults(Faults::default());
                self.bad_times = false;
            } else if self.random.once_in(5) {
                let calls = self.random.below(30);
                self.disk.light_fuse(calls);
            }
            self.lives += 1;
            let before = self.disk.suffered();
            let keys = Random::new(self.seed, 100 + self.lives);
            let begun = Life::begin(&self.disk, &self.scenario, &self.rows, &self.time, keys);
            self.notice_lost_pages();
            match begun {
                Ok((life, recovered)) => {
                    self.trace
                        .tell("began", &[life.epoch, life.engine.sequence(), recovered.inputs]);
                    self.trace.remark(|| format!("{recovered:?}"));
                    self.life = life;
                    let rotten = rot.as_ref().and_then(|rot| rot.unvouched);
                    self.played.unread += u64::from(rot.is_some());
                    self.unread.extend(rot);
                    // A snapshot holds all that was there when it was taken.
                    let inputs = match recovered.snapshot {
                        Some(_) => self.truth.held(self.life.engine.sequence()),
                        None => recovered.inputs,
                    };
                    self.played.snapshots[1] += u64::from(recovered.snapshot.is_some());
                    self.played.snapshots[2] += recovered.passed_over.len() as u64;
                    self.truth.recovered(
                        &self.scenario,
                        &self.life.engine,
                        Left {
                            inputs,
                            needed,
                            rotten,
                            rewritten: &self.disk.rewritten(),
                            recovered: &recovered,
                        },
                        &mut self.random,
                    )?;
                    return Ok(());
                }
                Err(JournalError(error)) => {
                    self.trace.tell("did not begin", &[attempts]);
                    self.trace.remark(|| error.clone());
                    if self.disk.is_dead() {
                        let power = self.random.once_in(2);
                        if power {
                            needed = Durability::Synced;
                        }
                        self.disk.restart(power);
                        if let Some(rot) = &mut rot {
                            // With its power the machine may have lost whatever knew that what rots was synced.
                            rot.unvouched = rot.unvouched.or_else(|| self.disk.unvouched(rot));
                        }
                        continue;
                    }
                    let after = self.disk.suffered();
                    self.disk.restart(false);
                    // The disk may have failed it; it is tried again. Else it is the flipped bit that keeps it from beginning.
                    if self.bad_times || after.reads != before.reads {
                        continue;
                    }
                    if rot.is_none() && self.unread.is_empty() {
                        return Err(format!("it does not begin, and nothing is damaged: {error}"));
                    }
                    self.played.named += 1;
                    self.unread
                        .drain(..)
                        .chain(rot.take())
                        .for_each(|rot| self.disk.heal(rot));
                }
            }
        }
    }

    /// Rewrites the journal at rest, and may die in the middle. Says whether the machine lost its power.
    fn rewrite(&mut self, rot: Option<&mut Rot>) -> Result<bool, String> {
        if self.eraser.once_in(3) {
            let calls = self.eraser.below(40);
            self.disk.light_fuse(calls);
        }
        let before = self.disk.suffered();
        let mut keys = Random::new(self.seed, (1 << 32) + self.lives);
        let draw = move |bytes: &mut [u8]| {
            keys.fill(bytes);
            Ok(())
        };
        let mounted: Arc<dyn Disk> = Arc::new(Mounted::new(&self.disk));
        let keyring = Keyring::open(mounted.clone(), &SECRET).map(|keyring| keyring.drawing(Box::new(draw)));
        let rewrote = keyring.and_then(|mut keyring| erasure::rewrite(&*mounted, &mut keyring, &mut |_, _| {}));
        self.notice_lost_pages();
        match rewrote {
            Ok(rewrote) => {
                self.played.rewritten += rewrote.segments.len() as u64;
                self.trace.tell("rewritten", &rewrote.segments);
            }
            Err(JournalError(error)) => {
                self.trace.remark(|| format!("not rewritten: {error}"));
                let excused = self.disk.is_dead()
                    || self.bad_times
                    || rot.is_some()
                    || self.disk.suffered().reads != before.reads;
                if !excused && self.unread.is_empty() {
                    return Err(format!("it is not rewritten, and nothing is damaged: {error}"));
                }
                self.unread.drain(..).for_each(|rot| self.disk.heal(rot));
            }
        }
        let power = self.eraser.once_in(3);
        self.disk.restart(power);
        if power && let Some(rot) = rot {
            rot.unvouched = rot.unvouched.or_else(|| self.disk.unvouched(rot));
        }
        Ok(power)
    }
}
