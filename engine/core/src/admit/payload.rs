//! What tells a retransmission from another payload: the bytes whose keyed digest is compared.

use super::Subject;
use crate::{
    transaction::{EventTime, KeyHash, Kind},
    wire,
};

/// Every field but mode and decide-by, as the gate checked it.
pub(super) struct Payload<'a> {
    pub event_time: EventTime,
    pub utc_offset_minutes: i16,
    pub kind: Kind,
    pub event_name: &'a str,
    pub amount_minor: Option<i64>,
    pub currency: &'a str,
    pub reference_amount_minor: Option<i64>,
    pub link: Option<(i64, &'a Subject)>,
    /// By the plan's slots, as the three that follow.
    pub entities: &'a [Option<KeyHash>],
    pub numbers: &'a [f64],
    pub texts: &'a [Option<&'a str>],
    /// Texts that were dropped, one bit a slot.
    pub dropped: u16,
    pub location: Option<&'a wire::Location>,
}

impl Payload<'_> {
    /// Its canonical bytes: fields in a fixed order, each of a length that its own bytes tell.
    pub fn write(&self, out: &mut Vec<u8>) {
        number(out, self.event_time.0);
        number(out, i64::from(self.utc_offset_minutes));
        number(out, self.kind as i64);
        text(out, self.event_name);
        optional(out, self.amount_minor);
        text(out, self.currency);
        optional(out, self.reference_amount_minor);
        if let Some((relation, subject)) = self.link {
            number(out, relation);
            hash(out, Some(subject.transaction));
            number(out, subject.event_time.0);
            number(out, subject.kind as i64);
            subject.entities.iter().for_each(|&key| hash(out, key));
        }
        self.entities.iter().for_each(|&key| hash(out, key));
        let bits = self.numbers.iter().map(|number| number.to_bits());
        bits.for_each(|bits| number(out, bits.cast_signed()));
        for (slot, given) in self.texts.iter().enumerate() {
            // A dropped text differs from an absent one, but what stood in it leaves no trace.
            number(out, i64::from(self.dropped >> slot & 1));
            text(out, given.unwrap_or_default());
        }
        if let Some(place) = self.location {
            number(out, place.latitude.to_bits().cast_signed());
            number(out, place.longitude.to_bits().cast_signed());
        }
    }
}

fn number(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(&number.to_le_bytes());
}

fn optional(out: &mut Vec<u8>, given: Option<i64>) {
    // No amount is negative.
    number(out, given.unwrap_or(-1));
}

fn hash(out: &mut Vec<u8>, key: Option<KeyHash>) {
    out.push(u8::from(key.is_some()));
    out.extend_from_slice(&key.unwrap_or(KeyHash(0)).0.to_le_bytes());
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend_from_slice(&(text.len() as u64).to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}
