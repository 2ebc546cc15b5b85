//! What the cloud is asked at once.

use super::*;

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
