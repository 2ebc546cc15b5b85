//! Foresees a history that is at hand as a whole: first every input in its order, as the road takes it, then one entity
//! after the other, key by key.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use fraudgate_core::{
    features::Lateness,
    program::Program,
    refusal::Refusal,
    road::Engine,
    transaction::{EventTime, MAX_ENTITIES, Transaction},
    wire,
};

use super::{
    super::{
        Input, Mapping, Precision, Refused, TableError,
        inputs::{EntityKeys, Inputs, Next, Said, Told, in_order},
        keyed::{self, Keyed},
        numbered::NO_KEY,
        pages::SmallPages,
        rows,
        values::{Value, Values},
    },
    Backfill,
    columns::Columns,
    foreseen::{Foreseen, Hashes, REFUSED, Rows, mode},
    ids::Ids,
    refusal_of,
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

/// Inputs as they are taken.
struct Intake<'a, T> {
    engine: &'a Engine,
    program: &'a Program,
    mapping: &'a Mapping,
    score_from_us: i64,
    sent: wire::Transaction,
    transaction: Transaction,
    ids: Ids,
    keys: Vec<EntityKeys>,
    watermark: EventTime,
    sequence: u64,
    places: Vec<u32>,
    refused: Vec<Refused>,
    told: Vec<(keyed::Told, [u32; MAX_ENTITIES])>,
    taken: Columns<T>,
}

impl Backfill {
    /// Finds what each transaction of a whole history sees before any is answered; `take` then answers these pieces, one
    /// after the other. Says whether it did: what needs one order of all answers, or more rows than can be numbered, is for
    /// `take` alone. It leaves no state.
    pub fn foresee(&mut self, pieces: &[Piece], features: Option<Precision>) -> Result<bool, TableError> {
        let rows: usize = pieces.iter().map(|piece| piece.transactions.num_rows()).sum();
        let [program] = self.engine.programs() else {
            return Err(TableError("a backfill feeds one program".to_owned()));
        };
        let suits = self.engine.sequence() == 0
            && self.foreseen.is_none()
            && program.answers()
            && program.blind.declared.is_the_same_for_all()
            && rows < REFUSED as usize;
        if !suits {
            return Ok(false);
        }
        let _small = SmallPages::begin();
        let foreseen = match features {
            Some(Precision::Float64) => self.intake::<f64>(pieces, rows, Rows::Float64)?,
            Some(Precision::Float32) | None => self.intake::<f32>(pieces, rows, Rows::Float32)?,
        };
        self.foreseen = Some(foreseen);
        Ok(true)
    }

    fn intake<T: Value>(
        &self,
        pieces: &[Piece],
        rows: usize,
        of: fn(Values<T>) -> Rows,
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
        let has_texts = |entity: &String| {
            let told = told.iter().flatten().map(Told::subjects);
            let mut subjects = tables.iter().map(Inputs::subjects).chain(told);
            subjects.any(|subjects| subjects.has_texts(entity))
        };
        let mut intake = Intake {
            engine: &self.engine,
            program,
            mapping,
            score_from_us: self.score_from_us,
            sent: wire::Transaction::default(),
            transaction: rows::blank(),
            ids: Ids::new(self.engine.known_ids().1),
            keys: self
                .entities
                .iter()
                .map(|entity| EntityKeys::new(has_texts(entity)))
                .collect(),
            watermark: EventTime(i64::MIN),
            sequence: 0,
            places: Vec::with_capacity(rows),
            refused: Vec::new(),
            told: Vec::new(),
            taken: Columns::new(program, rows),
        };
        let mut refused = VecDeque::with_capacity(pieces.len());
        let mut keys = vec![Vec::new(); self.entities.len()];
        for (piece, (inputs, told)) in tables.iter().zip(&told).enumerate() {
            let passes = inputs.plain(&program.plan, &program.gate, &mut intake.keys, &mut keys);
            in_order(inputs, told, |next| {
                match next {
                    Next::Told(told, row) => intake.tell(told, row),
                    Next::Transaction(row) => intake.transaction(&tables[..=piece], row, passes[row], &keys),
                }
                Ok(())
            })?;
            refused.push_back(std::mem::take(&mut intake.refused));
        }
        Ok(intake.foresee(refused, of))
    }
}

