//! What was journaled makes the same state again, and damage to it never passes for something else.

mod damage;

use crate::shop::{
    DAY_US, Read, Written, ask, bytes, drain, engine, engine_knowing, engine_with, erase, fold, purchase, subject,
};
use fraudgate_core::{
    journal::{
        chunk,
        reader::{Next, Reader},
        record::{Record, Records},
        rewritten::without,
    },
    origin::Origin,
    replay::Replay,
    road::{Answer, Asked, Engine},
    wire,
};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Purchase(u16, i64, u8, i64, bool),
    Label(u16, i64, u8, bool),
    Outcome(u16, i64, u8),
    Erase(u8),
}

fn steps(most: usize) -> impl Strategy<Value = Vec<Step>> {
    let hours = || (0..80_i64).prop_map(|hour| hour * DAY_US / 24);
    let step = prop_oneof![
        6 => (0..60_u16, hours(), 0..4_u8, 0..5_000_i64, any::<bool>())
            .prop_map(|(id, at, customer, amount, fold)| Step::Purchase(id, at, customer, amount, fold)),
        2 => (0..60_u16, hours(), 0..4_u8, any::<bool>())
            .prop_map(|(id, at, customer, withdrawn)| Step::Label(id, at, customer, withdrawn)),
        1 => (0..60_u16, hours(), 0..4_u8).prop_map(|(id, at, customer)| Step::Outcome(id, at, customer)),
        1 => (0..4_u8).prop_map(Step::Erase),
    ];
    prop::collection::vec(step, 1..most)
}

