//! A table that is at hand as a whole: what each transaction saw, key by key instead of row by row, one entity after the
//! other. To the bit it is what [`Folder`](super::Folder) gives, and no history is left.

use arrow_array::{
    ArrayRef, RecordBatch,
    types::{Float32Type, Float64Type},
};
use fraudgate_core::{
    key::HashKey,
    plan::Plan,
    transaction::{EventTime, Kind},
};

use super::{
    Keys, TableError,
    folder::{Precision, lists},
    keyed::{self, Keyed, NO_AMOUNT, Nobody, Told},
    numbered::{NO_KEY, Numbered},
    pages::SmallPages,
    rows::{self, LabelRows, TransactionRows},
    values::{Value, Values},
};

/// The tables, checked.
struct Tables<'a> {
    plan: &'a Plan,
    transactions: Vec<TransactionRows>,
    labels: Vec<LabelRows>,
    told: Vec<At>,
    rows: usize,
}

/// A label, which table it stands in, and its row.
struct At {
    told: Told,
    table: usize,
    row: usize,
}

/// The features of each transaction as [`Folder::fold`](super::Folder::fold) gives them of an empty history.
pub fn whole(
    plan: &Plan,
    key: &HashKey,
    transactions: &[RecordBatch],
    labels: &[RecordBatch],
    complete_since: EventTime,
    precision: Precision,
) -> Result<ArrayRef, TableError> {
    let _small = SmallPages::begin();
    let tables = Tables::new(plan, key, transactions, labels)?;
    match precision {
        Precision::Float32 => lists::<Float32Type>(plan, tables.features(complete_since)),
        Precision::Float64 => lists::<Float64Type>(plan, tables.features(complete_since)),
    }
}

impl<'a> Tables<'a> {
    fn new(
        plan: &'a Plan,
        key: &HashKey,
        transactions: &[RecordBatch],
        labels: &[RecordBatch],
    ) -> Result<Tables<'a>, TableError> {
        let transactions = transactions.iter().map(|batch| TransactionRows::new(plan, batch));
        let transactions = transactions.collect::<Result<Vec<_>, _>>()?;
        let labels = labels.iter().map(|batch| LabelRows::new(plan, batch));
        let labels = labels.collect::<Result<Vec<_>, _>>()?;
        rows::check_order(&labels)?;
        let rows = transactions.iter().map(TransactionRows::len).sum();
        if rows >= NO_KEY as usize {
            return Err(TableError("transactions: more than 2^32 - 2 rows at once".to_owned()));
        }
        let keys = Keys::new(&plan.name, plan, key);
        Ok(Tables {
            told: told(&transactions, &labels, &keys),
            plan,
            transactions,
            labels,
            rows,
        })
    }

    fn features<T: Value>(&self, complete_since: EventTime) -> Vec<T> {
        let mut values = Values::new(self.plan, self.rows);
        let mut transaction = rows::blank();
        for table in &self.transactions {
            for row in 0..table.len() {
                table.read_own(row, &mut transaction);
                values.push(self.plan, &transaction);
            }
        }
        let mut keyed = Keyed::of(&self.transactions, EventTime(i64::MIN));
        for (slot, layout) in self.plan.layouts.iter().enumerate() {
            if layout.features.is_empty() {
                continue;
            }
            let columns = self.transactions.iter().map(|table| table.ids(slot));
            let mut columns = columns.chain(self.labels.iter().map(|table| table.ids(slot)));
            let mut numbered = Numbered::new(columns.any(|ids| ids.are_texts()));
            let mut numbers = Vec::with_capacity(self.rows);
            for table in &self.transactions {
                numbered.extend(table.ids(slot), &mut numbers);
            }
            let labels = self.told.iter().map(|at| {
                let id = self.labels[at.table].ids(slot).get(at.row);
                (numbered.number(id), &at.told)
            });
            let labels = keyed::by_key(labels);
            let rows = (&self.transactions[..], numbers);
            keyed.fold(
                (self.plan, layout),
                complete_since,
                rows,
                &labels,
                &mut Nobody,
                &mut values,
            );
        }
        values.weave();
        values.into_all()
    }
}

impl keyed::Table for TransactionRows {
    fn len(&self) -> usize {
        self.event_times().len()
    }

    #[inline]
    fn time(&self, at: usize) -> EventTime {
        EventTime(self.event_times()[at])
    }

    #[inline]
    fn kind(&self, at: usize) -> Kind {
        self.kind(at)
    }

    #[inline]
    fn amount(&self, at: usize) -> i64 {
        self.amount(at).map_or(NO_AMOUNT, |amount| amount.0)
    }

    #[inline]
    fn approach(&self, at: usize) {
        self.approach(at);
    }
}

/// When each label is told: before the first transaction whose event time, or that of one before it, has reached its
/// arrival. What is told after the last one is seen by none.
fn told(transactions: &[TransactionRows], labels: &[LabelRows], keys: &Keys) -> Vec<At> {
    let mut due = labels
        .iter()
        .enumerate()
        .flat_map(|(table, labels)| (0..labels.len()).map(move |row| (table, labels, row)))
        .peekable();
    let mut told = Vec::new();
    let mut watermark = EventTime(i64::MIN);
    let times = transactions.iter().flat_map(|table| table.event_times());
    for (before, &time) in (0_u32..).zip(times) {
        let reached = watermark.0.max(time);
        while let Some((table, labels, row)) = due.next_if(|(_, labels, row)| labels.arrival(*row) <= reached) {
            told.push(At {
                told: Told {
                    label: labels.read_own(row, keys),
                    before,
                    watermark,
                },
                table,
                row,
            });
        }
        watermark = EventTime(reached);
    }
    told
}
