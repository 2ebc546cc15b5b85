//! Keys that are lent and folded alone, a block of inputs at a time, see what they see in turn, and leave the same state.

use proptest::prelude::*;

use super::super::*;
use crate::{
    features::FeatureSet,
    plan::Plan,
    transaction::{AmountMinor, Kind, MAX_ENTITIES, MAX_NUMBERS},
};

const FEATURES: usize = 5;

/// With what looks at each amount and what remembers for ever, which keep a key's events from being taken in runs, or without.
fn plan(remembers: bool) -> Plan {
    let of = r#""where":{"kinds":["purchase"]}"#;
    let window = r#""delay_us":0,"inclusive":false"#;
    let (largest, last) = match remembers {
        true => (
            "max",
            format!(r#"{{"name":"last","op":"since_last","entity":0,{of}}},"#),
        ),
        false => (
            "sum",
            format!(r#"{{"name":"last","op":"count","entity":0,"window_us":9,{window},{of}}},"#),
        ),
    };
    let json = format!(
        r#"{{"format":1,"name":"p","currency":"EUR","entities":["card","shop"],"numbers":[],"texts":[],
        "fraud":["third_party_fraud"],"lateness_us":20,"features":[
        {{"name":"mean","op":"mean","entity":0,"window_us":50,{window},{of}}},
        {{"name":"largest","op":"{largest}","entity":0,"window_us":300,{window},{of}}},
        {last}
        {{"name":"risk","op":"risk","entity":1,"window_us":60,"delay_us":0,{of}}},
        {{"name":"count","op":"count","entity":1,"window_us":40,{window},{of}}}]}}"#
    );
    Plan::parse(json.as_bytes()).unwrap()
}

/// A transaction or a label: key, how long after the one before it (seldom long), how late, amount or whether it is fraud.
#[derive(Clone, Debug)]
enum Input {
    Transaction(u8, i64, i64, Option<i64>),
    Label(u8, i64, bool),
}

fn inputs() -> impl Strategy<Value = Vec<Vec<Input>>> {
    let after = prop_oneof![20 => 0_i64..6, 1 => 100_i64..500];
    let late = prop_oneof![3 => Just(0_i64), 1 => 0_i64..40];
    let amount = prop_oneof![1 => Just(None), 6 => (0_i64..1_000).prop_map(Some)];
    let transaction = (0_u8..6, after, late, amount);
    let input = prop_oneof![
        8 => transaction.prop_map(|(key, after, late, amount)| Input::Transaction(key, after, late, amount)),
        1 => (0_u8..8, 0_i64..40, any::<bool>()).prop_map(|(key, back, fraud)| Input::Label(key, back, fraud)),
    ];
    prop::collection::vec(prop::collection::vec(input, 0..60), 1..12)
}

/// An input with its time.
#[expect(clippy::large_enum_variant, reason = "there are few")]
enum Timed {
    Transaction(Transaction),
    Label(Labelled),
}

fn entities(key: u8) -> [Option<KeyHash>; MAX_ENTITIES] {
    let mut entities = [None; MAX_ENTITIES];
    entities[0] = (key != 5).then_some(KeyHash(u128::from(key)));
    entities[1] = Some(KeyHash(u128::from(key % 3)));
    entities
}

fn timed(now: &mut i64, input: &Input) -> Timed {
    match *input {
        Input::Transaction(key, after, late, amount) => {
            *now += after;
            Timed::Transaction(Transaction {
                event_time: EventTime(*now - late),
                utc_offset_minutes: 0,
                kind: Kind::Purchase,
                amount: amount.map(AmountMinor),
                entities: entities(key),
                numbers: [f64::NAN; MAX_NUMBERS],
            })
        }
        Input::Label(key, back, fraud) => Timed::Label(Labelled {
            transaction: KeyHash(u128::from(key)),
            event_time: EventTime(*now - back),
            kind: Kind::Purchase,
            entities: entities(key),
            fraud: Some(fraud),
        }),
    }
}

/// What a transaction saw, as bits.
type Saw = ([u64; FEATURES], FeatureSet, FeatureSet, Lateness);

fn in_turn(history: &mut History, plan: &Plan, input: &Timed) -> Option<Saw> {
    match input {
        Timed::Transaction(t) => {
            let mut row = [f64::NAN; FEATURES];
            let seen = history.see(plan, t, &mut row);
            if !history.is_beyond(plan, t.event_time) {
                history.fold(plan, t);
            }
            let bits = row.map(f64::to_bits);
            Some((bits, seen.incomplete, seen.approximate, seen.lateness))
        }
        Timed::Label(label) => {
            history.label(plan, label);
            None
        }
    }
}

