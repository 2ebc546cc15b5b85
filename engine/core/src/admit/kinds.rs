//! Which kinds go with which modes and relations: the table in transaction.proto, once.

use super::{Mode, text::Text};
use crate::{refusal::Refusal, transaction::Kind, wire};

/// A kind that was sent.
pub fn known(field: &str, sent: i32) -> Result<Kind, Refusal> {
    match wire::Kind::try_from(sent) {
        Ok(wire::Kind::Purchase) => Ok(Kind::Purchase),
        Ok(wire::Kind::Withdrawal) => Ok(Kind::Withdrawal),
        Ok(wire::Kind::Transfer) => Ok(Kind::Transfer),
        Ok(wire::Kind::Payout) => Ok(Kind::Payout),
        Ok(wire::Kind::Refund) => Ok(Kind::Refund),
        Ok(wire::Kind::Reversal) => Ok(Kind::Reversal),
        Ok(wire::Kind::Incremental) => Ok(Kind::Incremental),
        Ok(wire::Kind::Clearing) => Ok(Kind::Clearing),
        Ok(wire::Kind::Verification) => Ok(Kind::Verification),
        Ok(wire::Kind::Event) => Ok(Kind::Event),
        Ok(wire::Kind::Unspecified) => Err(Refusal::invalid(field, "is required")),
        Err(_) => Err(Refusal::invalid(field, "is not a known Kind")),
    }
}

/// What is asked of a kind.
pub fn mode(kind: Kind, sent: i32) -> Result<Mode, Refusal> {
    let mode = match wire::Mode::try_from(sent) {
        Ok(wire::Mode::Unspecified | wire::Mode::Score) => Mode::Score,
        Ok(wire::Mode::Fold) => Mode::Fold,
        Err(_) => return Err(Refusal::invalid("mode", "is not a known Mode")),
    };
    match (kind, mode) {
        (Kind::Reversal | Kind::Clearing, Mode::Score) => Err(Refusal::invalid(
            "mode",
            "must be MODE_FOLD for reversals and clearings: they are advice, not asks",
        )),
        _ => Ok(mode),
    }
}

/// How a kind refers to its subject; `sent` is `None` where there is no link.
pub fn relation(kind: Kind, sent: Option<i32>) -> Result<Option<wire::Relation>, Refusal> {
    use wire::Relation::{Clears, Increments, Refunds, Retries, Reverses};
    let (allowed, required): (&[wire::Relation], bool) = match kind {
        Kind::Purchase | Kind::Withdrawal | Kind::Transfer | Kind::Payout | Kind::Verification => (&[Retries], false),
        Kind::Refund => (&[Retries, Refunds], false),
        Kind::Reversal => (&[Reverses], true),
        Kind::Incremental => (&[Increments], true),
        Kind::Clearing => (&[Clears], false),
        Kind::Event => (&[], false),
    };
    match sent.map(wire::Relation::try_from) {
        None if required => Err(Refusal::invalid("link", "is required for this kind")),
        None => Ok(None),
        Some(Ok(wire::Relation::Unspecified)) => Err(Refusal::invalid("link.relation", "is required in a link")),
        Some(Ok(relation)) if allowed.contains(&relation) => Ok(Some(relation)),
        Some(Ok(_)) => Err(Refusal::invalid("link.relation", "does not go with this kind")),
        Some(Err(_)) => Err(Refusal::invalid("link.relation", "is not a known Relation")),
    }
}

/// The name of an event: required for events, absent elsewhere.
pub fn event_name(kind: Kind, name: &str) -> Result<(), Refusal> {
    if kind != Kind::Event {
        return if name.is_empty() {
            Ok(())
        } else {
            Err(Refusal::invalid("event_name", "is for KIND_EVENT only"))
        };
    }
    Text {
        shortest: 1,
        longest: 64,
    }
    .check("event_name", name)?;
    if name
        .bytes()
        .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    {
        return Ok(());
    }
    Err(Refusal::invalid(
        "event_name",
        "must be lower-case letters, digits and underscores",
    ))
}
