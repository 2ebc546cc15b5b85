//! A batch of a file becomes a batch of fields: columns by the names that the mapping gives them, values of the types that
//! the wire has. What no value can be made of is refused by row and column; what the values may be the gate decides later.
//!
//! `row`, `order_us`, `transaction_id`, `event_time_us`, `kind`, `utc_offset_minutes`, `event_name`, `amount_minor`,
//! `currency`, `reference_amount_minor`, `entity.<name>`, `number.<name>`, `text.<name>`; what is told of a transaction as
//! `label.class`, `label.source`, `label.status`, `label.order_us`, and `outcome.fate`, `outcome.decider`,
//! `outcome.order_us`. `taken` is false where a row was refused.

use std::sync::Arc;

use arrow_array::{Float64Array, RecordBatch};
use fraudgate_core::wire;

use super::{
    TableError,
    fields::Fields,
    mapping::{CurrencyOf, Mapping, Named},
    value,
};

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holds {
    /// Transactions, and what is told of them in columns beside.
    Transactions,
    /// Labels of transactions that stand elsewhere.
    Labels,
    /// Outcomes, likewise.
    Outcomes,
    /// Transactions of which only the order is asked.
    Order,
}

/// What a row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A transaction.
    Transaction,
    /// What one turned out to be.
    Label,
    /// What became of one.
    Outcome,
}

impl Input {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Input::Transaction => "transaction",
            Input::Label => "label",
            Input::Outcome => "outcome",
        }
    }
}

/// A row that was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// What was read there.
    pub input: Input,
    /// Its number in the input, from 1.
    pub row: i64,
    /// The column at fault, as the file names it; empty where it is the row as a whole.
    pub column: String,
    /// What is wrong and what would be right; never what stood there.
    pub reason: String,
}

/// Maps a batch; its first row has the number `first_row` in the input. A batch whose columns cannot be those of the
/// mapping is refused as a whole.
pub fn map(
    mapping: &Mapping,
    holds: Holds,
    batch: &RecordBatch,
    first_row: i64,
) -> Result<(RecordBatch, Vec<Refused>), TableError> {
    let input = match holds {
        Holds::Transactions | Holds::Order => Input::Transaction,
        Holds::Labels => Input::Label,
        Holds::Outcomes => Input::Outcome,
    };
    let mut made = Fields::new(input, batch, first_row);
    let (times, offsets) = made.event_times(mapping)?;
    let orders = match (&mapping.ingest_time, holds) {
        (Some(time), Holds::Transactions | Holds::Order) => Some(made.required_times(time)?),
        (None, _) | (Some(_), Holds::Labels | Holds::Outcomes) => None,
    };
    if holds == Holds::Order {
        made.put_times(times, orders);
        return made.finish();
    }
    match &mapping.transaction_id {
        Some(column) => made.ids("transaction_id", column, true)?,
        None if holds == Holds::Transactions => {
            let rows = made.numbers_of_rows();
            made.put("transaction_id", Arc::new(rows));
        }
        None => {
            return Err(TableError(
                "mapping: labels and outcomes need the column of transaction_id".to_owned(),
            ));
        }
    }
    made.words::<wire::Kind>("kind", &mapping.kind)?;
    for Named { name, column } in &mapping.entities {
        made.ids(&format!("entity.{name}"), column, false)?;
    }
    if holds == Holds::Transactions {
        made.utc_offsets(&mapping.utc_offset, offsets)?;
        if let Some(column) = &mapping.event_name {
            made.texts("event_name", column)?;
        }
        if let Some(amount) = &mapping.amount {
            made.amounts("amount_minor", amount)?;
            if let CurrencyOf::Column(column) = &amount.currency {
                made.texts("currency", column)?;
            }
        }
        if let Some(amount) = &mapping.reference_amount {
            made.amounts("reference_amount_minor", amount)?;
        }
        for Named { name, column } in &mapping.numbers {
            let numbers: Float64Array = made.each(column, value::number)?.into();
            made.put(&format!("number.{name}"), Arc::new(numbers));
        }
        for Named { name, column } in &mapping.texts {
            made.texts(&format!("text.{name}"), column)?;
        }
    }
    let stands_here = |apart, own| holds == if apart { own } else { Holds::Transactions };
    if let Some(label) = mapping
        .label
        .as_ref()
        .filter(|label| stands_here(label.apart, Holds::Labels))
    {
        made.words::<wire::LabelClass>("label.class", &label.class)?;
        made.words::<wire::LabelSource>("label.source", &label.source)?;
        made.words::<wire::LabelStatus>("label.status", &label.status)?;
        made.arrivals(
            "label",
            "class",
            &label.arrival,
            &times,
            orders.as_deref().unwrap_or(&times),
            holds,
        )?;
    }
    let outcome = mapping.outcome.as_ref();
    if let Some(outcome) = outcome.filter(|outcome| stands_here(outcome.apart, Holds::Outcomes)) {
        made.words::<wire::Fate>("outcome.fate", &outcome.fate)?;
        made.words::<wire::Decider>("outcome.decider", &outcome.decider)?;
        made.arrivals(
            "outcome",
            "fate",
            &outcome.arrival,
            &times,
            orders.as_deref().unwrap_or(&times),
            holds,
        )?;
    }
    made.put_times(times, orders);
    let rows = made.numbers_of_rows();
    made.put("row", Arc::new(rows));
    made.finish()
}
