//! What is told of a transaction that was: labels and outcomes, and links to it.

use prost::bytes::Bytes;

use super::{
    Gate, amount, kinds,
    text::{self, Text},
    when::event_time,
};
use crate::{
    plan::Plan,
    refusal::Refusal,
    transaction::{AmountMinor, EventTime, KeyHash, Kind, Labelled, MAX_ENTITIES},
    wire,
};

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

impl Gate {
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
                let minor = amount::minor("amount_minor", minor)?;
                (amount::currency(&sent.currency)? == plan.currency).then_some(minor)
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

    pub(super) fn link(
        &self,
        plan: &Plan,
        kind: Kind,
        sent: Option<&wire::Link>,
    ) -> Result<Option<(i32, Subject)>, Refusal> {
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
            text::ID.check("transaction_id", &sent.transaction_id)?;
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

fn required<E: PartialEq, X>(sent: Result<E, X>, unspecified: E, field: &str) -> Result<E, Refusal> {
    match sent {
        Ok(member) if member != unspecified => Ok(member),
        Ok(_) => Err(Refusal::invalid(field, "is required")),
        Err(_) => Err(Refusal::invalid(field, "is not a known member")),
    }
}
