//! The first pass of a drain: each input in order is known, refused, or read and folded, and drafted for the journal. What
//! its answer will need is left as a [`Step`].

use prost::Message;
use sha2::{Digest, Sha256};

use super::{Answer, Asked, Engine};
use crate::{
    admit::{Admitted, AdmittedErasure, AdmittedLabel, AdmittedOutcome, Mode},
    broken::{self, Broken},
    journal::record::{Again, Passed},
    known::Place,
    program::Whose,
    refusal::{Refusal, Violation},
    rescore::Rescored,
    transaction::{Clock, EventTime, KeyHash},
};

/// What the first pass of a drain leaves for the last one.
pub(super) enum Step {
    Taken {
        place: Place,
        program: u16,
        sequence: u64,
    },
    Again {
        answer: First,
        program: u16,
        sequence: u64,
        /// The hash of its id and where it stood, when nobody waits for its answer.
        stood: Option<(KeyHash, Box<[u8]>)>,
    },
    Read {
        place: usize,
        program: u16,
    },
    Told {
        sequence: u64,
    },
    /// What the cloud said, and had said before.
    ToldAgain,
    Erased {
        sequence: u64,
        held: bool,
    },
    Refused(Refusal),
}

/// Where the first answer to a retransmission is.
#[derive(Clone, Copy)]
pub(super) enum First {
    /// Given in an earlier drain: kept in this place until this one ends.
    Kept(usize),
    /// Given in this drain, whose ids are all known at its end.
    Known(Place),
}

impl Engine {
    pub(super) fn step(&mut self, clock: Clock, asked: &Asked, takes: bool) -> Step {
        let unanswered = asked.unanswered();
        if unanswered.is_some() && !takes {
            // It waits where it stands.
            return Step::Refused(self.takes_nothing());
        }
        match self.take(clock, asked, takes) {
            Ok(step) => {
                match step {
                    Step::Taken { .. } | Step::Told { .. } | Step::Erased { .. } => self.offsets.take(asked.position()),
                    // What is not journaled moves no position, or does so when it is.
                    Step::Again { .. } | Step::Read { .. } | Step::ToldAgain | Step::Refused(_) => {}
                }
                step
            }
            Err(refusal) => {
                self.counts.refused += 1;
                if let (Some(position), Some(sent)) = (asked.position(), unanswered) {
                    self.pass(position, sent, &refusal);
                }
                Step::Refused(refusal)
            }
        }
    }

    fn take(&mut self, clock: Clock, asked: &Asked, takes: bool) -> Result<Step, Refusal> {
        match asked {
            Asked::Passed(refused) => Err(refused.refusal.clone()),
            Asked::Transaction(admitted) => self.transaction(clock, admitted, takes),
            Asked::Refused(refusal) => Err(refusal.clone()),
            Asked::Label(_) | Asked::Outcome(_) | Asked::Rescored(_) | Asked::Erasure(_) if !takes => {
                Err(self.takes_nothing())
            }
            Asked::Label(admitted) => self.label(clock, admitted),
            Asked::Outcome(admitted) => self.outcome(clock, admitted),
            Asked::Rescored(rescored) => self.rescored(clock, rescored),
            Asked::Erasure(admitted) => Ok(self.erase(admitted)),
        }
    }

    fn transaction(&mut self, clock: Clock, admitted: &Admitted, takes: bool) -> Result<Step, Refusal> {
        let program = admitted.program;
        if let Some(place) = self.known.find(admitted.id) {
            return match self.known.at(place) {
                Some(taken) if taken.payload == admitted.payload => {
                    self.counts.replayed += 1;
                    let sequence = taken.sequence;
                    let answer = if sequence < self.draft.first {
                        self.read.push(taken.assessment.clone());
                        First::Kept(self.read.len() - 1)
                    } else {
                        First::Known(place)
                    };
                    Ok(Step::Again {
                        answer,
                        program,
                        sequence,
                        stood: admitted
                            .unanswered
                            .as_ref()
                            .and(admitted.position.clone())
                            .map(|position| (admitted.id, position)),
                    })
                }
                _ => {
                    if broken::is(Broken::FoldRefused) {
                        self.programs[usize::from(program)].fold(&admitted.transaction);
                    }
                    Err(Refusal::IdReused)
                }
            };
        }
        self.check_ahead(clock, admitted.transaction.event_time, "event_time_us")?;
        if admitted.mode == Mode::Score && !self.programs[usize::from(program)].answers() {
            return Err(Refusal::NoModel);
        }
        if !takes {
            return self.read(admitted);
        }
        let sequence = self.next();
        let place = self.known.take(admitted.id, admitted.payload, sequence);
        let draft = self.journal.is_some().then_some(&mut self.draft);
        self.programs[usize::from(program)].take(place, admitted, draft);
        self.counts.transactions += 1;
        Ok(Step::Taken {
            place,
            program,
            sequence,
        })
    }

