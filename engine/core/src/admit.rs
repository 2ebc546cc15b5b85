//! From the wire to values that cannot be wrong: every field is checked once, names become the plan's slots, keys are
//! hashed. Needs no clock and changes nothing, so a door does it as soon as bytes arrive.

mod amount;
mod attributes;
mod decode;
mod entities;
mod erasure;
mod kinds;
mod payload;
pub mod plain;
mod text;
mod told;
mod when;

use prost::bytes::Bytes;
use std::cell::Cell;

use crate::{
    card_number,
    key::{HashKey, Namespace},
    ladder::Admission,
    plan::Plan,
    policy::{CardNumberInKey, Segment},
    refusal::Refusal,
    transaction::{Clock, KeyHash, Transaction},
    wire,
};
pub use decode::{decode, decode_into};
pub use erasure::AdmittedErasure;
use payload::Payload;
pub use told::{AdmittedLabel, AdmittedOutcome, Subject};

/// A transaction that may be taken.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The program's place in the engine.
    pub program: u16,
    /// The hash of its id.
    pub id: KeyHash,
    /// The digest of every field but mode and decide-by.
    pub payload: KeyHash,
    /// Whether an assessment is asked.
    pub mode: Mode,
    /// When the caller stops waiting.
    pub decide_by: Option<Clock>,
    /// Text attributes that held a card number and were dropped, one bit a slot.
    pub dropped: u16,
    /// Other places' transactions are folded here, and too far behind them.
    pub mirror_behind: bool,
    /// Where the door read it, in the door's own form, at most 255 bytes: journaled with it, so that a door knows after a
    /// restart what was taken. The gate leaves it empty.
    pub position: Option<Box<[u8]>>,
    /// The bytes that it came as, where nobody waits for its answer: then it is taken or left, and never only read; and
    /// what becomes of it is journaled, also when it repeats an id or is refused. `None` where a caller is answered.
    pub unanswered: Option<Bytes>,
    /// Its caller waits, and may wait for the cloud's word where the answer is uncertain. Doors set it.
    pub asks: bool,
    /// The highest rung on which it may be answered. The gate admits to the highest; doors and the journal lower it.
    pub admission: Admission,
    /// The segment of the program's declared default that it falls into.
    pub segment: Segment,
    /// What features see.
    pub transaction: Transaction,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// An assessment.
    Score,
    /// A receipt only.
    Fold,
}

/// What the door needs to know of a program.
pub struct Gate {
    program: u16,
    ids: Namespace,
    payloads: Namespace,
    entities: Vec<Namespace>,
    card_number_in_key: CardNumberInKey,
    /// A payload's bytes, kept between transactions, so that none of them allocates it.
    room: Cell<Vec<u8>>,
}

impl Gate {
    /// The gate of the program at a place.
    pub fn new(program: u16, name: &str, plan: &Plan, key: &HashKey, card_number_in_key: CardNumberInKey) -> Gate {
        let entities = plan
            .entities
            .iter()
            .map(|entity| key.namespace(name, &format!("entity {entity}")));
        Gate {
            program,
            ids: key.namespace(name, "transaction id"),
            payloads: key.namespace(name, "payload"),
            entities: entities.collect(),
            card_number_in_key,
            room: Cell::default(),
        }
    }

    /// The hash of a transaction's id.
    pub fn id(&self, id: &str) -> KeyHash {
        self.ids.hash(id.as_bytes())
    }

    /// A transaction's id, where it is kept as it was sent so that its answer can be named by it: nothing of one that holds a
    /// card number, whose answer is named by where the transaction stood.
    pub fn id_to_keep<'i>(&self, id: &'i str) -> Result<&'i str, Refusal> {
        match self.card_number_in_key {
            _ if !card_number::is_within(id) => Ok(id),
            CardNumberInKey::Hash => Ok(""),
            CardNumberInKey::Refuse => Err(Refusal::invalid(
                "id",
                "is a card number, which this program refuses: send another id",
            )),
        }
    }

    /// The hash of an entity's key; `slot` is the entity's place in the plan.
    pub fn entity(&self, slot: usize, value: &str) -> KeyHash {
        self.entities[slot].hash(value.as_bytes())
    }

    /// The digest of a payload.
    fn payload(&self, payload: &Payload) -> KeyHash {
        let mut room = self.room.take();
        room.clear();
        payload.write(&mut room);
        let digest = self.payloads.hash(&room);
        self.room.set(room);
        digest
    }

    /// Checks a transaction. Raises the first thing that is wrong, in the order of the fields.
    pub fn transaction(&self, plan: &Plan, sent: &wire::Transaction) -> Result<Admitted, Refusal> {
        text::ID.check("id", &sent.id)?;
        let event_time = when::event_time("event_time_us", sent.event_time_us)?;
        let utc_offset_minutes = when::utc_offset(sent.utc_offset_minutes)?;
        let kind = kinds::known("kind", sent.kind)?;
        kinds::event_name(kind, &sent.event_name)?;
        let mode = kinds::mode(kind, sent.mode)?;
        let amount = amount::of_transaction(plan, kind, sent)?;
        let subject = self.link(plan, kind, sent.link.as_ref())?;
        let entities = self.entities(plan, "entities", &sent.entities)?;
        let (numbers, texts, dropped) = attributes::by_slot(plan, &sent.attributes)?;
        location(sent.location.as_ref())?;
        let decide_by = when::decide_by(sent.decide_by_us)?;

        let payload = self.payload(&Payload {
            event_time,
            utc_offset_minutes,
            kind,
            event_name: &sent.event_name,
            amount_minor: sent.amount_minor,
            currency: &sent.currency,
            reference_amount_minor: sent.reference_amount_minor,
            link: subject
                .as_ref()
                .map(|(relation, subject)| (i64::from(*relation), subject)),
            entities: &entities[..plan.entities.len()],
            numbers: &numbers[..plan.numbers.len()],
            texts: &texts[..plan.texts.len()],
            dropped,
            location: sent.location.as_ref(),
        });

        Ok(Admitted {
            program: self.program,
            id: self.id(&sent.id),
            payload,
            mode,
            decide_by,
            dropped,
            mirror_behind: false,
            position: None,
            unanswered: None,
            asks: false,
            admission: Admission::Full,
            segment: Segment::default(),
            transaction: Transaction {
                event_time,
                utc_offset_minutes,
                kind,
                amount,
                entities,
                numbers,
            },
        })
    }
}

fn location(sent: Option<&wire::Location>) -> Result<(), Refusal> {
    let Some(place) = sent else { return Ok(()) };
    for (field, degrees, most) in [
        ("location.latitude", place.latitude, 90.0),
        ("location.longitude", place.longitude, 180.0),
    ] {
        // A comparison with NaN is false, so that NaN is refused here too.
        if !(-most..=most).contains(&degrees) {
            return Err(Refusal::invalid(
                field,
                format!("must be degrees from -{most} to {most}"),
            ));
        }
    }
    Ok(())
}
