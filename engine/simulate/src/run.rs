//! Plays a seed: clients send, drains are taken, time passes and jumps, the disk fails, processes and machines die in the
//! middle of any call. Then the faults stop, and the scorer must answer again and have kept all that it promised.

mod death;

use std::sync::Arc;

use fraudgate_core::{journal::Durability, road::Answer};

use crate::{
    clients::Clients,
    disk::{Faults, Rot, SimulatedDisk},
    life::{Life, Time},
    played::Played,
    random::Random,
    scenario::{DAY_US, HOUR_US, Rows, SECRET, Scenario},
    trace::Trace,
    truth::{Checked, Truth},
};

/// How a life ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Process,
    Machine,
    Clean,
}

struct Run {
    random: Random,
    /// When something is done for a snapshot.
    camera: Random,
    /// When the journal at rest is rewritten, and how that goes.
    eraser: Random,
    scenario: Scenario,
    trace: Trace,
    time: Time,
    rows: Rows,
    disk: Arc<SimulatedDisk>,
    clients: Clients,
    truth: Truth,
    life: Life,
    lives: u64,
    /// Flipped bits that a start did not come to: it began with a snapshot.
    unread: Vec<Rot>,
    seed: u64,
    bad_times: bool,
    played: Played,
}

/// Plays a seed. `aloud` tells what happens.
pub fn play(seed: u64, aloud: bool) -> Result<Played, String> {
    let mut random = Random::new(seed, 1);
    let mut camera = Random::new(seed, 3);
    let scenario = Scenario::draw(&mut random, &mut camera);
    let trace = Trace::new(aloud);
    trace.remark(|| {
        let Scenario {
            settings,
            known_ids,
            history,
            drain,
            ahead_us,
            keys,
            page,
            faults,
            steps,
            crash,
            served,
        } = &scenario;
        format!(
            "{} programs, {settings:?}, {known_ids} known ids, {history:?}, drains of {drain}, ahead {ahead_us:?}, {keys} keys, \
             pages of {page}, {faults:?}, {steps} steps, a death in {crash}",
            served.len()
        )
    });
    let disk = SimulatedDisk::new(seed, scenario.page, &SECRET, trace.clone());
    let (time, rows) = (Time::default(), Rows::default());
    time.pass(random.within(0, 2 * DAY_US));
    let (life, _) = Life::begin(&disk, &scenario, &rows, &time, Random::new(seed, 100))
        .map_err(|e| format!("the first life does not begin: {e}"))?;
    let mut run = Run {
        truth: Truth::new(&scenario)?,
        random,
        camera,
        eraser: Random::new(seed, 4),
        trace,
        time,
        rows,
        disk,
        clients: Clients::default(),
        life,
        lives: 1,
        unread: Vec::new(),
        seed,
        bad_times: false,
        played: Played::default(),
        scenario,
    };
    for _ in 0..run.scenario.steps {
        run.step()?;
    }
    run.finish()?;
    run.played.seeds = 1;
    run.played.trace = run.trace.digest();
    run.played.seen = run.truth.seen;
    run.played.suffered = run.disk.suffered();
    Ok(run.played)
}

impl Run {
    fn step(&mut self) -> Checked {
        match self.random.below(100) {
            0..40 => {
                for _ in 0..=self.random.below(4) {
                    let now_us = self.time.elapsed().as_micros() as i64;
                    self.clients.send(&self.scenario, now_us, &mut self.random);
                }
            }
            40..72 => self.drain()?,
            72..84 => {
                let us = self.random.within(100, 60_000);
                self.time.pass(us);
            }
            84..90 => {
                let most = if self.random.once_in(20) { DAY_US } else { HOUR_US / 4 };
                let us = self.random.within(0, most);
                self.time.pass(us);
            }
            90..93 => self.keep(),
            93..95 => {
                let off_us = self.random.one_of(&[0, 0, HOUR_US, -HOUR_US, DAY_US, -DAY_US]);
                self.trace.tell("clock set", &[off_us as u64]);
                self.time.set(off_us);
            }
            95..98 => {
                self.bad_times = !self.bad_times && !self.random.once_in(3);
                self.disk.set_faults(if self.bad_times {
                    self.scenario.faults
                } else {
                    Faults::default()
                });
                self.trace.tell("bad times", &[u64::from(self.bad_times)]);
            }
            98 => self
                .truth
                .compare(&self.scenario, &self.life.engine, &mut self.random)?,
            _ => self.clients.send_unanswered(&mut self.random),
        }
        self.photograph();
        // The keeper's thread may run at any time, and be late.
        if self.life.is_due(&self.time) && !self.random.once_in(3) {
            self.keep();
        }
        self.look()?;
        if self.random.once_in(self.scenario.crash) {
            match self.random.below(8) {
                0..4 => {
                    let calls = self.random.below(20);
                    self.disk.light_fuse(calls);
                }
                4 | 5 => self.die(End::Process)?,
                6 => self.die(End::Machine)?,
                _ => self.die(End::Clean)?,
            }
        }
        Ok(())
    }

