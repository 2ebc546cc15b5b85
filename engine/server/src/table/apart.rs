//! One entity's part of a history, folded apart from the others: what each row sees of it, in the order of inputs. A row
//! carries what it has seen from one entity to the next, and the newest event time that was folded before it anywhere, so
//! that it sees what it would see of the whole history, bit for bit where nothing is evicted.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, Float64Array, Int32Array, Int64Array, ListArray, RecordBatch,
    builder::{BinaryBuilder, Float64Builder, Int32Builder, ListBuilder},
    cast::AsArray,
    types::Float64Type,
};
use arrow_schema::{Field, Schema};
use fraudgate_core::{
    features::{FeatureSet, Lateness, Seen},
    history::{Bounds, History},
    plan::{MAX_FEATURES, Plan},
    transaction::{AmountMinor, EventTime, KeyHash, Kind, Labelled, MAX_ENTITIES, MAX_NUMBERS, Transaction},
};

use super::TableError;

/// The history of one entity's keys.
pub struct Apart {
    plan: Plan,
    history: History,
    /// Its place in the plan; none where a plan has no entity, and rows have their own fields alone.
    entity: Option<usize>,
    /// Places in the row that are this entity's, with those of a transaction's own fields.
    places: Vec<usize>,
    row: Vec<f64>,
}

/// What rows carry of what they have seen.
pub(super) struct Carried {
    features: ListArray,
    incomplete: BinaryArray,
    lateness: Int32Array,
}

/// What a batch holds of one entity's history.
struct Inputs {
    is_label: BooleanArray,
    event_times: Int64Array,
    kinds: Int32Array,
    keys: BinaryArray,
    /// Of labels.
    ids: BinaryArray,
    frauds: BooleanArray,
    /// Of transactions: whether one was taken, and the newest event time before it; null before the first.
    taken: BooleanArray,
    watermarks: Int64Array,
    utc_offsets: Int32Array,
    counted: Int64Array,
    numbers: Vec<Float64Array>,
}

impl Apart {
    /// Nothing is folded yet. `entity` is its place in the plan; none is for rows' own fields alone.
    pub fn new(plan: Plan, entity: Option<usize>, complete_since: EventTime) -> Result<Apart, TableError> {
        let layout = entity.and_then(|entity| plan.layouts.get(entity));
        if layout.is_none() && entity.is_some() {
            return Err(TableError("the plan has no entity at that place".to_owned()));
        }
        let own = plan.own.iter().map(|feature| feature.feature);
        let windows = layout.into_iter().flat_map(|layout| &layout.features);
        let windows = windows.map(|feature| feature.feature);
        Ok(Apart {
            places: own.chain(windows).collect(),
            history: History::new(&plan, complete_since, Bounds::NONE),
            row: vec![f64::NAN; plan.features.len()],
            entity,
            plan,
        })
    }

    /// Takes rows in, in their order: labels and transactions of this entity's keys. Gives what each row carries on:
    /// `features`, `incomplete` and `lateness`, null for a label and for a transaction that was not taken.
    pub fn take(&mut self, batch: &RecordBatch) -> Result<RecordBatch, TableError> {
        let carried = Carried::of(batch)?;
        let inputs = self.inputs(batch)?;
        let mut features = ListBuilder::new(Float64Builder::new());
        let mut incomplete = BinaryBuilder::new();
        let mut lateness = Int32Builder::new();
        for row in 0..batch.num_rows() {
            if inputs.is_label.value(row) {
                let label = inputs.label(row, self.entity)?;
                self.history.label(&self.plan, &label);
            }
            if inputs.is_label.value(row) || !inputs.taken.value(row) {
                features.append_null();
                incomplete.append_null();
                lateness.append_null();
                continue;
            }
            let transaction = inputs.transaction(row, self.entity)?;
            if inputs.watermarks.is_valid(row) {
                self.history.reach(&self.plan, EventTime(inputs.watermarks.value(row)));
            }
            let seen = self.history.see(&self.plan, &transaction, &mut self.row);
            if !seen.is_beyond() {
                self.history.fold(&self.plan, &transaction);
            }
            let (mut before, mut values) = carried.seen(row, self.row.len())?;
            for &place in &self.places {
                values[place] = self.row[place];
            }
            for feature in seen.incomplete.iter() {
                before.incomplete.insert(feature);
            }
            features.values().append_slice(&values);
            features.append(true);
            incomplete.append_value(before.incomplete.bits());
            lateness.append_value(number(before.lateness).max(number(seen.lateness)));
        }
        let columns: [(&str, ArrayRef); 3] = [
            ("features", Arc::new(features.finish())),
            ("incomplete", Arc::new(incomplete.finish())),
            ("lateness", Arc::new(lateness.finish())),
        ];
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
            .collect();
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| TableError(error.to_string()))
    }

    fn inputs(&self, batch: &RecordBatch) -> Result<Inputs, TableError> {
        let numbers = self
            .plan
            .numbers
            .iter()
            .map(|name| column(batch, &format!("number.{name}")));
        Ok(Inputs {
            is_label: column(batch, "is_label")?,
            event_times: column(batch, "event_time_us")?,
            kinds: column(batch, "kind")?,
            keys: match self.entity {
                Some(entity) => column(batch, &format!("key.{}", self.plan.entities[entity]))?,
                None => BinaryArray::new_null(batch.num_rows()),
            },
            ids: column(batch, "id")?,
            frauds: column(batch, "fraud")?,
            taken: column(batch, "taken")?,
            watermarks: column(batch, "watermark_us")?,
            utc_offsets: column(batch, "utc_offset_minutes")?,
            counted: column(batch, "counted_minor")?,
            numbers: numbers.collect::<Result<_, _>>()?,
        })
    }
}

