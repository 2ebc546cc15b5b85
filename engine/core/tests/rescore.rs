//! What is marked to be scored again, what leaves of it, and how what the cloud says is taken in.

use crate::shop::{
    DAY_US, KEY, PLAN, Read, START_US, Written, ask, bytes, drain, engine_with, fold, purchase, subject,
};
use fraudgate_core::{
    journal::{
        reader::{Next, Reader},
        record::Records,
    },
    replay::Replay,
    rescore::{Gathered, Gathering, Rescored, Spool},
    road::{Answer, Asked, Engine},
    wire::{self, Tier, Verdict},
};
use proptest::prelude::*;
use prost::Message;

/// A quarter of the ids is drawn; of the others those with a risk of 40 to 60.
const POLICY: &str = r#"{"format":1,"mode":"decide","challenge":50,"decline":80,"card_number_in_key":"hash",
    "rescore":{"from_risk":40,"below_risk":60,"control_share":0.25,"labels":false}}"#;
const LABELLING: &str = r#"{"format":1,"mode":"decide","challenge":50,"decline":80,"card_number_in_key":"hash",
    "rescore":{"control_share":1,"labels":true}}"#;

fn journaled(policy: &str, epoch: u64, spool: Spool) -> (Engine, Written) {
    let mut engine = engine_with(epoch, PLAN, policy);
    let written = Written::begin(&engine, epoch, 1, None);
    written.spool(spool);
    engine.journal_to(Box::new(written.clone()));
    (engine, written)
}

fn decision(answer: &Answer) -> (&wire::Assessment, &wire::Receipt) {
    match answer {
        Answer::Decision(decision) => (
            decision.assessment.as_ref().unwrap(),
            decision.receipt.as_ref().unwrap(),
        ),
        other => panic!("{other:?}"),
    }
}

fn gathered(mut segment: Vec<u8>) -> Gathered {
    let mut gathering = Gathering::new("here");
    let mut reader = Reader::new(&mut segment, &KEY, None).unwrap();
    gathering.segment(reader.header().epoch);
    while let Next::Chunk(chunk) = reader.advance().unwrap() {
        let mut sequence = chunk.first;
        for record in Records::new(chunk.body).unwrap() {
            let record = record.unwrap();
            gathering.record(sequence, &record).unwrap();
            sequence += u64::from(!matches!(record, fraudgate_core::journal::record::Record::Program(_)));
        }
    }
    gathering.give()
}

fn u64s(column: &[u8]) -> Vec<u64> {
    column
        .as_chunks()
        .0
        .iter()
        .map(|value| u64::from_le_bytes(*value))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn what_leaves_is_what_receipts_say_however_it_was_drained(
        payments in prop::collection::vec((0..400_u16, 0..4_u8, 0..5_000_i64, any::<bool>()), 1..80),
        sizes in prop::collection::vec(1..9_usize, 8),
    ) {
        let mut runs = Vec::new();
        for sizes in [&sizes[..], &[1]] {
            let (mut engine, written) = journaled(POLICY, 1, Spool::Open);
            let mut answers = Vec::new();
            let mut rest = &payments[..];
            for &size in sizes.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (now, later) = rest.split_at(size.min(rest.len()));
                let asked = now.iter().enumerate().map(|(i, &(id, customer, amount, folds))| {
                    let place = (payments.len() - rest.len() + i) as i64;
                    let mut sent = purchase(&id.to_string(), place * 1_000_000, customer, amount);
                    sent.mode = if folds { wire::Mode::Fold } else { wire::Mode::Score } as i32;
                    ask(&engine, &sent)
                });
                let asked = asked.collect();
                answers.extend(drain(&mut engine, asked));
                rest = later;
            }
            let queued: Vec<u64> = answers
                .iter()
                .filter_map(|answer| match answer {
                    Answer::Decision(decision) => decision.receipt.as_ref(),
                    Answer::Receipt(_) | Answer::Erased(_) | Answer::Refused(_) => None,
                })
                .filter(|receipt| receipt.rescore_queued && !receipt.replayed)
                .map(|receipt| receipt.sequence)
                .collect();
            let gathered = gathered(written.bytes());
            let left: Vec<u64> = gathered.requests.iter().flat_map(|request| u64s(&request.sequence)).collect();
            prop_assert_eq!(&left, &queued);
            prop_assert_eq!(gathered.rows, queued.len());
            runs.push(gathered.requests.iter().map(Message::encode_to_vec).collect::<Vec<_>>());
        }
        prop_assert_eq!(&runs[0], &runs[1]);
    }
}

