//! Rows of mapped batches as the wire's messages, which pass the same gate as those of every other door.

mod order;
mod plain;

use std::fmt::Write;

use arrow_array::{
    Array, Int32Array, Int64Array, RecordBatch,
    cast::AsArray,
    types::{Float64Type, Int32Type, Int64Type},
};
use arrow_schema::DataType;
use fraudgate_core::{refusal::Violation, wire};

use super::{
    TableError,
    cell::{Cell, Cells},
    mapping::{CurrencyOf, Mapping, Named, UtcOffset, Words},
};

pub(super) use order::{Next, in_order};
pub(super) use plain::{EntityKeys, text};

/// A mapped batch of transactions.
pub(super) struct Inputs<'a> {
    program: &'a str,
    subjects: Subjects<'a>,
    orders: Int64Array,
    rows: Int64Array,
    utc_offsets: Option<Int32Array>,
    event_names: Option<Cells<'a>>,
    amounts: Option<Int64Array>,
    reference_amounts: Option<Int64Array>,
    currency: Option<&'a str>,
    currencies: Option<Cells<'a>>,
    numbers: Vec<(&'a str, arrow_array::Float64Array)>,
    texts: Vec<(&'a str, Cells<'a>)>,
}

/// A mapped batch of what is told: labels where it has classes, outcomes where it has fates.
pub(super) struct Told<'a> {
    program: &'a str,
    subjects: Subjects<'a>,
    orders: Int64Array,
    rows: Int64Array,
    says: Says,
}

enum Says {
    Labels {
        classes: Int32Array,
        sources: Int32Array,
        statuses: Int32Array,
    },
    Outcomes {
        fates: Int32Array,
        deciders: Int32Array,
    },
}

/// One thing that is told.
pub(super) enum Said {
    Label(wire::Label),
    Outcome(wire::Outcome),
}

/// What transactions and what is told of them have in common.
pub(super) struct Subjects<'a> {
    ids: Cells<'a>,
    times: Int64Array,
    kinds: Int32Array,
    entities: Vec<(&'a str, Cells<'a>)>,
}

