//! What is marked to be scored again, what leaves of it, and how what the cloud says is taken in.

mod at_once;
mod taken_in;

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
