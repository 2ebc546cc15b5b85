//! `Scoring.Score`: one transaction, one decision.

use std::rc::Rc;

use bytes::Bytes;
use fraudgate_core::{
    admit,
    refusal::Refusal,
    road::{Answer, Asked},
    transaction::Clock,
    wire,
};

use super::{Shared, call::Call};

/// Scores one transaction.
pub async fn score(shared: Rc<Shared>, message: Bytes, by: Option<Clock>) -> Result<Box<wire::Decision>, Refusal> {
    let call = Call::new();
    {
        let sent: wire::Transaction = admit::decode(message, "transaction")?;
        let admitted = shared.engine.borrow().admit(&sent)?;
        let by = earlier(by, admitted.decide_by);
        shared.queue.ask(&call, Asked::Transaction(Box::new(admitted)), by)?;
    }
    decision(call.next().await)
}

/// The answer to a transaction.
pub fn decision(answer: Answer) -> Result<Box<wire::Decision>, Refusal> {
    match answer {
        Answer::Decision(decision) => Ok(decision),
        Answer::Receipt(receipt) => Ok(Box::new(wire::Decision {
            assessment: None,
            receipt: Some(receipt),
        })),
        Answer::Refused(refusal) => Err(refusal),
    }
}

/// Of two deadlines, where both are known, the earlier.
pub fn earlier(one: Option<Clock>, other: Option<Clock>) -> Option<Clock> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