#[test]
fn what_is_marked_follows_from_the_answer_and_the_ids_hash() {
    let (mut engine, written) = journaled(POLICY, 1, Spool::Open);
    let sent: Vec<_> = (0..400)
        .map(|i| purchase(&i.to_string(), i * 1_000, (i % 4) as u8, i * 13))
        .collect();
    let mut reasons = Vec::new();
    for transaction in &sent {
        let admitted = engine.admit(transaction).unwrap();
        let drawn = (admitted.id.0 >> 64) as u64 <= u64::MAX / 4;
        let answers = drain(&mut engine, vec![Asked::Transaction(Box::new(admitted))]);
        let (assessment, receipt) = decision(&answers[0]);
        let uncertain = (40.0..60.0).contains(&assessment.risk_score.unwrap());
        assert_eq!(receipt.rescore_queued, drawn || uncertain);
        if receipt.rescore_queued {
            let reason = if drawn {
                wire::RescoreReason::Control
            } else {
                wire::RescoreReason::Uncertain
            };
            reasons.push(reason as u8);
        }
    }
    let [request] = &gathered(written.bytes()).requests[..] else {
        panic!("one program, one message")
    };
    assert_eq!(request.reason, reasons);
    let counts = engine.counts().rescores;
    assert_eq!(counts.queued.iter().sum::<u64>(), reasons.len() as u64);
    // A binomial of 400 draws: six deviations.
    assert!((48..=152).contains(&counts.queued[0]), "{counts:?}");
    assert!(counts.queued[2] > 20, "{counts:?}");
}

#[test]
fn a_row_leaves_as_it_was_scored_with_the_same_policys_thresholds() {
    let (mut engine, written) = journaled(LABELLING, 7, Spool::Open);
    let sent = purchase("a", DAY_US, 3, 1_234);
    let hash = engine.admit(&sent).unwrap().id.0.to_le_bytes();
    let asked = vec![ask(&engine, &sent)];
    let answers = drain(&mut engine, asked);
    let (assessment, receipt) = decision(&answers[0]);
    let [request] = &gathered(written.bytes()).requests[..] else {
        panic!("one")
    };
    assert_eq!(request.pop, "here");
    assert_eq!(request.program, "shop");
    assert_eq!(request.plan_digest, assessment.plan_digest);
    assert_eq!(request.policy_digest, assessment.policy_digest);
    assert_eq!(request.model_digest, assessment.model_digest);
    let thresholds = request.thresholds.unwrap();
    assert_eq!(
        (thresholds.challenge, thresholds.hold, thresholds.decline),
        (Some(50.0), None, Some(80.0))
    );
    assert_eq!(request.entities, ["customer", "terminal"]);
    assert_eq!(u64s(&request.sequence), [receipt.sequence]);
    assert_eq!(u64s(&request.epoch), [7]);
    assert_eq!(request.transaction, hash.to_vec());
    assert_eq!(request.amount_minor, 1_234_i64.to_le_bytes().to_vec());
    assert_eq!(request.event_time_us, (START_US + DAY_US).to_le_bytes().to_vec());
    assert_eq!(request.kind, [wire::Kind::Purchase as u8].to_vec());
    let row: Vec<f32> = request
        .rows
        .as_chunks()
        .0
        .iter()
        .map(|value| f32::from_le_bytes(*value))
        .collect();
    // amount, age (not given), count with itself, most with itself, risk (nothing is known): five features of the plan.
    assert_eq!((row.len(), row[0], row[2], row[3]), (5, 12.34, 1.0, 12.34));
    assert!(row[1].is_nan());
    assert_eq!(
        request.risk_score,
        assessment.risk_score.unwrap().to_le_bytes().to_vec()
    );
    assert_eq!(request.policy_verdict, [assessment.policy_verdict as u8].to_vec());
    assert_eq!(request.tier, [Tier::Full as u8].to_vec());
    for text in ["customer3", "terminal1"] {
        let encoded = request.encode_to_vec();
        assert!(
            !encoded.windows(text.len()).any(|part| part == text.as_bytes()),
            "{text}"
        );
    }
}

