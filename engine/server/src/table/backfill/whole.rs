//! Foresees a history that is at hand as a whole: first every input in its order, as the road takes it, then one entity
//! after the other, key by key.

use std::collections::VecDeque;

use arrow_array::RecordBatch;
use fraudgate_core::{
    features::{Lateness, Seen},
    keyed::ByKey,
    plan::EntityLayout,
    program::Program,
    refusal::Refusal,
    road::Engine,
    transaction::{EventTime, KeyHash, Kind, MAX_ENTITIES, Transaction},
    wire,
};
use hashbrown::HashMap;

use super::{
    super::{
        Input, Mapping, Precision, Refused, TableError,
        cell::Cell,
        inputs::{EntityKeys, Inputs, Next, Said, Told, in_order, text},
        keyed::{self, Keyed, NO_AMOUNT},
        marks::Marks,
        numbered::NO_KEY,
        rows,
        values::{Value, Values},
    },
    Backfill,
    foreseen::{Foreseen, Hashes, REFUSED, Rows, mode},
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

/// What of the transactions that were taken is needed.
struct Columns<T> {
    values: Values<T>,
    /// By the plan's slot.
    keys: Vec<Vec<u32>>,
    fields: Fields,
    lateness: Vec<Lateness>,
    incomplete: Marks,
    approximate: Marks,
    dropped: HashMap<u32, u16>,
    sequences: Vec<u64>,
    /// Which of all rows each was.
    rows: Vec<u32>,
}

/// What windows can see of them.
#[derive(Default)]
struct Fields {
    times: Vec<EventTime>,
    kinds: Vec<Kind>,
    amounts: Vec<i64>,
}

/// The ids that were taken lately, as the index of known ids has them.
struct Ids {
    capacity: usize,
    /// Places by whole numbers that are small; a column holds ids of one type.
    small: Vec<u32>,
    others: HashMap<KeyHash, u32, ByKey>,
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
        let (taken, transaction) = (&mut self.taken, &self.transaction);
        let place = taken.rows.len() as u32;
        let time = transaction.event_time;
        let is_beyond = time.0 < self.watermark.0.saturating_sub(self.program.plan.lateness_us);
        self.watermark = self.watermark.max(time);
        self.sequence += 1;
        taken.values.push(&self.program.plan, transaction);
        taken
            .keys
            .iter_mut()
            .zip(keys)
            .for_each(|(taken, keys)| taken.push(keys[row]));
        taken.fields.times.push(time);
        taken.fields.kinds.push(transaction.kind);
        let amount = transaction.amount.map_or(NO_AMOUNT, |amount| amount.0);
        taken.fields.amounts.push(amount);
        taken.lateness.push(match is_beyond {
            true => Lateness::Beyond,
            false => Lateness::InOrder,
        });
        if dropped != 0 {
            taken.dropped.insert(place, dropped);
        }
        taken.sequences.push(self.sequence);
        taken.rows.push(self.places.len() as u32);
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

impl<T: Value> Columns<T> {
    fn new(program: &Program, rows: usize) -> Columns<T> {
        Columns {
            values: Values::new(&program.plan, rows),
            keys: program.plan.entities.iter().map(|_| Vec::with_capacity(rows)).collect(),
            fields: Fields {
                times: Vec::with_capacity(rows),
                kinds: Vec::with_capacity(rows),
                amounts: Vec::with_capacity(rows),
            },
            lateness: Vec::with_capacity(rows),
            incomplete: Marks::default(),
            approximate: Marks::default(),
            dropped: HashMap::new(),
            sequences: Vec::with_capacity(rows),
            rows: Vec::with_capacity(rows),
        }
    }
}

impl keyed::Table for Fields {
    fn len(&self) -> usize {
        self.times.len()
    }

    fn time(&self, at: usize) -> EventTime {
        self.times[at]
    }

    fn fields(&self, at: usize) -> (Kind, i64) {
        (self.kinds[at], self.amounts[at])
    }
}

impl<T: Value> keyed::Rows for Columns<T> {
    #[inline]
    fn announce(&self, layout: &EntityLayout, row: u32) {
        self.values.announce(layout, row);
    }

    #[inline]
    fn put(&mut self, layout: &EntityLayout, row: u32, values: &[f64], seen: &Seen) {
        self.values.put(layout, row, values, seen);
        self.incomplete.unite(row, &seen.incomplete);
        self.approximate.unite(row, &seen.approximate);
        if seen.lateness != Lateness::InOrder {
            self.lateness[row as usize] = seen.lateness;
        }
    }
}

impl Ids {
    /// Whole numbers below this have their places in a list.
    const SMALL: i128 = 1 << 22;

    fn new(capacity: usize) -> Ids {
        Ids {
            capacity,
            small: Vec::new(),
            others: HashMap::default(),
        }
    }

    /// The place of an id that is known where the next place is `next`.
    fn find(&self, program: &Program, id: Cell, next: u32) -> Option<u32> {
        let found = match id {
            Cell::Whole(number @ 0..Ids::SMALL) => self.small.get(number as usize).copied(),
            other => self.others.get(&program.gate.id(&text(other))).copied(),
        };
        found.filter(|&place| place != REFUSED && (next - place) as usize <= self.capacity)
    }

    fn take(&mut self, program: &Program, id: Cell, place: u32) {
        match id {
            Cell::Whole(number @ 0..Ids::SMALL) => {
                let number = number as usize;
                if self.small.len() <= number {
                    self.small.resize((number + 1).next_power_of_two(), REFUSED);
                }
                self.small[number] = place;
            }
            other => {
                self.others.insert(program.gate.id(&text(other)), place);
            }
        }
    }
}
