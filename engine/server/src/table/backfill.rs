//! The door over files: mapped batches go in, in the order of inputs, and each row takes the road that every other input
//! takes: gate, drain, answer. What the road refuses is told by row and column.

mod block;
mod columns;
mod foreseen;
mod gate;
mod ids;
mod intake;
mod seen;

use std::{path::Path, sync::Arc};

use arrow_array::RecordBatch;
use fraudgate_core::{
    refusal::Refusal,
    road::{Answer, Asked, Engine},
    transaction::{Clock, MAX_ENTITIES},
    wire,
};

use crate::journal::{
    disk::{Disk, Folder},
    keyring::Keyring,
    snapshot,
};

use super::{
    Input, Mapping, Refused, TableError,
    answers::{Answers, Of, Wanted},
    inputs::{Inputs, Next, Said, Told, column_of, in_order},
};
pub use block::Piece;
use foreseen::{Foreseen, mode};

/// The most inputs of one drain. How they are cut into drains never shows.
pub const DRAIN: usize = 1_024;

/// An engine that is fed from files.
pub struct Backfill {
    /// The engine; its one program is the one that is fed.
    pub engine: Engine,
    mapping: Arc<Mapping>,
    program: String,
    entities: Vec<String>,
    features: Vec<String>,
    /// What happened before this is folded, and no answer is asked.
    score_from_us: i64,
    asked: Vec<Asked>,
    origins: Vec<Of>,
    answers: Vec<Answer>,
    sent: wire::Transaction,
    /// What the block under way comes to, where it was foreseen.
    foreseen: Option<Foreseen>,
}

/// What became of a batch.
pub struct Taken {
    /// A row for each transaction that was answered.
    pub answers: RecordBatch,
    /// What was refused.
    pub refused: Vec<Refused>,
}

impl Backfill {
    /// Feeds the one program of an engine that keeps no time: nothing in a history lies ahead of a clock.
    pub fn new(mut engine: Engine, mapping: Arc<Mapping>, score_from_us: i64) -> Result<Backfill, TableError> {
        let [program] = engine.programs_mut() else {
            return Err(TableError("a backfill feeds one program".to_owned()));
        };
        check_names(&mapping, &program.plan)?;
        program.keep_rows();
        let program = &engine.programs()[0];
        Ok(Backfill {
            program: program.name.clone(),
            entities: program.plan.entities.clone(),
            features: program
                .plan
                .features
                .iter()
                .map(|feature| feature.name.clone())
                .collect(),
            mapping,
            score_from_us,
            asked: Vec::with_capacity(DRAIN),
            origins: Vec::with_capacity(DRAIN),
            answers: Vec::with_capacity(DRAIN),
            sent: wire::Transaction::default(),
            foreseen: None,
            engine,
        })
    }

    /// Takes mapped transactions in, and what is told of them, in their order. Where a block was foreseen they are its next
    /// piece, and what is told is known already.
    pub fn take(
        &mut self,
        transactions: &RecordBatch,
        labels: Option<&RecordBatch>,
        outcomes: Option<&RecordBatch>,
        wanted: Wanted,
    ) -> Result<Taken, TableError> {
        if let Some(mut foreseen) = self.foreseen.take() {
            let taken = self.give(&mut foreseen, transactions, wanted);
            self.foreseen = Some(foreseen).filter(|foreseen| !foreseen.is_given());
            return taken;
        }
        let (mapping, program) = (self.mapping.clone(), self.program.clone());
        let inputs = Inputs::new(&program, &mapping, transactions)?;
        let told = labels
            .into_iter()
            .chain(outcomes)
            .map(|batch| Told::new(&program, &mapping, batch))
            .collect::<Result<Vec<_>, _>>()?;
        let mut refused = Vec::new();
        let mut answers = Answers::new(wanted, inputs.len());
        in_order(&inputs, &told, |next| {
            match next {
                Next::Told(told, row) => self.tell(&mapping, told, row, &mut refused),
                Next::Transaction(row) => self.ask(&mapping, &inputs, row, &mut refused),
            }
            self.drain_full(&mapping, &mut answers, &mut refused)
        })?;
        self.drain(&mapping, &mut answers, &mut refused)?;
        Ok(Taken {
            answers: answers.into_batch(&self.entities, &self.features)?,
            refused,
        })
    }

