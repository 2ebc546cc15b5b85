//! What the transactions of a block will be answered by, and their answers: pieces are answered as they lie, by the program's own
//! rungs, and what the road would remember of them is remembered. `block.rs` foresees them.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use fraudgate_core::{
    assessment::Assessment,
    features::{FeatureSet, Lateness, Seen},
    known,
    program::Program,
    rescore::Spool,
    transaction::{Clock, KeyHash, MAX_ENTITIES, Transaction},
    wire::Mode,
};
use hashbrown::HashMap;

use super::{
    super::{
        Input, Refused, TableError,
        answers::{Answers, Of, Wanted},
        inputs::{EntityKeys, Inputs, text},
        marks::Marks,
        rows::blank,
        values::{Value, Values},
    },
    Backfill, DRAIN, Taken,
    columns::Odd,
    failed,
    intake::{Again, Place},
};

/// What was found. Rows that were taken have a place, in their order.
pub(super) struct Foreseen {
    pub rows: Rows,
    pub lateness: Vec<Lateness>,
    pub incomplete: Marks,
    pub approximate: Marks,
    /// Of rows that are not told by their columns as they stand.
    pub odd: HashMap<u32, Odd>,
    pub sequences: Vec<u64>,
    /// Of every row.
    pub places: Vec<Place>,
    pub again: Vec<Again>,
    /// Of every piece.
    pub refused: VecDeque<Vec<Refused>>,
    /// By the plan's slot.
    pub keys: Vec<EntityKeys>,
    /// The first place whose id is remembered.
    pub remembers_from: u32,
    /// How many rows and places were given out.
    pub given: usize,
    pub newest: u32,
}

/// Features, of the type that is asked for.
pub(super) enum Rows {
    Float32(Values<f32>),
    Float64(Values<f64>),
}

/// A row that is answered, or remembered, or both.
struct Given {
    row: usize,
    place: Place,
    /// Whether it repeats another.
    replayed: bool,
    /// Whether an assessment is asked of it.
    scored: bool,
    remembered: bool,
}

impl Backfill {
    /// Gives the answers to the next piece of what was foreseen.
    pub(super) fn give(
        &mut self,
        foreseen: &mut Foreseen,
        transactions: &RecordBatch,
        wanted: Wanted,
    ) -> Result<Taken, TableError> {
        let inputs = Inputs::new(&self.program, &self.mapping, transactions)?;
        let rows = foreseen.given..foreseen.given + inputs.len();
        let Some(refused) = foreseen
            .refused
            .pop_front()
            .filter(|_| rows.end <= foreseen.places.len())
        else {
            return Err(TableError("these transactions were not foreseen".to_owned()));
        };
        let begin = std::mem::replace(&mut foreseen.given, rows.end);
        let asks = wanted.assessments || wanted.bytes;
        let mut answers = Answers::new(wanted, inputs.len());
        let (mut drain, mut assessments) = (Vec::with_capacity(DRAIN), Vec::new());
        let mut transaction = blank();
        for first in (0..inputs.len()).step_by(DRAIN) {
            drain.clear();
            for row in first..inputs.len().min(first + DRAIN) {
                let scored = mode(inputs.event_time(row), self.score_from_us) == Mode::Score;
                drain.extend(foreseen.next(begin + row, row, scored));
            }
            // There is one: `new` made sure.
            assess(
                &mut self.engine.programs_mut()[0],
                foreseen,
                &drain,
                asks,
                &mut assessments,
            )?;
            let program = &self.engine.programs()[0];
            let mut said = assessments.iter();
            let mut taken = Vec::new();
            for given in &drain {
                if given.remembered || answers.wants_features() {
                    transaction.entities = foreseen.hashes(&inputs, program, given.row);
                }
                let assessment = match given.place {
                    Place::Taken(_) if given.is_assessed(asks) => said.next(),
                    Place::Taken(_) | Place::Refused => None,
                    Place::Again(place) => foreseen.again[place as usize].assessment.as_ref(),
                };
                if given.scored {
                    foreseen.answer(given, &transaction, inputs.number(given.row), &mut answers);
                    if let Some(assessment) = assessment.filter(|_| asks) {
                        answers.say(assessment, program.version(assessment.made_with));
                    }
                }
                if let Place::Taken(place) = given.place
                    && given.remembered
                {
                    taken.push(known::Taken {
                        id: program.gate.id(&text(inputs.id(given.row))),
                        payload: foreseen.payload(&inputs, program, (given.row, place), &mut transaction),
                        sequence: foreseen.sequences[place as usize],
                        assessment: assessment.cloned(),
                    });
                }
            }
            self.engine.remember(taken);
        }
        Ok(Taken {
            answers: answers.into_batch(&self.entities, &self.features)?,
            refused,
        })
    }
}

