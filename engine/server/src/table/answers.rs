//! Answers as columns: what an assessment says, a row for each, and on request its bytes and the features that were seen.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int32Array, Int64Array,
    ListArray, RecordBatch, StringArray, UInt64Array,
    builder::{ListBuilder, StringBuilder},
};
use arrow_schema::{Field, Schema};
use fraudgate_core::{
    transaction::{KeyHash, MAX_ENTITIES},
    wire,
};
use prost::Message;

use super::{Input, Precision, Refused, TableError};

/// What is asked beside the order of things.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// What assessments say.
    pub assessments: bool,
    /// The bytes of each assessment, as every door encodes it.
    pub bytes: bool,
    /// The features that each transaction saw.
    pub features: Option<Precision>,
}

/// Which row something was asked for.
#[derive(Clone, Copy)]
pub(super) struct Of {
    pub input: Input,
    pub row: i64,
    /// The hashed keys of a transaction's entities, by the plan's slot.
    pub keys: [Option<KeyHash>; MAX_ENTITIES],
}

/// Answers as they come.
pub(super) struct Answers {
    wanted: Wanted,
    rows: Vec<i64>,
    sequences: Vec<u64>,
    replayed: Vec<bool>,
    assessments: Vec<wire::Assessment>,
    /// Of each answer its place among the rows of features; a retransmission saw none.
    seen: Vec<Option<usize>>,
    /// The hashed keys of its entities, by the plan's slot.
    keys: Vec<[Option<KeyHash>; MAX_ENTITIES]>,
    /// Row after row, as they were computed.
    pub features: Vec<f64>,
}

impl Answers {
    pub fn new(wanted: Wanted, rows: usize) -> Answers {
        Answers {
            wanted,
            rows: Vec::with_capacity(rows),
            sequences: Vec::with_capacity(rows),
            replayed: Vec::with_capacity(rows),
            assessments: Vec::with_capacity(if wanted.assessments || wanted.bytes { rows } else { 0 }),
            seen: Vec::with_capacity(rows),
            keys: Vec::new(),
            features: Vec::new(),
        }
    }

    pub fn wants_features(&self) -> bool {
        self.wanted.features.is_some()
    }

    /// The answer to the transaction of a row. `seen` is its place among the rows of features.
    pub fn push(&mut self, of: &Of, receipt: &wire::Receipt, assessment: wire::Assessment, seen: Option<usize>) {
        let row = of.row;
        if self.wants_features() {
            self.keys.push(of.keys);
        }
        self.rows.push(row);
        self.sequences.push(receipt.sequence);
        self.replayed.push(receipt.replayed);
        if self.wanted.assessments || self.wanted.bytes {
            self.assessments.push(assessment);
        }
        self.seen.push(seen);
    }

    pub fn into_batch(self, entities: &[String], names: &[String]) -> Result<RecordBatch, TableError> {
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        let mut put = |name: &str, column: ArrayRef| columns.push((name.to_owned(), column));
        let answers = &self.assessments;
        put("row", Arc::new(Int64Array::from(self.rows)));
        put("sequence", Arc::new(UInt64Array::from(self.sequences)));
        put("replayed", Arc::new(BooleanArray::from(self.replayed)));
        if self.wanted.assessments {
            let numbers = |of: fn(&wire::Assessment) -> i32| -> ArrayRef {
                Arc::new(answers.iter().map(of).collect::<Int32Array>())
            };
            put("verdict", numbers(|assessment| assessment.verdict));
            put("policy_verdict", numbers(|assessment| assessment.policy_verdict));
            put("override", numbers(|assessment| assessment.r#override));
            put("tier", numbers(|assessment| assessment.tier));
            put("cause", numbers(|assessment| assessment.cause));
            put("lateness", numbers(|assessment| assessment.lateness));
            let reals = |of: fn(&wire::Assessment) -> Option<f64>| -> ArrayRef {
                Arc::new(answers.iter().map(of).collect::<Float64Array>())
            };
            put("fraud_probability", reals(|assessment| assessment.fraud_probability));
            put("risk_score", reals(|assessment| assessment.risk_score));
            put(
                "missing_features",
                lists(answers, |assessment| &assessment.missing_features),
            );
            put(
                "incomplete_features",
                lists(answers, |assessment| &assessment.incomplete_features),
            );
            put(
                "dropped_attributes",
                lists(answers, |assessment| &assessment.dropped_attributes),
            );
        }
        if self.wanted.bytes {
            let bytes: Vec<Vec<u8>> = answers.iter().map(Message::encode_to_vec).collect();
            put("assessment", Arc::new(BinaryArray::from_iter_values(bytes)));
        }
        for (slot, name) in entities.iter().enumerate().filter(|_| self.wanted.features.is_some()) {
            let keys = self.keys.iter().map(|keys| keys[slot].map(|key| key.0.to_le_bytes()));
            let keys = FixedSizeBinaryArray::try_from_sparse_iter_with_size(keys, 16);
            put(
                &format!("key.{name}"),
                Arc::new(keys.map_err(|error| TableError(error.to_string()))?),
            );
        }
        let width = names.len();
        // A feature without a value is null: it is NaN where it is computed.
        let seen = |feature: usize| {
            let features = &self.features;
            self.seen.iter().map(move |place| {
                let value = features[(*place)? * width + feature];
                (!value.is_nan()).then_some(value)
            })
        };
        for (feature, name) in names.iter().enumerate() {
            match self.wanted.features {
                None => break,
                Some(Precision::Float64) => put(name, Arc::new(seen(feature).collect::<Float64Array>())),
                Some(Precision::Float32) => {
                    let rounded = seen(feature).map(|value| value.map(|value| value as f32));
                    put(name, Arc::new(rounded.collect::<Float32Array>()));
                }
            }
        }
        batch(columns)
    }
}

/// Refused rows as a table.
pub fn refused_batch(refused: &[Refused]) -> Result<RecordBatch, TableError> {
    batch(vec![
        (
            "input".to_owned(),
            Arc::new(StringArray::from_iter_values(
                refused.iter().map(|one| one.input.name()),
            )),
        ),
        (
            "row".to_owned(),
            Arc::new(refused.iter().map(|one| one.row).collect::<Int64Array>()),
        ),
        (
            "column".to_owned(),
            Arc::new(StringArray::from_iter_values(refused.iter().map(|one| &one.column))),
        ),
        (
            "reason".to_owned(),
            Arc::new(StringArray::from_iter_values(refused.iter().map(|one| &one.reason))),
        ),
    ])
}

fn lists(answers: &[wire::Assessment], of: fn(&wire::Assessment) -> &Vec<String>) -> ArrayRef {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for assessment in answers {
        of(assessment).iter().for_each(|name| lists.values().append_value(name));
        lists.append(true);
    }
    let lists: ListArray = lists.finish();
    Arc::new(lists)
}

fn batch(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch, TableError> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(name, column.data_type().clone(), true))
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| TableError(error.to_string()))
}
