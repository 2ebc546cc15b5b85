//! What a run sees, and the state that it leaves, are those of its events one after the other.

use proptest::prelude::*;

use super::*;
use crate::transaction::{AmountMinor, Kind, MAX_ENTITIES};

/// A plan that counts and sums, one that looks at each amount, and one that remembers for ever, in buckets of three hours;
/// with the unit of its times.
fn plan(which: usize) -> (Plan, i64) {
    let unit = [1, 1, 1_000_000_000][which];
    let of = |kinds: &str| format!(r#""entity":0,"where":{{"kinds":[{kinds}]}}"#);
    let (purchase, both) = (of(r#""purchase""#), of(r#""purchase","withdrawal""#));
    let window = |length: i64, delay: i64| format!(r#""window_us":{},"delay_us":{}"#, length * unit, delay * unit);
    let (short, long, delayed) = (window(10, 0), window(800, 0), window(40, 20));
    let features = match which {
        0 => format!(
            r#"{{"name":"count","op":"count",{short},"inclusive":false,{both}}},
            {{"name":"purchases","op":"count",{long},"inclusive":true,{purchase}}},
            {{"name":"sum","op":"sum",{delayed},"inclusive":false,{purchase}}},
            {{"name":"mean","op":"mean",{long},"inclusive":true,{both}}},
            {{"name":"risk","op":"risk",{delayed},{both}}}"#
        ),
        1 => format!(
            r#"{{"name":"least","op":"min",{long},"inclusive":true,{both}}},
            {{"name":"most","op":"max",{long},"inclusive":false,{both}}},
            {{"name":"mean","op":"mean",{short},"inclusive":true,{both}}}"#
        ),
        _ => format!(
            r#"{{"name":"last","op":"since_last",{both}}},
            {{"name":"first","op":"since_first",{purchase}}},
            {{"name":"count","op":"count",{delayed},"inclusive":false,{both}}}"#
        ),
    };
    let json = format!(
        r#"{{"format":1,"name":"p","currency":"EUR","entities":["card"],"numbers":[],"texts":[],
        "fraud":["third_party_fraud"],"lateness_us":20,"features":[{features}]}}"#
    );
    (Plan::parse(json.as_bytes()).unwrap(), unit)
}

/// Events, and a label between some: how long after the last, of what kind, with what amount.
#[derive(Clone, Debug)]
enum Step {
    Event(i64, Kind, Option<i64>),
    Label(u8, i64, Option<bool>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let kind = prop_oneof![4 => Just(Kind::Purchase), 1 => Just(Kind::Withdrawal), 1 => Just(Kind::Refund)];
    let after = prop_oneof![100 => 0_i64..10, 4 => 10_i64..40, 1 => 40_i64..2_000];
    let step = prop_oneof![
        12 => (after, kind, prop::option::weighted(0.9, 0_i64..10_000)).prop_map(|(after, kind, amount)| Step::Event(after, kind, amount)),
        1 => (0_u8..6, 0_i64..50, prop::option::of(any::<bool>())).prop_map(|(id, back, fraud)| Step::Label(id, back, fraud)),
    ];
    prop::collection::vec(step, 1..600)
}

fn label(id: u8, event_time: EventTime, fraud: Option<bool>) -> Labelled {
    Labelled {
        transaction: KeyHash(u128::from(id)),
        event_time,
        kind: Kind::Purchase,
        entities: [None; MAX_ENTITIES],
        fraud,
    }
}

fn canonical(alone: &Alone) -> Vec<u8> {
    let mut bytes = Vec::new();
    let write = &mut |part: &[u8]| bytes.extend_from_slice(part);
    alone.entity.write_canonical(alone.layout, write);
    bytes
}

proptest! {
    #[test]
    fn a_run_sees_and_leaves_what_its_events_do(
        steps in steps(),
        which in 0_usize..3,
        since in prop_oneof![Just(None), Just(Some(1_030))],
        rows_a_key in prop_oneof![Just(1_usize << 16), Just(12)],
        most in 1_usize..100,
    ) {
        let (plan, unit) = plan(which);
        let at = |time: i64| EventTime(time * unit);
        let layout = &plan.layouts[0];
        let [mut one, mut run] = [(); 2].map(|()| {
            let mut alone = Alone::new(&plan, layout, since.map_or(EventTime(i64::MIN), at));
            alone.entity.bounds = Bounds { rows_a_key, tiles_a_key: 3, ..Bounds::NONE };
            // No room: rings grow as they are filled.
            alone.begin(0);
            alone
        });
        let (mut values, mut incomplete, mut row) = (Vec::new(), Vec::new(), vec![0.0; plan.features.len()]);
        let (mut now, mut events) = (1_000, Vec::new());
        let mut take = |run: &mut Alone, one: &mut Alone, events: &mut Vec<Event>| {
            let mut left = &events[..];
            while !left.is_empty() {
                let taken = run.take_run(&left[..left.len().min(most)], &mut values, &mut incomplete);
                for (at, &event) in left[..taken].iter().enumerate() {
                    let seen = one.take(event, &mut row);
                    let found = &values[at * layout.features.len()..][..layout.features.len()];
                    let expected = layout.features.iter().map(|feature| row[feature.feature].to_bits());
                    prop_assert!(found.iter().map(|value| value.to_bits()).eq(expected), "{found:?} for {row:?}");
                    prop_assert_eq!(incomplete.get(at).copied().unwrap_or_default(), seen.incomplete);
                    prop_assert!(seen.approximate.is_empty() && seen.lateness == Lateness::InOrder);
                }
                if taken == 0 {
                    one.take(left[0], &mut row);
                    run.take(left[0], &mut row);
                }
                left = &left[taken.max(1)..];
            }
            events.clear();
            prop_assert_eq!(canonical(one), canonical(run));
            Ok(())
        };
        for step in &steps {
            match *step {
                Step::Event(after, kind, amount) => {
                    now += after;
                    events.push(Event { event_time: at(now), kind, amount: amount.map(AmountMinor) });
                }
                Step::Label(id, back, fraud) => {
                    take(&mut run, &mut one, &mut events)?;
                    for alone in [&mut one, &mut run] {
                        alone.reach(at(now));
                        alone.label(&label(id, at(now - back), fraud));
                    }
                }
            }
        }
        take(&mut run, &mut one, &mut events)?;
    }
}