    /// Takes a part of what has arrived.
    fn drain(&mut self) -> Checked {
        let most = 1 + self.random.below(self.scenario.drain);
        let (places, asked) = self.clients.arrived(&self.life.engine, most, &mut self.random);
        if asked.is_empty() {
            return Ok(());
        }
        let clock = self.time.now().clock;
        let mut answers = Vec::new();
        self.life.engine.drain(clock, &mut asked.clone(), &mut answers);
        // As often as not something else comes first.
        if clock.0 % 2 == 0 {
            self.life.engine.rest();
        }
        self.trace
            .tell("drain", &[asked.len() as u64, self.life.engine.sequence()]);
        self.truth
            .drained(&self.scenario, (clock, self.life.epoch), &asked, &answers, &self.rows)?;
        self.release(places.into_iter().zip(answers).collect());
        Ok(())
    }

    /// Lets answers leave, unless the process was killed before.
    fn release(&mut self, answers: Vec<(usize, Answer)>) {
        let released = self.life.release(answers);
        if self.disk.is_dead() {
            return;
        }
        for (place, answer) in released {
            self.truth.told(&answer);
            self.trace.tell("answer", &[place as u64]);
            self.clients.answer(place, &mut self.random);
        }
    }

    /// What is done for a snapshot meanwhile.
    fn photograph(&mut self) {
        if self.scenario.settings.snapshot_inputs.is_some() {
            let before = self.life.snapshots();
            self.life.photograph(&mut self.camera);
            self.played.snapshots[0] += self.life.snapshots() - before;
        }
    }

    /// A step of the keeper, and the answers that waited for it.
    fn keep(&mut self) {
        self.life.step(&self.time);
        self.release(Vec::new());
    }

    /// What must hold at any time.
    fn look(&mut self) -> Checked {
        self.notice_lost_pages();
        if let Some(twice) = self.disk.sealed_twice() {
            return Err(twice);
        }
        let most = self.scenario.settings.buffer_bytes + self.scenario.drain * 512;
        if self.life.held_bytes() > most as u64 {
            return Err(format!("{} bytes are held of at most {most}", self.life.held_bytes()));
        }
        if self.disk.is_dead() {
            let end = if self.random.once_in(2) {
                End::Process
            } else {
                End::Machine
            };
            self.die(end)?;
        }
        Ok(())
    }

    fn notice_lost_pages(&mut self) {
        let syncs = self.disk.suffered().syncs;
        if std::mem::replace(&mut self.played.suffered.syncs, syncs) != syncs {
            self.truth.excuse_unsynced();
        }
    }

    /// The faults stop: all must be answered and synced, and come back.
    fn finish(&mut self) -> Checked {
        self.trace.tell("faults stop", &[]);
        self.disk.set_faults(Faults::default());
        self.bad_times = false;
        self.time.set(0);
        for _ in 0..400 {
            self.time.pass(50_000);
            self.keep();
            self.photograph();
            self.drain()?;
            self.look()?;
            if self.random.once_in(4) {
                self.clients.send_unanswered(&mut self.random);
            }
        }
        let survives = self.life.engine.survives(self.life.engine.sequence());
        if self.clients.unanswered() > 0 {
            return Err(format!("{} are never answered", self.clients.unanswered()));
        }
        if survives != Durability::Synced {
            return Err(format!("what is taken is never synced: {survives:?}"));
        }
        self.truth
            .compare(&self.scenario, &self.life.engine, &mut self.random)?;
        let newest = self.truth.newest();
        self.die(End::Clean)?;
        if self.truth.newest() != newest {
            return Err("inputs are lost though nothing failed".to_owned());
        }
        Ok(())
    }
}
