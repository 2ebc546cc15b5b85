//! The calls that ask one thing: `Scoring.Score`, one transaction, one decision; `Operation.Erase`, one key.

use std::rc::Rc;

use bytes::Bytes;
use fraudgate_core::{
    admit,
    refusal::Refusal,
    road::{Answer, Asked},
    transaction::Clock,
    wire,
};

use super::{Shared, call::Call, hybrid};

/// Scores one transaction.
pub async fn score(shared: Rc<Shared>, message: Bytes, by: Option<Clock>) -> Result<Box<wire::Decision>, Refusal> {
    let call = Call::new();
    let by = {
        let sent: wire::Transaction = admit::decode(message, "transaction")?;
        let mut admitted = shared.engine.borrow().admit(&sent)?;
        let by = earlier(by, admitted.decide_by);
        admitted.asks = shared.cloud.as_ref().is_some_and(|cloud| cloud.may_be_asked());
        shared.queue.ask(&call, Asked::Transaction(Box::new(admitted)), by)?;
        by
    };
    let mut decision = decision(call.next().await)?;
    if let (Some(cloud), Some(question)) = (&shared.cloud, call.question()) {
        // Rare, and boxed: the commonest call's future stays small.
        Box::pin(hybrid::ask(&shared, cloud, *question, &mut decision, by)).await;
    }
    Ok(decision)
}

/// The answer to a transaction.
pub fn decision(answer: Answer) -> Result<Box<wire::Decision>, Refusal> {
    match answer {
        Answer::Decision(decision) => Ok(decision),
        Answer::Receipt(receipt) => Ok(Box::new(wire::Decision {
            receipt: Some(receipt),
            ..wire::Decision::default()
        })),
        Answer::Erased(erased) => Ok(Box::new(wire::Decision {
            receipt: erased.receipt,
            ..wire::Decision::default()
        })),
        Answer::Refused(refusal) => Err(refusal),
    }
}

/// Erases one key.
pub async fn erase(shared: Rc<Shared>, message: Bytes, by: Option<Clock>) -> Result<wire::EraseResponse, Refusal> {
    let call = Call::new();
    {
        let sent: wire::EraseRequest = admit::decode(message, "erasure")?;
        let admitted = shared.engine.borrow().admit_erasure(&sent)?;
        shared.queue.ask(&call, Asked::Erasure(admitted), by)?;
    }
    match call.next().await {
        Answer::Erased(erased) => Ok(erased),
        Answer::Receipt(receipt) => Ok(wire::EraseResponse {
            receipt: Some(receipt),
            held: false,
        }),
        Answer::Decision(decision) => Ok(wire::EraseResponse {
            receipt: decision.receipt,
            held: false,
        }),
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
