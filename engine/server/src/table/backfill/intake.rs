//! Inputs of a block as they come, in their order: what the road does of each that depends on that order. A row passes the
//! gate by its columns where they can tell; any other becomes the message that it is on the road, and the gate says what it
//! comes to.

use std::collections::VecDeque;

use fraudgate_core::{
    assessment::Assessment,
    features::Lateness,
    program::Program,
    refusal::Refusal,
    road::Engine,
    transaction::{EventTime, KeyHash, MAX_ENTITIES, Transaction},
    wire,
};

use super::{
    super::{
        Input, Mapping, Refused, TableError,
        cell::Cell,
        inputs::{EntityKeys, Inputs, Next, Said, Told, in_order, text},
        keyed,
        numbered::NO_KEY,
        rows,
        values::Value,
    },
    columns::{Columns, Odd},
    foreseen::mode,
    ids::Ids,
    refusal_of,
};

/// What becomes of a row.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// It was taken at this place, or repeats what was: the first row of a place is the one that was.
    Taken(u32),
    /// It repeats what was taken before the block.
    Again(u32),
    Refused,
}

/// The answer to a transaction that was taken before the block.
pub(super) struct Again {
    pub sequence: u64,
    /// None where only a fold was asked.
    pub assessment: Option<Assessment>,
}

/// Inputs as they are taken.
pub(super) struct Intake<'a, T> {
    engine: &'a Engine,
    program: &'a Program,
    mapping: &'a Mapping,
    score_from_us: i64,
    sent: wire::Transaction,
    transaction: Transaction,
    ids: Ids,
    pub keys: Vec<EntityKeys>,
    pub watermark: EventTime,
    pub sequence: u64,
    /// Of every row.
    pub places: Vec<Place>,
    pub again: Vec<Again>,
    refused: Vec<Refused>,
    /// Labels, with the numbers of their keys by the plan's slot.
    pub told: Vec<(keyed::Told, [u32; MAX_ENTITIES])>,
    pub taken: Columns<T>,
}

impl<'a, T: Value> Intake<'a, T> {
    /// For the rows of some tables; `keys` by the plan's slot.
    pub fn new(
        engine: &'a Engine,
        program: &'a Program,
        mapping: &'a Mapping,
        keys: Vec<EntityKeys>,
        (score_from_us, tables): (i64, &[Inputs]),
    ) -> Intake<'a, T> {
        let rows = tables.iter().map(Inputs::len).sum();
        Intake {
            engine,
            program,
            mapping,
            score_from_us,
            sent: wire::Transaction::default(),
            transaction: rows::blank(),
            ids: Ids::new(engine.known_ids().1, tables),
            keys,
            watermark: program.history.watermark(),
            sequence: engine.sequence(),
            places: Vec::with_capacity(rows),
            again: Vec::new(),
            refused: Vec::new(),
            told: Vec::new(),
            taken: Columns::new(program, rows),
        }
    }

    /// Takes the tables in, each with what is told of any by its last row. Gives what was refused of each.
    pub fn take_in(&mut self, tables: &[Inputs], told: &[Vec<Told>]) -> Result<VecDeque<Vec<Refused>>, TableError> {
        let mut keys = vec![Vec::new(); self.keys.len()];
        let mut refused = VecDeque::with_capacity(tables.len());
        for (table, (inputs, told)) in tables.iter().zip(told).enumerate() {
            let passes = inputs.plain(&self.program.plan, &self.program.gate, &mut self.keys, &mut keys);
            in_order(inputs, told, |next| {
                match next {
                    Next::Told(told, row) => self.tell(told, row),
                    Next::Transaction(row) => self.transaction(&tables[..=table], row, passes[row], &keys),
                }
                Ok(())
            })?;
            refused.push_back(std::mem::take(&mut self.refused));
        }
        Ok(refused)
    }

    /// Takes a row of the last of the tables.
    fn transaction(&mut self, tables: &[Inputs], row: usize, passes: bool, keys: &[Vec<u32>]) {
        let Some(inputs) = tables.last() else { return };
        let mut odd = None;
        if passes {
            inputs.read(&self.program.plan, row, &mut self.transaction);
        } else {
            self.write(inputs, row);
            match self.engine.admit(&self.sent) {
                Ok(admitted) => {
                    self.transaction = admitted.transaction;
                    odd = Some(Odd {
                        dropped: admitted.dropped,
                        payload: admitted.payload,
                    });
                }
                Err(refusal) => return self.refuse(inputs, row, &refusal),
            }
        }
        let place = self.taken.rows.len() as u32;
        let id = inputs.id(row);
        if let Some(first) = self.ids.find(self.program, id, place) {
            return match self.payload_at(tables, first) == self.payload(inputs, row) {
                true => self.places.push(Place::Taken(first)),
                false => self.refuse(inputs, row, &Refusal::IdReused),
            };
        }
        if let Some((payload, again)) = self.taken_before(id, place) {
            return match self.payload(inputs, row) {
                Some(same) if same == payload => {
                    self.places.push(Place::Again(self.again.len() as u32));
                    self.again.push(again);
                }
                _ => self.refuse(inputs, row, &Refusal::IdReused),
            };
        }
        self.ids.take(self.program, id, place);
        self.take(row, keys, odd);
    }

    fn take(&mut self, row: usize, keys: &[Vec<u32>], odd: Option<Odd>) {
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
        if let Some(odd) = odd {
            self.taken.odd.insert(place, odd);
        }
        self.places.push(Place::Taken(place));
    }

    fn refuse(&mut self, inputs: &Inputs, row: usize, refusal: &Refusal) {
        let none = wire::Transaction::default();
        let sent = match refusal {
            Refusal::IdReused => &none,
            _ => &self.sent,
        };
        let number = inputs.number(row);
        let refused = refusal_of(self.mapping, Input::Transaction, sent, number, refusal);
        self.refused.push(refused);
        self.places.push(Place::Refused);
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
                        *key = keys.number(&self.program.gate, told.subjects().key(entity, row));
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

    /// What is known of an id that was taken before the block: its payload, and its answer.
    fn taken_before(&self, id: Cell, place: u32) -> Option<(KeyHash, Again)> {
        let (known, most) = self.engine.known_ids();
        if known == 0 || place as usize >= most {
            return None;
        }
        let taken = self
            .engine
            .taken_lately(self.program.gate.id(&text(id)), place as usize)?;
        let again = Again {
            sequence: taken.sequence,
            assessment: taken.assessment.clone(),
        };
        Some((taken.payload, again))
    }

    /// The digest of what the row at a place says.
    fn payload_at(&mut self, tables: &[Inputs], place: u32) -> Option<KeyHash> {
        let mut row = self.taken.rows[place as usize] as usize;
        for inputs in tables {
            match row.checked_sub(inputs.len()) {
                Some(left) => row = left,
                None => return self.payload(inputs, row),
            }
        }
        None
    }

    /// The digest of what a row says; the gate has let it pass.
    fn payload(&mut self, inputs: &Inputs, row: usize) -> Option<KeyHash> {
        self.write(inputs, row);
        self.engine.admit(&self.sent).ok().map(|admitted| admitted.payload)
    }

    fn write(&mut self, inputs: &Inputs, row: usize) {
        inputs.write(row, &mut self.sent);
        self.sent.mode = mode(inputs.event_time(row), self.score_from_us) as i32;
    }
}
