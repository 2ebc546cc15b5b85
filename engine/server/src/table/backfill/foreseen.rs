//! What each transaction of a history that is at hand as a whole will be answered by: rows pass the gate column by column
//! where they can, and what they see is found key by key. To the bit it is what the road finds row by row, and no state is
//! left. `whole.rs` makes it.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use fraudgate_core::{
    assessment::{MadeWith, Version},
    features::{FeatureSet, Lateness, Seen},
    rescore::Spool,
    transaction::{Clock, KeyHash, MAX_ENTITIES},
    wire::Mode,
};
use hashbrown::HashMap;

use super::{
    super::{
        Input, Refused, TableError,
        answers::{Answers, Of, Wanted},
        inputs::{EntityKeys, Inputs, text},
        marks::Marks,
        numbered::NO_KEY,
        values::{Value, Values},
    },
    Backfill, DRAIN, Taken, failed,
};

/// Stands for a row that was refused.
pub(super) const REFUSED: u32 = u32::MAX;

/// What was found. Rows that were taken have a place, in their order.
pub(super) struct Foreseen {
    pub rows: Rows,
    pub lateness: Vec<Lateness>,
    pub incomplete: Marks,
    pub approximate: Marks,
    /// Of rows of which texts were dropped, which.
    pub dropped: HashMap<u32, u16>,
    pub sequences: Vec<u64>,
    /// Of every row the place whose answer it gets: that of an earlier row where it is a retransmission.
    pub places: Vec<u32>,
    /// Of every piece.
    pub refused: VecDeque<Vec<Refused>>,
    pub keys: Hashes,
    /// How many rows and places were given out.
    pub given: usize,
    pub newest: u32,
}

/// Features, of the type that is asked for.
pub(super) enum Rows {
    Float32(Values<f32>),
    Float64(Values<f64>),
}

/// Keys by their number, each hashed once.
pub(super) struct Hashes {
    pub keys: Vec<EntityKeys>,
    pub hashed: Vec<Vec<Option<KeyHash>>>,
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
        let (Some(places), Some(refused)) = (foreseen.places.get(rows), foreseen.refused.pop_front()) else {
            return Err(TableError("these transactions were not foreseen".to_owned()));
        };
        foreseen.given += inputs.len();
        let asks = wanted.assessments || wanted.bytes;
        let mut answers = Answers::new(wanted, inputs.len());
        let (mut block, mut rounded, mut assessments) = (Vec::with_capacity(DRAIN), Vec::new(), Vec::new());
        let [program] = self.engine.programs_mut() else {
            return Err(TableError("a backfill feeds one program".to_owned()));
        };
        let version: Version = program.version(MadeWith { program: 0, version: 0 }).clone();
        for (begin, places) in (0..inputs.len()).step_by(DRAIN).zip(places.chunks(DRAIN)) {
            block.clear();
            for (row, &place) in (begin..).zip(places) {
                if place == REFUSED {
                    continue;
                }
                let replayed = place < foreseen.newest;
                foreseen.newest = foreseen.newest.max(place + 1);
                if mode(inputs.event_time(row), self.score_from_us) == Mode::Fold {
                    continue;
                }
                if asks {
                    let seen = seen(
                        &foreseen.rows,
                        &foreseen.lateness,
                        &foreseen.incomplete,
                        &foreseen.approximate,
                        place,
                    );
                    let dropped = foreseen.dropped.get(&place).copied().unwrap_or(0);
                    program.wait_row(block.len(), seen, dropped, foreseen.rows.rounded(place, &mut rounded));
                }
                block.push((row, place, replayed));
            }
            assessments.clear();
            let failures = program.score(Clock(0), Spool::None, |_, _, assessment, _| {
                assessments.push(assessment);
            });
            if failures > 0 {
                return Err(failed());
            }
            let mut said = assessments.iter();
            for &(row, place, replayed) in &block {
                let mut of = Of {
                    input: Input::Transaction,
                    row: inputs.number(row),
                    keys: [None; MAX_ENTITIES],
                };
                let mut seen = None;
                if answers.wants_features() {
                    of.keys = foreseen.keys.of(&inputs, &program.plan.entities, row, |slot, key| {
                        program.gate.entity(slot, key)
                    });
                    if !replayed {
                        seen = Some(answers.features.len() / program.plan.features.len());
                        foreseen.rows.extend(place, &mut answers.features);
                    }
                }
                answers.push(&of, foreseen.sequences[place as usize], replayed, seen);
                if let Some(assessment) = said.next() {
                    answers.say(assessment, &version);
                }
            }
        }
        Ok(Taken {
            answers: answers.into_batch(&self.entities, &self.features)?,
            refused,
        })
    }
}

/// What is asked of a transaction of an event time.
pub(super) fn mode(event_time_us: i64, score_from_us: i64) -> Mode {
    match event_time_us >= score_from_us {
        true => Mode::Score,
        false => Mode::Fold,
    }
}

fn seen(rows: &Rows, lateness: &[Lateness], incomplete: &Marks, approximate: &Marks, place: u32) -> Seen {
    let incomplete = incomplete.get(place);
    let mut missing = FeatureSet::default();
    let mut look = |feature: usize, is_nan: bool| {
        if is_nan && !incomplete.contains(feature) {
            missing.insert(feature);
        }
    };
    match rows {
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
        approximate: approximate.get(place),
        lateness: lateness[place as usize],
    }
}

impl Rows {
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

impl Hashes {
    /// The hashed keys of a row, by the plan's slot.
    fn of(
        &mut self,
        inputs: &Inputs,
        entities: &[String],
        row: usize,
        hash: impl Fn(usize, &str) -> KeyHash,
    ) -> [Option<KeyHash>; MAX_ENTITIES] {
        let mut keys = [None; MAX_ENTITIES];
        for (slot, entity) in entities.iter().enumerate() {
            let cell = inputs.subjects().key(entity, row);
            let number = self.keys[slot].number(cell);
            if number == NO_KEY {
                continue;
            }
            let hashed = &mut self.hashed[slot];
            if hashed.len() <= number as usize {
                hashed.resize(number as usize + 1, None);
            }
            keys[slot] = Some(*hashed[number as usize].get_or_insert_with(|| hash(slot, &text(cell))));
        }
        keys
    }
}