impl Carried {
    pub fn of(batch: &RecordBatch) -> Result<Carried, TableError> {
        Ok(Carried {
            features: column(batch, "features")?,
            incomplete: column(batch, "incomplete")?,
            lateness: column(batch, "lateness")?,
        })
    }

    /// What a row has seen by now, and its features; one that has seen nothing yet has none of either.
    pub fn seen(&self, row: usize, width: usize) -> Result<(Seen, Vec<f64>), TableError> {
        let mut values = vec![f64::NAN; width];
        if self.features.is_valid(row) {
            let list = self.features.value(row);
            let given = list
                .as_primitive_opt::<Float64Type>()
                .filter(|list| list.len() == width);
            let given = given.ok_or_else(|| TableError("rows carry features of another plan".to_owned()))?;
            values.copy_from_slice(given.values());
        }
        let mut incomplete = FeatureSet::default();
        if self.incomplete.is_valid(row) {
            let bits: &[u8; MAX_FEATURES / 8] = self
                .incomplete
                .value(row)
                .try_into()
                .map_err(|_| TableError("rows carry a set of features that is none".to_owned()))?;
            incomplete = FeatureSet::of_bits(bits);
        }
        let mut missing = FeatureSet::default();
        for (feature, value) in values.iter().enumerate() {
            if value.is_nan() && !incomplete.contains(feature) {
                missing.insert(feature);
            }
        }
        let lateness = match self.lateness.is_valid(row).then(|| self.lateness.value(row)) {
            None | Some(0) => Lateness::InOrder,
            Some(1) => Lateness::Late,
            Some(_) => Lateness::Beyond,
        };
        let seen = Seen {
            missing,
            incomplete,
            approximate: FeatureSet::default(),
            lateness,
        };
        Ok((seen, values))
    }
}

impl Inputs {
    fn entities(&self, row: usize, entity: Option<usize>) -> [Option<KeyHash>; MAX_ENTITIES] {
        let mut entities = [None; MAX_ENTITIES];
        if let Some(entity) = entity {
            entities[entity] = hash(&self.keys, row);
        }
        entities
    }

    fn label(&self, row: usize, entity: Option<usize>) -> Result<Labelled, TableError> {
        let nameless = || TableError("a label has no id".to_owned());
        Ok(Labelled {
            transaction: hash(&self.ids, row).ok_or_else(nameless)?,
            event_time: EventTime(self.event_times.value(row)),
            kind: kind(&self.kinds, row)?,
            entities: self.entities(row, entity),
            fraud: self.frauds.is_valid(row).then(|| self.frauds.value(row)),
        })
    }

    fn transaction(&self, row: usize, entity: Option<usize>) -> Result<Transaction, TableError> {
        let mut numbers = [f64::NAN; MAX_NUMBERS];
        for (number, column) in numbers.iter_mut().zip(&self.numbers) {
            if column.is_valid(row) {
                *number = column.value(row);
            }
        }
        Ok(Transaction {
            event_time: EventTime(self.event_times.value(row)),
            utc_offset_minutes: self.utc_offsets.value(row) as i16,
            kind: kind(&self.kinds, row)?,
            amount: self.counted.is_valid(row).then(|| AmountMinor(self.counted.value(row))),
            entities: self.entities(row, entity),
            numbers,
        })
    }
}

/// A column of a type.
pub(super) fn column<T: Array + Clone + 'static>(batch: &RecordBatch, name: &str) -> Result<T, TableError> {
    let found = batch
        .column_by_name(name)
        .and_then(|column| column.as_any().downcast_ref());
    let found: Option<&T> = found;
    found.cloned().ok_or_else(|| {
        TableError(format!(
            "rows that are folded apart need a column `{name}` of the type it had"
        ))
    })
}

/// A hash, where there is one.
pub(super) fn hash(column: &BinaryArray, row: usize) -> Option<KeyHash> {
    let bytes = column.is_valid(row).then(|| column.value(row))?;
    bytes.try_into().ok().map(|bytes| KeyHash(u128::from_le_bytes(bytes)))
}

pub(super) fn kind(kinds: &Int32Array, row: usize) -> Result<Kind, TableError> {
    let kind = u8::try_from(kinds.value(row)).ok().and_then(Kind::numbered);
    kind.ok_or_else(|| TableError("rows hold what is no kind of transaction".to_owned()))
}

fn number(lateness: Lateness) -> i32 {
    match lateness {
        Lateness::InOrder => 0,
        Lateness::Late => 1,
        Lateness::Beyond => 2,
    }
}
