//! The degradation ladder: what moves a transaction down, what it is answered there, how it climbs again; and that an
//! answer is a function of the ordered inputs and the journaled admissions alone.

mod rungs;

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use crate::shop::{Bits, KEY, Read, START_US, Written, bytes, fold, manifest, purchase};
use fraudgate_core::{
    history::Bounds,
    journal::{reader::Next, reader::Reader, record::Record, record::Records},
    key::HashKey,
    ladder::{Admission, Cause, Trial},
    model::{Forest, ForestFailure, Model},
    plan::Plan,
    policy::Policy,
    replay::Replay,
    road::{Answer, Asked, Engine, Limits},
    transaction::{Clock, EventTime},
    wire,
};
use proptest::prelude::*;

const HOUR_US: i64 = 3_600_000_000;
const CAP: i64 = 10_000;
/// Small purchases are approved blind, larger ones challenged, other kinds declined.
const POLICY: &str = r#"{"format":1,"mode":"decide","challenge":50,"decline":80,"card_number_in_key":"hash",
    "default":{"verdict":"decline","cap_minor":10000,"window_us":3600000000,"beyond_cap":"challenge","segments":[
    {"verdict":"approve","kinds":["purchase"],"below_minor":4000},{"verdict":"challenge","kinds":["purchase"]}]}}"#;

/// A forest that fails while it is told to, and perhaps says NaN for some rows.
struct Scripted {
    forest: Bits,
    script: Arc<Script>,
}

#[derive(Default)]
struct Script {
    fails: AtomicBool,
    /// Whether some rows have no score.
    blanks: AtomicBool,
    /// How often it was run.
    runs: AtomicU64,
}

