//! One life of the scorer: the real core, keyring, recovery, keeper and writer, put together as a server does, with the
//! simulation in the place of threads and clocks.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::Ordering,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    time::Duration,
};

use fraudgate_core::{
    journal::Durability,
    road::{Answer, Engine},
    transaction::Clock,
};
use fraudgate_server::journal::{
    Attended, JournalError, Promise, Recovered, Status, Writer,
    disk::Disk,
    keeper::{Desk, Keeper, Now},
    keyring::Keyring,
    recover,
    snapshot::{
        self,
        scribe::{self, Scribe, Told},
        take::{PIECES, Taking, Turn},
    },
};

use crate::{
    disk::{Mounted, SimulatedDisk},
    random::Random,
    scenario::{Rows, SECRET, START_US, Scenario},
};

/// The clocks of the machine.
#[derive(Clone, Default)]
pub struct Time(Arc<Mutex<(Duration, i64)>>);

impl Time {
    /// Time passes.
    pub fn pass(&self, us: i64) {
        let mut time = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        time.0 += Duration::from_micros(us.unsigned_abs());
    }

    /// The time of day is set, so far from the truth.
    pub fn set(&self, off_us: i64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = off_us;
    }

    /// How long the simulation lasts.
    pub fn elapsed(&self) -> Duration {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// What the clocks say.
    pub fn now(&self) -> Now {
        let (elapsed, off_us) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Now {
            elapsed,
            clock: Clock(START_US + elapsed.as_micros() as i64 + off_us),
        }
    }
}

/// Answers that wait until what they answer is synced.
struct Held {
    through: u64,
    answers: Vec<(usize, Answer)>,
}

/// A scorer that runs.
pub struct Life {
    /// The core, with the journal's writer in it.
    pub engine: Engine,
    /// Which life it is.
    pub epoch: u64,
    keeper: Arc<Mutex<Keeper>>,
    desk: Arc<Desk>,
    status: Arc<Status>,
    synced: bool,
    held: VecDeque<Held>,
    /// When the keeper wants its next step.
    due: Duration,
    taking: Taking,
    scribe: Scribe,
    told: Receiver<Told>,
    spare: SyncSender<Vec<u8>>,
}

impl Life {
    /// Starts as a server does: takes in what is there, and opens the first segment.
    pub fn begin(
        disk: &Arc<SimulatedDisk>,
        scenario: &Scenario,
        rows: &Rows,
        time: &Time,
        mut keys: Random,
    ) -> Result<(Life, Recovered), JournalError> {
        let mounted: Arc<dyn Disk> = Arc::new(Mounted::new(disk));
        let draw = move |bytes: &mut [u8]| {
            keys.fill(bytes);
            Ok(())
        };
        let mut keyring = Keyring::open(mounted.clone(), &SECRET)?.drawing(Box::new(draw));
        let mut engine = scenario.engine(rows, scenario.ahead_us).map_err(JournalError)?;
        let recovered = recover(&*mounted, &mut keyring, &mut engine, &mut |_, _| {})?;
        let bad: Vec<u64> = recovered.passed_over.iter().map(|&(number, _)| number).collect();
        let kept = scribe::kept(&*mounted, &bad)?;
        let (epoch, next) = (recovered.epoch, recovered.next_segment);
        let keeper = Keeper::begin(
            mounted.clone(),
            keyring,
            &scenario.settings,
            epoch,
            next,
            Box::new(|| {}),
        )?;
        let desk = keeper.desk().clone();
        desk.keep(kept);
        let keeper = Arc::new(Mutex::new(keeper));
        let (last, clock) = (keeper.clone(), time.clone());
        let end = move || {
            last.lock().unwrap_or_else(PoisonError::into_inner).step(clock.now());
        };
        let attended = Attended::by(desk.clone(), Box::new(end));
        let (next, programs) = (engine.sequence() + 1, engine.programs());
        let writer = Writer::begin(
            attended,
            &scenario.settings,
            &recovered,
            next,
            programs,
            time.now().clock,
        )?;
        let status = writer.status();
        engine.journal_to(Box::new(writer));
        let (tell, told) = sync_channel(PIECES);
        let (spare, spared) = sync_channel(PIECES);
        let taken = Arc::new(snapshot::Status::default());
        let since = recovered.snapshot.map_or(0, |(sequence, _)| sequence);
        let of_journal = (desk.clone(), status.clone(), epoch);
        let mut taking = Taking::new(&scenario.settings, of_journal, taken.clone(), tell, spared, since);
        taking.slice = 300;
        let keeps = desk.clone();
        let keep = Box::new(move |kept| keeps.keep(kept));
        let life = Life {
            scribe: Scribe::new(mounted, scenario.settings.snapshots, bad, taken, keep),
            taking,
            told,
            spare,
            engine,
            epoch,
            keeper,
            desk,
            status,
            synced: scenario.settings.promise == Promise::Synced,
            held: VecDeque::new(),
            due: time.elapsed(),
        };
        Ok((life, recovered))
    }

    /// Whether the keeper wants a step by now, or is asked for one.
    pub fn is_due(&self, time: &Time) -> bool {
        self.due <= time.elapsed() || self.desk.is_hurried()
    }

    /// The keeper's next step, and what the engine's thread does on its news.
    pub fn step(&mut self, time: &Time) {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(most) = keeper.step(time.now()) {
            self.due = time.elapsed() + most;
        }
        drop(keeper);
        self.engine.tend_journal(time.now().clock);
    }

    /// What the engine's thread and the scribe's do for a snapshot: each as much as it likes.
    pub fn photograph(&mut self, random: &mut Random) {
        for _ in 0..random.below(4) {
            if matches!(self.taking.turn(&mut self.engine), Turn::Wait | Turn::Idle) {
                break;
            }
        }
        for told in self.told.try_iter().take(random.below(4)) {
            if let Some(bytes) = self.scribe.hear(told) {
                let _ = self.spare.try_send(bytes);
            }
        }
    }

    /// How many snapshots were taken.
    pub fn snapshots(&self) -> u64 {
        self.taking.status().taken.load(Ordering::Relaxed)
    }

    /// Answers that leave: these, when nothing has to be synced for them, else those that wait no longer. Each says what
    /// holds by now.
    pub fn release(&mut self, answers: Vec<(usize, Answer)>) -> Vec<(usize, Answer)> {
        if !self.synced {
            return answers;
        }
        if !answers.is_empty() {
            let through = self.engine.sequence();
            self.held.push_back(Held { through, answers });
        }
        let mut released = Vec::new();
        while self
            .held
            .front()
            .is_some_and(|front| self.engine.survives(front.through) != Durability::Written)
        {
            let Some(front) = self.held.pop_front() else { break };
            for (place, mut answer) in front.answers {
                self.engine.tell_survival(&mut answer);
                released.push((place, answer));
            }
        }
        released
    }

    /// Stops well: the writer ends its keeper, syncs and says so.
    pub fn end(&mut self, scenario: &Scenario) -> Result<(), String> {
        self.engine = scenario.engine(&Rows::default(), None)?;
        Ok(())
    }

    /// Bytes in memory that are not synced.
    pub fn held_bytes(&self) -> u64 {
        self.status.held.load(Ordering::Relaxed)
    }
}
