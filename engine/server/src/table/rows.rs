//! Rows of record batches as transactions and labels. Every value is checked before the first row is taken, by the rules
//! of the wire, so that a refused table changes nothing.

use arrow_array::{Array, BooleanArray, Int64Array, RecordBatch};
use fraudgate_core::{
    history::prefetch,
    plan::Plan,
    transaction::{AmountMinor, EventTime, Kind, Labelled, MAX_AMOUNT_MINOR, MAX_ENTITIES, MAX_NUMBERS, Transaction},
};

use super::{
    TableError,
    column::{Columns, Ids, Numbers},
    keys::{Id, Keys},
};

/// The end of the year 9999, where calendars end.
const LAST_EVENT_TIME_US: i64 = 253_402_300_799_999_999;

/// A batch of transactions.
pub(super) struct TransactionRows {
    times: Int64Array,
    kinds: Option<Vec<Kind>>,
    amounts: Int64Array,
    utc_offsets: Option<Int64Array>,
    entities: Vec<Ids>,
    numbers: Vec<Numbers>,
}

/// A batch of labels.
pub(super) struct LabelRows {
    arrivals: Int64Array,
    times: Int64Array,
    transactions: Ids,
    kinds: Option<Vec<Kind>>,
    frauds: BooleanArray,
    entities: Vec<Ids>,
}

/// A transaction to be written over.
pub(super) fn blank() -> Transaction {
    Transaction {
        event_time: EventTime(0),
        utc_offset_minutes: 0,
        kind: Kind::Purchase,
        amount: None,
        entities: [None; MAX_ENTITIES],
        numbers: [f64::NAN; MAX_NUMBERS],
    }
}

impl TransactionRows {
    pub fn new(plan: &Plan, batch: &RecordBatch) -> Result<TransactionRows, TableError> {
        let columns = Columns {
            table: "transactions",
            batch,
        };
        let amounts = columns.integers("amount_minor", columns.required("amount_minor")?)?;
        if amounts
            .iter()
            .flatten()
            .any(|amount| !(0..=MAX_AMOUNT_MINOR).contains(&amount))
        {
            return columns.error("amount_minor", "holds an amount that is not 0 to 10^14 minor units");
        }
        let utc_offsets = match columns.find("utc_offset_minutes") {
            Some(column) => Some(columns.integers("utc_offset_minutes", column)?),
            None => None,
        };
        if utc_offsets
            .iter()
            .flatten()
            .flatten()
            .any(|minutes| !(-1080..=1080).contains(&minutes))
        {
            return columns.error(
                "utc_offset_minutes",
                "holds an offset that is not -1080 to 1080 minutes",
            );
        }
        Ok(TransactionRows {
            times: event_times(columns)?,
            kinds: kinds(columns)?,
            amounts,
            utc_offsets,
            entities: plan
                .entities
                .iter()
                .map(|name| columns.ids(name))
                .collect::<Result<_, _>>()?,
            numbers: plan
                .numbers
                .iter()
                .map(|name| columns.numbers(name))
                .collect::<Result<_, _>>()?,
        })
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }

    #[inline]
    pub fn event_times(&self) -> &[i64] {
        self.times.values()
    }

    /// The ids of the entity in a slot.
    pub fn ids(&self, slot: usize) -> &Ids {
        &self.entities[slot]
    }

    /// Asks for the time and the amount of a row that is read soon.
    #[inline]
    pub fn approach(&self, row: usize) {
        prefetch(self.times.values(), row);
        prefetch(self.amounts.values(), row);
    }

    #[inline]
    pub fn kind(&self, row: usize) -> Kind {
        self.kinds.as_ref().map_or(Kind::Purchase, |kinds| kinds[row])
    }

    #[inline]
    pub fn amount(&self, row: usize) -> Option<AmountMinor> {
        self.amounts.is_valid(row).then(|| AmountMinor(self.amounts.value(row)))
    }

    pub fn read(&self, row: usize, keys: &mut Keys, transaction: &mut Transaction) {
        self.read_own(row, transaction);
        for (slot, (ids, key)) in self.entities.iter().zip(&mut transaction.entities).enumerate() {
            *key = ids.get(row).map(|id| keys.entity(slot, id));
        }
    }

