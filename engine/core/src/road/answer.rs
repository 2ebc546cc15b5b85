//! The last pass of a drain: each step becomes its answer, with a receipt that says what its input survives.

use super::{
    Engine,
    step::{First, Step},
};
use crate::{
    assessment::Assessment, journal::Durability, program::Program, refusal::Refusal, rescore::Rescore,
    transaction::Clock, wire,
};

/// The answer to one thing.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a transaction.
    Decision(Box<wire::Decision>),
    /// To a label, an outcome, or what the cloud said.
    Receipt(wire::Receipt),
    /// To an erasure.
    Erased(wire::EraseResponse),
    /// Nothing was changed.
    Refused(Refusal),
}

impl Engine {
    pub(super) fn answer(&self, clock: Clock, step: Step) -> Answer {
        let receipt = |sequence, replayed| wire::Receipt {
            epoch: self.epoch(sequence),
            sequence,
            durability: self.durability(sequence) as i32,
            replayed,
            rescore_queued: false,
            received_at_us: clock.0,
            rescore_spool_full: false,
        };
        let decision = |program, assessment: Option<&Assessment>, mut receipt: wire::Receipt| {
            let program: &Program = &self.programs[usize::from(program)];
            assessment
                .map_or(Rescore::Not, |assessment| assessment.rescore)
                .tell(&mut receipt);
            Answer::Decision(Box::new(wire::Decision {
                assessment: assessment.map(|assessment| assessment.to_wire(program.version(assessment.made_with))),
                receipt: Some(receipt),
                rescored: None,
            }))
        };
        let known = |place| self.known.at(place).and_then(|taken| taken.assessment.as_ref());
        let read = |place: usize| self.read.get(place).and_then(Option::as_ref);
        match step {
            Step::Refused(refusal) => Answer::Refused(refusal),
            Step::Told { sequence } => Answer::Receipt(receipt(sequence, false)),
            Step::ToldAgain => Answer::Receipt(receipt(0, true)),
            Step::Erased { sequence, held } => Answer::Erased(wire::EraseResponse {
                receipt: Some(receipt(sequence, false)),
                held,
            }),
            Step::Read { place, program } => decision(program, read(place), receipt(0, false)),
            Step::Taken {
                place,
                program,
                sequence,
            } => decision(program, known(place), receipt(sequence, false)),
            Step::Again {
                answer,
                program,
                sequence,
                stood: _,
            } => {
                let first = match answer {
                    First::Kept(place) => read(place),
                    First::Known(place) => known(place),
                };
                decision(program, first, receipt(sequence, true))
            }
        }
    }

    /// The life of the scorer that gave a sequence number.
    pub(super) fn epoch(&self, sequence: u64) -> u64 {
        let given = self.epochs.iter().rev().find(|&&(first, _)| first <= sequence);
        given.or(self.epochs.last()).map_or(0, |&(_, epoch)| epoch)
    }

    fn durability(&self, sequence: u64) -> wire::Durability {
        let Some(journal) = self.journal.as_ref().filter(|_| sequence > 0) else {
            return if sequence > 0 {
                wire::Durability::Memory
            } else {
                wire::Durability::NotTaken
            };
        };
        match journal.durability(sequence) {
            Durability::Memory => wire::Durability::Memory,
            Durability::Written => wire::Durability::Written,
            Durability::Synced => wire::Durability::Synced,
        }
    }

    /// What the input at a sequence survives by now.
    pub fn survives(&self, sequence: u64) -> Durability {
        let journal = self.journal.as_ref();
        journal.map_or(Durability::Memory, |journal| journal.durability(sequence))
    }

    /// Brings an answer's receipt up to date with what its input survives by now.
    pub fn tell_survival(&self, answer: &mut Answer) {
        let receipt = match answer {
            Answer::Decision(decision) => decision.receipt.as_mut(),
            Answer::Receipt(receipt) => Some(receipt),
            Answer::Erased(erased) => erased.receipt.as_mut(),
            Answer::Refused(_) => None,
        };
        if let Some(receipt) = receipt {
            receipt.durability = self.durability(receipt.sequence) as i32;
        }
    }
}
