//! What has arrived since the last drain. One task is woken by the first arrival, runs after whatever else is ready on the
//! thread, takes everything there is (never after a timer), reads the clock once, and brings the answers. So drains grow
//! with load by themselves, and a lone call waits for nothing.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    mem,
    rc::{Rc, Weak},
    task::{Poll, Waker},
    time::Instant,
};

use fraudgate_core::{
    journal::Durability,
    refusal::Refusal,
    road::{Answer, Asked, Engine},
    transaction::Clock,
};

use super::{Shared, call::Call};
use crate::{journal::clock, transport::count};

/// The least time after which a refused caller may come back.
const RETRY_US: i64 = 1_000;

/// The queue.
pub struct Queue {
    capacity: usize,
    waiting: RefCell<Vec<Waiting>>,
    drainer: Cell<Option<Waker>>,
    /// How long one input takes in a drain, in nanoseconds: an exponentially weighted mean over drains.
    service_ns: Cell<u64>,
    /// Whether answers wait until what they answer is synced.
    synced: bool,
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
    /// Inputs refused because their deadline could not be met.
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

impl Queue {
    /// A queue for at most `capacity` inputs. With `synced`, answers wait until what they answer is synced.
    pub fn new(capacity: usize, synced: bool) -> Queue {
        Queue {
            capacity,
            synced,
            held: RefCell::default(),
            waiting: RefCell::default(),
            drainer: Cell::default(),
            service_ns: Cell::default(),
            door: Door::default(),
        }
    }

    /// Asks one thing for `call`, to be answered before `by`. When there is no room, nothing was asked.
    pub fn ask(&self, call: &Rc<Call>, asked: Asked, by: Option<Clock>) -> Result<(), Refusal> {
        let mut waiting = self.waiting.borrow_mut();
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

    /// How many inputs wait.
    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// How long one input takes in a drain, in nanoseconds.
    pub fn service_ns(&self) -> u64 {
        self.service_ns.get()
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

    /// Hands what was taken to the core, and brings each call its answers.
    fn drain(&self, engine: &mut Engine, now: Clock, room: &mut Room) {
        let began = Instant::now();
        let all = room.waiting.len();
        let mut place = 0;
        for Waiting { asked, by, call } in room.waiting.drain(..) {
            // Who has gone away is not folded: nobody will know that it was taken.
            let Some(call) = call.upgrade() else {
                count(&self.door.gone, 1);
                continue;
            };
            place += 1;
            let done_us = now.0.saturating_add(self.wait_us(place));
            room.asked.push(if by.is_some_and(|by| done_us > by.0) {
                place -= 1;
                count(&self.door.too_late, 1);
                Asked::Refused(Refusal::TooLate {
                    retry_after_us: self.wait_us(all).max(RETRY_US),
                })
            } else {
                asked
            });
            room.calls.push(call);
        }
        engine.drain(now, &mut room.asked, &mut room.answers);
        let answers = room.calls.drain(..).zip(room.answers.drain(..));
        if self.synced {
            self.held.borrow_mut().push_back(Held {
                through: engine.sequence(),
                answers: answers.collect(),
            });
            self.release(engine);
        } else {
            answers.for_each(|(call, answer)| call.answer(answer));
        }
        self.measure(began, place);
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
        let ns = self.service_ns.get().saturating_mul(inputs as u64);
        i64::try_from(ns / 1_000).unwrap_or(i64::MAX)
    }

    fn measure(&self, began: Instant, inputs: usize) {
        count(&self.door.drains, 1);
        count(&self.door.drained, inputs as u64);
        self.door
            .largest_drain
            .set(self.door.largest_drain.get().max(inputs as u64));
        let took_ns = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.service_ns
            .set(estimate(self.service_ns.get(), took_ns, inputs as u64));
    }
}

/// How long one input takes, in nanoseconds, after one more drain. An eighth of the new: one long pause of the machine does
/// not refuse callers for long. A drain that refused all it held measured nothing, and lowers the estimate all the same:
/// else one slow drain could refuse every caller with a short deadline for ever.
fn estimate(before: u64, took_ns: u64, inputs: u64) -> u64 {
    match (took_ns.checked_div(inputs), before) {
        (None, before) => before - before / 8,
        (Some(each), 0) => each,
        (Some(each), before) => before - before / 8 + each / 8,
    }
}

/// Sees for ever to what the journal could not write before and to answers that wait for it.
pub async fn tend(shared: Rc<Shared>) {
    let Some(journal) = &shared.journal else { return };
    loop {
        journal.news.notified().await;
        let mut engine = shared.engine.borrow_mut();
        engine.tend_journal(clock());
        shared.queue.release(&engine);
    }
}

/// Drains for ever.
pub async fn drain(shared: Rc<Shared>) {
    let mut room = Room::default();
    loop {
        shared.queue.take(&mut room.waiting).await;
        shared.queue.drain(&mut shared.engine.borrow_mut(), clock(), &mut room);
    }
}

#[cfg(test)]
mod tests {
    use fraudgate_core::{key::HashKey, plan::Plan, policy::Policy, road::Limits, transaction::EventTime, wire};

    use super::*;

    const PLAN: &[u8] = br#"{"currency":"EUR","entities":["card"],"features":[{"name":"amount","op":"amount"}],
        "format":1,"fraud":["third_party_fraud"],"lateness_us":0,"name":"shop","numbers":[],"texts":[]}"#;
    const POLICY: &[u8] = br#"{"card_number_in_key":"hash","format":1,"mode":"observe"}"#;
    const NOW: Clock = Clock(1_700_000_000_000_000);

    fn engine() -> Engine {
        let limits = Limits {
            known_ids: 64,
            drain: 64,
            ahead_us: None,
        };
        let mut engine = Engine::new(
            HashKey {
                version: 1,
                secret: [7; 32],
            },
            1,
            limits,
        );
        let (plan, policy) = (Plan::parse(PLAN).unwrap(), Policy::parse(POLICY).unwrap());
        engine.add_program("shop", plan, policy, None, EventTime(0)).unwrap();
        engine
    }

    fn asked(engine: &Engine, id: usize) -> Asked {
        let transaction = wire::Transaction {
            id: id.to_string(),
            program: "shop".to_owned(),
            event_time_us: NOW.0,
            kind: wire::Kind::Purchase.into(),
            mode: wire::Mode::Fold.into(),
            amount_minor: Some(1),
            currency: "EUR".to_owned(),
            ..wire::Transaction::default()
        };
        Asked::Transaction(Box::new(engine.admit(&transaction).unwrap()))
    }

    fn drain(queue: &Queue, engine: &mut Engine) {
        let mut room = Room {
            waiting: queue.waiting.take(),
            ..Room::default()
        };
        queue.drain(engine, NOW, &mut room);
    }

    fn answers(call: &Call) -> Vec<Answer> {
        let mut cx = std::task::Context::from_waker(Waker::noop());
        std::iter::from_fn(|| match call.poll_next(&mut cx) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        })
        .collect()
    }

