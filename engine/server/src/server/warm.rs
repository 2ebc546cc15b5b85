//! History that is folded into a program before the server starts, so that its windows are full from the first call.

use arrow_array::RecordBatch;
use fraudgate_core::{
    history::History,
    key::HashKey,
    plan::Plan,
    program::Program,
    transaction::{EventTime, Labelled, Transaction},
};

use crate::table::{Fold, Keys, TableError, walk};

/// Folds tables into a program's history, as if each row had been sent with MODE_FOLD. Ids are not remembered: a
/// transaction of the tables that is sent again counts again. Returns how many transactions were walked. A refused
/// table changes nothing.
pub fn warm(
    program: &mut Program,
    key: &HashKey,
    transactions: &[RecordBatch],
    labels: &[RecordBatch],
) -> Result<usize, TableError> {
    let mut keys = Keys::new(&program.name, &program.plan, key);
    let mut newest = EventTime(i64::MIN);
    let mut into = Into {
        plan: &program.plan,
        history: &mut program.history,
    };
    walk(&program.plan, &mut keys, transactions, labels, &mut newest, &mut into)
}

struct Into<'a> {
    plan: &'a Plan,
    history: &'a mut History,
}

impl Fold for Into<'_> {
    fn history(&mut self) -> (&Plan, &mut History) {
        (self.plan, self.history)
    }

    fn transaction(&mut self, transaction: &Transaction) {
        if !self.history.is_beyond(self.plan, transaction.event_time) {
            self.history.fold(self.plan, transaction);
        }
    }

    fn label(&mut self, label: &Labelled) {
        self.history.label(self.plan, label);
    }
}
