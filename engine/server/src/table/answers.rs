//! Answers as columns: what an assessment says, a row for each, and on request its bytes and the features that were seen.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray,
    UInt64Array, builder::BinaryBuilder,
};
use arrow_schema::{Field, Schema};
use fraudgate_core::{
    assessment::{Assessment, Version},
    transaction::{KeyHash, MAX_ENTITIES},
    wire,
};
use prost::Message;

use super::{Input, Precision, Refused, TableError, said::Said};

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
    said: Said,
    bytes: BinaryBuilder,
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
            said: Said::new(if wanted.assessments { rows } else { 0 }),
            bytes: BinaryBuilder::new(),
            seen: Vec::with_capacity(rows),
            keys: Vec::new(),
            features: Vec::new(),
        }
    }

    pub fn wants_features(&self) -> bool {
        self.wanted.features.is_some()
    }

    /// The answer to the transaction of a row; what it says is said next. `seen` is its place among the rows of features.
    pub fn push(&mut self, of: &Of, sequence: u64, replayed: bool, seen: Option<usize>) {
        self.rows.push(of.row);
        self.sequences.push(sequence);
        self.replayed.push(replayed);
        if self.wants_features() {
            self.keys.push(of.keys);
            self.seen.push(seen);
        }
    }

    /// What an assessment says; `version` is the one it was made with.
    pub fn say(&mut self, assessment: &Assessment, version: &Version) {
        if self.wanted.assessments {
            self.said.push(assessment, version);
        }
        if self.wanted.bytes {
            self.bytes.append_value(assessment.to_wire(version).encode_to_vec());
        }
    }

    /// The same of one as it is sent.
    pub fn say_sent(&mut self, assessment: &wire::Assessment) {
        if self.wanted.assessments {
            self.said.push_sent(assessment);
        }
        if self.wanted.bytes {
            self.bytes.append_value(assessment.encode_to_vec());
        }
    }

    pub fn into_batch(mut self, entities: &[String], names: &[String]) -> Result<RecordBatch, TableError> {
        let mut columns: Vec<(String, ArrayRef)> = Vec::new();
        let mut put = |name: &str, column: ArrayRef| columns.push((name.to_owned(), column));
        put("row", Arc::new(Int64Array::from(self.rows)));
        put("sequence", Arc::new(UInt64Array::from(self.sequences)));
        put("replayed", Arc::new(BooleanArray::from(self.replayed)));
        if self.wanted.assessments {
            self.said.finish(&mut put)?;
        }
        if self.wanted.bytes {
            put("assessment", Arc::new(self.bytes.finish()));
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

fn batch(columns: Vec<(String, ArrayRef)>) -> Result<RecordBatch, TableError> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, column)| Field::new(name, column.data_type().clone(), true))
        .collect();
    let columns = columns.into_iter().map(|(_, column)| column).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| TableError(error.to_string()))
}
