//! The road's promises, on a model that is a hash of its row: how a log is cut into drains never shows, a repeated id
//! gets its first answer, and a refusal changes nothing.

use crate::shop::{DAY_US, Made, START_US, ask, bytes, drain, purchase, subject};
use fraudgate_core::{
    history::Bounds,
    refusal::Refusal,
    road::{Answer, Asked, Engine},
    transaction::EventTime,
    wire,
};
use proptest::prelude::*;

const PLAN: &str = r#"{"format":1,"name":"two_windows","currency":"EUR","entities":["customer","terminal"],"numbers":["age"],
    "texts":["note"],"fraud":["third_party_fraud"],"lateness_us":172800000000,"features":[
    {"name":"amount","op":"amount"},{"name":"age","op":"number","number":0},
    {"name":"count","op":"count","entity":0,"window_us":86400000000,"delay_us":0,"inclusive":true,
     "where":{"kinds":["purchase","withdrawal"]}},
    {"name":"mean","op":"mean","entity":0,"window_us":86400000000,"delay_us":0,"inclusive":true,
     "where":{"kinds":["purchase"]}},
    {"name":"risk","op":"risk","entity":1,"window_us":86400000000,"delay_us":86400000000,
     "where":{"kinds":["purchase"]}}]}"#;
fn engine(scores: bool) -> Engine {
    Made {
        plan: PLAN,
        known_ids: 10_000,
        history: Bounds::NONE,
        scores,
        complete_since: EventTime(0),
        ..Made::default()
    }
    .engine()
}

fn fraud(id: &str, at_us: i64, customer: u8, status: wire::LabelStatus) -> wire::Label {
    wire::Label {
        program: "shop".to_owned(),
        subject: Some(subject(id, at_us, customer)),
        class: wire::LabelClass::ThirdPartyFraud as i32,
        status: status as i32,
        source: wire::LabelSource::Chargeback as i32,
    }
}

fn one(engine: &mut Engine, transaction: &wire::Transaction) -> Answer {
    let asked = vec![ask(engine, transaction)];
    drain(engine, asked).remove(0)
}

fn assessment(answer: &Answer) -> wire::Assessment {
    match answer {
        Answer::Decision(decision) => decision.assessment.clone().unwrap(),
        other => panic!("no decision but {other:?}"),
    }
}