impl Forest for Scripted {
    fn score(&mut self, rows: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure> {
        self.script.runs.fetch_add(1, Ordering::Relaxed);
        if self.script.fails.load(Ordering::Relaxed) {
            // Half an answer is none.
            log_odds.push(0.0);
            return Err(ForestFailure("as the script says".to_owned()));
        }
        self.forest.score(rows, n, log_odds)?;
        if self.script.blanks.load(Ordering::Relaxed) {
            let blanks = log_odds.iter_mut().filter(|score| score.to_bits() % 5 == 0);
            blanks.for_each(|score| *score = f32::NAN);
        }
        Ok(())
    }
}

struct Made {
    engine: Engine,
    full: Arc<Script>,
    reduced: Arc<Script>,
}

#[derive(Clone, Copy, PartialEq)]
enum Students {
    None,
    Full,
    Both,
}

fn made(students: Students, policy: &str) -> Made {
    let (full, reduced) = (Arc::<Script>::default(), Arc::<Script>::default());
    let plan = Plan::parse(crate::shop::PLAN.as_bytes()).unwrap();
    let scripted = |number, script: &Arc<Script>| {
        Box::new(Scripted {
            forest: Bits(number),
            script: script.clone(),
        })
    };
    let model = match students {
        Students::None => None,
        Students::Full => Some(Model::new(manifest(&plan), scripted(17, &full))),
        Students::Both => Some(
            Model::new(manifest(&plan), scripted(17, &full))
                .with_reduced(scripted(23, &reduced))
                .unwrap(),
        ),
    };
    let limits = Limits {
        known_ids: 1_000,
        history: Bounds::NONE,
        drain: 100,
        ahead_us: None,
    };
    let key = HashKey {
        version: 1,
        secret: [7; 32],
    };
    let mut engine = Engine::new(key, 1, limits);
    let policy = Policy::parse(policy.as_bytes()).unwrap();
    engine
        .add_program("shop", plan, policy, model, EventTime(START_US - HOUR_US))
        .unwrap();
    Made { engine, full, reduced }
}

fn admitted(engine: &Engine, transaction: &wire::Transaction, admission: Admission) -> Asked {
    let mut admitted = engine.admit(transaction).unwrap();
    admitted.admission = admission;
    Asked::Transaction(Box::new(admitted))
}

fn drain_at(engine: &mut Engine, now: Clock, mut asked: Vec<Asked>) -> Vec<Answer> {
    let mut answers = Vec::new();
    engine.drain(now, &mut asked, &mut answers);
    answers
}

fn assessment(answer: &Answer) -> wire::Assessment {
    match answer {
        Answer::Decision(decision) => decision.assessment.clone().unwrap(),
        other => panic!("no decision but {other:?}"),
    }
}

fn rung(answer: &Answer) -> (wire::Tier, wire::Cause) {
    let assessment = assessment(answer);
    (assessment.tier(), assessment.cause())
}

#[derive(Clone, Debug)]
struct Step {
    id: u16,
    at_us: i64,
    customer: u8,
    amount: i64,
    kind: wire::Kind,
    admission: Admission,
    /// Before this step a script changes: whether the students fail, and how far the clock goes on.
    fails: (bool, bool),
    ahead_us: i64,
}

impl Step {
    fn transaction(&self) -> wire::Transaction {
        let mut transaction = purchase(&self.id.to_string(), self.at_us, self.customer, self.amount);
        transaction.kind = self.kind as i32;
        transaction
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let cause = prop::sample::select(Cause::ALL.to_vec());
    let admission = prop_oneof![
        3 => Just(Admission::Full),
        1 => cause.clone().prop_map(Admission::Reduced),
        2 => cause.prop_map(Admission::Default),
    ];
    let kind = prop_oneof![6 => Just(wire::Kind::Purchase), 1 => Just(wire::Kind::Withdrawal)];
    let step = (
        (0..400_u16, 0..6 * HOUR_US, 0..4_u8, 0..6_000_i64),
        kind,
        admission,
        (any::<bool>(), any::<bool>()),
        0..3_000_000_i64,
    );
    prop::collection::vec(
        step.prop_map(
            |((id, at_us, customer, amount), kind, admission, fails, ahead_us)| Step {
                id,
                at_us,
                customer,
                amount,
                kind,
                admission,
                fails,
                ahead_us,
            },
        ),
        1..80,
    )
}

/// Hands steps to an engine in drains of the given sizes; scripts are followed only where `fails`.
fn run(made: &mut Made, mut steps: &[Step], sizes: &[usize], fails: bool) -> Vec<Answer> {
    let (mut answers, mut now) = (Vec::new(), Clock(START_US));
    made.full.blanks.store(true, Ordering::Relaxed);
    made.reduced.blanks.store(true, Ordering::Relaxed);
    for &size in sizes.iter().cycle() {
        let (drained, later) = steps.split_at(size.min(steps.len()));
        let Some(first) = drained.first() else { break };
        now.0 += first.ahead_us;
        made.full.fails.store(fails && first.fails.0, Ordering::Relaxed);
        made.reduced.fails.store(fails && first.fails.1, Ordering::Relaxed);
        let asked = drained
            .iter()
            .map(|step| admitted(&made.engine, &step.transaction(), step.admission))
            .collect();
        answers.extend(drain_at(&mut made.engine, now, asked));
        steps = later;
    }
    answers
}

/// What of an answer follows from inputs and admissions.
fn told(answer: &Answer) -> Vec<u8> {
    match answer {
        Answer::Decision(decision) => {
            let mut decision = decision.clone();
            let receipt = decision.receipt.as_mut().unwrap();
            receipt.received_at_us = 0;
            bytes(&Answer::Decision(decision))
        }
        other => bytes(other),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn given_the_same_admissions_how_a_log_is_cut_into_drains_never_shows(
        steps in steps(),
        sizes in prop::collection::vec(1..9_usize, 8),
    ) {
        let (mut lone, mut cut) = (made(Students::Both, POLICY), made(Students::Both, POLICY));
        let expected: Vec<Vec<u8>> = run(&mut lone, &steps, &[1], false).iter().map(told).collect();
        let found: Vec<Vec<u8>> = run(&mut cut, &steps, &sizes, false).iter().map(told).collect();
        prop_assert_eq!(found, expected);
        prop_assert_eq!(lone.engine.digest(), cut.engine.digest());
    }

    /// A run whose models fail now and then, journaled; then its records are given to models that never fail.
    #[test]
    fn a_replay_of_the_journaled_admissions_gives_the_same_bytes(
        steps in steps(),
        sizes in prop::collection::vec(1..9_usize, 8),
    ) {
        let mut live = made(Students::Both, POLICY);
        let written = Written::begin(&live.engine, 1, 1, None);
        live.engine.journal_to(Box::new(written.clone()));
        let answers = run(&mut live, &steps, &sizes, true);
        let mut expected = answers.iter().filter(|answer| match answer {
            Answer::Decision(decision) => !decision.receipt.as_ref().unwrap().replayed,
            _ => false,
        });

        let mut again = made(Students::Both, POLICY);
        let mut segment = written.bytes();
        let mut reader = Reader::new(&mut segment, &KEY, None).unwrap();
        while let Next::Chunk(chunk) = reader.advance().unwrap() {
            for record in Records::new(chunk.body).unwrap() {
                if let Record::Transaction(admitted, Some(_)) = record.unwrap() {
                    let asked = vec![Asked::Transaction(Box::new(admitted))];
                    let answer = drain_at(&mut again.engine, Clock(START_US), asked).remove(0);
                    prop_assert_eq!(assessment(&answer), assessment(expected.next().unwrap()));
                }
            }
        }
        prop_assert!(expected.next().is_none());
        prop_assert_eq!(again.engine.digest(), live.engine.digest());

        let mut recovered = made(Students::None, POLICY);
        let read = fold(&mut Replay::new(&mut recovered.engine), written.bytes(), None);
        prop_assert!(matches!(read, Read::Tail(_)));
        prop_assert_eq!(recovered.engine.digest(), live.engine.digest());
    }

    #[test]
    fn no_more_than_the_cap_is_approved_blind_in_any_window(steps in steps(), sizes in prop::collection::vec(1..9_usize, 8)) {
        let mut made = made(Students::Both, POLICY);
        let answers = run(&mut made, &steps, &sizes, true);
        let (mut approved, mut newest, mut all) = (Vec::new(), i64::MIN, 0);
        for (step, answer) in steps.iter().zip(&answers) {
            let Answer::Decision(decision) = answer else { continue };
            let assessment = assessment(answer);
            if decision.receipt.as_ref().unwrap().replayed || assessment.tier() != wire::Tier::Default {
                continue;
            }
            let declared = match (step.kind, step.amount) {
                (wire::Kind::Purchase, ..4_000) => wire::Verdict::Approve,
                (wire::Kind::Purchase, _) => wire::Verdict::Challenge,
                _ => wire::Verdict::Decline,
            };
            let window = |time: i64, most_us: i64| -> i64 {
                approved.iter().filter(|&&(at, _)| at > time - most_us).map(|&(_, minor)| minor).sum()
            };
            // What comes late counts with the newest.
            let at = newest.max(step.at_us);
            if declared != wire::Verdict::Approve {
                prop_assert_eq!(assessment.verdict(), declared);
            } else if assessment.verdict() == wire::Verdict::Approve {
                prop_assert!(window(at, HOUR_US) + step.amount <= CAP);
                approved.push((at, step.amount));
                all += step.amount;
                if step.amount > 0 {
                    newest = at;
                }
            } else {
                // The window moves in sixtieths.
                prop_assert_eq!(assessment.verdict(), wire::Verdict::Challenge);
                prop_assert!(window(at, HOUR_US + HOUR_US / 60) + step.amount > CAP);
            }
        }
        prop_assert_eq!(made.engine.programs()[0].blind.approved_minor(), all as u64);
    }
}
