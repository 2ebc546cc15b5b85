//! Folds tables into a history of its own and gives back the rows that each transaction saw: what training, backfill and
//! tests use, by the same code that serves.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, ArrowPrimitiveType, FixedSizeListArray, PrimitiveArray, RecordBatch,
    types::{Float32Type, Float64Type},
};
use arrow_schema::Field;
use fraudgate_core::{
    features::Seen,
    history::{Bounds, Costs, History},
    key::HashKey,
    plan::Plan,
    transaction::{EventTime, Labelled, Transaction},
};

use super::{Fold, Keys, TableError, walk};

/// The type of the values given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// As models see them: rounded once.
    Float32,
    /// As computed.
    Float64,
}

/// A plan, its history, and how far it has come.
pub struct Folder {
    plan: Plan,
    keys: Keys,
    history: History,
    newest: EventTime,
}

struct Rows<'a, T, Round> {
    plan: &'a Plan,
    history: &'a mut History,
    round: Round,
    row: Vec<f64>,
    values: Vec<T>,
    /// What is said of the values, where that was asked for.
    said: Option<Vec<u8>>,
}

impl Folder {
    /// An empty history. The plan's name stands for the program in hashes.
    pub fn new(plan: Plan, key: &HashKey, complete_since: EventTime, bounds: Bounds) -> Folder {
        Folder {
            keys: Keys::new(&plan.name, &plan, key),
            history: History::new(&plan, complete_since, bounds),
            newest: EventTime(i64::MIN),
            plan,
        }
    }

    /// Folds tables in. Gives a list of as many values as the plan has features for each transaction; NaN where a feature
    /// has no value. A refused table changes nothing.
    pub fn fold(
        &mut self,
        transactions: &[RecordBatch],
        labels: &[RecordBatch],
        precision: Precision,
    ) -> Result<ArrayRef, TableError> {
        match precision {
            Precision::Float32 => {
                let (values, _) = self.values(transactions, labels, |value| value as f32, None)?;
                lists::<Float32Type>(&self.plan, values)
            }
            Precision::Float64 => {
                let (values, _) = self.values(transactions, labels, |value| value, None)?;
                lists::<Float64Type>(&self.plan, values)
            }
        }
    }

    /// The same in float64, and a letter for each value: `m` where it is missing, `i` where it is incomplete, `a` where it is
    /// approximate, and a blank where there is nothing to say.
    pub fn fold_and_say(
        &mut self,
        transactions: &[RecordBatch],
        labels: &[RecordBatch],
    ) -> Result<(ArrayRef, Vec<u8>), TableError> {
        let (values, said) = self.values(transactions, labels, |value| value, Some(Vec::new()))?;
        let lists = lists::<Float64Type>(&self.plan, values)?;
        Ok((lists, said.unwrap_or_default()))
    }

    /// What each entity's things are counted with against the bounds, by slot.
    pub fn costs(&self) -> impl Iterator<Item = Costs> + '_ {
        self.history.costs()
    }

    fn values<T>(
        &mut self,
        transactions: &[RecordBatch],
        labels: &[RecordBatch],
        round: impl Fn(f64) -> T,
        said: Option<Vec<u8>>,
    ) -> Result<(Vec<T>, Option<Vec<u8>>), TableError> {
        let rows: usize = transactions.iter().map(RecordBatch::num_rows).sum();
        let width = self.plan.features.len();
        let mut into = Rows {
            plan: &self.plan,
            history: &mut self.history,
            round,
            row: vec![f64::NAN; width],
            values: Vec::with_capacity(rows * width),
            said,
        };
        walk(
            &self.plan,
            &mut self.keys,
            transactions,
            labels,
            &mut self.newest,
            &mut into,
        )?;
        Ok((into.values, into.said))
    }
}

/// Rows of values as the list array that is given back.
pub(super) fn lists<T: ArrowPrimitiveType>(plan: &Plan, values: Vec<T::Native>) -> Result<ArrayRef, TableError> {
    let field = Arc::new(Field::new("item", T::DATA_TYPE, false));
    let values = Arc::new(PrimitiveArray::<T>::new(values.into(), None));
    // A plan has at most 256 features.
    let lists = FixedSizeListArray::try_new(field, plan.features.len() as i32, values, None);
    Ok(Arc::new(lists.map_err(|error| TableError(error.to_string()))?) as Arc<dyn Array>)
}

impl<T, Round: Fn(f64) -> T> Fold for Rows<'_, T, Round> {
    fn history(&mut self) -> (&Plan, &mut History) {
        (self.plan, self.history)
    }

    fn transaction(&mut self, transaction: &Transaction) {
        let seen = self.history.see(self.plan, transaction, &mut self.row);
        if !seen.is_beyond() {
            self.history.fold(self.plan, transaction);
        }
        self.values.extend(self.row.iter().map(|&value| (self.round)(value)));
        if let Some(said) = &mut self.said {
            said.extend((0..self.row.len()).map(|feature| letter(&seen, feature)));
        }
    }

    fn label(&mut self, label: &Labelled) {
        self.history.label(self.plan, label);
    }
}

fn letter(seen: &Seen, feature: usize) -> u8 {
    let said = [
        (&seen.missing, b'm'),
        (&seen.incomplete, b'i'),
        (&seen.approximate, b'a'),
    ];
    let found = said.into_iter().find(|(features, _)| features.contains(feature));
    found.map_or(b' ', |(_, letter)| letter)
}
