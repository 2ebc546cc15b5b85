//! The calls that hold many items: `Scoring.ScoreBatch`, `Feedback.Report` and `Feedback.Label`. Items are taken in
//! order, and each has its own result; only a batch that is malformed, empty or too large fails as a whole.

use std::rc::Rc;

use bytes::Bytes;
use fraudgate_core::{
    admit,
    refusal::Refusal,
    road::{Answer, Asked, Engine},
    transaction::Clock,
    wire::{self, feedback_result, score_result},
};

use super::{
    Shared,
    call::Call,
    unary::{decision, earlier},
};

/// Scores transactions.
pub async fn score(shared: Rc<Shared>, message: Bytes, by: Option<Clock>) -> Result<wire::ScoreBatchResponse, Refusal> {
    let sent: wire::ScoreBatchRequest = admit::decode(message, "transactions")?;
    let answers = ask(&shared, "transactions", &sent.transactions, |engine, transaction| {
        let admitted = engine.admit(transaction)?;
        let by = earlier(by, admitted.decide_by);
        Ok((Asked::Transaction(Box::new(admitted)), by))
    });
    let results = answers.await?.into_iter().map(|answer| {
        let result = match decision(answer) {
            Ok(decision) => score_result::Result::Decision(decision),
            Err(refusal) => score_result::Result::Status(refusal.status()),
        };
        wire::ScoreResult { result: Some(result) }
    });
    Ok(wire::ScoreBatchResponse {
        results: results.collect(),
    })
}

/// Takes outcomes.
pub async fn report(shared: Rc<Shared>, message: Bytes, by: Option<Clock>) -> Result<wire::ReportResponse, Refusal> {
    let sent: wire::ReportRequest = admit::decode(message, "outcomes")?;
    let answers = ask(&shared, "outcomes", &sent.outcomes, |engine, outcome| {
        Ok((Asked::Outcome(Box::new(engine.admit_outcome(outcome)?)), by))
    });
    Ok(wire::ReportResponse {
        results: told(answers.await?),
    })
}

/// Takes labels.
pub async fn label(shared: Rc<Shared>, message: Bytes, by: Option<Clock>) -> Result<wire::LabelResponse, Refusal> {
    let sent: wire::LabelRequest = admit::decode(message, "labels")?;
    let answers = ask(&shared, "labels", &sent.labels, |engine, label| {
        Ok((Asked::Label(Box::new(engine.admit_label(label)?)), by))
    });
    Ok(wire::LabelResponse {
        results: told(answers.await?),
    })
}

/// Asks each item in order and waits for all answers. `field` holds the items.
async fn ask<I>(
    shared: &Shared,
    field: &str,
    items: &[I],
    admit: impl Fn(&Engine, &I) -> Result<(Asked, Option<Clock>), Refusal>,
) -> Result<Vec<Answer>, Refusal> {
    if items.is_empty() {
        return Err(Refusal::invalid(field, "is required: at least one"));
    }
    if items.len() > shared.batch {
        return Err(Refusal::invalid(field, format!("holds more than {}", shared.batch)));
    }
    let call = Call::new();
    let asked: Vec<Result<(), Refusal>> = {
        let engine = shared.engine.borrow();
        let ask = |item| admit(&engine, item).and_then(|(asked, by)| shared.queue.ask(&call, asked, by));
        items.iter().map(ask).collect()
    };
    let mut answers = Vec::with_capacity(items.len());
    for (place, asked) in asked.into_iter().enumerate() {
        let answer = match asked {
            Ok(()) => call.next().await,
            Err(refusal) => Answer::Refused(refusal),
        };
        answers.push(match answer {
            Answer::Refused(refusal) => Answer::Refused(refusal.within(&format!("{field}[{place}]"))),
            answer => answer,
        });
    }
    Ok(answers)
}

fn told(answers: Vec<Answer>) -> Vec<wire::FeedbackResult> {
    let result = |answer| match answer {
        Answer::Receipt(receipt) => Some(feedback_result::Result::Receipt(receipt)),
        Answer::Decision(decision) => decision.receipt.map(feedback_result::Result::Receipt),
        Answer::Erased(erased) => erased.receipt.map(feedback_result::Result::Receipt),
        Answer::Refused(refusal) => Some(feedback_result::Result::Status(refusal.status())),
    };
    answers
        .into_iter()
        .map(|answer| wire::FeedbackResult { result: result(answer) })
        .collect()
}