impl<'a> Inputs<'a> {
    pub fn new(program: &'a str, mapping: &'a Mapping, batch: &'a RecordBatch) -> Result<Inputs<'a>, TableError> {
        let amount = mapping.amount.as_ref();
        let (currency, currencies) = match amount.map(|amount| &amount.currency) {
            None => (None, None),
            Some(CurrencyOf::Code(code)) => (Some(code.as_str()), None),
            Some(CurrencyOf::Column(_)) => (None, Some(Cells::of(batch, "currency")?)),
        };
        Ok(Inputs {
            program,
            subjects: Subjects::new(mapping, batch)?,
            orders: longs(batch, "order_us")?,
            rows: longs(batch, "row")?,
            utc_offsets: match mapping.utc_offset {
                UtcOffset::Utc => None,
                UtcOffset::Column(_) | UtcOffset::EventTime | UtcOffset::Minutes(_) => {
                    Some(ints(batch, "utc_offset_minutes")?)
                }
            },
            event_names: mapping
                .event_name
                .as_ref()
                .map(|_| Cells::of(batch, "event_name"))
                .transpose()?,
            amounts: amount.map(|_| longs(batch, "amount_minor")).transpose()?,
            reference_amounts: mapping
                .reference_amount
                .as_ref()
                .map(|_| longs(batch, "reference_amount_minor"))
                .transpose()?,
            currency,
            currencies,
            numbers: mapping
                .numbers
                .iter()
                .map(|Named { name, .. }| {
                    let column = typed(batch, &format!("number.{name}"), &DataType::Float64)?;
                    Ok((name.as_str(), column.as_primitive::<Float64Type>().clone()))
                })
                .collect::<Result<_, TableError>>()?,
            texts: named(batch, "text", &mapping.texts)?,
        })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn order(&self, row: usize) -> i64 {
        self.orders.value(row)
    }

    pub fn number(&self, row: usize) -> i64 {
        self.rows.value(row)
    }

    pub fn event_time(&self, row: usize) -> i64 {
        self.subjects.times.value(row)
    }

    /// Writes a row over a message.
    pub fn write(&self, row: usize, sent: &mut wire::Transaction) {
        self.program.clone_into(&mut sent.program);
        write_text(self.subjects.ids.get(row), &mut sent.id);
        sent.event_time_us = self.subjects.times.value(row);
        sent.kind = self.subjects.kinds.value(row);
        sent.utc_offset_minutes = match &self.utc_offsets {
            Some(minutes) if minutes.is_valid(row) => minutes.value(row),
            _ => 0,
        };
        sent.event_name.clear();
        if let Some(names) = &self.event_names {
            write_text(names.get(row), &mut sent.event_name);
        }
        let amount = |amounts: &Option<Int64Array>| {
            let amounts = amounts.as_ref()?;
            amounts.is_valid(row).then(|| amounts.value(row))
        };
        sent.amount_minor = amount(&self.amounts);
        sent.reference_amount_minor = amount(&self.reference_amounts);
        sent.currency.clear();
        if sent.amount_minor.is_some() {
            match (self.currency, &self.currencies) {
                (Some(code), _) => sent.currency.push_str(code),
                (None, Some(codes)) => write_text(codes.get(row), &mut sent.currency),
                (None, None) => {}
            }
        }
        self.subjects.write_entities(row, &mut sent.entities);
        sent.attributes.clear();
        for (name, numbers) in &self.numbers {
            if numbers.is_valid(row) {
                sent.attributes.push(wire::Attribute {
                    name: (*name).to_owned(),
                    value: Some(wire::attribute::Value::Number(numbers.value(row))),
                });
            }
        }
        for (name, texts) in &self.texts {
            let mut text = String::new();
            write_text(texts.get(row), &mut text);
            if !text.is_empty() {
                sent.attributes.push(wire::Attribute {
                    name: (*name).to_owned(),
                    value: Some(wire::attribute::Value::Text(text)),
                });
            }
        }
    }
}

impl<'a> Told<'a> {
    pub fn new(program: &'a str, mapping: &'a Mapping, batch: &'a RecordBatch) -> Result<Told<'a>, TableError> {
        let says = match batch.column_by_name("class") {
            Some(_) => Says::Labels {
                classes: ints(batch, "class")?,
                sources: ints(batch, "source")?,
                statuses: ints(batch, "status")?,
            },
            None => Says::Outcomes {
                fates: ints(batch, "fate")?,
                deciders: ints(batch, "decider")?,
            },
        };
        Ok(Told {
            program,
            subjects: Subjects::new(mapping, batch)?,
            orders: longs(batch, "order_us")?,
            rows: longs(batch, "row")?,
            says,
        })
    }

    pub fn len(&self) -> usize {
        self.rows.len()
    }

    pub fn order(&self, row: usize) -> i64 {
        self.orders.value(row)
    }

    pub fn number(&self, row: usize) -> i64 {
        self.rows.value(row)
    }

    /// A transaction that has the keys of a row's subject alone: what a refusal of them is named by.
    pub fn keys(&self, row: usize) -> wire::Transaction {
        wire::Transaction {
            entities: self.subjects.get(row).entities,
            ..wire::Transaction::default()
        }
    }

    pub fn get(&self, row: usize) -> Said {
        let program = self.program.to_owned();
        let subject = Some(self.subjects.get(row));
        match &self.says {
            Says::Labels {
                classes,
                sources,
                statuses,
            } => Said::Label(wire::Label {
                program,
                subject,
                class: classes.value(row),
                status: statuses.value(row),
                source: sources.value(row),
            }),
            Says::Outcomes { fates, deciders } => Said::Outcome(wire::Outcome {
                program,
                subject,
                fate: fates.value(row),
                decider: deciders.value(row),
                ..wire::Outcome::default()
            }),
        }
    }
}

impl<'a> Subjects<'a> {
    fn new(mapping: &'a Mapping, batch: &'a RecordBatch) -> Result<Subjects<'a>, TableError> {
        Ok(Subjects {
            ids: Cells::of(batch, "transaction_id")?,
            times: longs(batch, "event_time_us")?,
            kinds: ints(batch, "kind")?,
            entities: named(batch, "entity", &mapping.entities)?,
        })
    }

    fn get(&self, row: usize) -> wire::Subject {
        let mut subject = wire::Subject {
            event_time_us: self.times.value(row),
            kind: self.kinds.value(row),
            ..wire::Subject::default()
        };
        write_text(self.ids.get(row), &mut subject.transaction_id);
        self.write_entities(row, &mut subject.entities);
        subject
    }

    /// Writes keys over those of a message, whose memory is used again.
    fn write_entities(&self, row: usize, keys: &mut Vec<wire::EntityKey>) {
        let mut given = 0;
        for (name, ids) in &self.entities {
            let id = ids.get(row);
            if matches!(id, Cell::Null | Cell::Text("")) {
                continue;
            }
            if keys.len() == given {
                keys.push(wire::EntityKey::default());
            }
            let key = &mut keys[given];
            (*name).clone_into(&mut key.name);
            write_text(id, &mut key.value);
            given += 1;
        }
        keys.truncate(given);
    }
}

/// The column that a refusal of the gate speaks of, as the file names it, and what is wrong there.
pub(super) fn column_of<'a>(mapping: &'a Mapping, sent: &wire::Transaction, violation: &'a Violation) -> &'a str {
    let field = violation.field.strip_prefix("subject.").unwrap_or(&violation.field);
    let (field, place) = match field.split_once('[') {
        Some((field, rest)) => (
            field,
            rest.split_once(']').and_then(|(place, _)| place.parse::<usize>().ok()),
        ),
        None => (field, None),
    };
    let of = |named: &'a [Named], name: &str| {
        named
            .iter()
            .find(|named| named.name == name)
            .map(|named| &*named.column)
    };
    let word = |words: &'a Words| words.column.as_deref();
    let column = match (field, place) {
        ("id" | "transaction_id", _) => mapping.transaction_id.as_deref(),
        ("event_time_us", _) => Some(&*mapping.event_time.column),
        ("kind" | "mode" | "link", _) => word(&mapping.kind),
        ("event_name", _) => mapping.event_name.as_deref(),
        ("amount_minor", _) => mapping.amount.as_ref().map(|amount| &*amount.column),
        ("reference_amount_minor", _) => mapping.reference_amount.as_ref().map(|amount| &*amount.column),
        ("currency", _) => match mapping.amount.as_ref().map(|amount| &amount.currency) {
            Some(CurrencyOf::Column(column)) => Some(&**column),
            Some(CurrencyOf::Code(_)) | None => None,
        },
        ("utc_offset_minutes", _) => match &mapping.utc_offset {
            UtcOffset::Column(column) => Some(&**column),
            UtcOffset::EventTime => Some(&*mapping.event_time.column),
            UtcOffset::Utc | UtcOffset::Minutes(_) => None,
        },
        ("entities", Some(place)) => sent
            .entities
            .get(place)
            .and_then(|key| of(&mapping.entities, &key.name)),
        ("attributes", Some(place)) => sent
            .attributes
            .get(place)
            .and_then(|given| of(&mapping.numbers, &given.name).or_else(|| of(&mapping.texts, &given.name))),
        ("class", _) => mapping.label.as_ref().and_then(|label| word(&label.class)),
        ("source", _) => mapping.label.as_ref().and_then(|label| word(&label.source)),
        ("fate", _) => mapping.outcome.as_ref().and_then(|outcome| word(&outcome.fate)),
        ("decider", _) => mapping.outcome.as_ref().and_then(|outcome| word(&outcome.decider)),
        _ => None,
    };
    column.unwrap_or(&violation.field)
}

fn named<'a>(batch: &'a RecordBatch, what: &str, names: &'a [Named]) -> Result<Vec<(&'a str, Cells<'a>)>, TableError> {
    names
        .iter()
        .map(|Named { name, .. }| Ok((name.as_str(), Cells::of(batch, &format!("{what}.{name}"))?)))
        .collect()
}

