//! The cloud's word on one transaction, while its caller waits. Gets the edge's decision and the question that it left;
//! gives the same decision, with what the cloud said beside it where that came in time. What is told is journaled first.

use std::{rc::Rc, time::Duration};

use fraudgate_core::{
    rescore::Rescored,
    road::{Answer, Asked},
    transaction::Clock,
    wire,
};
use tokio::time::timeout;

use super::{Shared, call::Call};
use crate::{cloud::Cloud, journal::clock};

/// Asks the cloud before `by`, and adds to `decision` what it said.
pub async fn ask(
    shared: &Rc<Shared>,
    cloud: &Cloud,
    question: wire::RescoreRequest,
    decision: &mut wire::Decision,
    by: Option<Clock>,
) {
    let by = cloud.leave_by(by);
    let Some(said) = cloud.ask(question, clock(), by).await else {
        return;
    };
    let admitted = shared.engine.borrow().admit_rescored(&said);
    // The thread that asks has compared it with the question, so a row that is malformed is all that can be wrong.
    let Ok([rescored]) = admitted.map(<[Rescored; 1]>::try_from).unwrap_or(Err(Vec::new())) else {
        return;
    };
    decision.rescored = journaled(shared, rescored, by).await;
}

/// Journals what the cloud said; nothing is told where that is not done in time.
async fn journaled(shared: &Rc<Shared>, rescored: Rescored, by: Option<Clock>) -> Option<wire::Rescored> {
    let call = Call::new();
    let asked = Rescored {
        asked: true,
        labels: false,
        ..rescored.clone()
    };
    shared.queue.ask(&call, Asked::Rescored(Box::new(asked)), by).ok()?;
    let receipt = match by {
        None => call.next().await,
        Some(by) => {
            let left_us = u64::try_from(by.0.saturating_sub(clock().0)).unwrap_or(0);
            timeout(Duration::from_micros(left_us), call.next()).await.ok()?
        }
    };
    let Answer::Receipt(receipt) = receipt else { return None };
    let engine = shared.engine.borrow();
    let program = &engine.programs()[usize::from(rescored.program)];
    (receipt.sequence > 0).then(|| wire::Rescored {
        verdict: program.overrule(rescored.rescored_verdict) as i32,
        policy_verdict: rescored.rescored_verdict as i32,
        fraud_probability: rescored.scores.fraud_probability,
        risk_score: rescored.scores.risk_score,
        model_digest: rescored.model_digest.to_vec().into(),
        sequence: receipt.sequence,
    })
}