    /// Writes the state to a folder that holds none, as a snapshot that a server starts from: the folder is its journal's, and
    /// `secret` the key that wraps its keys.
    pub fn write_state(&mut self, folder: &Path, secret: &[u8; 32]) -> Result<(), TableError> {
        if self.foreseen.is_some() {
            return Err(TableError("what was foreseen was not taken yet".to_owned()));
        }
        let (disk, mut keyring) = open(folder, secret)?;
        let held = disk.snapshots().map(|snapshots| snapshots.len());
        match (disk.segments().map(|segments| segments.len()), held) {
            (Ok(0), Ok(0)) => {}
            (Ok(_), Ok(_)) => return Err(TableError(format!("{}: holds a journal already", folder.display()))),
            (Err(error), _) | (_, Err(error)) => return Err(TableError(format!("{}: {error}", folder.display()))),
        }
        let (number, epoch) = keyring.newest();
        snapshot::write(&disk, &mut keyring, &mut self.engine, number + 1, epoch + 1, None)
            .map(drop)
            .map_err(|error| TableError(error.to_string()))
    }

    /// Takes in the state that a folder holds, before anything else was taken.
    pub fn read_state(&mut self, folder: &Path, secret: &[u8; 32]) -> Result<(), TableError> {
        let (disk, keyring) = open(folder, secret)?;
        let found = snapshot::load::newest(&*disk, &keyring, &mut self.engine, &[], &mut |_| {})
            .map_err(|error| TableError(error.to_string()))?;
        match found.loaded {
            Some((_, loaded)) if loaded.programs == [true] => Ok(()),
            Some(_) | None => Err(TableError(format!(
                "{}: holds no state of this program",
                folder.display()
            ))),
        }
    }

    fn ask(&mut self, mapping: &Mapping, inputs: &Inputs, row: usize, refused: &mut Vec<Refused>) {
        inputs.write(row, &mut self.sent);
        self.sent.mode = mode(inputs.event_time(row), self.score_from_us) as i32;
        match self.engine.admit(&self.sent) {
            Ok(admitted) => {
                let keys = admitted.transaction.entities;
                self.asked.push(Asked::Transaction(Box::new(admitted)));
                self.origins.push(Of {
                    input: Input::Transaction,
                    row: inputs.number(row),
                    keys,
                });
            }
            Err(refusal) => {
                let row = inputs.number(row);
                refused.push(refusal_of(mapping, Input::Transaction, &self.sent, row, &refusal));
            }
        }
    }

    fn tell(&mut self, mapping: &Mapping, told: &Told, row: usize, refused: &mut Vec<Refused>) {
        let (input, admitted) = match told.get(row) {
            Said::Label(label) => {
                let admitted = self.engine.admit_label(&label);
                (Input::Label, admitted.map(|label| Asked::Label(Box::new(label))))
            }
            Said::Outcome(outcome) => {
                let admitted = self.engine.admit_outcome(&outcome);
                (
                    Input::Outcome,
                    admitted.map(|outcome| Asked::Outcome(Box::new(outcome))),
                )
            }
        };
        match admitted {
            Ok(asked) => {
                self.asked.push(asked);
                self.origins.push(Of {
                    input,
                    row: told.number(row),
                    keys: [None; MAX_ENTITIES],
                });
            }
            Err(refusal) => {
                refused.push(refusal_of(mapping, input, &told.keys(row), told.number(row), &refusal));
            }
        }
    }

    fn drain_full(
        &mut self,
        mapping: &Mapping,
        answers: &mut Answers,
        refused: &mut Vec<Refused>,
    ) -> Result<(), TableError> {
        match self.asked.len() >= DRAIN {
            true => self.drain(mapping, answers, refused),
            false => Ok(()),
        }
    }