#[test]
fn at_its_bound_the_spool_takes_no_more_and_receipts_say_so_also_to_who_asks_again() {
    let (mut engine, written) = journaled(LABELLING, 1, Spool::Open);
    let both = [purchase("a", 1, 1, 100), purchase("b", 2, 1, 100)];
    let ask_for = |engine: &mut Engine, sent: &wire::Transaction| {
        let asked = vec![ask(engine, sent)];
        let answers = drain(engine, asked);
        let receipt = decision(&answers[0]).1;
        (receipt.rescore_queued, receipt.rescore_spool_full, receipt.replayed)
    };
    assert_eq!(ask_for(&mut engine, &both[0]), (true, false, false));
    written.spool(Spool::Full);
    assert_eq!(ask_for(&mut engine, &both[1]), (false, true, false));
    written.spool(Spool::Open);
    // The first answers stand, whatever the spool would take now.
    assert_eq!(ask_for(&mut engine, &both[1]), (false, true, true));
    written.spool(Spool::Full);
    assert_eq!(ask_for(&mut engine, &both[0]), (true, false, true));
    assert_eq!(engine.counts().rescores.full, 1);
    let left: Vec<u64> = gathered(written.bytes())
        .requests
        .iter()
        .flat_map(|r| u64s(&r.sequence))
        .collect();
    assert_eq!(left, [1]);
    // And so they do after a restart.
    let mut again = engine_with(2, PLAN, LABELLING);
    let mut replay = Replay::new(&mut again);
    assert!(matches!(fold(&mut replay, written.bytes(), None), Read::Tail(_)));
    replay.finish(2);
    assert_eq!(ask_for(&mut again, &both[0]), (true, false, true));
    assert_eq!(ask_for(&mut again, &both[1]), (false, true, true));
}

#[test]
fn what_is_not_journaled_is_promised_to_nobody() {
    let mut engine = engine_with(1, PLAN, LABELLING);
    let asked = vec![ask(&engine, &purchase("a", 1, 1, 100))];
    assert!(!decision(&drain(&mut engine, asked)[0]).1.rescore_queued);

    let (mut engine, written) = journaled(LABELLING, 1, Spool::Open);
    written.take(false);
    let asked = vec![ask(&engine, &purchase("a", 1, 1, 100))];
    let answers = drain(&mut engine, asked);
    let receipt = decision(&answers[0]).1;
    assert_eq!(receipt.durability(), wire::Durability::NotTaken);
    assert!(!receipt.rescore_queued && !receipt.rescore_spool_full);
}

/// What a cloud would say of a request: of each row a risk score.
fn said(request: &wire::RescoreRequest, risks: &[f64]) -> wire::RescoredDecisions {
    let column = |values: Vec<f64>| {
        values
            .into_iter()
            .flat_map(f64::to_le_bytes)
            .collect::<Vec<u8>>()
            .into()
    };
    let verdict = |&risk: &f64| match risk {
        80.0.. => Verdict::Decline,
        50.0.. => Verdict::Challenge,
        _ => Verdict::Approve,
    };
    wire::RescoredDecisions {
        pop: request.pop.clone(),
        program: request.program.clone(),
        model_digest: vec![5; 32].into(),
        policy_digest: request.policy_digest.clone(),
        entities: request.entities.clone(),
        sequence: request.sequence.clone(),
        epoch: request.epoch.clone(),
        transaction: request.transaction.clone(),
        event_time_us: request.event_time_us.clone(),
        kind: request.kind.clone(),
        amount_minor: request.amount_minor.clone(),
        keys: request.keys.clone(),
        policy_verdict: request.policy_verdict.clone(),
        rescored_verdict: risks.iter().map(|risk| verdict(risk) as u8).collect::<Vec<u8>>().into(),
        fraud_probability: column(risks.iter().map(|risk| risk / 100.0).collect()),
        risk_score: column(risks.to_vec()),
    }
}

