//! From the wire to values that cannot be wrong: every field is checked once, names become the plan's slots, keys are
//! hashed. Needs no clock and changes nothing, so a door does it as soon as bytes arrive.

mod attributes;
mod entities;
mod erasure;
mod kinds;
mod text;

use prost::{Message, bytes::Bytes};
use std::cell::Cell;

use crate::{
    card_number,
    currency::Currency,
    key::{HashKey, Namespace},
    ladder::Admission,
    plan::Plan,
    policy::{CardNumberInKey, Segment},
    refusal::Refusal,
    transaction::{
        AmountMinor, Clock, EventTime, KeyHash, Kind, Labelled, MAX_AMOUNT_MINOR, MAX_ENTITIES, Transaction,
    },
    wire,
};
pub use erasure::AdmittedErasure;
use text::Text;

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

/// A label that may be taken.
#[derive(Clone, Debug)]
pub struct AdmittedLabel {
    /// The program's place in the engine.
    pub program: u16,
    /// Whether it may enter features: our own re-scoring may not.
    pub folds: bool,
    /// What was found, as it was told.
    pub class: wire::LabelClass,
    /// Who found it.
    pub source: wire::LabelSource,
    /// Where the door read it; see [`Admitted::position`].
    pub position: Option<Box<[u8]>>,
    /// The bytes that it came as; see [`Admitted::unanswered`].
    pub unanswered: Option<Bytes>,
    /// What features see.
    pub label: Labelled,
}

/// An outcome that may be taken. No feature reads outcomes yet; the journal keeps them for those that will.
#[derive(Clone, Debug, PartialEq)]
pub struct AdmittedOutcome {
    /// The program's place in the engine.
    pub program: u16,
    /// Whose it is.
    pub subject: Subject,
    /// What became of the ask.
    pub fate: wire::Fate,
    /// Who decided.
    pub decider: wire::Decider,
    /// With a part approved: how much, when it was told in the program's currency.
    pub amount: Option<AmountMinor>,
    /// Where the door read it; see [`Admitted::position`].
    pub position: Option<Box<[u8]>>,
    /// The bytes that it came as; see [`Admitted::unanswered`].
    pub unanswered: Option<Bytes>,
}

/// A transaction that is referred to.
#[derive(Clone, Debug, PartialEq)]
pub struct Subject {
    /// The hash of its id.
    pub transaction: KeyHash,
    /// When it happened.
    pub event_time: EventTime,
    /// What it was.
    pub kind: Kind,
    /// Its entities, by the plan's slot.
    pub entities: [Option<KeyHash>; MAX_ENTITIES],
}

/// What the door needs to know of a program.
pub struct Gate {
    program: u16,
    ids: Namespace,
    payloads: Namespace,
    entities: Vec<Namespace>,
    card_number_in_key: CardNumberInKey,
    /// Kept between transactions, so that none of them allocates it.
    payload: Cell<Payload>,
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
            payload: Cell::default(),
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