    fn drain(
        &mut self,
        mapping: &Mapping,
        answers: &mut Answers,
        refused: &mut Vec<Refused>,
    ) -> Result<(), TableError> {
        let failures = self.engine.counts().model_failures;
        // No receipt of a backfill is shown: what time it is does not matter.
        self.engine.drain(Clock(0), &mut self.asked, &mut self.answers);
        if self.engine.counts().model_failures > failures {
            return Err(failed());
        }
        let width = self.features.len();
        let mut seen = answers.features.len() / width;
        if let Some(program) = self.engine.programs_mut().first_mut() {
            match answers.wants_features() {
                true => answers.features.append(program.kept_rows()),
                false => program.kept_rows().clear(),
            }
        }
        for (answer, of) in self.answers.drain(..).zip(self.origins.drain(..)) {
            match answer {
                Answer::Decision(decision) => {
                    let wire::Decision {
                        assessment,
                        receipt,
                        rescored: _,
                    } = *decision;
                    let (Some(assessment), Some(receipt)) = (assessment, receipt) else {
                        continue; // only a fold was asked
                    };
                    let place = (!receipt.replayed).then_some(seen);
                    seen += usize::from(!receipt.replayed);
                    answers.push(&of, receipt.sequence, receipt.replayed, place);
                    answers.say_sent(&assessment);
                }
                Answer::Refused(refusal) => {
                    let none = wire::Transaction::default();
                    refused.push(refusal_of(mapping, of.input, &none, of.row, &refusal));
                }
                Answer::Receipt(_) | Answer::Erased(_) => {}
            }
        }
        Ok(())
    }
}

fn failed() -> TableError {
    TableError("a model failed to score; a backfill answers in full or not at all".to_owned())
}

fn open(folder: &Path, secret: &[u8; 32]) -> Result<(Arc<dyn Disk>, Keyring), TableError> {
    let disk = Folder::open(folder).map_err(|error| TableError(format!("{}: {error}", folder.display())))?;
    let disk: Arc<dyn Disk> = Arc::new(disk);
    let keyring = Keyring::open(disk.clone(), secret).map_err(|error| TableError(error.to_string()))?;
    Ok((disk, keyring))
}

/// Refuses a mapping that names what the plan does not have, or leaves out what it needs.
fn check_names(mapping: &Mapping, plan: &fraudgate_core::plan::Plan) -> Result<(), TableError> {
    for (what, mapped, planned) in [
        ("entity", &mapping.entities, &plan.entities),
        ("number", &mapping.numbers, &plan.numbers),
        ("text", &mapping.texts, &plan.texts),
    ] {
        if let Some(named) = mapped.iter().find(|named| !planned.contains(&named.name)) {
            return Err(TableError(format!(
                "mapping: `{}` is no {what} of the plan, which has {}",
                named.name,
                if planned.is_empty() {
                    "none".to_owned()
                } else {
                    planned.join(", ")
                }
            )));
        }
        if let Some(name) = planned
            .iter()
            .find(|name| mapped.iter().all(|named| named.name != **name))
        {
            return Err(TableError(format!(
                "mapping: no column is named for the plan's {what} `{name}`"
            )));
        }
    }
    Ok(())
}

fn refusal_of(mapping: &Mapping, input: Input, sent: &wire::Transaction, row: i64, refusal: &Refusal) -> Refused {
    let (column, reason) = match refusal {
        Refusal::Invalid(violation) | Refusal::TooFarAhead(violation) => (
            column_of(mapping, sent, violation).to_owned(),
            violation.description.clone().into_owned(),
        ),
        Refusal::IdReused => (
            mapping.transaction_id.clone().unwrap_or_default(),
            "stood in an earlier row with other values; an id stands for one transaction".to_owned(),
        ),
        other => (String::new(), other.message().into_owned()),
    };
    Refused {
        input,
        row,
        column,
        reason,
    }
}
