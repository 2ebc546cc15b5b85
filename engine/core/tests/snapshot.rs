//! A snapshot and what came after its cut make the state of the straight run, however it was swept meanwhile.

use crate::shop::{DAY_US, Made, Read, Written, ask, drain, engine, erase, fold, purchase, subject};
use fraudgate_core::{
    journal::chunk,
    origin::Origin,
    replay::Replay,
    road::{Asked, Engine},
    snapshot::{Load, Loaded, Piece, Unloadable, end},
    wire,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Purchase(u16, i64, u8, i64, bool),
    Label(u16, i64, u8, bool),
    Erase(u8),
    Sweep(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let hours = || (0..80_i64).prop_map(|hour| hour * DAY_US / 24);
    let step = prop_oneof![
        8 => (0..90_u16, hours(), 0..6_u8, 0..5_000_i64, any::<bool>())
            .prop_map(|(id, at, customer, amount, fold)| Step::Purchase(id, at, customer, amount, fold)),
        2 => (0..60_u16, hours(), 0..6_u8, any::<bool>())
            .prop_map(|(id, at, customer, withdrawn)| Step::Label(id, at, customer, withdrawn)),
        1 => (0..6_u8).prop_map(Step::Erase),
        3 => (0..4_000_usize).prop_map(Step::Sweep),
    ];
    prop::collection::vec(step, 1..160)
}

fn play(engine: &mut Engine, step: &Step) {
    let asked = match *step {
        Step::Purchase(id, at, customer, amount, fold) => {
            let mut transaction = purchase(&id.to_string(), at, customer, amount);
            transaction.mode = if fold { wire::Mode::Fold } else { wire::Mode::Score } as i32;
            let mut asked = ask(engine, &transaction);
            if let Asked::Transaction(admitted) = &mut asked {
                let origin = Origin {
                    topic: "payments",
                    partition: u32::from(id % 3),
                    offset: engine.sequence(),
                    id: &transaction.id,
                };
                admitted.position = (amount % 2 == 0).then(|| origin.write());
            }
            asked
        }
        Step::Label(id, at, customer, withdrawn) => {
            let statuses = [wire::LabelStatus::Asserted, wire::LabelStatus::Withdrawn];
            let label = wire::Label {
                program: "shop".to_owned(),
                subject: Some(subject(&id.to_string(), at, customer)),
                class: wire::LabelClass::ThirdPartyFraud as i32,
                status: statuses[usize::from(withdrawn)] as i32,
                source: wire::LabelSource::Chargeback as i32,
            };
            engine
                .admit_label(&label)
                .map_or_else(Asked::Refused, |label| Asked::Label(Box::new(label)))
        }
        Step::Erase(customer) => erase(engine, customer),
        Step::Sweep(bytes) => {
            engine.sweep(bytes);
            return;
        }
    };
    drain(engine, vec![asked]);
}

fn take(engine: &mut Engine, pieces: &mut Vec<Piece>) {
    pieces.extend(std::iter::from_fn(|| engine.take_piece()));
}

fn load(engine: &mut Engine, pieces: &[Piece]) -> Result<Loaded, Unloadable> {
    let mut load = Load::new(engine);
    for piece in pieces {
        load.piece(&piece.bytes[chunk::HEADER..])?;
    }
    load.finish()
}

/// A policy that approves all blind within a cap, so that a cap's exposure is state too.
const BLIND: &str = r#"{"format":1,"mode":"decide","challenge":50,"decline":80,"card_number_in_key":"hash",
    "default":{"verdict":"approve","segments":[],"cap_minor":60000,"window_us":86400000000,"beyond_cap":"challenge"}}"#;

fn made(scores: bool) -> Engine {
    let made = Made {
        scores,
        policy: if scores { crate::shop::POLICY } else { BLIND },
        ..Made::default()
    };
    made.engine()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if std::env::var_os("FRAUDGATE_PROVE").is_some() { 4_000 } else { 200 }))]

    #[test]
    fn a_snapshot_and_what_came_after_it_make_the_straight_runs_state(
        steps in steps(), cut in any::<prop::sample::Index>(), scores in any::<bool>(),
    ) {
        let mut straight = made(scores);
        let journal = Written::begin(&straight, 1, 1, None);
        straight.journal_to(Box::new(journal.clone()));
        let cut = cut.index(steps.len());
        steps[..cut].iter().for_each(|step| play(&mut straight, step));
        let (at_cut, sequence) = (straight.digest(), straight.sequence());
        let mut pieces = vec![straight.cut()];
        for step in &steps[cut..] {
            play(&mut straight, step);
            take(&mut straight, &mut pieces);
        }
        while !straight.sweep(700) {}
        take(&mut straight, &mut pieces);
        straight.end_sweep();
        pieces.push(end());
        let mut again = made(scores);
        prop_assert_eq!(load(&mut again, &pieces), Ok(Loaded { sequence, programs: vec![true] }));
        prop_assert_eq!(again.digest(), at_cut, "it is the state at the cut");
        let mut replay = Replay::behind(&mut again, &Loaded { sequence, programs: vec![true] });
        prop_assert!(matches!(fold(&mut replay, journal.bytes(), None), Read::Tail(_)));
        prop_assert_eq!(replay.inputs, straight.sequence() - sequence);
        replay.finish(2);
        prop_assert_eq!(again.digest(), straight.digest(), "with the tail it is the state at the end");
    }
}

#[test]
fn a_snapshot_that_misses_a_piece_or_has_one_twice_changes_nothing() {
    let mut straight = engine(1);
    for id in 0..400 {
        play(
            &mut straight,
            &Step::Purchase(id, i64::from(id) * 1_000, id as u8, 100, false),
        );
    }
    let mut pieces = Vec::new();
    straight
        .write_snapshot(|piece| {
            pieces.push(piece);
            Ok::<(), ()>(())
        })
        .unwrap();
    pieces.push(end());
    assert!(pieces.len() >= 4, "{} pieces", pieces.len());
    let untouched = engine(1).digest();
    for place in 0..pieces.len() {
        let mut less = pieces.clone();
        less.remove(place);
        let mut twice = pieces.clone();
        twice.insert(place, pieces[place].clone());
        for pieces in [less, twice] {
            let mut again = engine(1);
            assert!(load(&mut again, &pieces).is_err(), "piece {place}");
            assert_eq!(again.digest(), untouched);
        }
    }
    let mut again = engine(1);
    assert!(load(&mut again, &pieces).is_ok());
    assert_eq!(again.digest(), straight.digest());
}
