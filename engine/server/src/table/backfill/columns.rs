//! What is needed of the transactions of a block that were taken, column by column.

use fraudgate_core::{
    features::{Lateness, Seen},
    history::prefetch,
    plan::Plan,
    program::Program,
    transaction::{EventTime, KeyHash, Kind, Transaction},
};
use hashbrown::HashMap;

use super::super::{
    keyed::{self, NO_AMOUNT},
    marks::Marks,
    values::{Value, Values},
};

/// What of the transactions that were taken is needed.
pub(super) struct Columns<T> {
    pub values: Values<T>,
    /// By the plan's slot.
    pub keys: Vec<Vec<u32>>,
    pub fields: Fields,
    pub lateness: Vec<Lateness>,
    pub incomplete: Marks,
    pub approximate: Marks,
    pub odd: HashMap<u32, Odd>,
    pub sequences: Vec<u64>,
    /// Which of all rows each was.
    pub rows: Vec<u32>,
}

/// What of a row is not told by its columns as they stand.
#[derive(Clone, Copy)]
pub(super) struct Odd {
    /// Texts that were dropped, one bit a slot.
    pub dropped: u16,
    pub payload: KeyHash,
}

/// What windows can see of them.
#[derive(Default)]
pub(super) struct Fields {
    pub times: Vec<EventTime>,
    pub kinds: Vec<Kind>,
    pub amounts: Vec<i64>,
}

impl<T: Value> Columns<T> {
    pub fn new(program: &Program, rows: usize) -> Columns<T> {
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
            odd: HashMap::new(),
            sequences: Vec::with_capacity(rows),
            rows: Vec::with_capacity(rows),
        }
    }

    /// The next transaction: the row of a number, with the numbers of its keys by the plan's slot.
    pub fn push(
        &mut self,
        plan: &Plan,
        transaction: &Transaction,
        keys: impl Iterator<Item = u32>,
        lateness: Lateness,
        (sequence, row): (u64, u32),
    ) {
        self.values.push(plan, transaction);
        self.keys.iter_mut().zip(keys).for_each(|(keys, key)| keys.push(key));
        self.fields.times.push(transaction.event_time);
        self.fields.kinds.push(transaction.kind);
        let amount = transaction.amount.map_or(NO_AMOUNT, |amount| amount.0);
        self.fields.amounts.push(amount);
        self.lateness.push(lateness);
        self.sequences.push(sequence);
        self.rows.push(row);
    }
}

impl keyed::Table for Fields {
    fn len(&self) -> usize {
        self.times.len()
    }

    #[inline]
    fn time(&self, at: usize) -> EventTime {
        self.times[at]
    }

    #[inline]
    fn kind(&self, at: usize) -> Kind {
        self.kinds[at]
    }

    #[inline]
    fn amount(&self, at: usize) -> i64 {
        self.amounts[at]
    }

    #[inline]
    fn approach(&self, at: usize) {
        prefetch(&self.times, at);
        prefetch(&self.amounts, at);
    }
}

impl<T: Value> keyed::Rows for Columns<T> {
    type Value = T;

    #[inline]
    fn values(&mut self) -> &mut Values<T> {
        &mut self.values
    }

    #[inline]
    fn mark(&mut self, row: u32, seen: &Seen) {
        self.incomplete.unite(row, &seen.incomplete);
        self.approximate.unite(row, &seen.approximate);
        if seen.lateness != Lateness::InOrder {
            self.lateness[row as usize] = seen.lateness;
        }
    }
}
