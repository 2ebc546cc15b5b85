//! Each way down the ladder and up again, by hand.

use super::*;

/// The first transaction of an engine.
fn first(mut made: Made, admission: Admission) -> Answer {
    let asked = match made.engine.admit(&purchase("a", 0, 1, 1_001)) {
        Ok(_) => admitted(&made.engine, &purchase("a", 0, 1, 1_001), admission),
        Err(refusal) => Asked::Refused(refusal),
    };
    drain_at(&mut made.engine, Clock(START_US), vec![asked]).remove(0)
}

fn failing(students: Students, full: bool, reduced: bool) -> Made {
    let made = made(students, POLICY);
    made.full.fails.store(full, Ordering::Relaxed);
    made.reduced.fails.store(reduced, Ordering::Relaxed);
    made
}

#[test]
fn each_cause_moves_a_transaction_down_to_the_next_rung_that_stands() {
    use wire::{Cause as C, Tier as T};
    use {Admission as A, Students as S};
    let requires = |features: &str| POLICY.replacen('{', &format!(r#"{{"required_features":[{features}],"#), 1);
    let held = |cause| {
        let mut made = made(S::Both, POLICY);
        made.engine.hold_to_default(Some(cause));
        made
    };
    for (what, made, admission, expected) in [
        ("nothing", made(S::Both, POLICY), A::Full, (T::Full, C::Unspecified)),
        (
            "the deadline, a little",
            made(S::Both, POLICY),
            A::Reduced(Cause::Deadline),
            (T::Reduced, C::Deadline),
        ),
        (
            "the deadline, and no second student",
            made(S::Full, POLICY),
            A::Reduced(Cause::Deadline),
            (T::Default, C::Deadline),
        ),
        (
            "the deadline, much",
            made(S::Both, POLICY),
            A::Default(Cause::Deadline),
            (T::Default, C::Deadline),
        ),
        (
            "the model fails",
            failing(S::Both, true, false),
            A::Full,
            (T::Reduced, C::Model),
        ),
        (
            "both fail",
            failing(S::Both, true, true),
            A::Full,
            (T::Default, C::Model),
        ),
        (
            "the only one fails",
            failing(S::Full, true, false),
            A::Full,
            (T::Default, C::Model),
        ),
        (
            "the second fails when it is wanted",
            failing(S::Both, false, true),
            A::Reduced(Cause::Deadline),
            (T::Default, C::Model),
        ),
        ("no model", made(S::None, POLICY), A::Full, (T::Default, C::Model)),
        (
            "a feature that is there",
            made(S::Both, &requires(r#""amount""#)),
            A::Full,
            (T::Full, C::Unspecified),
        ),
        (
            "a feature is missing",
            made(S::Both, &requires(r#""age""#)),
            A::Full,
            (T::Default, C::Feature),
        ),
        (
            "a feature is missing, and less time",
            made(S::Both, &requires(r#""age""#)),
            A::Reduced(Cause::Deadline),
            (T::Default, C::Feature),
        ),
        ("memory", held(Cause::Memory), A::Full, (T::Default, C::Memory)),
        (
            "recovering",
            held(Cause::Recovering),
            A::Full,
            (T::Default, C::Recovering),
        ),
    ] {
        let answer = first(made, admission);
        assert_eq!(rung(&answer), expected, "{what}");
        let told = assessment(&answer);
        let scored = expected.0 != T::Default;
        assert_eq!(
            (
                told.fraud_probability.is_some(),
                told.risk_score.is_some(),
                told.model_digest.len()
            ),
            (scored, scored, if scored { 32 } else { 0 }),
            "{what}"
        );
    }
}

#[test]
fn a_feature_that_reaches_back_too_far_is_not_available_either() {
    let policy = POLICY.replacen('{', r#"{"required_features":["count"],"#, 1);
    let mut made = made(Students::Both, &policy);
    // The state is complete since an hour before the start; the count is of a day.
    let early = admitted(&made.engine, &purchase("a", HOUR_US, 1, 1_001), Admission::Full);
    let later = admitted(&made.engine, &purchase("b", 24 * HOUR_US, 1, 1_001), Admission::Full);
    let answers = drain_at(&mut made.engine, Clock(START_US), vec![early, later]);
    assert_eq!(rung(&answers[0]), (wire::Tier::Default, wire::Cause::Feature));
    assert_eq!(rung(&answers[1]), (wire::Tier::Full, wire::Cause::Unspecified));
}

#[test]
fn a_default_that_is_not_declared_challenges_and_does_not_stand_in_for_a_model() {
    let made = |students| made(students, crate::shop::POLICY);
    let answer = assessment(&first(made(Students::Both), Admission::Default(Cause::Deadline)));
    assert_eq!(
        (answer.tier(), answer.verdict()),
        (wire::Tier::Default, wire::Verdict::Challenge)
    );
    assert!(matches!(
        first(made(Students::None), Admission::Full),
        Answer::Refused(_)
    ));
}

#[test]
fn an_amount_that_is_not_known_is_never_approved_blind() {
    let policy = POLICY.replace(r#","below_minor":4000"#, "");
    let mut made = made(Students::Both, &policy);
    let mut transaction = purchase("a", 0, 1, 1);
    transaction.currency = "JPY".to_owned();
    let asked = admitted(&made.engine, &transaction, Admission::Default(Cause::Deadline));
    let answer = drain_at(&mut made.engine, Clock(START_US), vec![asked]).remove(0);
    assert_eq!(assessment(&answer).verdict(), wire::Verdict::Challenge);
}

#[test]
fn what_is_not_taken_has_a_cap_of_its_own_beside_what_was() {
    let mut made = made(Students::Both, POLICY);
    let written = Written::begin(&made.engine, 1, 1, None);
    made.engine.journal_to(Box::new(written.clone()));
    let mut approved = |ids: std::ops::Range<i64>| {
        let asked = ids.map(|id| {
            let transaction = purchase(&id.to_string(), id, 1, 3_000);
            admitted(&made.engine, &transaction, Admission::Default(Cause::Deadline))
        });
        let asked = asked.collect();
        let answers = drain_at(&mut made.engine, Clock(START_US), asked);
        let verdicts = answers.iter().map(|answer| assessment(answer).verdict());
        verdicts.filter(|&verdict| verdict == wire::Verdict::Approve).count()
    };
    assert_eq!(approved(0..2), 2);
    written.take(false);
    assert_eq!(approved(10..20), 1);
    written.take(true);
    assert_eq!(approved(20..30), 1);
}

#[test]
fn a_failed_model_is_tried_again_ever_less_often_and_answers_again_when_it_can() {
    let mut made = failing(Students::Both, true, false);
    let mut now = Clock(START_US);
    let mut tick = |made: &mut Made, n: i64| {
        now.0 += 100_000;
        let asked = admitted(&made.engine, &purchase(&n.to_string(), n, 1, 1_001), Admission::Full);
        rung(&drain_at(&mut made.engine, now, vec![asked]).remove(0)).0
    };
    // Ten minutes, ten transactions a second.
    let mut numbers = 0..;
    let mut tiers: Vec<wire::Tier> = numbers.by_ref().take(6_000).map(|n| tick(&mut made, n)).collect();
    // 1, 2, 4, 8, 16, 32 seconds, then a minute each.
    let trials = made.full.runs.load(Ordering::Relaxed);
    assert_eq!(trials, 7 + (600 - 63) / 60);
    assert_eq!(made.engine.counts().model_failures, trials);
    assert!(!tiers.contains(&wire::Tier::Full));

    made.full.fails.store(false, Ordering::Relaxed);
    tiers = numbers
        .by_ref()
        .take((Trial::MOST_US / 100_000) as usize * 2)
        .map(|n| tick(&mut made, n))
        .collect();
    let climbed = tiers.iter().position(|&tier| tier == wire::Tier::Full).unwrap();
    assert!(climbed as i64 <= Trial::MOST_US / 100_000);
    assert!(tiers[climbed..].iter().all(|&tier| tier == wire::Tier::Full));
}

#[test]
fn answers_are_counted_by_tier_and_cause() {
    let mut made = made(Students::Both, POLICY);
    for (n, admission) in [
        Admission::Full,
        Admission::Reduced(Cause::Deadline),
        Admission::Default(Cause::Memory),
        Admission::Default(Cause::Memory),
    ]
    .into_iter()
    .enumerate()
    {
        let asked = admitted(&made.engine, &purchase(&n.to_string(), 0, 1, 1_001), admission);
        drain_at(&mut made.engine, Clock(START_US), vec![asked]);
    }
    let answers = made.engine.counts().answers;
    assert_eq!(
        (answers.full, answers.reduced, answers.default),
        (1, [1, 0, 0, 0, 0], [0, 0, 0, 0, 2])
    );
    assert_eq!(made.engine.programs()[0].blind.exposed_minor(), 2_002);
}