/// The same of a block, key by key.
fn lent(history: &mut History, plan: &Plan, block: &[Timed], in_runs: bool) -> Vec<Saw> {
    let (mut values, mut incomplete) = (Vec::new(), Vec::new());
    let missing = [f64::NAN.to_bits(); FEATURES];
    let none = (missing, FeatureSet::default(), FeatureSet::default(), Lateness::InOrder);
    let mut saw = vec![none; block.len()];
    let mut watermark = history.watermark();
    let watermarks: Vec<EventTime> = block
        .iter()
        .map(|input| {
            let before = watermark;
            if let Timed::Transaction(t) = input {
                watermark = watermark.max(t.event_time);
            }
            before
        })
        .collect();
    for (slot, layout) in plan.layouts.iter().enumerate() {
        let mut alone = Alone::new(plan, layout, history.complete_since());
        for key in (0..8).map(KeyHash) {
            let is_its = |input: &Timed| match input {
                Timed::Transaction(t) => t.entities[slot] == Some(key),
                Timed::Label(label) => label.entities[slot] == Some(key),
            };
            let events = block.iter().filter(|input| is_its(input)).count();
            if events == 0 {
                continue;
            }
            alone.borrow(history, slot, key, events);
            let its: Vec<usize> = (0..block.len()).filter(|&at| is_its(&block[at])).collect();
            let mut left = &its[..];
            while let Some(&at) = left.first() {
                let before = watermarks[at];
                let run = match in_runs {
                    true => left
                        .iter()
                        .map_while(|&at| in_order(&block[at], watermarks[at]))
                        .collect(),
                    false => Vec::new(),
                };
                let taken = alone.take_run(&run, &mut values, &mut incomplete);
                for (&at, seen) in left.iter().zip(values.chunks_exact(layout.features.len())).take(taken) {
                    for (feature, value) in layout.features.iter().zip(seen) {
                        saw[at].0[feature.feature] = value.to_bits();
                    }
                }
                for (&at, incomplete) in left.iter().zip(&incomplete) {
                    saw[at].1.unite(incomplete);
                }
                left = &left[taken..];
                if taken > 0 {
                    continue;
                }
                left = &left[1..];
                match &block[at] {
                    Timed::Transaction(t) => {
                        if t.event_time < before {
                            alone.reach(before);
                        }
                        let saw = &mut saw[at];
                        let mut row = saw.0.map(f64::from_bits);
                        let seen = alone.take(Event::from(t), &mut row);
                        saw.0 = row.map(f64::to_bits);
                        saw.1.unite(&seen.incomplete);
                        saw.2.unite(&seen.approximate);
                        if seen.lateness != Lateness::InOrder {
                            saw.3 = seen.lateness;
                        }
                    }
                    Timed::Label(label) => {
                        alone.reach(before);
                        alone.label(label);
                    }
                }
            }
            alone.give_back(history, slot, key);
        }
    }
    history.come_to(plan, watermark);
    let transactions = block.iter().zip(saw).zip(watermarks);
    transactions
        .filter_map(|((input, mut saw), before)| match input {
            Timed::Transaction(t) => {
                if t.event_time.0 < before.0.saturating_sub(plan.lateness_us) {
                    saw.3 = Lateness::Beyond;
                }
                Some(saw)
            }
            Timed::Label(_) => None,
        })
        .collect()
}

/// What a run may take: a transaction before which nothing was later.
fn in_order(input: &Timed, before: EventTime) -> Option<Event> {
    match input {
        Timed::Transaction(t) if t.event_time >= before => Some(Event::from(t)),
        Timed::Transaction(_) | Timed::Label(_) => None,
    }
}

fn canonical(plan: &Plan, history: &History) -> Vec<u8> {
    let mut bytes = Vec::new();
    history.write_canonical(plan, &mut |part| bytes.extend_from_slice(part));
    bytes
}

proptest! {
    #[test]
    fn lent_key_by_key_it_is_what_it_is_in_turn(
        blocks in inputs(),
        rows_a_key in prop_oneof![Just(6_usize), Just(1 << 16)],
        in_runs in any::<bool>(),
        remembers in any::<bool>(),
    ) {
        let plan = plan(remembers);
        let bounds = Bounds { rows_a_key, tiles_a_key: 4, ..Bounds::NONE };
        let mut one = History::new(&plan, EventTime(1_020), bounds);
        let mut other = one.clone();
        let mut now = 1_000;
        for block in &blocks {
            let block: Vec<Timed> = block.iter().map(|input| timed(&mut now, input)).collect();
            let expected: Vec<Saw> = block.iter().filter_map(|input| in_turn(&mut one, &plan, input)).collect();
            prop_assert!(other.lends());
            prop_assert_eq!(lent(&mut other, &plan, &block, in_runs), expected);
            prop_assert_eq!(canonical(&plan, &other), canonical(&plan, &one));
        }
    }
}
