//! History that is folded into a program before the server starts, so that its windows are full from the first call.

use arrow_array::RecordBatch;
use fraudgate_core::{
    history::History,
    key::HashKey,
    plan::Plan,
    road::Engine,
    transaction::{EventTime, Labelled, Transaction},
};

use crate::table::{Fold, Keys, TableError, walk};

/// Folds tables into the history of the program at a place, as if each row had been sent with MODE_FOLD; it is journaled
/// likewise. Ids are not remembered: a transaction of the tables that is sent again counts again. Returns how many
/// transactions were walked. A refused table changes nothing.
pub fn warm(
    engine: &mut Engine,
    place: usize,
    key: &HashKey,
    transactions: &[RecordBatch],
    labels: &[RecordBatch],
) -> Result<usize, TableError> {
    // The walk reads the plan while the engine changes.
    let (name, plan) = (
        engine.programs()[place].name.clone(),
        engine.programs()[place].plan.clone(),
    );
    let mut keys = Keys::new(&name, &plan, key);
    let mut newest = EventTime(i64::MIN);
    let mut into = Into { engine, place };
    let walked = walk(&plan, &mut keys, transactions, labels, &mut newest, &mut into)?;
    engine.flush_history();
    Ok(walked)
}

struct Into<'e> {
    engine: &'e mut Engine,
    place: usize,
}

impl Fold for Into<'_> {
    fn history(&mut self) -> (&Plan, &mut History) {
        let program = &mut self.engine.programs_mut()[self.place];
        (&program.plan, &mut program.history)
    }

    fn transaction(&mut self, transaction: &Transaction) {
        self.engine.fold_history(self.place, transaction);
    }

    fn label(&mut self, label: &Labelled) {
        self.engine.label_history(self.place, label);
    }
}