impl<T: Value> Intake<'_, T> {
    /// Takes a row of the last of the tables.
    fn transaction(&mut self, tables: &[Inputs], row: usize, passes: bool, keys: &[Vec<u32>]) {
        let Some(inputs) = tables.last() else { return };
        let mut dropped = 0;
        if passes {
            inputs.read(&self.program.plan, row, &mut self.transaction);
        } else {
            self.write(inputs, row);
            match self.engine.admit(&self.sent) {
                Ok(admitted) => {
                    self.transaction = admitted.transaction;
                    dropped = admitted.dropped;
                }
                Err(refusal) => {
                    let number = inputs.number(row);
                    let refused = refusal_of(self.mapping, Input::Transaction, &self.sent, number, &refusal);
                    self.refused.push(refused);
                    return self.places.push(REFUSED);
                }
            }
        }
        let place = self.taken.rows.len() as u32;
        let id = inputs.id(row);
        match self.ids.find(self.program, id, place) {
            None => {
                self.ids.take(self.program, id, place);
                self.take(row, keys, dropped);
            }
            Some(first) if self.is_the_same(tables, row, first) => self.places.push(first),
            Some(_) => {
                let none = wire::Transaction::default();
                let number = inputs.number(row);
                let refused = refusal_of(self.mapping, Input::Transaction, &none, number, &Refusal::IdReused);
                self.refused.push(refused);
                self.places.push(REFUSED);
            }
        }
    }

    fn take(&mut self, row: usize, keys: &[Vec<u32>], dropped: u16) {
        let place = self.taken.rows.len() as u32;
        let time = self.transaction.event_time;
        let lateness = match time.0 < self.watermark.0.saturating_sub(self.program.plan.lateness_us) {
            true => Lateness::Beyond,
            false => Lateness::InOrder,
        };
        self.watermark = self.watermark.max(time);
        self.sequence += 1;
        let at = (self.sequence, self.places.len() as u32);
        let keys = keys.iter().map(|keys| keys[row]);
        self.taken
            .push(&self.program.plan, &self.transaction, keys, lateness, at);
        if dropped != 0 {
            self.taken.dropped.insert(place, dropped);
        }
        self.places.push(place);
    }

    fn tell(&mut self, told: &Told, row: usize) {
        let (input, admitted) = match told.get(row) {
            Said::Label(label) => {
                let admitted = self.engine.admit_label(&label);
                (Input::Label, admitted.map(|label| label.folds.then_some(label.label)))
            }
            Said::Outcome(outcome) => (Input::Outcome, self.engine.admit_outcome(&outcome).map(|_| None)),
        };
        match admitted {
            Ok(label) => {
                self.sequence += 1;
                if let Some(label) = label {
                    let mut keys = [NO_KEY; MAX_ENTITIES];
                    let entities = self.keys.iter_mut().zip(&self.program.plan.entities);
                    for (key, (keys, entity)) in keys.iter_mut().zip(entities) {
                        *key = keys.number(told.subjects().key(entity, row));
                    }
                    let told = keyed::Told {
                        label,
                        before: self.taken.rows.len() as u32,
                        watermark: self.watermark,
                    };
                    self.told.push((told, keys));
                }
            }
            Err(refusal) => {
                let refused = refusal_of(self.mapping, input, &told.keys(row), told.number(row), &refusal);
                self.refused.push(refused);
            }
        }
    }

    /// Whether a row of the last table says what the one at an earlier place said, whose id it repeats.
    fn is_the_same(&mut self, tables: &[Inputs], row: usize, first: u32) -> bool {
        let mut before = self.taken.rows[first as usize] as usize;
        let earlier = tables.iter().find(|inputs| match before.checked_sub(inputs.len()) {
            Some(left) => {
                before = left;
                false
            }
            None => true,
        });
        let mut payload = |inputs: &Inputs, row| {
            self.write(inputs, row);
            self.engine.admit(&self.sent).ok().map(|admitted| admitted.payload)
        };
        match (earlier, tables.last()) {
            (Some(earlier), Some(inputs)) => payload(earlier, before) == payload(inputs, row),
            _ => false,
        }
    }

    fn write(&mut self, inputs: &Inputs, row: usize) {
        inputs.write(row, &mut self.sent);
        self.sent.mode = mode(inputs.event_time(row), self.score_from_us) as i32;
    }

    fn foresee(mut self, refused: VecDeque<Vec<Refused>>, of: fn(Values<T>) -> Rows) -> Foreseen {
        let (plan, complete_since) = (&self.program.plan, self.program.complete_since);
        let fields = [std::mem::take(&mut self.taken.fields)];
        let mut keyed = Keyed::of(&fields);
        for (slot, layout) in plan.layouts.iter().enumerate() {
            if layout.features.is_empty() {
                continue;
            }
            let numbers = std::mem::take(&mut self.taken.keys[slot]);
            let labels = keyed::by_key(self.told.iter().map(|(told, keys)| (keys[slot], told)));
            let rows = (&fields[..], &numbers[..]);
            keyed.fold((plan, layout), complete_since, rows, &labels, &mut self.taken);
        }
        Foreseen {
            rows: of(self.taken.values),
            lateness: self.taken.lateness,
            incomplete: self.taken.incomplete,
            approximate: self.taken.approximate,
            dropped: self.taken.dropped,
            sequences: self.taken.sequences,
            places: self.places,
            refused,
            keys: Hashes {
                hashed: vec![Vec::new(); self.keys.len()],
                keys: self.keys,
            },
            given: 0,
            newest: 0,
        }
    }
}