fn tell(engine: &mut Engine, said: &wire::RescoredDecisions) -> Vec<wire::Receipt> {
    let admitted = engine.admit_rescored(said).unwrap();
    let asked = admitted.into_iter().map(|rescored| Asked::Rescored(Box::new(rescored)));
    let asked = asked.collect();
    let answers = drain(engine, asked);
    let receipt = |answer| match answer {
        Answer::Receipt(receipt) => receipt,
        other => panic!("{other:?}"),
    };
    answers.into_iter().map(receipt).collect()
}

#[test]
fn what_the_cloud_says_is_taken_once_and_what_it_turns_around_is_counted_in_money_and_published() {
    let (mut engine, written) = journaled(LABELLING, 1, Spool::Open);
    let sent: Vec<_> = (0..200)
        .map(|i| purchase(&i.to_string(), i * 1_000, (i % 4) as u8, 100 + i))
        .collect();
    let mut verdicts = Vec::new();
    for transaction in &sent {
        let asked = vec![ask(&engine, transaction)];
        verdicts.push(decision(&drain(&mut engine, asked)[0]).0.policy_verdict());
    }
    let request = gathered(written.bytes()).requests.remove(0);
    let risks: Vec<f64> = (0..200).map(|i| f64::from(i % 10) * 10.0).collect();
    let said = said(&request, &risks);
    let receipts = tell(&mut engine, &said);
    assert!(receipts.iter().all(|receipt| !receipt.replayed));
    assert_eq!(
        receipts.iter().map(|r| r.sequence).collect::<Vec<_>>(),
        (201..=400).collect::<Vec<_>>()
    );

    let of = |edge, cloud: std::ops::Range<f64>| {
        let turned = (0..200).filter(|&i| verdicts[i] == edge && cloud.contains(&risks[i]));
        turned.map(|i| 100 + i as u64).collect::<Vec<_>>()
    };
    let (reversed, released) = (of(Verdict::Approve, 80.0..101.0), of(Verdict::Decline, 0.0..50.0));
    assert!(reversed.len() > 5 && released.len() > 5, "{reversed:?} {released:?}");
    let reviewed = engine.programs()[0].reviewed;
    assert_eq!(
        (reviewed.reversed, reviewed.reversed_minor),
        (reversed.len() as u64, reversed.iter().sum())
    );
    assert_eq!(
        (reviewed.released, reviewed.released_minor),
        (released.len() as u64, released.iter().sum())
    );
    let published = gathered(written.bytes()).reversals;
    assert_eq!(
        published
            .iter()
            .map(|r| r.amount_minor.unwrap() as u64)
            .collect::<Vec<_>>(),
        reversed
    );

    let (digest, sequence) = (engine.digest(), engine.sequence());
    assert!(
        tell(&mut engine, &said)
            .iter()
            .all(|receipt| receipt.replayed && receipt.sequence == 0)
    );
    assert_eq!((engine.digest(), engine.sequence()), (digest, sequence));

    let mut again = engine_with(2, PLAN, LABELLING);
    let mut replay = Replay::new(&mut again);
    assert!(matches!(fold(&mut replay, written.bytes(), None), Read::Tail(_)));
    replay.finish(2);
    assert_eq!(again.digest(), digest);
    assert_eq!(again.programs()[0].reviewed, reviewed);
}