    /// Scores a transaction and leaves no trace of it.
    fn read(&mut self, admitted: &Admitted) -> Result<Step, Refusal> {
        if admitted.mode == Mode::Fold {
            return Err(self.takes_nothing());
        }
        let (place, program) = (self.read.len(), admitted.program);
        self.read.push(None);
        self.programs[usize::from(program)].read(Whose::Read(place), admitted, None);
        self.counts.unfolded += 1;
        Ok(Step::Read { place, program })
    }

    fn label(&mut self, clock: Clock, admitted: &AdmittedLabel) -> Result<Step, Refusal> {
        self.check_ahead(clock, admitted.label.event_time, "subject.event_time_us")?;
        if admitted.folds {
            let program = &mut self.programs[usize::from(admitted.program)];
            program.history.label(&program.plan, &admitted.label);
        }
        if self.journal.is_some() {
            self.draft.label(admitted);
        }
        self.counts.labels += 1;
        Ok(Step::Told { sequence: self.next() })
    }

    fn outcome(&mut self, clock: Clock, admitted: &AdmittedOutcome) -> Result<Step, Refusal> {
        self.check_ahead(clock, admitted.subject.event_time, "subject.event_time_us")?;
        if self.journal.is_some() {
            self.draft.outcome(admitted);
        }
        self.counts.outcomes += 1;
        Ok(Step::Told { sequence: self.next() })
    }

    fn rescored(&mut self, clock: Clock, rescored: &Rescored) -> Result<Step, Refusal> {
        let place = usize::from(rescored.program);
        if self.programs[place].reviewed.knows(rescored) {
            return Ok(Step::ToldAgain);
        }
        self.check_ahead(clock, rescored.subject.event_time, "event_time_us")?;
        self.programs[place].review(rescored);
        if self.journal.is_some() {
            self.draft.rescored(rescored);
        }
        Ok(Step::Told { sequence: self.next() })
    }

    /// Erases a key: as what it did had never been told, but for ids, which name nobody, and for what was answered.
    fn erase(&mut self, admitted: &AdmittedErasure) -> Step {
        let program = &mut self.programs[usize::from(admitted.program)];
        let slot = usize::from(admitted.entity);
        let held = program.history.erase(&program.plan, slot, admitted.key);
        if self.journal.is_some() {
            self.draft.erasure(admitted);
        }
        self.counts.erasures += 1;
        Step::Erased {
            sequence: self.next(),
            held,
        }
    }

    fn check_ahead(&self, clock: Clock, event_time: EventTime, field: &str) -> Result<(), Refusal> {
        match self.limits.ahead_us {
            Some(ahead_us) if event_time.0.saturating_sub(clock.0) > ahead_us => Err(Refusal::TooFarAhead(Violation {
                field: field.to_owned(),
                description: format!("lies more than {ahead_us} us ahead of the scorer's clock").into(),
            })),
            _ => Ok(()),
        }
    }

    /// Journals that a record of a stream was refused.
    fn pass(&mut self, position: &[u8], sent: &[u8], refusal: &Refusal) {
        if self.journal.is_some() {
            self.draft.passed(&Passed {
                position: position.into(),
                // Codes are below 17.
                code: refusal.code() as u8,
                reason: &refusal.message(),
                digest: Sha256::digest(sent).into(),
            });
        }
        self.offsets.take(Some(position));
        self.counts.passed += 1;
        self.next();
    }

    /// Journals which records of streams repeated a transaction, with the first answer to it: behind all else that was taken,
    /// as that answer may be one of this drain's.
    pub(super) fn repeat(&mut self, clock: Clock, steps: &[Step]) {
        for step in steps {
            let &Step::Again {
                answer,
                program,
                sequence,
                stood: Some((id, ref position)),
            } = step
            else {
                continue;
            };
            if self.journal.is_some() {
                let again = Step::Again {
                    answer,
                    program,
                    sequence,
                    stood: None,
                };
                let decision = match self.answer(clock, again) {
                    Answer::Decision(decision) if decision.assessment.is_some() => decision.encode_to_vec(),
                    Answer::Decision(_) | Answer::Receipt(_) | Answer::Erased(_) | Answer::Refused(_) => Vec::new(),
                };
                self.draft.again(&Again {
                    id,
                    position: (&**position).into(),
                    decision: &decision,
                });
            }
            self.offsets.take(Some(position));
            self.next();
        }
    }

    fn takes_nothing(&self) -> Refusal {
        match self.recovers() {
            true => Refusal::Recovering,
            false => Refusal::JournalFull,
        }
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }
}
