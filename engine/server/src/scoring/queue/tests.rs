//! The queue against a scripted clock and models that take a scripted time.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use fraudgate_core::{
    key::HashKey,
    model::{Forest, ForestFailure, Manifest, Model},
    plan::Plan,
    policy::Policy,
    road::Limits,
    transaction::EventTime,
    wire,
};

use super::*;

const PLAN: &[u8] = br#"{"currency":"EUR","entities":["card"],"features":[{"name":"amount","op":"amount"}],
    "format":1,"fraud":["third_party_fraud"],"lateness_us":0,"name":"shop","numbers":[],"texts":[]}"#;
const POLICY: &[u8] = br#"{"card_number_in_key":"hash","format":1,"mode":"observe"}"#;
const NOW: Clock = Clock(1_700_000_000_000_000);

fn engine() -> Engine {
    engine_with(Plan::parse(PLAN).unwrap(), None)
}

fn engine_with(plan: Plan, model: Option<Model>) -> Engine {
    let limits = Limits {
        known_ids: 64,
        history: fraudgate_core::history::Bounds::NONE,
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
    let policy = Policy::parse(POLICY).unwrap();
    engine.add_program("shop", plan, policy, model, EventTime(0)).unwrap();
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

fn drain<T: Time>(queue: &Queue<T>, engine: &mut Engine) {
    let mut room = Room {
        waiting: queue.waiting.take(),
        ..Room::default()
    };
    queue.drain(engine, &mut room);
}

fn answers(call: &Call) -> Vec<Answer> {
    let mut cx = std::task::Context::from_waker(Waker::noop());
    std::iter::from_fn(|| match call.poll_next(&mut cx) {
        Poll::Ready(answer) => Some(answer),
        Poll::Pending => None,
    })
    .collect()
}

/// Time that passes only while a forest runs: so much a row.
#[derive(Clone, Default)]
struct Script(Arc<AtomicU64>);

impl Time for Script {
    fn clock(&self) -> Clock {
        Clock(NOW.0 + self.ns() as i64 / 1_000)
    }

    fn ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Slow {
    script: Script,
    row_ns: u64,
}

impl Forest for Slow {
    fn score(&mut self, _: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure> {
        self.script.0.fetch_add(self.row_ns * n as u64, Ordering::Relaxed);
        log_odds.resize(n, 0.0);
        Ok(())
    }
}

/// A full model that takes 100 us a row, and a reduced one that takes 10.
fn slow(script: &Script) -> Engine {
    let plan = Plan::parse(PLAN).unwrap();
    let tables = r#""probability":{"log_odds":[-1,1],"value":[0.25,0.75]},"risk":{"log_odds":[-1,1],"value":[0,99]}"#;
    let manifest = format!(
        r#"{{"format":1,"plan_digest":"","onnx_sha256":"","input":"","output":"","features":[],{tables},
        "reduced":{{"onnx_sha256":"",{tables}}}}}"#
    );
    let forest = |row_ns| {
        let script = script.clone();
        Box::new(Slow { script, row_ns })
    };
    let manifest = Manifest::parse(manifest.as_bytes()).unwrap();
    let model = Model::new(manifest, forest(100_000))
        .with_reduced(forest(10_000))
        .unwrap();
    engine_with(plan, Some(model))
}

fn ask_to_score(queue: &Queue<Script>, engine: &Engine, call: &Rc<Call>, id: usize, by_us: i64) {
    let Asked::Transaction(mut admitted) = asked(engine, id) else {
        panic!("refused")
    };
    admitted.mode = Mode::Score;
    let by = Clock(queue.time.clock().0 + by_us);
    queue.ask(call, Asked::Transaction(admitted), Some(by)).unwrap();
}

fn tiers(call: &Call) -> Vec<wire::Tier> {
    let tier = |answer| match answer {
        Answer::Decision(decision) => decision.assessment.unwrap().tier(),
        other => panic!("{other:?}"),
    };
    answers(call).into_iter().map(tier).collect()
}

#[test]
fn what_is_behind_too_many_others_for_its_deadline_is_answered_on_a_lower_rung_in_time_and_folded() {
    use wire::Tier::{Default, Full, Reduced};
    let script = Script::default();
    let (mut engine, queue, call) = (slow(&script), Queue::new(64, false, script.clone()), Call::new());
    // Drains of one rung each teach what they cost.
    for id in 0..60 {
        ask_to_score(&queue, &engine, &call, 1_000 + id, 1_000_000);
        drain(&queue, &mut engine);
    }
    for cost in [Cost::Reduced, Cost::Bare] {
        for _ in 0..200 {
            let mut one = Costs::default();
            one.count(cost);
            let ns = if cost == Cost::Bare { 0 } else { 10_000 };
            queue.estimates.borrow_mut().measure(0, ns, one);
        }
    }
    tiers(&call);
    let (taken, began_ns) = (engine.counts().transactions, script.ns());
    // Ten of 100 us each, all to be answered within 455 us.
    for id in 0..10 {
        ask_to_score(&queue, &engine, &call, id, 455);
    }
    drain(&queue, &mut engine);
    let found = tiers(&call);
    assert_eq!(
        found,
        [
            Full, Full, Full, Full, Reduced, Reduced, Reduced, Reduced, Reduced, Default
        ]
    );
    assert_eq!(engine.counts().transactions, taken + 10);
    assert!(script.ns() - began_ns <= 455_000);
    assert_eq!(queue.door.too_late.get(), 0);
}

#[test]
fn a_drain_ends_where_one_more_would_make_an_earlier_answer_late() {
    let script = Script::default();
    let (mut engine, queue) = (slow(&script), Queue::new(64, false, script.clone()));
    let (hurried, patient) = (Call::new(), Call::new());
    ask_to_score(&queue, &engine, &patient, 999, 1_000_000);
    drain(&queue, &mut engine);
    let drains = queue.door.drains.get();
    ask_to_score(&queue, &engine, &hurried, 0, 150);
    for id in 1..20 {
        ask_to_score(&queue, &engine, &patient, id, 1_000_000);
    }
    drain(&queue, &mut engine);
    assert_eq!(tiers(&hurried), [wire::Tier::Full]);
    assert_eq!(tiers(&patient), [wire::Tier::Full; 20]);
    assert_eq!(queue.door.drains.get() - drains, 2);
}

#[test]
fn a_deadline_that_had_passed_when_it_came_is_refused() {
    let (engine, queue, call) = (engine(), Queue::new(64, false, Script::default()), Call::new());
    let refused = queue.ask(&call, asked(&engine, 0), Some(Clock(NOW.0 - 1)));
    assert!(matches!(refused, Err(Refusal::TooLate { .. })), "{refused:?}");
    assert_eq!(queue.ask(&call, asked(&engine, 0), Some(NOW)), Ok(()));
    assert_eq!(queue.door.too_late.get(), 1);
}

#[test]
fn what_a_caller_asked_who_has_gone_away_is_not_folded() {
    let (mut engine, queue) = (engine(), Queue::new(64, false, Script::default()));
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
    let (mut engine, queue, call) = (engine(), Queue::new(2, false, Script::default()), Call::new());
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