#[test]
fn what_the_cloud_would_decline_is_an_early_label_only_where_a_program_declares_it() {
    let without = LABELLING.replace(r#""labels":true"#, r#""labels":false"#);
    let mut seen = Vec::new();
    for (policy, told) in [(LABELLING, false), (&without, false), (&without, true)] {
        let (mut engine, written) = journaled(policy, 1, Spool::Open);
        for i in 0..40 {
            let asked = vec![ask(&engine, &purchase(&i.to_string(), i * 1_000, 1, 100))];
            drain(&mut engine, asked);
        }
        if told {
            // An oracle: the same frauds, told as chargebacks are.
            for i in (0..40).filter(|i| i % 3 == 0) {
                let label = wire::Label {
                    program: "shop".to_owned(),
                    subject: Some(subject(&i.to_string(), i * 1_000, 1)),
                    class: wire::LabelClass::ThirdPartyFraud as i32,
                    source: wire::LabelSource::Chargeback as i32,
                    ..wire::Label::default()
                };
                let label = engine.admit_label(&label).unwrap();
                drain(&mut engine, vec![Asked::Label(Box::new(label))]);
            }
        } else {
            let request = gathered(written.bytes()).requests.remove(0);
            let risks: Vec<f64> = (0..40).map(|i| if i % 3 == 0 { 90.0 } else { 10.0 }).collect();
            tell(&mut engine, &said(&request, &risks));
        }
        let later = ask(&engine, &purchase("later", 2 * DAY_US, 1, 100));
        let answers = drain(&mut engine, vec![later]);
        seen.push(decision(&answers[0]).0.risk_score);
    }
    assert_eq!(seen[0], seen[2]);
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn a_malformed_message_is_refused_by_its_column_and_changes_nothing() {
    let (mut engine, written) = journaled(LABELLING, 1, Spool::Open);
    let asked = (0..3)
        .map(|i| ask(&engine, &purchase(&i.to_string(), i, 1, 100)))
        .collect();
    drain(&mut engine, asked);
    let good = said(&gathered(written.bytes()).requests.remove(0), &[10.0, 60.0, 90.0]);
    assert_eq!(engine.admit_rescored(&good).unwrap().len(), 3);
    type Spoil = fn(&mut wire::RescoredDecisions);
    let spoilt: [(&str, Spoil); 12] = [
        ("program", |said| said.program = "other".to_owned()),
        ("model_digest", |said| said.model_digest = vec![1; 31].into()),
        ("sequence", |said| said.sequence = vec![0; 7].into()),
        ("sequence", |said| said.sequence = vec![].into()),
        ("epoch", |said| said.epoch = said.epoch.slice(8..)),
        ("keys", |said| said.keys = said.keys.slice(1..)),
        ("entities", |said| said.entities.push("device".to_owned())),
        ("kind", |said| said.kind = vec![0, 1, 1].into()),
        ("amount_minor", |said| said.amount_minor = vec![0xf0; 24].into()),
        ("policy_verdict", |said| said.policy_verdict = vec![9; 3].into()),
        ("rescored_verdict", |said| said.rescored_verdict = vec![0; 3].into()),
        ("risk_score", |said| said.risk_score = vec![0xff; 24].into()),
    ];
    for (field, spoil) in spoilt {
        let mut said = good.clone();
        spoil(&mut said);
        let refused = engine.admit_rescored(&said).unwrap_err().status();
        // More entities are more keys.
        let named = if field == "entities" { "keys" } else { field };
        assert!(bytes(&Answer::Refused(engine.admit_rescored(&said).unwrap_err())).len() > 10);
        assert!(refused.message.contains(named), "{field}: {}", refused.message);
    }
}

/// All is of the control share, so that the topic holds what the cloud is asked at once too.
const HYBRID: &str = r#"{"format":1,"mode":"decide","challenge":50,"decline":80,"card_number_in_key":"hash",
    "rescore":{"from_risk":40,"below_risk":60,"control_share":1,"labels":true,"hybrid":true}}"#;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn the_cloud_is_asked_of_what_is_uncertain_where_its_caller_lets_it_what_the_topic_says_however_it_was_drained(
        payments in prop::collection::vec((0..400_u16, 0..4_u8, 0..5_000_i64, any::<bool>()), 1..80),
        sizes in prop::collection::vec(1..9_usize, 8),
    ) {
        let (mut engine, written) = journaled(HYBRID, 1, Spool::Open);
        let mut rest = &payments[..];
        let (mut questions, mut expected) = (Vec::new(), Vec::new());
        for &size in sizes.iter().cycle() {
            let (now, later) = rest.split_at(size.min(rest.len()));
            if now.is_empty() {
                break;
            }
            rest = later;
            let mut asked = Vec::new();
            for &(id, customer, amount, lets) in now {
                let mut admitted = ask(&engine, &purchase(&id.to_string(), i64::from(id) * 1_000, customer, amount));
                if let Asked::Transaction(admitted) = &mut admitted {
                    admitted.asks = lets;
                }
                asked.push(admitted);
            }
            let answers = drain(&mut engine, asked);
            let of_drain: Vec<_> = engine.questions().collect();
            prop_assert_eq!(engine.questions().count(), 0, "given twice");
            for (place, answer) in answers.iter().enumerate() {
                let Answer::Decision(decision) = answer else { continue };
                let (assessment, receipt) = (decision.assessment.as_ref().unwrap(), decision.receipt.as_ref().unwrap());
                let uncertain = (40.0..60.0).contains(&assessment.risk_score.unwrap_or(-1.0));
                if uncertain && now[place].3 && !receipt.replayed {
                    expected.push((place, receipt.sequence));
                }
            }
            questions.extend(of_drain);
        }
        let asked: Vec<_> = questions.iter().map(|question| (question.place, u64s(&question.request.sequence)[0])).collect();
        prop_assert_eq!(&asked, &expected);
        // What leaves at once is, but for its reason, the row that leaves by the topic.
        let by_topic = gathered(written.bytes()).requests;
        for question in questions {
            let sequence = u64s(&question.request.sequence)[0];
            let (request, row) = by_topic
                .iter()
                .find_map(|request| {
                    let row = u64s(&request.sequence).iter().position(|&one| one == sequence)?;
                    Some((request, row))
                })
                .unwrap();
            let mut one = question.request;
            prop_assert_eq!(&one.reason[..], &[wire::RescoreReason::Uncertain as u8][..]);
            let of_row = |column: &[u8]| {
                let width = column.len() / (request.sequence.len() / 8);
                column[row * width..][..width].to_vec()
            };
            one.pop.clone_from(&request.pop);
            one.reason = of_row(&request.reason).into();
            let mut cut = request.clone();
            for column in [
                &mut cut.sequence, &mut cut.epoch, &mut cut.transaction, &mut cut.event_time_us, &mut cut.kind,
                &mut cut.amount_minor, &mut cut.keys, &mut cut.rows, &mut cut.policy_verdict, &mut cut.tier,
                &mut cut.cause, &mut cut.reason, &mut cut.fraud_probability, &mut cut.risk_score,
            ] {
                *column = of_row(column).into();
            }
            prop_assert_eq!(one.encode_to_vec(), cut.encode_to_vec());
        }
    }
}