/// The assessments of those rows that have one of their own, in their order.
fn assess(
    program: &mut Program,
    foreseen: &Foreseen,
    drain: &[Given],
    asks: bool,
    assessments: &mut Vec<Assessment>,
) -> Result<(), TableError> {
    let mut rounded = Vec::new();
    for (at, given) in drain.iter().enumerate() {
        if let Place::Taken(place) = given.place
            && given.is_assessed(asks)
        {
            let dropped = foreseen.odd.get(&place).map_or(0, |odd| odd.dropped);
            let row = foreseen.rows.rounded(place, &mut rounded);
            program.wait_row(at, foreseen.seen(place), dropped, row);
        }
    }
    assessments.clear();
    let failures = program.score(Clock(0), Spool::None, |_, _, assessment, _| {
        assessments.push(assessment);
    });
    match failures {
        0 => Ok(()),
        _ => Err(failed()),
    }
}

impl Given {
    /// Whether its assessment is made: somebody asks for it, or it is remembered.
    fn is_assessed(&self, asks: bool) -> bool {
        self.scored && (asks || self.remembered)
    }
}

impl Foreseen {
    /// Whether all that was foreseen was given out.
    pub fn is_given(&self) -> bool {
        self.refused.is_empty()
    }

    /// The next row, where anything is to be done for it.
    fn next(&mut self, at: usize, row: usize, scored: bool) -> Option<Given> {
        let place = self.places[at];
        let (replayed, remembered) = match place {
            Place::Refused => return None,
            Place::Again(_) => (true, false),
            Place::Taken(taken) => {
                let is_first = taken >= self.newest;
                self.newest = self.newest.max(taken + 1);
                (!is_first, is_first && taken >= self.remembers_from)
            }
        };
        (scored || remembered).then_some(Given {
            row,
            place,
            replayed,
            scored,
            remembered,
        })
    }

    fn seen(&self, place: u32) -> Seen {
        let incomplete = self.incomplete.get(place);
        let mut missing = FeatureSet::default();
        let mut look = |feature: usize, is_nan: bool| {
            if is_nan && !incomplete.contains(feature) {
                missing.insert(feature);
            }
        };
        match &self.rows {
            Rows::Float32(rows) => rows
                .row(place)
                .iter()
                .enumerate()
                .for_each(|(at, value)| look(at, value.is_nan())),
            Rows::Float64(rows) => rows
                .row(place)
                .iter()
                .enumerate()
                .for_each(|(at, value)| look(at, value.is_nan())),
        }
        Seen {
            missing,
            incomplete,
            approximate: self.approximate.get(place),
            lateness: self.lateness[place as usize],
        }
    }

    /// The answer to a row, but for what its assessment says; its hashed keys stand in `transaction`.
    fn answer(&self, given: &Given, transaction: &Transaction, row: i64, answers: &mut Answers) {
        let of = Of {
            input: Input::Transaction,
            row,
            keys: transaction.entities,
        };
        match given.place {
            Place::Taken(place) => {
                let sequence = self.sequences[place as usize];
                let mut seen = None;
                if answers.wants_features() && !given.replayed {
                    let width = self.rows.width();
                    seen = Some(answers.features.len() / width);
                    self.rows.extend(place, &mut answers.features);
                }
                answers.push(&of, sequence, given.replayed, seen);
            }
            Place::Again(place) => answers.push(&of, self.again[place as usize].sequence, true, None),
            Place::Refused => {}
        }
    }

    /// The hashed keys of a row, by the plan's slot.
    fn hashes(&mut self, inputs: &Inputs, program: &Program, row: usize) -> [Option<KeyHash>; MAX_ENTITIES] {
        let mut hashes = [None; MAX_ENTITIES];
        let entities = program.plan.entities.iter().zip(&mut self.keys);
        for (hash, (entity, keys)) in hashes.iter_mut().zip(entities) {
            let number = keys.number(&program.gate, inputs.subjects().key(entity, row));
            *hash = keys.hash(number);
        }
        hashes
    }

    /// The digest of a row that was taken at a place, whose keys stand in `transaction`.
    fn payload(
        &self,
        inputs: &Inputs,
        program: &Program,
        (row, place): (usize, u32),
        transaction: &mut Transaction,
    ) -> KeyHash {
        match self.odd.get(&place) {
            Some(odd) => odd.payload,
            None => inputs.payload(&program.plan, &program.gate, row, transaction),
        }
    }
}

/// What is asked of a transaction of an event time.
pub(super) fn mode(event_time_us: i64, score_from_us: i64) -> Mode {
    match event_time_us >= score_from_us {
        true => Mode::Score,
        false => Mode::Fold,
    }
}

impl Rows {
    fn width(&self) -> usize {
        match self {
            Rows::Float32(rows) => rows.width(),
            Rows::Float64(rows) => rows.width(),
        }
    }

    /// A row as a model takes it.
    fn rounded<'a>(&'a self, place: u32, room: &'a mut Vec<f32>) -> &'a [f32] {
        match self {
            Rows::Float32(rows) => rows.row(place),
            Rows::Float64(rows) => {
                room.clear();
                room.extend(rows.row(place).iter().map(|&value| f32::of(value)));
                room
            }
        }
    }

    fn extend(&self, place: u32, features: &mut Vec<f64>) {
        match self {
            Rows::Float32(rows) => features.extend(rows.row(place).iter().map(|value| value.as_f64())),
            Rows::Float64(rows) => features.extend_from_slice(rows.row(place)),
        }
    }
}
