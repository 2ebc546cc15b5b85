//! A block of a history at once: first every input in its order, then one entity after the other, key by key. To the bit
//! it is what the road finds row by row, and it leaves the same state.

use arrow_array::RecordBatch;
use fraudgate_core::{
    history::{Alone, History},
    plan::EntityLayout,
    program::Program,
    transaction::{EventTime, MAX_ENTITIES},
};

use super::{
    super::{
        Precision, TableError,
        inputs::{EntityKeys, Inputs, Told},
        keyed::{self, Keyed, Lender},
        values::{Value, Values},
    },
    Backfill,
    columns::Columns,
    foreseen::{Foreseen, Rows},
    intake::Intake,
};

/// A piece of a history: transactions, and what is told of any by the last of them; all in their order.
pub struct Piece {
    /// Mapped transactions.
    pub transactions: RecordBatch,
    /// Mapped labels.
    pub labels: Option<RecordBatch>,
    /// Mapped outcomes.
    pub outcomes: Option<RecordBatch>,
}

/// The most rows of a block: they have numbers, of which some stand for something else.
const MOST_ROWS: usize = 1 << 31;

impl Backfill {
    /// Finds what each transaction of the next pieces of a history sees before any of them is answered; `take` then answers
    /// these pieces, one after the other. `leaves_ids`: whether more comes that may repeat an id of theirs, or their state is
    /// kept. Says whether it did: what needs one order of all answers, or more rows than can be numbered, is for `take` alone.
    pub fn foresee(
        &mut self,
        pieces: &[Piece],
        features: Option<Precision>,
        leaves_ids: bool,
    ) -> Result<bool, TableError> {
        let rows: usize = pieces.iter().map(|piece| piece.transactions.num_rows()).sum();
        let [program] = self.engine.programs() else {
            return Err(TableError("a backfill feeds one program".to_owned()));
        };
        let suits = program.answers()
            && program.blind.declared.is_the_same_for_all()
            && program.history.lends()
            && rows < MOST_ROWS;
        if !suits {
            return Ok(false);
        }
        if self.foreseen.is_some() {
            return Err(TableError("what was foreseen before was not taken yet".to_owned()));
        }
        let foreseen = match features {
            Some(Precision::Float64) => self.see::<f64>(pieces, Rows::Float64, leaves_ids)?,
            Some(Precision::Float32) | None => self.see::<f32>(pieces, Rows::Float32, leaves_ids)?,
        };
        self.foreseen = Some(foreseen);
        Ok(true)
    }

    fn see<T: Value>(
        &mut self,
        pieces: &[Piece],
        of: fn(Values<T>) -> Rows,
        leaves_ids: bool,
    ) -> Result<Foreseen, TableError> {
        let (mapping, program) = (&*self.mapping, &self.engine.programs()[0]);
        let tables = pieces
            .iter()
            .map(|piece| Inputs::new(&self.program, mapping, &piece.transactions))
            .collect::<Result<Vec<_>, _>>()?;
        let told = pieces
            .iter()
            .map(|piece| {
                let told = piece.labels.iter().chain(&piece.outcomes);
                told.map(|batch| Told::new(&self.program, mapping, batch)).collect()
            })
            .collect::<Result<Vec<Vec<_>>, _>>()?;
        let has_texts = |entity: &str| {
            let told = told.iter().flatten().map(Told::subjects);
            let mut subjects = tables.iter().map(Inputs::subjects).chain(told);
            subjects.any(|subjects| subjects.has_texts(entity))
        };
        let keys = (0..).zip(&self.entities);
        let keys = keys.map(|(slot, entity)| EntityKeys::new(slot, has_texts(entity)));
        let mut intake = Intake::new(
            &self.engine,
            program,
            mapping,
            keys.collect(),
            (self.score_from_us, &tables),
        );
        let refused = intake.take_in(&tables, &told)?;
        let Intake {
            keys,
            watermark,
            sequence,
            places,
            again,
            told,
            mut taken,
            ..
        } = intake;
        self.engine.took(sequence - self.engine.sequence());
        let [program] = self.engine.programs_mut() else {
            return Err(TableError("a backfill feeds one program".to_owned()));
        };
        fold(program, &mut taken, &told, &keys, watermark);
        let known = self.engine.known_ids().1;
        let remembered = taken.rows.len() as u32;
        Ok(Foreseen {
            rows: of(taken.values),
            lateness: taken.lateness,
            incomplete: taken.incomplete,
            approximate: taken.approximate,
            odd: taken.odd,
            sequences: taken.sequences,
            places,
            again,
            refused,
            keys,
            remembers_from: match leaves_ids {
                true => remembered.saturating_sub(u32::try_from(known).unwrap_or(u32::MAX)),
                false => remembered,
            },
            given: 0,
            newest: 0,
        })
    }
}

/// Finds what the rows that were taken see, and folds them in.
fn fold<T: Value>(
    program: &mut Program,
    taken: &mut Columns<T>,
    told: &[(keyed::Told, [u32; MAX_ENTITIES])],
    keys: &[EntityKeys],
    watermark: EventTime,
) {
    let Program {
        plan,
        history,
        complete_since,
        ..
    } = program;
    let fields = [std::mem::take(&mut taken.fields)];
    let mut keyed = Keyed::of(&fields, history.watermark());
    let sees = |layout: &EntityLayout| !layout.features.is_empty();
    for (slot, layout) in plan.layouts.iter().enumerate().filter(|(_, layout)| sees(layout)) {
        let numbers = std::mem::take(&mut taken.keys[slot]);
        let labels = keyed::by_key(told.iter().map(|(told, keys)| (keys[slot], told)));
        let rows = (&fields[..], numbers);
        let mut held = Held {
            history,
            slot,
            keys: &keys[slot],
        };
        keyed.fold((plan, layout), *complete_since, rows, &labels, &mut held, taken);
    }
    taken.values.weave();
    history.come_to(plan, watermark);
}

/// What the history holds of the keys of an entity.
struct Held<'a> {
    history: &'a mut History,
    slot: usize,
    keys: &'a EntityKeys,
}

impl Lender for Held<'_> {
    fn lend(&mut self, alone: &mut Alone, key: u32, rows: usize) {
        if let Some(key) = self.keys.hash(key) {
            alone.borrow(self.history, self.slot, key, rows);
        }
    }

    fn take_back(&mut self, alone: &mut Alone, key: u32) {
        if let Some(key) = self.keys.hash(key) {
            alone.give_back(self.history, self.slot, key);
        }
    }
}
