//! The one road. Every door hands what arrived to [`Engine::drain`]: each input in order is read and then folded, so that
//! two payments of one card in one drain see each other; then each model runs once; then answers leave in order. How
//! inputs were cut into drains never shows in an assessment.

use crate::{
    admit::{Admitted, AdmittedLabel, AdmittedOutcome, Gate, Mode},
    key::HashKey,
    known::{Known, Place},
    model::Model,
    plan::Plan,
    policy::Policy,
    program::Program,
    refusal::{Refusal, Violation},
    transaction::{Clock, EventTime},
    wire,
};

/// How many inputs are announced together: enough to overlap the cache misses of one with those of the others, few enough
/// that what is fetched is still there when it is read.
const ANNOUNCED: usize = 16;

/// What bounds an engine.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How many ids are remembered with their answers.
    pub known_ids: usize,
    /// The most inputs of one drain.
    pub drain: usize,
    /// How far ahead of the clock an event time may lie, in microseconds; `None` when history is replayed.
    pub ahead_us: Option<i64>,
}

/// The scorer: a plain value, owned by whichever thread a door runs it on.
pub struct Engine {
    key: HashKey,
    limits: Limits,
    epoch: u64,
    sequence: u64,
    programs: Vec<Program>,
    known: Known,
    steps: Vec<Step>,
    counts: Counts,
}

/// What an engine has done since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Transactions taken.
    pub transactions: u64,
    /// Retransmissions answered.
    pub replayed: u64,
    /// Labels taken.
    pub labels: u64,
    /// Outcomes taken.
    pub outcomes: u64,
    /// Inputs refused on the road.
    pub refused: u64,
}

/// One thing that is asked, as the gate admitted it.
#[derive(Clone, Debug)]
pub enum Asked {
    /// A transaction.
    Transaction(Box<Admitted>),
    /// A label.
    Label(Box<AdmittedLabel>),
    /// An outcome.
    Outcome(AdmittedOutcome),
    /// Something refused before: it keeps its place among the answers.
    Refused(Refusal),
}

/// The answer to one thing.
#[derive(Clone, Debug)]
pub enum Answer {
    /// To a transaction.
    Decision(Box<wire::Decision>),
    /// To a label or an outcome.
    Receipt(wire::Receipt),
    /// Nothing was changed.
    Refused(Refusal),
}

/// What the first pass of a drain leaves for the last one.
enum Step {
    Taken { place: Place, program: u16, replayed: bool },
    Told { sequence: u64 },
    Refused(Refusal),
}

/// A program that cannot be added.
#[derive(Debug, PartialEq)]
pub struct ProgramError(pub String);

impl std::fmt::Display for ProgramError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ProgramError {}

