//! What is swept while inputs go on is the state at the cut, and comes back as it was.

use proptest::prelude::*;

use super::{
    super::{Bounds, History},
    *,
};
use crate::{
    plan::Plan,
    transaction::{AmountMinor, Kind, Labelled, MAX_ENTITIES, MAX_NUMBERS, Transaction},
};

fn plan() -> Plan {
    let of = r#""where":{"kinds":["purchase"]}"#;
    let window = r#""delay_us":0,"inclusive":false"#;
    let json = format!(
        r#"{{"format":1,"name":"p","currency":"EUR","entities":["card","shop"],"numbers":[],"texts":[],
        "fraud":["third_party_fraud"],"lateness_us":20,"features":[
        {{"name":"mean","op":"mean","entity":0,"window_us":50,{window},{of}}},
        {{"name":"largest","op":"max","entity":0,"window_us":300,{window},{of}}},
        {{"name":"last","op":"since_last","entity":0,{of}}},
        {{"name":"risk","op":"risk","entity":1,"window_us":60,"delay_us":0,{of}}}]}}"#
    );
    Plan::parse(json.as_bytes()).unwrap()
}

/// One step: fold or label (key, time back from the newest), erase a key, or sweep so many bytes.
#[derive(Clone, Debug)]
enum Step {
    Fold(u8, i64, i64),
    Label(u8, i64, bool),
    Erase(u8),
    Sweep(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        12 => (0_u8..12, 0_i64..30, 0_i64..1_000).prop_map(|(key, back, amount)| Step::Fold(key, back, amount)),
        3 => (0_u8..12, 0_i64..30, any::<bool>()).prop_map(|(key, back, fraud)| Step::Label(key, back, fraud)),
        1 => (0_u8..12).prop_map(Step::Erase),
        3 => (0_usize..3_000).prop_map(Step::Sweep),
    ];
    prop::collection::vec(step, 1..400)
}

fn canonical(plan: &Plan, history: &History) -> Vec<u8> {
    let mut bytes = Vec::new();
    history.write_canonical(plan, &mut |part| bytes.extend_from_slice(part));
    bytes
}

fn play(history: &mut History, plan: &Plan, step: &Step, number: usize) {
    let now = 1_000 + 3 * number as i64;
    let entities = |key: u8| {
        let mut entities = [None; MAX_ENTITIES];
        entities[0] = Some(KeyHash(u128::from(key)));
        entities[1] = Some(KeyHash(u128::from(key % 5)));
        entities
    };
    match *step {
        Step::Fold(key, back, amount) => history.fold(
            plan,
            &Transaction {
                event_time: EventTime(now - back.min(20)),
                utc_offset_minutes: 0,
                kind: Kind::Purchase,
                amount: Some(AmountMinor(amount)),
                entities: entities(key),
                numbers: [f64::NAN; MAX_NUMBERS],
            },
        ),
        Step::Label(key, back, fraud) => history.label(
            plan,
            &Labelled {
                transaction: KeyHash(u128::from(key)),
                event_time: EventTime(now - back),
                kind: Kind::Purchase,
                entities: entities(key),
                fraud: Some(fraud),
            },
        ),
        Step::Erase(key) => {
            history.erase(plan, usize::from(key % 2), KeyHash(u128::from(key / 2)));
        }
        Step::Sweep(bytes) => {
            history.sweep(plan, bytes);
        }
    }
}

proptest! {
    #[test]
    fn what_is_swept_while_inputs_go_on_is_the_state_at_the_cut(steps in steps(), cut in any::<prop::sample::Index>()) {
        let plan = plan();
        let mut history = History::new(&plan, EventTime(7), Bounds::NONE);
        let cut = cut.index(steps.len());
        for (number, step) in steps[..cut].iter().enumerate() {
            play(&mut history, &plan, step, number);
        }
        let expected = canonical(&plan, &history);
        let mut head = Vec::new();
        history.cut(&plan, |slot| vec![slot as u8], &mut head);
        for (number, step) in steps.iter().enumerate().skip(cut) {
            play(&mut history, &plan, step, number);
        }
        while history.sweep(&plan, 1_000) == 0 {}
        let mut loaded = History::new(&plan, EventTime(i64::MIN), Bounds::NONE);
        let mut keys = loaded.restore(&plan, &mut &head[..]).unwrap();
        while let Some(piece) = history.take_piece() {
            let (slot, bytes) = piece.bytes[crate::journal::chunk::HEADER..].split_first().unwrap();
            let count = loaded.read_keys(&plan, usize::from(*slot), bytes).unwrap();
            prop_assert_eq!(count, u64::from(piece.count));
            keys[usize::from(*slot)] -= count;
        }
        prop_assert!(keys.iter().all(|&left| left == 0));
        prop_assert!(canonical(&plan, &loaded) == expected);
        // And it goes on as the one it was taken of.
        history.end_sweep(&mut Buffers::default());
        let after = canonical(&plan, &history);
        for (number, step) in steps.iter().enumerate().skip(cut) {
            play(&mut loaded, &plan, step, number);
        }
        prop_assert!(canonical(&plan, &loaded) == after);
    }
}

#[test]
fn a_key_that_was_read_back_is_seen_as_before() {
    let plan = plan();
    let mut history = History::new(&plan, EventTime(i64::MIN), Bounds::NONE);
    for number in 0..400 {
        play(
            &mut history,
            &plan,
            &Step::Fold(1, 0, 997 * number % 1_009),
            number as usize / 7,
        );
    }
    let mut head = Vec::new();
    history.cut(&plan, |_| vec![0], &mut head);
    while history.sweep(&plan, 100) == 0 {}
    let mut loaded = History::new(&plan, EventTime(i64::MIN), Bounds::NONE);
    loaded.restore(&plan, &mut &head[..]).unwrap();
    for slot in 0..2 {
        let piece = history.take_piece().unwrap();
        let bytes = &piece.bytes[crate::journal::chunk::HEADER + 1..];
        assert_eq!(loaded.read_keys(&plan, slot, bytes), Ok(1));
        assert_eq!(
            loaded.read_keys(&plan, slot, bytes),
            Err(Unreadable),
            "a key came twice"
        );
    }
    let next = Transaction {
        event_time: EventTime(1_171),
        utc_offset_minutes: 0,
        kind: Kind::Purchase,
        amount: Some(AmountMinor(5)),
        entities: [Some(KeyHash(1)); MAX_ENTITIES],
        numbers: [f64::NAN; MAX_NUMBERS],
    };
    let mut rows = [[0.0_f64; 4]; 2];
    for (history, row) in [&mut history, &mut loaded].into_iter().zip(&mut rows) {
        history.see(&plan, &next, row);
    }
    assert_eq!(rows[0].map(f64::to_bits), rows[1].map(f64::to_bits));
}