#[derive(Clone, Debug)]
enum Step {
    Purchase {
        id: u16,
        at: i64,
        customer: u8,
        amount: i64,
        fold: bool,
    },
    Label {
        id: u16,
        at: i64,
        customer: u8,
        withdrawn: bool,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let hour = DAY_US / 24;
    let purchase = (0..60_u16, 0..80_i64, 0..4_u8, 0..5_000_i64, any::<bool>()).prop_map(
        move |(id, at, customer, amount, fold)| Step::Purchase {
            id,
            at: at * hour,
            customer,
            amount,
            fold,
        },
    );
    let label =
        (0..60_u16, 0..80_i64, 0..4_u8, any::<bool>()).prop_map(move |(id, at, customer, withdrawn)| Step::Label {
            id,
            at: at * hour,
            customer,
            withdrawn,
        });
    prop::collection::vec(prop_oneof![4 => purchase, 1 => label], 1..60)
}

fn asked(engine: &Engine, step: &Step) -> Asked {
    match *step {
        Step::Purchase {
            id,
            at,
            customer,
            amount,
            fold,
        } => {
            let mut transaction = purchase(&id.to_string(), at, customer, amount);
            transaction.mode = if fold { wire::Mode::Fold } else { wire::Mode::Score } as i32;
            ask(engine, &transaction)
        }
        Step::Label {
            id,
            at,
            customer,
            withdrawn,
        } => {
            let status = if withdrawn {
                wire::LabelStatus::Withdrawn
            } else {
                wire::LabelStatus::Asserted
            };
            let label = fraud(&id.to_string(), at, customer, status);
            engine
                .admit_label(&label)
                .map_or_else(Asked::Refused, |label| Asked::Label(Box::new(label)))
        }
    }
}

proptest! {
    #[test]
    fn how_a_log_is_cut_into_drains_never_shows(steps in steps(), cuts in prop::collection::vec(1..9_usize, 60)) {
        let mut one_by_one = engine(true);
        let expected: Vec<Vec<u8>> = steps
            .iter()
            .flat_map(|step| {
                let asked = vec![asked(&one_by_one, step)];
                drain(&mut one_by_one, asked)
            })
            .map(|answer| bytes(&answer))
            .collect();
        let mut cut = engine(true);
        let mut rest = &steps[..];
        let mut found = Vec::new();
        for size in cuts {
            let (now, later) = rest.split_at(size.min(rest.len()));
            let asked = now.iter().map(|step| asked(&cut, step)).collect();
            found.extend(drain(&mut cut, asked).iter().map(bytes));
            rest = later;
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn two_payments_of_one_card_in_one_drain_see_each_other() {
    let mut engine = engine(true);
    let asked = (0..3)
        .map(|i| ask(&engine, &purchase(&i.to_string(), i, 1, 1_000)))
        .collect();
    let scores: Vec<f64> = drain(&mut engine, asked)
        .iter()
        .map(|a| assessment(a).risk_score.unwrap())
        .collect();
    assert!(scores[0] != scores[1] && scores[1] != scores[2], "{scores:?}");
}

#[test]
fn a_repeated_transaction_gets_its_first_answer_and_counts_once() {
    let mut retried = engine(true);
    let mut once = engine(true);
    let first = purchase("a", 0, 1, 1_000);
    let mut again = first.clone();
    again.mode = wire::Mode::Fold as i32;
    again.decide_by_us = START_US + DAY_US;
    again.entities.reverse();
    let answered = one(&mut retried, &first);
    for _ in 0..3 {
        let answer = one(&mut retried, &again);
        let Answer::Decision(decision) = &answer else {
            panic!("{answer:?}")
        };
        assert!(decision.receipt.as_ref().unwrap().replayed);
        assert_eq!(decision.receipt.as_ref().unwrap().sequence, 1);
        assert_eq!(assessment(&answer), assessment(&answered));
    }
    assert_eq!(assessment(&one(&mut once, &first)), assessment(&answered));
    let next = purchase("b", 1, 1, 1_000);
    assert_eq!(bytes(&one(&mut retried, &next)), bytes(&one(&mut once, &next)));
}

#[test]
fn a_repeat_within_its_own_drain_gets_the_answer_that_is_still_being_made() {
    let mut engine = engine(true);
    let transaction = purchase("a", 0, 1, 1_000);
    let asked = vec![ask(&engine, &transaction), ask(&engine, &transaction)];
    let answers = drain(&mut engine, asked);
    assert_eq!(assessment(&answers[0]), assessment(&answers[1]));
}

#[test]
fn a_folded_id_that_is_later_sent_for_scoring_gets_its_receipt() {
    let mut engine = engine(true);
    let mut transaction = purchase("a", 0, 1, 1_000);
    transaction.mode = wire::Mode::Fold as i32;
    one(&mut engine, &transaction);
    transaction.mode = wire::Mode::Score as i32;
    let Answer::Decision(decision) = one(&mut engine, &transaction) else {
        panic!("refused")
    };
    assert_eq!(decision.assessment, None);
    assert!(decision.receipt.unwrap().replayed);
}

type Change = fn(&mut wire::Transaction);

/// Every field that is part of a payload, changed.
fn changes() -> Vec<(&'static str, Change)> {
    vec![
        ("event_time_us", |t| t.event_time_us += 1),
        ("utc_offset_minutes", |t| t.utc_offset_minutes = 60),
        ("kind", |t| t.kind = wire::Kind::Withdrawal as i32),
        ("amount_minor", |t| t.amount_minor = Some(1)),
        ("currency", |t| t.currency = "USD".to_owned()),
        ("entities", |t| t.entities[0].value.push('x')),
        ("fewer entities", |t| t.entities.truncate(1)),
        ("number", |t| t.attributes.push(attribute("age", 1.0))),
        ("text", |t| t.attributes.push(text("note", "x"))),
        ("dropped text", |t| {
            t.attributes.push(text("note", "4111 1111 1111 1111"))
        }),
        ("location", |t| {
            t.location = Some(wire::Location {
                latitude: 1.0,
                longitude: 2.0,
            })
        }),
        ("link", |t| {
            let subject = fraud("z", 0, 1, wire::LabelStatus::Asserted).subject;
            t.link = Some(wire::Link {
                relation: wire::Relation::Retries as i32,
                subject,
            });
        }),
    ]
}

fn attribute(name: &str, number: f64) -> wire::Attribute {
    wire::Attribute {
        name: name.to_owned(),
        value: Some(wire::attribute::Value::Number(number)),
    }
}

fn text(name: &str, text: &str) -> wire::Attribute {
    wire::Attribute {
        name: name.to_owned(),
        value: Some(wire::attribute::Value::Text(text.to_owned())),
    }
}

#[test]
fn the_same_id_with_another_payload_is_refused_and_changes_nothing() {
    let mut disturbed = engine(true);
    let mut undisturbed = engine(true);
    let first = purchase("a", 0, 1, 1_000);
    one(&mut disturbed, &first);
    one(&mut undisturbed, &first);
    for (what, change) in changes() {
        let mut other = first.clone();
        change(&mut other);
        let answer = one(&mut disturbed, &other);
        assert!(
            matches!(answer, Answer::Refused(Refusal::IdReused)),
            "{what}: {answer:?}"
        );
    }
    let next = purchase("b", 1, 1, 1_000);
    assert_eq!(bytes(&one(&mut disturbed, &next)), bytes(&one(&mut undisturbed, &next)));
}

#[test]
fn without_a_model_a_score_is_refused_and_a_fold_is_taken() {
    let mut engine = engine(false);
    let mut transaction = purchase("a", 0, 1, 1_000);
    assert!(matches!(
        one(&mut engine, &transaction),
        Answer::Refused(Refusal::NoModel)
    ));
    transaction.mode = wire::Mode::Fold as i32;
    let Answer::Decision(decision) = one(&mut engine, &transaction) else {
        panic!("refused")
    };
    assert_eq!(decision.receipt.unwrap().sequence, 1);
}

#[test]
fn what_comes_later_than_the_bound_is_scored_from_its_own_fields_and_not_folded() {
    let mut engine = engine(true);
    one(&mut engine, &purchase("new", 10 * DAY_US, 1, 1_000));
    let late = assessment(&one(&mut engine, &purchase("late", 9 * DAY_US, 1, 1_000)));
    assert_eq!(late.lateness, wire::Lateness::Late as i32);
    let beyond = assessment(&one(&mut engine, &purchase("beyond", 7 * DAY_US, 1, 1_000)));
    assert_eq!(beyond.lateness, wire::Lateness::Beyond as i32);
    assert_eq!(beyond.missing_features, ["age", "count", "mean", "risk"]);
    assert!(beyond.risk_score.is_some());
}

/// The table in transaction.proto.
#[test]
fn kinds_modes_and_relations_go_together_as_the_table_says() {
    use wire::{Kind, Mode, Relation};
    let engine = engine(true);
    let scored = [Mode::Unspecified, Mode::Score, Mode::Fold];
    let folded = [Mode::Fold];
    let none = Relation::Unspecified;
    let table: [(Kind, &[Mode], &[Relation]); 10] = [
        (Kind::Purchase, &scored, &[none, Relation::Retries]),
        (Kind::Withdrawal, &scored, &[none, Relation::Retries]),
        (Kind::Transfer, &scored, &[none, Relation::Retries]),
        (Kind::Payout, &scored, &[none, Relation::Retries]),
        (Kind::Refund, &scored, &[none, Relation::Retries, Relation::Refunds]),
        (Kind::Reversal, &folded, &[Relation::Reverses]),
        (Kind::Incremental, &scored, &[Relation::Increments]),
        (Kind::Clearing, &folded, &[none, Relation::Clears]),
        (Kind::Verification, &scored, &[none, Relation::Retries]),
        (Kind::Event, &scored, &[none]),
    ];
    for (kind, modes, relations) in table {
        for mode in [Mode::Unspecified, Mode::Score, Mode::Fold] {
            for relation in (0..=5).filter_map(|r| Relation::try_from(r).ok()) {
                let mut transaction = purchase("a", 0, 1, 0);
                transaction.kind = kind as i32;
                transaction.mode = mode as i32;
                if kind == Kind::Event {
                    transaction.event_name = "login".to_owned();
                    (transaction.amount_minor, transaction.currency) = (None, String::new());
                }
                if relation != none {
                    let subject = fraud("z", 0, 1, wire::LabelStatus::Asserted).subject;
                    transaction.link = Some(wire::Link {
                        relation: relation as i32,
                        subject,
                    });
                }
                let valid = modes.contains(&mode) && relations.contains(&relation);
                let admitted = engine.admit(&transaction);
                assert_eq!(admitted.is_ok(), valid, "{kind:?} {mode:?} {relation:?}: {admitted:?}");
            }
        }
    }
}

#[test]
fn a_retransmission_gets_its_first_answer_though_its_own_drain_pushes_its_id_out() {
    let mut engine = crate::shop::engine_knowing(10, 1, crate::shop::PLAN, crate::shop::POLICY);
    let asked = |engine: &Engine, ids: std::ops::Range<u32>| -> Vec<Asked> {
        ids.map(|id| ask(engine, &purchase(&id.to_string(), i64::from(id), 1, 100)))
            .collect()
    };
    let first = asked(&engine, 0..10);
    let first = drain(&mut engine, first);
    // The oldest id that is known, then as many new ones as are known at all.
    let mut again = asked(&engine, 0..1);
    again.extend(asked(&engine, 10..19));
    let again = drain(&mut engine, again);
    let (Answer::Decision(first), Answer::Decision(again)) = (&first[0], &again[0]) else {
        panic!("{again:?}")
    };
    assert_eq!(again.assessment, first.assessment);
    let receipt = again.receipt.unwrap();
    assert!(receipt.replayed && receipt.sequence == 1, "{receipt:?}");
}