fn asked(engine: &Engine, step: &Step) -> Asked {
    match *step {
        Step::Purchase(id, at, customer, amount, fold) => {
            let mut transaction = purchase(&id.to_string(), at, customer, amount);
            transaction.mode = if fold { wire::Mode::Fold } else { wire::Mode::Score } as i32;
            if amount % 3 == 0 {
                let text = "4111 1111 1111 1111".to_owned();
                transaction.attributes.push(wire::Attribute {
                    name: "note".to_owned(),
                    value: Some(wire::attribute::Value::Text(text)),
                });
            }
            match ask(engine, &transaction) {
                Asked::Transaction(mut admitted) => {
                    let origin = Origin {
                        topic: "payments",
                        partition: u32::from(id % 3),
                        offset: amount as u64,
                        id: "t",
                    };
                    admitted.position = (amount % 2 == 0).then(|| origin.write());
                    // Repeated or refused, it is journaled too.
                    admitted.unanswered = (amount % 4 == 0).then(|| amount.to_string().into());
                    Asked::Transaction(admitted)
                }
                other => other,
            }
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
        Step::Outcome(id, at, customer) => {
            let outcome = wire::Outcome {
                program: "shop".to_owned(),
                subject: Some(subject(&id.to_string(), at, customer)),
                fate: wire::Fate::PartiallyApproved as i32,
                decider: wire::Decider::Issuer as i32,
                amount_minor: Some(5),
                currency: "EUR".to_owned(),
                ..wire::Outcome::default()
            };
            engine
                .admit_outcome(&outcome)
                .map_or_else(Asked::Refused, |outcome| Asked::Outcome(Box::new(outcome)))
        }
    }
}

/// Hands steps to an engine in drains of the given sizes.
fn run(engine: &mut Engine, mut steps: &[Step], sizes: &[usize]) -> Vec<Answer> {
    let mut answers = Vec::new();
    for &size in sizes.iter().cycle() {
        if steps.is_empty() {
            break;
        }
        let (now, later) = steps.split_at(size.min(steps.len()));
        let asked = now.iter().map(|step| asked(engine, step)).collect();
        answers.extend(drain(engine, asked));
        steps = later;
    }
    answers
}

/// About 100 inputs.
fn life_steps() -> Vec<Step> {
    (0..100_i64)
        .map(|i| match i % 7 {
            5 => Step::Label(i as u16 - 1, (i - 1) * 1_000_000, i as u8 % 4, false),
            _ => Step::Purchase(i as u16, i * 1_000_000, i as u8 % 4, i * 10, i % 11 == 0),
        })
        .collect()
}

/// Those, some in drains of their own.
fn life() -> (Vec<Vec<Asked>>, Engine) {
    let (engine, steps) = (engine(1), life_steps());
    let mut drains = Vec::new();
    let mut rest = &steps[..];
    for size in [1, 4, 2, 3].into_iter().cycle().take(40) {
        let (now, later) = rest.split_at(size);
        drains.push(now.iter().map(|step| asked(&engine, step)).collect());
        rest = later;
    }
    assert!(rest.is_empty());
    (drains, engine)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_journal_makes_the_same_state_and_the_same_answers_again(
        lives in prop::collection::vec(steps(60), 1..4),
        after in steps(30),
        sizes in prop::collection::vec(1..9_usize, 8),
    ) {
        let mut first = engine(1);
        let mut segments: Vec<Written> = Vec::new();
        for (life, steps) in lives.iter().enumerate() {
            // Each life begins with what the one before left on disk.
            let epoch = life as u64 + 1;
            let mut next = engine(epoch);
            if life > 0 {
                let mut replay = Replay::new(&mut next);
                for (i, segment) in segments.iter().enumerate() {
                    let end = segments.get(i + 1).map(|_| segment.end());
                    let read = fold(&mut replay, segment.bytes(), end);
                    prop_assert!(matches!(read, Read::Tail(tail) if tail.end == segment.end() && tail.torn == 0));
                }
                prop_assert_eq!(replay.finish(epoch), Vec::<String>::new());
                prop_assert_eq!(next.digest(), first.digest());
            }
            first = next;
            let written = Written::begin(&first, epoch, epoch, segments.last().map(Written::end));
            first.journal_to(Box::new(written.clone()));
            segments.push(written);
            run(&mut first, steps, &sizes);
        }
        let mut second = engine(1);
        let mut replay = Replay::new(&mut second);
        for segment in &segments {
            fold(&mut replay, segment.bytes(), None);
        }
        // The same life goes on: only then are receipts equal too.
        replay.finish(lives.len() as u64);
        prop_assert_eq!(first.digest(), second.digest());
        let journal = Written::begin(&second, 9, 9, None);
        second.journal_to(Box::new(journal));
        let answers = |engine: &mut Engine| -> Vec<Vec<u8>> { run(engine, &after, &sizes).iter().map(bytes).collect() };
        prop_assert_eq!(answers(&mut first), answers(&mut second));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn records_drafted_anew_are_the_bytes_that_were_written_but_for_the_keys_that_go(
        steps in steps(60),
        sizes in prop::collection::vec(1..9_usize, 8),
    ) {
        let mut engine = engine(1);
        let written = Written::begin(&engine, 1, 1, None);
        engine.journal_to(Box::new(written.clone()));
        run(&mut engine, &steps, &sizes);
        let (mut bytes, mut again) = (written.bytes(), engine_with(1, crate::shop::PLAN, crate::shop::POLICY));
        let mut reader = Reader::new(&mut bytes, &crate::shop::KEY, None).unwrap();
        let mut replay = Replay::new(&mut again);
        replay.segment(1, 1).unwrap();
        while let Next::Chunk(chunk) = reader.advance().unwrap() {
            let records = || Records::new(chunk.body).unwrap();
            let (same, went) = without(records(), chunk.first, |_, _, _, _| false);
            prop_assert_eq!((&same.bytes[chunk::HEADER..], same.count, went), (chunk.body, chunk.count, 0));
            let (none, _) = without(records(), chunk.first, |_, _, slot, _| slot == 0);
            prop_assert_eq!(none.count, chunk.count);
            for record in Records::new(&none.bytes[chunk::HEADER..]).unwrap() {
                let record = record.unwrap();
                if let Record::Transaction(admitted, _) = &record {
                    prop_assert_eq!(admitted.transaction.entities[0], None);
                }
                replay.record(&record).unwrap();
            }
        }
        replay.finish(1);
        prop_assert_eq!(again.sequence(), engine.sequence());
    }
}

#[test]
fn what_the_journal_does_not_take_is_read_and_leaves_no_trace() {
    let (mut full, mut free) = (engine(1), engine(1));
    for engine in [&mut full, &mut free] {
        let asked = (0..5)
            .map(|i| ask(engine, &purchase(&i.to_string(), i, 1, 100)))
            .collect();
        drain(engine, asked);
    }
    let journal = Written::begin(&full, 1, 1, None);
    full.journal_to(Box::new(journal.clone()));
    journal.take(false);
    let before = (full.digest(), journal.bytes());
    let next = purchase("next", 10, 1, 300);
    let mut folded = purchase("folded", 10, 1, 300);
    folded.mode = wire::Mode::Fold as i32;
    let asked = vec![
        ask(&full, &next),
        ask(&full, &next),
        ask(&full, &folded),
        ask(&full, &purchase("3", 3, 1, 100)),
    ];
    let answers = drain(&mut full, asked);
    let asked = vec![ask(&free, &next)];
    let expected = drain(&mut free, asked);
    let decision = |answer: &Answer| match answer {
        Answer::Decision(decision) => (**decision).clone(),
        other => panic!("{other:?}"),
    };
    for answer in &answers[..2] {
        assert_eq!(decision(answer).assessment, decision(&expected[0]).assessment);
        let receipt = decision(answer).receipt.unwrap();
        assert_eq!(
            (receipt.sequence, receipt.durability()),
            (0, wire::Durability::NotTaken)
        );
    }
    assert!(matches!(&answers[2], Answer::Refused(refusal) if refusal.code() == 14));
    let known = decision(&answers[3]).receipt.unwrap();
    assert!(known.replayed && known.sequence == 4);
    assert_eq!((full.digest(), journal.bytes()), before);
    journal.take(true);
    let asked = vec![ask(&full, &next)];
    assert_eq!(
        decision(&drain(&mut full, asked)[0]).assessment,
        decision(&expected[0]).assessment
    );
    assert_eq!(full.digest(), free.digest());
}

#[test]
fn under_another_plan_a_journal_is_folded_as_if_that_plan_had_always_been() {
    // Entities change their slots, and one feature goes.
    let plan = crate::shop::PLAN
        .replace(r#"["customer","terminal"]"#, r#"["terminal","customer"]"#)
        .replace(r#""entity":0"#, r#""entity":9"#)
        .replace(r#""entity":1"#, r#""entity":0"#)
        .replace(r#""entity":9"#, r#""entity":1"#)
        .replace(r#"{"name":"age","op":"number","number":0},"#, "");
    let (drains, mut first) = life();
    let written = Written::begin(&first, 1, 1, None);
    first.journal_to(Box::new(written.clone()));
    for asked in drains {
        drain(&mut first, asked);
    }
    let mut moved = engine_with(2, &plan, crate::shop::POLICY);
    let mut replay = Replay::new(&mut moved);
    assert!(matches!(fold(&mut replay, written.bytes(), None), Read::Tail(_)));
    replay.finish(2);
    // As if that plan had been there from the beginning.
    let mut fresh = engine_with(2, &plan, crate::shop::POLICY);
    run(&mut fresh, &life_steps(), &[1]);
    let canonical = |engine: &Engine| {
        let mut bytes = Vec::new();
        let program = engine.program("shop").unwrap();
        program
            .history
            .write_canonical(&program.plan, &mut |part: &[u8]| bytes.extend_from_slice(part));
        bytes
    };
    assert_eq!(canonical(&moved), canonical(&fresh));
    assert_ne!(canonical(&moved), canonical(&first));
}

#[test]
fn transactions_sent_three_times_in_any_order_leave_the_state_of_their_first_times_alone() {
    let all = if std::env::var_os("FRAUDGATE_PROVE").is_some() {
        100_000
    } else {
        2_000
    };
    let mut order: Vec<i64> = (0..3 * all).map(|i| i % all).collect();
    // A shuffle by a linear congruence (Knuth's MMIX constants): the same each time.
    let mut state = 7_u64;
    for place in (1..order.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        order.swap(place, (state >> 33) as usize % (place + 1));
    }
    let knowing = || engine_knowing(all as usize, 1, crate::shop::PLAN, crate::shop::POLICY);
    let (mut thrice, mut once) = (knowing(), knowing());
    let mut seen = vec![false; all as usize];
    for numbers in order.chunks(9) {
        let sent = |number: &i64| {
            purchase(
                &number.to_string(),
                number * 1_000_000,
                *number as u8 % 16,
                *number % 977,
            )
        };
        let asked = numbers.iter().map(|number| ask(&thrice, &sent(number))).collect();
        drain(&mut thrice, asked);
        for number in numbers {
            if !std::mem::replace(&mut seen[*number as usize], true) {
                let asked = vec![ask(&once, &sent(number))];
                drain(&mut once, asked);
            }
        }
    }
    assert_eq!(thrice.counts().replayed, 2 * all as u64);
    assert_eq!(thrice.digest(), once.digest());
}
