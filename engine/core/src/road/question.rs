//! What the cloud is asked while a caller waits: of each transaction of a drain whose caller lets it and whose answer is
//! uncertain, a message of one row. The edge's answer is given and journaled as ever, and knows nothing of it.

use super::{Asked, Engine, step::Step};
use crate::{
    known::Place,
    rescore::{Row, Why},
    wire,
};

/// What the cloud is asked of one transaction.
#[derive(Debug)]
pub struct Question {
    /// Which of the drain's inputs it is.
    pub place: usize,
    /// The message; the PoP's name is not filled in.
    pub request: wire::RescoreRequest,
}

/// The row of a transaction whose answer is uncertain.
pub(super) struct Uncertain {
    known: Place,
    row: Box<[f32]>,
}

impl Uncertain {
    pub fn new(known: Place, row: &[f32]) -> Uncertain {
        Uncertain { known, row: row.into() }
    }
}

impl Engine {
    /// Gives out what the cloud is to be asked of the last drain.
    pub fn questions(&mut self) -> impl Iterator<Item = Question> + '_ {
        self.questions.drain(..)
    }

    /// Makes the questions of a drain, whose answers are known.
    pub(super) fn ask_of_uncertain(&mut self, asked: &[Asked], steps: &[Step]) {
        self.questions.clear();
        if self.uncertain.is_empty() {
            return;
        }
        // Programs were scored one after the other; places are given in the order of the inputs.
        self.uncertain.sort_unstable_by_key(|of| of.known);
        let mut uncertain = self.uncertain.iter().peekable();
        for (place, (asked, step)) in asked.iter().zip(steps).enumerate() {
            let (
                Asked::Transaction(admitted),
                &Step::Taken {
                    place: known,
                    sequence,
                    program,
                },
            ) = (asked, step)
            else {
                continue;
            };
            let Some(of) = uncertain.next_if(|of| of.known == known) else {
                continue;
            };
            let Some(assessment) = self.known.at(known).and_then(|taken| taken.assessment.as_ref()) else {
                continue;
            };
            let row = Row {
                epoch: self.epoch(sequence),
                sequence,
                admitted,
                assessment,
                why: Why::Uncertain,
                features: of.row.iter().copied(),
            };
            let request = self.programs[usize::from(program)].question(row);
            self.questions
                .extend(request.map(|request| Question { place, request }));
        }
        self.uncertain.clear();
    }
}
