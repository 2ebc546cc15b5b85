//! What passes the gate whatever stands beside it, field by field: for doors that have columns. A transaction of such fields
//! alone is what the gate would make of it; of any other the gate itself must be asked.

use super::{Gate, Payload, amount, kinds, text, when};
use crate::{
    card_number,
    plan::Plan,
    policy::CardNumberInKey,
    transaction::{AmountMinor, EventTime, KeyHash, Kind, Transaction},
};

/// When it happened.
pub fn event_time(us: i64) -> Option<EventTime> {
    when::event_time("", us).ok()
}

/// Local time less UTC.
pub fn utc_offset(minutes: i32) -> Option<i16> {
    when::utc_offset(minutes).ok()
}

/// A kind that needs an amount, and no link, no name and no mode of its own.
pub fn kind(sent: i32) -> Option<Kind> {
    kinds::known("", sent).ok().filter(|kind| match kind {
        Kind::Purchase | Kind::Withdrawal | Kind::Transfer | Kind::Payout | Kind::Refund => true,
        Kind::Reversal | Kind::Incremental | Kind::Clearing | Kind::Verification | Kind::Event => false,
    })
}

/// An amount in the program's reference currency that needs no other beside it.
pub fn amount(minor: i64) -> Option<AmountMinor> {
    amount::minor("", minor).ok()
}

/// Whether it may be a transaction's id.
pub fn is_id(id: &str) -> bool {
    text::ID.check("", id).is_ok()
}

/// Whether it may be a text attribute, and is kept.
pub fn is_kept(attribute: &str) -> bool {
    text::ATTRIBUTE.check("", attribute).is_ok() && !card_number::is_within(attribute)
}

impl Gate {
    /// Whether it may be an entity's key.
    pub fn is_key(&self, key: &str) -> bool {
        text::ID.check("", key).is_ok()
            && (self.card_number_in_key == CardNumberInKey::Hash || !card_number::is_within(key))
    }

    /// The digest of a payload of such fields alone: what features see of it, its currency as it was sent, and its texts by
    /// the plan's slots.
    pub fn plain_payload(
        &self,
        plan: &Plan,
        transaction: &Transaction,
        currency: &str,
        texts: &[Option<&str>],
    ) -> KeyHash {
        self.payload(&Payload {
            event_time: transaction.event_time,
            utc_offset_minutes: transaction.utc_offset_minutes,
            kind: transaction.kind,
            event_name: "",
            amount_minor: transaction.amount.map(|amount| amount.0),
            currency,
            reference_amount_minor: None,
            link: None,
            entities: &transaction.entities[..plan.entities.len()],
            numbers: &transaction.numbers[..plan.numbers.len()],
            texts,
            dropped: 0,
            location: None,
        })
    }
}
