//! What is left of a key that was erased: nothing, and no lie about it.

use crate::shop::{DAY_US, ask, drain, engine, erase, purchase};
use fraudgate_core::{
    road::{Answer, Asked, Engine},
    wire,
};
use proptest::prelude::*;

const HOUR_US: i64 = DAY_US / 24;

/// The assessment of a purchase, which is folded.
fn score(engine: &mut Engine, id: &str, at_us: i64, customer: u8) -> wire::Assessment {
    let asked = ask(engine, &purchase(id, at_us, customer, 700));
    match drain(engine, vec![asked]).remove(0) {
        Answer::Decision(decision) => decision.assessment.unwrap(),
        other => panic!("{other:?}"),
    }
}

fn erased(engine: &mut Engine, customer: u8) -> bool {
    let asked = erase(engine, customer);
    match drain(engine, vec![asked]).remove(0) {
        Answer::Erased(erased) => erased.held,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_erased_key_reads_as_unknown_until_no_window_reaches_back_and_then_as_a_new_one() {
    let mut engine = engine(1);
    for hour in 0..72 {
        score(&mut engine, &format!("a{hour}"), hour * HOUR_US, 1);
    }
    assert!(erased(&mut engine, 1));
    assert!(!erased(&mut engine, 1), "nothing is held of it any more");
    // The watermark was at 71 hours; the customer's windows are a day long.
    let next = score(&mut engine, "next", 72 * HOUR_US, 1);
    assert_eq!(next.incomplete_features, ["count", "most"]);
    // Another customer is not touched.
    let other = score(&mut engine, "other", 72 * HOUR_US, 2);
    assert!(other.incomplete_features.is_empty());
    let later = score(&mut engine, "later", 95 * HOUR_US, 1);
    assert!(later.incomplete_features.is_empty());
}

#[test]
fn an_id_of_an_erased_key_still_gets_its_first_answer() {
    let mut engine = engine(1);
    let first = score(&mut engine, "a", 0, 1);
    erased(&mut engine, 1);
    let digest = engine.digest();
    assert_eq!(score(&mut engine, "a", 0, 1), first);
    assert_eq!(engine.digest(), digest);
}

#[test]
fn whom_nobody_can_be_is_refused_by_field_and_changes_nothing() {
    let engine = engine(1);
    let entity = |name: &str, value: &str| {
        Some(wire::EntityKey {
            name: name.to_owned(),
            value: value.to_owned(),
        })
    };
    for (program, entity, field) in [
        ("shops", entity("customer", "1"), "program"),
        ("shop", None, "entity"),
        ("shop", entity("card", "1"), "entity.name"),
        ("shop", entity("customer", ""), "entity.value"),
        ("shop", entity("customer", &"4".repeat(129)), "entity.value"),
    ] {
        let sent = wire::EraseRequest {
            program: program.to_owned(),
            entity,
        };
        let refusal = format!("{:?}", engine.admit_erasure(&sent).unwrap_err());
        assert!(refusal.contains(&format!("{field:?}")), "{refusal}");
        assert!(!refusal.contains("444"), "{refusal}");
    }
}

proptest! {
    /// The state after an erasure is that of who never named the key, but for ids, and for that it was erased.
    #[test]
    fn an_erasure_leaves_others_as_if_the_key_had_never_been_named(
        steps in prop::collection::vec((0..4_u8, 0..60_i64, 0..3_000_i64), 1..120),
        whom in 0..4_u8,
        after in prop::collection::vec((0..4_u8, 60..200_i64), 1..20),
    ) {
        let (mut named, mut unnamed) = (engine(1), engine(1));
        for (number, &(customer, hour, amount)) in steps.iter().enumerate() {
            let transaction = purchase(&number.to_string(), hour * HOUR_US, customer, amount);
            let mut without = transaction.clone();
            if customer == whom {
                without.entities.retain(|entity| entity.name != "customer");
            }
            for (engine, sent) in [(&mut named, &transaction), (&mut unnamed, &without)] {
                let asked = ask(engine, sent);
                prop_assert!(matches!(asked, Asked::Transaction(_)));
                drain(engine, vec![asked]);
            }
        }
        let was_named = steps.iter().any(|&(customer, ..)| customer == whom);
        let held = erased(&mut named, whom);
        prop_assert!(was_named || !held);
        prop_assert!(!erased(&mut unnamed, whom));
        for (number, &(customer, hour)) in after.iter().enumerate() {
            let id = format!("after {number}");
            let told = score(&mut named, &id, hour * HOUR_US, customer);
            prop_assert_eq!(told, score(&mut unnamed, &id, hour * HOUR_US, customer));
        }
    }
}
