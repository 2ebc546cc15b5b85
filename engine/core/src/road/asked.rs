//! What is asked: admitted by the gate of its program, with names resolved and keys hashed, and nothing changed yet.

use prost::bytes::Bytes;

use super::Engine;
use crate::{
    admit::{Admitted, AdmittedErasure, AdmittedLabel, AdmittedOutcome},
    program::Program,
    refusal::Refusal,
    rescore::{self, Rescored},
    wire,
};

/// One thing that is asked, as the gate admitted it.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A transaction.
    Transaction(Box<Admitted>),
    /// A label.
    Label(Box<AdmittedLabel>),
    /// An outcome.
    Outcome(Box<AdmittedOutcome>),
    /// What the cloud said of a transaction.
    Rescored(Box<Rescored>),
    /// An erasure.
    Erasure(AdmittedErasure),
    /// Something refused before: it keeps its place among the answers.
    Refused(Refusal),
    /// A record of a stream that the door refused, and for whose answer nobody waits.
    Passed(Box<Refused>),
}

/// A record of a stream that the door refused.
#[derive(Clone, Debug)]
pub struct Refused {
    /// Where it stood.
    pub position: Box<[u8]>,
    /// Its bytes.
    pub sent: Bytes,
    /// Why.
    pub refusal: Refusal,
}

impl Asked {
    /// Where it stood.
    pub(super) fn position(&self) -> Option<&[u8]> {
        match self {
            Asked::Transaction(admitted) => admitted.position.as_deref(),
            Asked::Label(admitted) => admitted.position.as_deref(),
            Asked::Outcome(admitted) => admitted.position.as_deref(),
            Asked::Rescored(rescored) => rescored.position.as_deref(),
            Asked::Passed(refused) => Some(&refused.position),
            Asked::Erasure(admitted) => admitted.position.as_deref(),
            Asked::Refused(_) => None,
        }
    }

    /// Its bytes, where nobody waits for its answer.
    pub(super) fn unanswered(&self) -> Option<&Bytes> {
        match self {
            Asked::Transaction(admitted) => admitted.unanswered.as_ref(),
            Asked::Label(admitted) => admitted.unanswered.as_ref(),
            Asked::Outcome(admitted) => admitted.unanswered.as_ref(),
            Asked::Passed(refused) => Some(&refused.sent),
            Asked::Erasure(admitted) => admitted.unanswered.as_ref(),
            // What the cloud said may be said again: it waits for no position.
            Asked::Rescored(_) | Asked::Refused(_) => None,
        }
    }
}

impl Engine {
    /// Checks a transaction; changes nothing.
    pub fn admit(&self, sent: &wire::Transaction) -> Result<Admitted, Refusal> {
        let program = self.program(&sent.program)?;
        let mut admitted = program.gate.transaction(&program.plan, sent)?;
        let declared = &program.blind.declared;
        admitted.segment = declared.segment(&admitted.transaction, &sent.attributes);
        Ok(admitted)
    }

    /// Checks a label; changes nothing.
    pub fn admit_label(&self, sent: &wire::Label) -> Result<AdmittedLabel, Refusal> {
        let program = self.program(&sent.program)?;
        program.gate.label(&program.plan, sent)
    }

    /// Checks an outcome; changes nothing.
    pub fn admit_outcome(&self, sent: &wire::Outcome) -> Result<AdmittedOutcome, Refusal> {
        let program = self.program(&sent.program)?;
        program.gate.outcome(&program.plan, sent)
    }

    /// Checks what the cloud said of transactions; changes nothing.
    pub fn admit_rescored(&self, sent: &wire::RescoredDecisions) -> Result<Vec<Rescored>, Refusal> {
        let program = self.program(&sent.program)?;
        rescore::read(sent, program.place(), &program.plan, program.labels_rescored())
    }

    /// Checks an erasure; changes nothing.
    pub fn admit_erasure(&self, sent: &wire::EraseRequest) -> Result<AdmittedErasure, Refusal> {
        let program = self.program(&sent.program)?;
        program.gate.erasure(&program.plan, sent)
    }

    /// The program of a name.
    pub fn program(&self, name: &str) -> Result<&Program, Refusal> {
        self.programs
            .iter()
            .find(|program| program.name == name)
            .ok_or_else(|| {
                let what = if name.is_empty() {
                    "is required"
                } else {
                    "is not served here"
                };
                Refusal::invalid("program", what)
            })
    }
}