#[test]
fn what_a_door_asked_for_is_journaled_and_counts_for_nothing_until_it_comes_by_the_topic() {
    let (mut engine, written) = journaled(LABELLING, 1, Spool::Open);
    for i in 0..6 {
        let asked = vec![ask(&engine, &purchase(&i.to_string(), i * 1_000, 1, 100))];
        drain(&mut engine, asked);
    }
    let request = gathered(written.bytes()).requests.remove(0);
    let said = said(&request, &[90.0; 6]);
    // It comes in any order, before the topic.
    let mut rescored = engine.admit_rescored(&said).unwrap();
    rescored.reverse();
    let before = engine.programs()[0].reviewed;
    let asked = rescored.into_iter().map(|rescored| {
        let asked = Rescored {
            asked: true,
            labels: false,
            ..rescored
        };
        Asked::Rescored(Box::new(asked))
    });
    let answers = drain(&mut engine, asked.collect());
    let sequences: Vec<u64> = answers
        .iter()
        .map(|answer| match answer {
            Answer::Receipt(receipt) => receipt.sequence,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sequences, (7..13).collect::<Vec<_>>());
    assert_eq!(engine.programs()[0].reviewed, before);
    assert!(gathered(written.bytes()).reversals.is_empty());
    // The topic's are taken as ever.
    assert!(tell(&mut engine, &said).iter().all(|receipt| !receipt.replayed));
    let reviewed = engine.programs()[0].reviewed;
    assert_eq!(reviewed.taken, 6);
    assert_eq!(gathered(written.bytes()).reversals.len() as u64, reviewed.reversed);
    let mut again = engine_with(2, PLAN, LABELLING);
    let mut replay = Replay::new(&mut again);
    assert!(matches!(fold(&mut replay, written.bytes(), None), Read::Tail(_)));
    replay.finish(2);
    assert_eq!(again.digest(), engine.digest());
    assert_eq!(again.programs()[0].reviewed, reviewed);
}
