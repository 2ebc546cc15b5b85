//! How what the cloud says is taken in.

use super::*;

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