    /// All but its keys.
    pub fn read_own(&self, row: usize, transaction: &mut Transaction) {
        transaction.event_time = EventTime(self.times.value(row));
        transaction.kind = self.kind(row);
        transaction.amount = self.amount(row);
        transaction.utc_offset_minutes = match &self.utc_offsets {
            Some(minutes) if minutes.is_valid(row) => minutes.value(row) as i16,
            _ => 0,
        };
        for (numbers, number) in self.numbers.iter().zip(&mut transaction.numbers) {
            *number = if numbers.is_valid(row) {
                numbers.value(row)
            } else {
                f64::NAN
            };
        }
    }
}

impl LabelRows {
    pub fn new(plan: &Plan, batch: &RecordBatch) -> Result<LabelRows, TableError> {
        let columns = Columns { table: "labels", batch };
        let transactions = columns.ids("transaction_id")?;
        if (0..batch.num_rows()).any(|row| transactions.get(row).is_none()) {
            return columns.error("transaction_id", "holds nulls; a label needs its subject");
        }
        Ok(LabelRows {
            arrivals: columns.times("arrival_us")?,
            times: event_times(columns)?,
            transactions,
            kinds: kinds(columns)?,
            frauds: columns.booleans("fraud")?,
            entities: plan
                .entities
                .iter()
                .map(|name| columns.ids(name))
                .collect::<Result<_, _>>()?,
        })
    }

    pub fn len(&self) -> usize {
        self.times.len()
    }

    pub fn arrival(&self, row: usize) -> i64 {
        self.arrivals.value(row)
    }

    /// The ids of the entity in a slot.
    pub fn ids(&self, slot: usize) -> &Ids {
        &self.entities[slot]
    }

    pub fn read(&self, row: usize, keys: &mut Keys) -> Labelled {
        let mut label = self.read_own(row, keys);
        for (slot, (ids, key)) in self.entities.iter().zip(&mut label.entities).enumerate() {
            *key = ids.get(row).map(|id| keys.entity(slot, id));
        }
        label
    }

    /// All but its keys.
    pub fn read_own(&self, row: usize, keys: &Keys) -> Labelled {
        // Nulls were refused, so the default is never taken.
        let id = self.transactions.get(row).unwrap_or(Id::Number(0));
        Labelled {
            transaction: keys.transaction(id),
            event_time: EventTime(self.times.value(row)),
            kind: self.kinds.as_ref().map_or(Kind::Purchase, |kinds| kinds[row]),
            entities: [None; MAX_ENTITIES],
            fraud: self.frauds.is_valid(row).then(|| self.frauds.value(row)),
        }
    }
}

/// Refuses labels that are not sorted by arrival.
pub(super) fn check_order(tables: &[LabelRows]) -> Result<(), TableError> {
    let arrivals = tables.iter().flat_map(|table| table.arrivals.values().iter());
    if arrivals.is_sorted() {
        Ok(())
    } else {
        Err(TableError(
            "labels: column `arrival_us` goes back; labels must be sorted by their arrival".into(),
        ))
    }
}

fn event_times(columns: Columns) -> Result<Int64Array, TableError> {
    let times = columns.times("event_time_us")?;
    if times
        .values()
        .iter()
        .all(|time| (1..=LAST_EVENT_TIME_US).contains(time))
    {
        Ok(times)
    } else {
        columns.error("event_time_us", "holds a time that is not between 1970 and 9999")
    }
}

/// Kinds by name; `None` when the table has none, and all are purchases.
fn kinds(columns: Columns) -> Result<Option<Vec<Kind>>, TableError> {
    if columns.find("kind").is_none() {
        return Ok(None);
    }
    let names = columns.ids("kind")?;
    let kinds = (0..columns.batch.num_rows()).map(|row| match names.get(row) {
        Some(Id::Text(name)) => Kind::parse(name),
        Some(Id::Number(_)) | None => None,
    });
    match kinds.collect::<Option<Vec<_>>>() {
        Some(kinds) => Ok(Some(kinds)),
        None => columns.error(
            "kind",
            "holds what is no kind of transaction: purchase, withdrawal, transfer, payout, ...",
        ),
    }
}
