//! Whether an answer is what was asked for: a decision in full, made for the first time.

use fraudgate_core::wire::{
    Decision, Lateness, ScoreBatchResponse, ScoreStreamResponse, Tier, Verdict, score_result, score_stream_response,
};
use prost::Message;

/// Checks one message; the error says what is wrong with it.
pub trait Check: Fn(&[u8]) -> Result<(), String> + Clone + 'static {}
impl<F: Fn(&[u8]) -> Result<(), String> + Clone + 'static> Check for F {}

/// A call's decision.
pub fn one(message: &[u8]) -> Result<(), String> {
    decided(&decoded::<Decision>(message)?)
}

/// The decisions of a batch.
pub fn batch_of(size: usize) -> impl Check {
    move |message| {
        let results = decoded::<ScoreBatchResponse>(message)?.results;
        if results.len() != size {
            return Err(format!("{} results of {size}", results.len()));
        }
        results.iter().try_for_each(|result| match &result.result {
            Some(score_result::Result::Decision(decision)) => decided(decision),
            other => Err(format!("no decision: {other:?}")),
        })
    }
}

/// The decision of a stream's item.
pub fn item(ordinal: u64, message: &[u8]) -> Result<(), String> {
    let response = decoded::<ScoreStreamResponse>(message)?;
    match &response.result {
        Some(score_stream_response::Result::Decision(decision)) if response.ordinal == ordinal => decided(decision),
        other => Err(format!("item {ordinal}: {} answered: {other:?}", response.ordinal)),
    }
}

fn decoded<M: Message + Default>(message: &[u8]) -> Result<M, String> {
    M::decode(message).map_err(|error| error.to_string())
}

fn decided(decision: &Decision) -> Result<(), String> {
    let assessment = decision.assessment.as_ref().ok_or("no assessment")?;
    let receipt = decision.receipt.as_ref().ok_or("no receipt")?;
    let full = assessment.tier() == Tier::Full
        && assessment.verdict() != Verdict::Unspecified
        && assessment.fraud_probability.is_some_and(|p| (0.0..=1.0).contains(&p))
        && assessment.risk_score.is_some()
        && assessment.lateness() != Lateness::Beyond;
    if full && !receipt.replayed {
        Ok(())
    } else {
        Err(format!("not a full and first decision: {decision:?}"))
    }
}
