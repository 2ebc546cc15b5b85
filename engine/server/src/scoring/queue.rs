//! What has arrived since the last drain. One task is woken by the first arrival, runs after whatever else is ready on the
//! thread, takes everything there is (never after a timer), and brings the answers. So drains grow with load by
//! themselves, and a lone call waits for nothing. What has deadlines is admitted to the rung on which it is answered in
//! time, and a drain ends early where one more input would make an earlier answer late.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    iter::Peekable,
    mem,
    rc::{Rc, Weak},
    task::{Poll, Waker},
    time::{Duration, Instant},
};

use fraudgate_core::{
    admit::Mode,
    journal::Durability,
    model::Size,
    refusal::Refusal,
    road::{Answer, Asked, Engine},
    transaction::Clock,
};

use super::{
    Shared,
    call::Call,
    deadline::{AtHand, Cost, Estimates, Held as Costs},
};
use crate::{
    journal::{clock, snapshot::take::Turn},
    transport::count,
};

/// The least time after which a refused caller may come back.
const RETRY_US: i64 = 1_000;

/// How soon is looked whether a snapshot goes on that waits for another thread, and how often whether one is due.
const SOON: Duration = Duration::from_millis(1);
const LATER: Duration = Duration::from_millis(50);

/// How time passes for a queue.
pub trait Time {
    /// The clock, which deadlines are of.
    fn clock(&self) -> Clock;
    /// Nanoseconds since some moment, never fewer than before.
    fn ns(&self) -> u64;
}

/// The machine's.
pub struct Machine(Instant);

impl Default for Machine {
    fn default() -> Machine {
        Machine(Instant::now())
    }
}

impl Time for Machine {
    fn clock(&self) -> Clock {
        clock()
    }

