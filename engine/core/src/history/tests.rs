//! What a transaction sees of a history says so: late or beyond, missing or incomplete.

use super::*;
use crate::{
    features::FeatureSet,
    transaction::{AmountMinor, Kind, MAX_ENTITIES, MAX_NUMBERS},
};

const LATENESS: i64 = 100;

fn plan() -> Plan {
    let window = r#""window_us":50,"delay_us":0,"inclusive":false,"where":{"kinds":["purchase"]}"#;
    let json = format!(
        r#"{{"format":1,"name":"p","currency":"EUR","entities":["card","shop","idle"],"numbers":[],"texts":[],
        "fraud":["third_party_fraud"],"lateness_us":{LATENESS},"features":[{{"name":"amount","op":"amount"}},
        {{"name":"card","op":"count","entity":0,{window}}},{{"name":"shop","op":"mean","entity":1,{window}}}]}}"#
    );
    Plan::parse(json.as_bytes()).unwrap()
}

fn at(time: i64, kind: Kind, keys: [Option<u128>; 3]) -> Transaction {
    let mut entities = [None; MAX_ENTITIES];
    for (entity, key) in entities.iter_mut().zip(keys) {
        *entity = key.map(KeyHash);
    }
    let amount = Some(AmountMinor(150));
    let event_time = EventTime(time);
    Transaction {
        event_time,
        utc_offset_minutes: 0,
        kind,
        amount,
        entities,
        numbers: [f64::NAN; MAX_NUMBERS],
    }
}

fn see(history: &mut History, t: &Transaction) -> (Seen, [f64; 3]) {
    let mut row = [0.0; 3];
    (history.see(&plan(), t, &mut row), row)
}

fn set(features: &[usize]) -> FeatureSet {
    let mut set = FeatureSet::default();
    features.iter().for_each(|&feature| set.insert(feature));
    set
}

#[test]
fn late_means_that_a_history_holds_something_later() {
    let mut history = History::new(&plan(), EventTime(i64::MIN), Bounds::NONE);
    history.fold(&plan(), &at(1_000, Kind::Purchase, [Some(1), Some(2), Some(3)]));
    // Time, kind, keys; what it is.
    let cases = [
        (1_000, [Some(1), Some(2), None], Lateness::InOrder),
        (999, [Some(1), Some(9), None], Lateness::Late),
        (999, [Some(9), Some(2), None], Lateness::Late),
        (999, [Some(9), Some(9), None], Lateness::InOrder),
        // An entity that no feature reads has no history.
        (999, [None, None, Some(3)], Lateness::InOrder),
        (1_000 - LATENESS, [Some(9), None, None], Lateness::InOrder),
        (999 - LATENESS, [Some(9), None, None], Lateness::Beyond),
    ];
    for (time, keys, lateness) in cases {
        let t = at(time, Kind::Purchase, keys);
        assert_eq!(see(&mut history, &t).0.lateness, lateness, "{time} {keys:?}");
        assert_eq!(history.is_beyond(&plan(), t.event_time), lateness == Lateness::Beyond);
    }
}

#[test]
fn kinds_that_no_feature_counts_move_the_watermark_and_nothing_else() {
    let mut history = History::new(&plan(), EventTime(i64::MIN), Bounds::NONE);
    history.fold(&plan(), &at(1_000, Kind::Refund, [Some(1), Some(2), None]));
    let (seen, row) = see(&mut history, &at(950, Kind::Purchase, [Some(1), Some(2), None]));
    assert_eq!((seen.lateness, row[1]), (Lateness::InOrder, 0.0));
    assert!(history.is_beyond(&plan(), EventTime(899)));
}

#[test]
fn what_has_no_value_says_whether_it_is_missing_or_incomplete() {
    let mut history = History::new(&plan(), EventTime(500), Bounds::NONE);
    // Time, keys; missing, incomplete.
    let cases = [
        (600, [Some(1), None, None], set(&[2]), set(&[])),
        (600, [None, None, None], set(&[1, 2]), set(&[])),
        (550, [Some(1), Some(2), None], set(&[2]), set(&[])),
        (549, [Some(1), Some(2), None], set(&[]), set(&[1, 2])),
        (549, [Some(1), None, None], set(&[2]), set(&[1])),
    ];
    for (time, keys, missing, incomplete) in cases {
        let (seen, row) = see(&mut history, &at(time, Kind::Purchase, keys));
        assert_eq!(
            (seen.missing, seen.incomplete),
            (missing, incomplete),
            "{time} {keys:?}"
        );
        assert!(
            missing
                .iter()
                .chain(incomplete.iter())
                .all(|feature| row[feature].is_nan())
        );
    }
}

#[test]
fn what_comes_too_late_has_its_own_fields_only() {
    let mut history = History::new(&plan(), EventTime(i64::MIN), Bounds::NONE);
    history.fold(&plan(), &at(1_000, Kind::Purchase, [Some(1), Some(2), None]));
    let (seen, row) = see(&mut history, &at(10, Kind::Purchase, [Some(1), Some(2), None]));
    assert_eq!(row[0], 1.5);
    assert_eq!((seen.missing, seen.incomplete), (set(&[1, 2]), set(&[])));
}

#[test]
fn announcing_changes_nothing() {
    let mut told = History::new(&plan(), EventTime(i64::MIN), Bounds::NONE);
    let mut untold = told.clone();
    for place in 0..200 {
        let key = Some(u128::from(place % 7_u64));
        let t = at(place as i64, Kind::Purchase, [key, key, None]);
        told.announce(
            &plan(),
            [t.clone(), at(0, Kind::Purchase, [Some(99), None, None])].iter(),
        );
        let (seen, row) = see(&mut told, &t);
        let (seen_untold, row_untold) = see(&mut untold, &t);
        assert_eq!(seen, seen_untold);
        assert_eq!(row.map(f64::to_bits), row_untold.map(f64::to_bits));
        told.fold(&plan(), &t);
        untold.fold(&plan(), &t);
    }
}