impl Engine {
    /// An engine that serves no program yet. `epoch` is higher than that of any engine before it.
    pub fn new(key: HashKey, epoch: u64, limits: Limits) -> Engine {
        Engine {
            // Answers of one drain must outlive it.
            known: Known::new(limits.known_ids.max(limits.drain)),
            key,
            limits,
            epoch,
            sequence: 0,
            programs: Vec::new(),
            steps: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// Serves a program from now on. Its state is complete for events after `complete_since`.
    pub fn add_program(
        &mut self,
        name: &str,
        plan: Plan,
        policy: Policy,
        model: Option<Model>,
        complete_since: EventTime,
    ) -> Result<(), ProgramError> {
        let place = u16::try_from(self.programs.len()).map_err(|_| ProgramError("too many programs".to_owned()))?;
        if name.is_empty() || self.programs.iter().any(|program| program.name == name) {
            return Err(ProgramError("a program needs a name of its own".to_owned()));
        }
        let gate = Gate::new(place, name, &plan, &self.key, policy.card_number_in_key);
        self.programs
            .push(Program::new(place, gate, name, plan, policy, model, complete_since));
        Ok(())
    }

    /// Checks a transaction; changes nothing.
    pub fn admit(&self, sent: &wire::Transaction) -> Result<Admitted, Refusal> {
        let program = self.program(&sent.program)?;
        program.gate.transaction(&program.plan, sent)
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

    /// The program of a name, for those who fold history into it.
    pub fn program_mut(&mut self, name: &str) -> Option<&mut Program> {
        self.programs.iter_mut().find(|program| program.name == name)
    }

    /// Takes what was asked, in order, and answers each, in order. `asked` is left empty; answers are appended.
    pub fn drain(&mut self, clock: Clock, asked: &mut Vec<Asked>, answers: &mut Vec<Answer>) {
        let mut steps = std::mem::take(&mut self.steps);
        for block in asked.chunks(ANNOUNCED) {
            self.announce(block);
            steps.extend(block.iter().map(|asked| {
                self.take(clock, asked).unwrap_or_else(|refusal| {
                    self.counts.refused += 1;
                    Step::Refused(refusal)
                })
            }));
        }
        asked.clear();
        for program in &mut self.programs {
            program.score(|place, assessment| self.known.answer(place, assessment));
        }
        answers.extend(steps.drain(..).map(|step| self.answer(clock, step)));
        self.steps = steps;
    }

    /// What the engine has done.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Has the memory fetched that a block of inputs will read. No answer depends on it.
    fn announce(&mut self, block: &[Asked]) {
        if block.len() < 2 {
            return; // a lone transaction has nothing to overlap its fetches with
        }
        for (place, program) in self.programs.iter_mut().enumerate() {
            program.history.announce(
                &program.plan,
                block.iter().filter_map(move |asked| match asked {
                    Asked::Transaction(admitted) if usize::from(admitted.program) == place => {
                        Some(&admitted.transaction)
                    }
                    _ => None,
                }),
            );
        }
    }

    fn take(&mut self, clock: Clock, asked: &Asked) -> Result<Step, Refusal> {
        match asked {
            Asked::Transaction(admitted) => self.transaction(clock, admitted),
            Asked::Label(admitted) => self.label(clock, admitted),
            Asked::Outcome(outcome) => {
                self.check_ahead(clock, outcome.event_time, "subject.event_time_us")?;
                self.counts.outcomes += 1;
                Ok(Step::Told { sequence: self.next() })
            }
            Asked::Refused(refusal) => Err(refusal.clone()),
        }
    }

    fn next(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    fn transaction(&mut self, clock: Clock, admitted: &Admitted) -> Result<Step, Refusal> {
        let program = admitted.program;
        if let Some(place) = self.known.find(admitted.id) {
            return match self.known.at(place) {
                Some(taken) if taken.payload == admitted.payload => {
                    self.counts.replayed += 1;
                    Ok(Step::Taken {
                        place,
                        program,
                        replayed: true,
                    })
                }
                _ => Err(Refusal::IdReused),
            };
        }
        self.check_ahead(clock, admitted.transaction.event_time, "event_time_us")?;
        if admitted.mode == Mode::Score && !self.programs[usize::from(program)].scores() {
            return Err(Refusal::NoModel);
        }
        let sequence = self.next();
        let place = self.known.take(admitted.id, admitted.payload, sequence);
        self.programs[usize::from(program)].take(place, admitted);
        self.counts.transactions += 1;
        Ok(Step::Taken {
            place,
            program,
            replayed: false,
        })
    }

    fn label(&mut self, clock: Clock, admitted: &AdmittedLabel) -> Result<Step, Refusal> {
        self.check_ahead(clock, admitted.label.event_time, "subject.event_time_us")?;
        if admitted.folds {
            let program = &mut self.programs[usize::from(admitted.program)];
            program.history.label(&program.plan, &admitted.label);
        }
        self.counts.labels += 1;
        Ok(Step::Told { sequence: self.next() })
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

    fn answer(&self, clock: Clock, step: Step) -> Answer {
        let receipt = |sequence, replayed| wire::Receipt {
            epoch: self.epoch,
            sequence,
            durability: wire::Durability::Memory as i32,
            replayed,
            rescore_queued: false,
            received_at_us: clock.0,
        };
        match step {
            Step::Refused(refusal) => Answer::Refused(refusal),
            Step::Told { sequence } => Answer::Receipt(receipt(sequence, false)),
            Step::Taken {
                place,
                program,
                replayed,
            } => {
                let taken = self.known.at(place);
                let version = |made_with| self.programs[usize::from(program)].version(made_with);
                Answer::Decision(Box::new(wire::Decision {
                    assessment: taken
                        .and_then(|taken| taken.assessment.as_ref())
                        .map(|assessment| assessment.to_wire(version(assessment.made_with))),
                    receipt: Some(receipt(taken.map_or(0, |taken| taken.sequence), replayed)),
                }))
            }
        }
    }
}