    fn ns(&self) -> u64 {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// The queue.
pub struct Queue<T = Machine> {
    time: T,
    capacity: usize,
    waiting: RefCell<Vec<Waiting>>,
    drainer: Cell<Option<Waker>>,
    /// How long inputs take in a drain.
    estimates: RefCell<Estimates>,
    /// Whether answers wait until what they answer is synced.
    synced: Cell<bool>,
    held: RefCell<VecDeque<Held>>,
    /// What was counted.
    pub door: Door,
}

/// Answers that wait for what they answer to be synced.
struct Held {
    /// The last input that must be.
    through: u64,
    answers: Vec<(Rc<Call>, Answer)>,
}

/// What a queue counts.
#[derive(Debug, Default)]
pub struct Door {
    /// Drains.
    pub drains: Cell<u64>,
    /// Inputs handed to the core.
    pub drained: Cell<u64>,
    /// The most inputs of one drain.
    pub largest_drain: Cell<u64>,
    /// Inputs refused because the queue was full.
    pub overloaded: Cell<u64>,
    /// Inputs refused because their deadline had passed when they came.
    pub too_late: Cell<u64>,
    /// Inputs dropped before they were taken because their caller had gone away.
    pub gone: Cell<u64>,
}

struct Waiting {
    asked: Asked,
    by: Option<Clock>,
    call: Weak<Call>,
}

/// Room that drains reuse.
#[derive(Default)]
pub struct Room {
    waiting: Vec<Waiting>,
    asked: Vec<Asked>,
    calls: Vec<Rc<Call>>,
    answers: Vec<Answer>,
}

impl<T: Time> Queue<T> {
    /// A queue for at most `capacity` inputs. With `synced`, answers wait until what they answer is synced.
    pub fn new(capacity: usize, synced: bool, time: T) -> Queue<T> {
        Queue {
            time,
            capacity,
            synced: Cell::new(synced),
            held: RefCell::default(),
            waiting: RefCell::default(),
            drainer: Cell::default(),
            estimates: RefCell::default(),
            door: Door::default(),
        }
    }

    /// Asks one thing for `call`, to be answered before `by`. When there is no room, or that has passed, nothing was asked.
    pub fn ask(&self, call: &Rc<Call>, asked: Asked, by: Option<Clock>) -> Result<(), Refusal> {
        let mut waiting = self.waiting.borrow_mut();
        if by.is_some_and(|by| by < self.time.clock()) {
            count(&self.door.too_late, 1);
            return Err(Refusal::TooLate {
                retry_after_us: self.wait_us(waiting.len()).max(RETRY_US),
            });
        }
        if waiting.len() >= self.capacity {
            count(&self.door.overloaded, 1);
            return Err(Refusal::Overloaded {
                retry_after_us: self.wait_us(waiting.len()).max(RETRY_US),
            });
        }
        waiting.push(Waiting {
            asked,
            by,
            call: Rc::downgrade(call),
        });
        if let Some(drainer) = self.drainer.take() {
            drainer.wake();
        }
        Ok(())
    }

    /// From now on answers wait, or not, until what they answer is synced.
    pub fn promise(&self, synced: bool) {
        self.synced.set(synced);
    }

    /// How many inputs wait.
    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// How long one input takes in a drain, in nanoseconds.
    pub fn service_ns(&self, cost: Cost) -> u64 {
        self.estimates.borrow().ns(cost) as u64
    }

    /// Waits until there is something, then takes everything.
    async fn take(&self, room: &mut Vec<Waiting>) {
        poll_fn(|cx| {
            let mut waiting = self.waiting.borrow_mut();
            if waiting.is_empty() {
                self.drainer.set(Some(cx.waker().clone()));
                return Poll::Pending;
            }
            mem::swap(&mut *waiting, room);
            Poll::Ready(())
        })
        .await;
    }

    /// Hands what was taken to the core, in one drain or as many as deadlines ask for, and brings each call its answers.
    fn drain(&self, engine: &mut Engine, room: &mut Room) {
        let mut waiting = mem::take(&mut room.waiting);
        let mut rest = waiting.drain(..).peekable();
        while rest.peek().is_some() {
            let (now, began_ns) = (self.time.clock(), self.time.ns());
            let costs = self.choose(engine, now, &mut rest, room);
            engine.drain(now, &mut room.asked, &mut room.answers);
            for question in engine.questions() {
                if let Some(call) = room.calls.get(question.place) {
                    call.may_ask(question.request);
                }
            }
            let answers = room.calls.drain(..).zip(room.answers.drain(..));
            if self.synced.get() {
                self.held.borrow_mut().push_back(Held {
                    through: engine.sequence(),
                    answers: answers.collect(),
                });
                self.release(engine);
            } else {
                answers.for_each(|(call, answer)| call.answer(answer));
            }
            self.measure(began_ns, costs);
        }
        drop(rest);
        room.waiting = waiting;
    }

    /// Hands records of streams to the core, in one drain; answers go nowhere. Says whether they were taken: when the core
    /// takes nothing for now, none of them was.
    pub fn take_in(&self, engine: &mut Engine, asked: &mut Vec<Asked>, answers: &mut Vec<Answer>) -> bool {
        let (now, began_ns) = (self.time.clock(), self.time.ns());
        let mut costs = Costs::default();
        for asked in asked.iter_mut() {
            let by = match asked {
                Asked::Transaction(admitted) => admitted.decide_by,
                Asked::Label(_)
                | Asked::Outcome(_)
                | Asked::Rescored(_)
                | Asked::Erasure(_)
                | Asked::Refused(_)
                | Asked::Passed(_) => None,
            };
            let room_ns = by.map(|by| by.0.saturating_sub(now.0) as f64 * 1e3);
            costs.count(admit(&mut self.estimates.borrow_mut(), engine, asked, room_ns));
        }
        engine.drain(now, asked, answers);
        self.measure(began_ns, costs);
        !answers
            .drain(..)
            .any(|answer| matches!(answer, Answer::Refused(Refusal::JournalFull | Refusal::Recovering)))
    }

    /// Admits what waits, in order, each to the rung on which it will be answered in time with those before it; up to the
    /// one that would make an earlier answer late. Gives what they cost together.
    fn choose(
        &self,
        engine: &Engine,
        now: Clock,
        rest: &mut Peekable<impl Iterator<Item = Waiting>>,
        room: &mut Room,
    ) -> Costs {
        let mut estimates = self.estimates.borrow_mut();
        let mut costs = Costs::default();
        let (mut spent_ns, mut first_due_ns) = (0.0, f64::INFINITY);
        while let Some(next) = rest.peek_mut() {
            // Who has gone away is not folded: nobody will know that it was taken.
            let Some(call) = next.call.upgrade() else {
                count(&self.door.gone, 1);
                rest.next();
                continue;
            };
            let due_ns = next.by.map(|by| by.0.saturating_sub(now.0) as f64 * 1e3);
            let room_ns = due_ns.map(|due_ns| due_ns - spent_ns);
            let cost = admit(&mut estimates, engine, &mut next.asked, room_ns);
            let done_ns = spent_ns + estimates.ns(cost);
            if done_ns > first_due_ns {
                break;
            }
            if let Some(due_ns) = due_ns.filter(|&due_ns| done_ns <= due_ns) {
                first_due_ns = first_due_ns.min(due_ns);
            }
            spent_ns = done_ns;
            costs.count(cost);
            room.asked.extend(rest.next().map(|next| next.asked));
            room.calls.push(call);
        }
        costs
    }

    /// Brings the answers that wait no longer: what they answer is synced, or the journal cannot even write it. Each says
    /// what holds by now.
    fn release(&self, engine: &Engine) {
        let mut held = self.held.borrow_mut();
        while held
            .front()
            .is_some_and(|front| engine.survives(front.through) != Durability::Written)
        {
            let Some(front) = held.pop_front() else { break };
            for (call, mut answer) in front.answers {
                engine.tell_survival(&mut answer);
                call.answer(answer);
            }
        }
    }

    /// How long `inputs` take in a drain, in whole microseconds.
    fn wait_us(&self, inputs: usize) -> i64 {
        (self.estimates.borrow().ns(Cost::Full) * inputs as f64 / 1e3) as i64
    }

    fn measure(&self, began_ns: u64, costs: Costs) {
        let inputs = costs.inputs();
        count(&self.door.drains, 1);
        count(&self.door.drained, inputs);
        self.door.largest_drain.set(self.door.largest_drain.get().max(inputs));
        let now_ns = self.time.ns();
        let took_ns = now_ns.saturating_sub(began_ns);
        self.estimates.borrow_mut().measure(now_ns, took_ns, costs);
    }
}

/// Admits an input to the highest rung on which it is answered within `room_ns`; gives what that costs.
fn admit(estimates: &mut Estimates, engine: &Engine, asked: &mut Asked, room_ns: Option<f64>) -> Cost {
    match asked {
        Asked::Transaction(admitted) if admitted.mode == Mode::Score => {
            let program = &engine.programs()[usize::from(admitted.program)];
            let at_hand = AtHand {
                full: program.has(Size::Full),
                reduced: program.has(Size::Reduced),
            };
            let (admission, cost) = estimates.admit(room_ns, at_hand);
            admitted.admission = admission;
            cost
        }
        Asked::Transaction(_)
        | Asked::Label(_)
        | Asked::Outcome(_)
        | Asked::Rescored(_)
        | Asked::Erasure(_)
        | Asked::Refused(_)
        | Asked::Passed(_) => Cost::Bare,
    }
}

/// Sees for ever to what the journal could not write before and to answers that wait for it.
pub async fn tend(shared: Rc<Shared>) {
    let Some(journal) = shared.journal.get() else { return };
    loop {
        journal.news.notified().await;
        let mut engine = shared.engine.borrow_mut();
        engine.tend_journal(clock());
        shared.queue.release(&engine);
    }
}

/// Takes snapshots for ever: a slice at a time, and between two slices whatever else is ready on the thread.
pub async fn photograph(shared: Rc<Shared>) {
    let Some(journal) = shared.journal.get() else { return };
    loop {
        let turn = journal.taking.borrow_mut().turn(&mut shared.engine.borrow_mut());
        match turn {
            Turn::Cut | Turn::More => tokio::task::yield_now().await,
            Turn::Wait => tokio::time::sleep(SOON).await,
            Turn::Idle => tokio::time::sleep(LATER).await,
        }
    }
}

/// Drains for ever.
pub async fn drain(shared: Rc<Shared>) {
    let mut room = Room::default();
    loop {
        shared.queue.take(&mut room.waiting).await;
        shared.queue.drain(&mut shared.engine.borrow_mut(), &mut room);
        if shared.journal.get().is_some() {
            // Behind all that is ready: the answers leave first.
            tokio::task::yield_now().await;
            shared.engine.borrow_mut().rest();
        }
    }
}

#[cfg(test)]
mod tests;