    /// Checks a transaction. Raises the first thing that is wrong, in the order of the fields.
    pub fn transaction(&self, plan: &Plan, sent: &wire::Transaction) -> Result<Admitted, Refusal> {
        Text {
            shortest: 1,
            longest: 128,
        }
        .check("id", &sent.id)?;
        let event_time = event_time("event_time_us", sent.event_time_us)?;
        let utc_offset_minutes = utc_offset(sent.utc_offset_minutes)?;
        let kind = kinds::known("kind", sent.kind)?;
        kinds::event_name(kind, &sent.event_name)?;
        let mode = kinds::mode(kind, sent.mode)?;
        let amount = amount(plan, kind, sent)?;
        let subject = self.link(plan, kind, sent.link.as_ref())?;
        let entities = self.entities(plan, "entities", &sent.entities)?;
        let (numbers, texts, dropped) = attributes::by_slot(plan, &sent.attributes)?;
        location(sent.location.as_ref())?;
        let decide_by = decide_by(sent.decide_by_us)?;

        let mut payload = self.payload.take();
        payload.0.clear();
        payload.number(event_time.0);
        payload.number(i64::from(utc_offset_minutes));
        payload.number(kind as i64);
        payload.text(&sent.event_name);
        payload.optional(sent.amount_minor);
        payload.text(&sent.currency);
        payload.optional(sent.reference_amount_minor);
        if let Some((relation, subject)) = &subject {
            payload.number(i64::from(*relation));
            payload.hash(Some(subject.transaction));
            payload.number(subject.event_time.0);
            payload.number(subject.kind as i64);
            subject.entities.iter().for_each(|&key| payload.hash(key));
        }
        entities
            .iter()
            .take(plan.entities.len())
            .for_each(|&key| payload.hash(key));
        numbers
            .iter()
            .take(plan.numbers.len())
            .for_each(|number| payload.number(number.to_bits().cast_signed()));
        for (slot, text) in texts.iter().enumerate().take(plan.texts.len()) {
            // A dropped text differs from an absent one, but what stood in it leaves no trace.
            payload.number(i64::from(dropped >> slot & 1));
            payload.text(text.unwrap_or_default());
        }
        if let Some(place) = &sent.location {
            payload.number(place.latitude.to_bits().cast_signed());
            payload.number(place.longitude.to_bits().cast_signed());
        }

        let digest = self.payloads.hash(&payload.0);
        self.payload.set(payload);

        Ok(Admitted {
            program: self.program,
            id: self.id(&sent.id),
            payload: digest,
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

    /// Checks a label.
    pub fn label(&self, plan: &Plan, sent: &wire::Label) -> Result<AdmittedLabel, Refusal> {
        let subject = self.subject(plan, "subject", sent.subject.as_ref())?;
        let class = required(
            wire::LabelClass::try_from(sent.class),
            wire::LabelClass::Unspecified,
            "class",
        )?;
        let source = required(
            wire::LabelSource::try_from(sent.source),
            wire::LabelSource::Unspecified,
            "source",
        )?;
        let status = wire::LabelStatus::try_from(sent.status)
            .map_err(|_| Refusal::invalid("status", "is not a known LabelStatus"))?;
        let fraud = match status {
            wire::LabelStatus::Withdrawn => None,
            wire::LabelStatus::Unspecified | wire::LabelStatus::Asserted => Some(plan.counts_as_fraud(class)),
        };
        let Subject {
            transaction,
            event_time,
            kind,
            entities,
        } = subject;
        Ok(AdmittedLabel {
            program: self.program,
            folds: source != wire::LabelSource::Rescore,
            class,
            source,
            position: None,
            unanswered: None,
            label: Labelled {
                transaction,
                event_time,
                kind,
                entities,
                fraud,
            },
        })
    }

    /// Checks an outcome.
    pub fn outcome(&self, plan: &Plan, sent: &wire::Outcome) -> Result<AdmittedOutcome, Refusal> {
        let subject = self.subject(plan, "subject", sent.subject.as_ref())?;
        let fate = required(wire::Fate::try_from(sent.fate), wire::Fate::Unspecified, "fate")?;
        let decider = required(
            wire::Decider::try_from(sent.decider),
            wire::Decider::Unspecified,
            "decider",
        )?;
        let amount = match (fate, sent.amount_minor) {
            (wire::Fate::PartiallyApproved, Some(minor)) => {
                let amount = amount_minor("amount_minor", minor)?;
                (currency(&sent.currency)? == plan.currency).then_some(amount)
            }
            (wire::Fate::PartiallyApproved, None) => {
                return Err(Refusal::invalid(
                    "amount_minor",
                    "is required with FATE_PARTIALLY_APPROVED",
                ));
            }
            (_, Some(_)) => {
                return Err(Refusal::invalid("amount_minor", "is for FATE_PARTIALLY_APPROVED only"));
            }
            (_, None) if !sent.currency.is_empty() => {
                return Err(Refusal::invalid("currency", "stands without amount_minor"));
            }
            (_, None) => None,
        };
        Text {
            shortest: 0,
            longest: 64,
        }
        .check("reason", &sent.reason)?;
        Ok(AdmittedOutcome {
            program: self.program,
            subject,
            fate,
            decider,
            amount,
            position: None,
            unanswered: None,
        })
    }

    fn link(&self, plan: &Plan, kind: Kind, sent: Option<&wire::Link>) -> Result<Option<(i32, Subject)>, Refusal> {
        let relation = kinds::relation(kind, sent.map(|link| link.relation))?;
        let Some(link) = sent else { return Ok(None) };
        let subject = self.subject(plan, "link.subject", link.subject.as_ref())?;
        Ok(relation.map(|relation| (relation as i32, subject)))
    }

    fn subject(&self, plan: &Plan, place: &str, sent: Option<&wire::Subject>) -> Result<Subject, Refusal> {
        let Some(sent) = sent else {
            return Err(Refusal::invalid(place, "is required"));
        };
        let check = || {
            Text {
                shortest: 1,
                longest: 128,
            }
            .check("transaction_id", &sent.transaction_id)?;
            Ok(Subject {
                transaction: self.id(&sent.transaction_id),
                event_time: event_time("event_time_us", sent.event_time_us)?,
                kind: kinds::known("kind", sent.kind)?,
                entities: self.entities(plan, "entities", &sent.entities)?,
            })
        };
        check().map_err(|refusal: Refusal| refusal.within(place))
    }
}

/// The canonical bytes of a payload: fields in a fixed order, each of a length that its own bytes tell.
#[derive(Default)]
struct Payload(Vec<u8>);

impl Payload {
    fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    fn optional(&mut self, number: Option<i64>) {
        // No amount is negative.
        self.number(number.unwrap_or(-1));
    }

    fn hash(&mut self, key: Option<KeyHash>) {
        self.0.push(u8::from(key.is_some()));
        self.0.extend_from_slice(&key.unwrap_or(KeyHash(0)).0.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }
}

/// Decodes a message. Bytes that are no such message are refused by the name of the field where decoding stopped.
pub fn decode<M: Message + Default>(bytes: impl prost::bytes::Buf, whole: &str) -> Result<M, Refusal> {
    let mut message = M::default();
    decode_into(&mut message, bytes, whole).map(|()| message)
}

/// Decodes into an empty message. When that fails, the message holds the fields before the one where decoding stopped.
pub fn decode_into<M: Message>(message: &mut M, bytes: impl prost::bytes::Buf, whole: &str) -> Result<(), Refusal> {
    message.merge(bytes).map_err(|error| {
        // prost tells the path from the inside out: "failed to decode Protobuf message: EntityKey.value:
        // Transaction.entities: invalid string value: data is not UTF-8 encoded".
        let told = error.to_string();
        let told = told
            .strip_prefix("failed to decode Protobuf message: ")
            .unwrap_or(&told);
        let mut parts: Vec<&str> = told.split(": ").collect();
        let fields = parts
            .iter()
            .take_while(|part| part.contains('.') && !part.contains(' '))
            .count();
        let mut path: Vec<&str> = parts
            .drain(..fields)
            .rev()
            .filter_map(|part| part.rsplit_once('.').map(|(_, field)| field))
            .collect();
        if path.is_empty() {
            path.push(whole);
        }
        Refusal::invalid(path.join("."), format!("is malformed: {}", parts.join(": ")))
    })
}

fn required<E: PartialEq, X>(sent: Result<E, X>, unspecified: E, field: &str) -> Result<E, Refusal> {
    match sent {
        Ok(member) if member != unspecified => Ok(member),
        Ok(_) => Err(Refusal::invalid(field, "is required")),
        Err(_) => Err(Refusal::invalid(field, "is not a known member")),
    }
}

fn event_time(field: &str, us: i64) -> Result<EventTime, Refusal> {
    /// The end of the year 9999, where calendars end.
    const LAST: i64 = 253_402_300_799_999_999;
    match us {
        0 => Err(Refusal::invalid(
            field,
            "is required, in microseconds since 1970-01-01T00:00:00Z",
        )),
        1..=LAST => Ok(EventTime(us)),
        _ => Err(Refusal::invalid(
            field,
            "must lie between 1970 and 9999, in microseconds since 1970-01-01T00:00:00Z",
        )),
    }
}

fn utc_offset(minutes: i32) -> Result<i16, Refusal> {
    match i16::try_from(minutes) {
        Ok(minutes @ -1080..=1080) => Ok(minutes),
        _ => Err(Refusal::invalid(
            "utc_offset_minutes",
            "must be minutes from -1080 to 1080",
        )),
    }
}

fn decide_by(us: i64) -> Result<Option<Clock>, Refusal> {
    match us {
        0 => Ok(None),
        1.. => Ok(Some(Clock(us))),
        _ => Err(Refusal::invalid(
            "decide_by_us",
            "must be microseconds since 1970-01-01T00:00:00Z",
        )),
    }
}

fn currency(code: &str) -> Result<Currency, Refusal> {
    if code.is_empty() {
        return Err(Refusal::invalid("currency", "is required with an amount"));
    }
    Currency::parse(code)
        .ok_or_else(|| Refusal::invalid("currency", "is not an alphabetic code of ISO 4217, in capitals"))
}

fn amount_minor(field: &str, minor: i64) -> Result<AmountMinor, Refusal> {
    match minor {
        0..=MAX_AMOUNT_MINOR => Ok(AmountMinor(minor)),
        ..0 => Err(Refusal::invalid(
            field,
            "must not be negative: the kind says which way money moves",
        )),
        _ => Err(Refusal::invalid(field, "must be at most 10^14 minor units")),
    }
}

/// The amount in the program's reference currency, as windows sum it.
fn amount(plan: &Plan, kind: Kind, sent: &wire::Transaction) -> Result<Option<AmountMinor>, Refusal> {
    let reference = sent
        .reference_amount_minor
        .map(|minor| amount_minor("reference_amount_minor", minor))
        .transpose()?;
    match (kind, sent.amount_minor) {
        (Kind::Event, Some(_)) => Err(Refusal::invalid("amount_minor", "must be absent for KIND_EVENT")),
        (Kind::Event | Kind::Verification, None) => {
            if !sent.currency.is_empty() {
                return Err(Refusal::invalid("currency", "stands without amount_minor"));
            }
            if reference.is_some() {
                return Err(Refusal::invalid(
                    "reference_amount_minor",
                    "stands without amount_minor",
                ));
            }
            Ok((kind == Kind::Verification).then_some(AmountMinor(0)))
        }
        (_, None) => Err(Refusal::invalid("amount_minor", "is required for this kind")),
        (_, Some(minor)) => {
            let own = amount_minor("amount_minor", minor)?;
            if kind == Kind::Verification && own.0 != 0 {
                return Err(Refusal::invalid(
                    "amount_minor",
                    "must be 0 or absent for KIND_VERIFICATION",
                ));
            }
            if currency(&sent.currency)? != plan.currency {
                return Ok(reference);
            }
            match reference {
                Some(other) if other != own => Err(Refusal::invalid(
                    "reference_amount_minor",
                    "differs from amount_minor, though both are in the program's reference currency",
                )),
                _ => Ok(Some(own)),
            }
        }
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
