//! Tables at the door: Arrow record batches become the transactions and labels that histories are folded from.
//!
//! Columns are named as the plan names its entities and numbers. Rows are taken in the order of the table; a label is taken
//! before the first transaction whose event time, or that of one before it, has reached the label's arrival.

mod answers;
mod apart;
mod backfill;
mod cell;
mod column;
mod exchange;
mod fields;
mod folder;
mod groups;
mod inputs;
mod keyed;
mod keys;
mod mapped;
mod mapping;
mod marks;
mod numbered;
mod pages;
mod rows;
mod said;
mod scored;
mod value;
mod values;
mod whole;

use std::fmt;

use arrow_array::RecordBatch;
use fraudgate_core::{
    history::History,
    plan::Plan,
    transaction::{EventTime, Labelled, Transaction},
};

pub use answers::{Wanted, refused_batch};
pub use apart::Apart;
pub use backfill::{Backfill, DRAIN, Piece, Taken};
pub use exchange::{from_array, from_stream, to_array};
pub use folder::{Folder, Precision};
pub use keys::Keys;
pub use mapped::{Holds, Input, Refused, map};
pub use mapping::Mapping;
pub use pages::SmallPages;
use rows::{LabelRows, TransactionRows};
pub use said::words;
pub use scored::Scorer;
pub use whole::whole;

/// Why a table was refused. Nothing of it is folded then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableError(String);

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TableError {}

/// Who takes what a table holds.
pub trait Fold {
    /// The history that transactions are folded into, which is told what will come.
    fn history(&mut self) -> (&Plan, &mut History);
    /// A transaction.
    fn transaction(&mut self, transaction: &Transaction);
    /// A label.
    fn label(&mut self, label: &Labelled);
}

/// How many transactions are read, and announced to the history, before they are taken.
const ANNOUNCED: usize = 16;

/// Walks transactions and labels in their order. `newest` is the newest event time of any transaction walked before and
/// is carried on. Returns how many transactions there were.
pub fn walk(
    plan: &Plan,
    keys: &mut Keys,
    transactions: &[RecordBatch],
    labels: &[RecordBatch],
    newest: &mut EventTime,
    fold: &mut impl Fold,
) -> Result<usize, TableError> {
    let tables = transactions
        .iter()
        .map(|batch| TransactionRows::new(plan, batch))
        .collect::<Result<Vec<_>, _>>()?;
    let label_tables = labels
        .iter()
        .map(|batch| LabelRows::new(plan, batch))
        .collect::<Result<Vec<_>, _>>()?;
    rows::check_order(&label_tables)?;
    let mut due = label_tables
        .iter()
        .flat_map(|table| (0..table.len()).map(move |row| (table, row)))
        .peekable();
    let mut coming = tables
        .iter()
        .flat_map(|table| (0..table.len()).map(move |row| (table, row)));

    let mut block = vec![rows::blank(); ANNOUNCED];
    let mut taken = 0;
    loop {
        let mut read = 0;
        for (transaction, (table, row)) in block.iter_mut().zip(&mut coming) {
            table.read(row, keys, transaction);
            read += 1;
        }
        if read == 0 {
            break;
        }
        let (plan, history) = fold.history();
        history.announce(plan, block[..read].iter());
        for transaction in &block[..read] {
            *newest = transaction.event_time.max(*newest);
            while let Some((table, row)) = due.next_if(|(table, row)| table.arrival(*row) <= newest.0) {
                fold.label(&table.read(row, keys));
            }
            fold.transaction(transaction);
        }
        taken += read;
    }
    for (table, row) in due {
        fold.label(&table.read(row, keys));
    }
    Ok(taken)
}