    #[test]
    fn what_is_behind_too_many_others_for_its_deadline_is_refused_and_not_folded() {
        let (mut engine, queue, call) = (engine(), Queue::new(64, false), Call::new());
        queue.service_ns.set(100_000);
        // Ten inputs of 100 us each, all to be answered within 450 us.
        for id in 0..10 {
            queue.ask(&call, asked(&engine, id), Some(Clock(NOW.0 + 450))).unwrap();
        }
        drain(&queue, &mut engine);
        let taken: Vec<bool> = answers(&call)
            .iter()
            .map(|answer| matches!(answer, Answer::Decision(_)))
            .collect();
        assert_eq!(
            taken,
            [true, true, true, true, false, false, false, false, false, false]
        );
        assert_eq!((engine.counts().transactions, queue.door.too_late.get()), (4, 6));
    }

    #[test]
    fn what_a_caller_asked_who_has_gone_away_is_not_folded() {
        let (mut engine, queue) = (engine(), Queue::new(64, false));
        let (stays, leaves) = (Call::new(), Call::new());
        for id in 0..4 {
            let call = if id % 2 == 0 { &stays } else { &leaves };
            queue.ask(call, asked(&engine, id), None).unwrap();
        }
        drop(leaves);
        drain(&queue, &mut engine);
        assert_eq!(answers(&stays).len(), 2);
        assert_eq!((engine.counts().transactions, queue.door.gone.get()), (2, 2));
    }

    #[test]
    fn a_full_queue_takes_nothing_more_until_it_is_drained() {
        let (mut engine, queue, call) = (engine(), Queue::new(2, false), Call::new());
        for id in 0..2 {
            queue.ask(&call, asked(&engine, id), None).unwrap();
        }
        let refused = queue.ask(&call, asked(&engine, 2), None);
        assert!(
            matches!(
                refused,
                Err(Refusal::Overloaded {
                    retry_after_us: RETRY_US
                })
            ),
            "{refused:?}"
        );
        drain(&queue, &mut engine);
        assert_eq!(answers(&call).len(), 2);
        assert_eq!(queue.ask(&call, asked(&engine, 2), None), Ok(()));
    }

    #[test]
    fn one_slow_drain_does_not_refuse_callers_for_ever() {
        let mut service_ns = estimate(0, 12_000_000, 1);
        assert_eq!(service_ns, 12_000_000);
        for _ in 0..100 {
            service_ns = estimate(service_ns, 500, 0);
        }
        assert!(service_ns < 100_000, "{service_ns}");
    }

    #[test]
    fn the_estimate_goes_to_what_inputs_take() {
        let settled = (0..100).fold(0, |service_ns, _| estimate(service_ns, 64 * 5_000, 64));
        assert!((4_900..=5_100).contains(&settled), "{settled}");
    }
}