fn typed<'a>(batch: &'a RecordBatch, name: &str, kind: &DataType) -> Result<&'a dyn Array, TableError> {
    match batch.column_by_name(name) {
        Some(column) if column.data_type() == kind => Ok(column.as_ref()),
        _ => Err(TableError(format!("a mapped batch needs a column `{name}` of {kind}"))),
    }
}

fn longs(batch: &RecordBatch, name: &str) -> Result<Int64Array, TableError> {
    Ok(typed(batch, name, &DataType::Int64)?
        .as_primitive::<Int64Type>()
        .clone())
}

fn ints(batch: &RecordBatch, name: &str) -> Result<Int32Array, TableError> {
    Ok(typed(batch, name, &DataType::Int32)?
        .as_primitive::<Int32Type>()
        .clone())
}

/// An id or a text, over what stood there.
fn write_text(cell: Cell, text: &mut String) {
    text.clear();
    match cell {
        Cell::Text(value) => text.push_str(value),
        Cell::Whole(value) => {
            // Writing to a string cannot fail.
            let _ = match i64::try_from(value) {
                Ok(value) => write!(text, "{value}"),
                Err(_) => write!(text, "{value}"),
            };
        }
        // No mapped column holds these: the field stays empty, and the gate says what it must be.
        Cell::Null | Cell::Boolean(_) | Cell::Real(_) | Cell::Decimal(..) | Cell::Moment { .. } => {}
    }
}
