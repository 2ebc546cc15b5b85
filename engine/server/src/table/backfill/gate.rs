//! The gate alone, for a history whose keys are folded apart: what each row comes to once it was checked, with its ids hashed.
//! What follows from the order of all rows — repeated ids, lateness, sequences — is left to whoever knows that order.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, RecordBatch,
    builder::{BooleanBuilder, FixedSizeBinaryBuilder, Float64Builder, Int32Builder, Int64Builder, PrimitiveBuilder},
    types::ArrowPrimitiveType,
};
use arrow_schema::{Field, Schema};
use fraudgate_core::{
    admit::{AdmittedLabel, AdmittedOutcome, Mode, Subject},
    refusal::Refusal,
    transaction::{KeyHash, Transaction},
    wire,
};

use super::{
    super::{
        Input, Refused, TableError,
        inputs::{Inputs, Said, Told},
    },
    Backfill, mode, refusal_of,
};

/// What of a row is left behind the gate; null in a row that it refused.
struct Columns {
    admitted: BooleanBuilder,
    ids: FixedSizeBinaryBuilder,
    payloads: FixedSizeBinaryBuilder,
    event_times: Int64Builder,
    kinds: Int32Builder,
    utc_offsets: Int32Builder,
    counted: Int64Builder,
    scored: BooleanBuilder,
    segments: Int32Builder,
    dropped: Int32Builder,
    folds: BooleanBuilder,
    frauds: BooleanBuilder,
    keys: Vec<FixedSizeBinaryBuilder>,
    numbers: Vec<Float64Builder>,
}

impl Backfill {
    /// Checks mapped transactions and changes nothing: a row for each, with what it comes to.
    pub fn admit(&mut self, transactions: &RecordBatch) -> Result<(RecordBatch, Vec<Refused>), TableError> {
        let (mapping, program) = (self.mapping.clone(), self.program.clone());
        let inputs = Inputs::new(&program, &mapping, transactions)?;
        let mut columns = self.columns();
        let mut refused = Vec::new();
        for row in 0..inputs.len() {
            inputs.write(row, &mut self.sent);
            self.sent.mode = mode(inputs.event_time(row), self.score_from_us) as i32;
            match self.engine.admit(&self.sent) {
                Ok(admitted) => {
                    columns.transaction(&admitted.transaction)?;
                    columns.admitted.append_value(true);
                    columns.ids.append_value(bytes(admitted.id)).map_err(table_error)?;
                    columns
                        .payloads
                        .append_value(bytes(admitted.payload))
                        .map_err(table_error)?;
                    columns.scored.append_value(admitted.mode == Mode::Score);
                    columns.segments.append_value(admitted.segment.0.into());
                    columns.dropped.append_value(admitted.dropped.into());
                    columns.folds.append_null();
                    columns.frauds.append_null();
                }
                Err(refusal) => {
                    columns.refuse();
                    let number = inputs.number(row);
                    refused.push(refusal_of(&mapping, Input::Transaction, &self.sent, number, &refusal));
                }
            }
        }
        Ok((columns.finish(&self.entities, &self.numbers()?)?, refused))
    }

    /// Checks what is told, likewise: labels where the batch has classes, else outcomes, which fold nowhere.
    pub fn admit_told(&mut self, told: &RecordBatch) -> Result<(RecordBatch, Vec<Refused>), TableError> {
        let (mapping, program) = (self.mapping.clone(), self.program.clone());
        let told = Told::new(&program, &mapping, told)?;
        let mut columns = self.columns();
        let mut refused = Vec::new();
        for row in 0..told.len() {
            let (input, subject) = match told.get(row) {
                Said::Label(label) => (Input::Label, self.engine.admit_label(&label).map(of_label)),
                Said::Outcome(outcome) => (Input::Outcome, self.engine.admit_outcome(&outcome).map(of_outcome)),
            };
            match subject {
                Ok((subject, folds, fraud)) => {
                    columns.told(&subject, folds, fraud)?;
                }
                Err(refusal) => {
                    columns.refuse();
                    refused.push(refusal_of(&mapping, input, &told.keys(row), told.number(row), &refusal));
                }
            }
        }
        Ok((columns.finish(&self.entities, &self.numbers()?)?, refused))
    }

    /// The refusals of rows whose id stood in an earlier row with other values.
    pub fn refuse_reused(&self, rows: impl IntoIterator<Item = i64>) -> Vec<Refused> {
        let none = wire::Transaction::default();
        rows.into_iter()
            .map(|row| refusal_of(&self.mapping, Input::Transaction, &none, row, &Refusal::IdReused))
            .collect()
    }

    fn numbers(&self) -> Result<Vec<String>, TableError> {
        match self.engine.programs() {
            [program] => Ok(program.plan.numbers.clone()),
            _ => Err(TableError("a backfill feeds one program".to_owned())),
        }
    }

    fn columns(&self) -> Columns {
        let hashes = || FixedSizeBinaryBuilder::new(16);
        let numbers = self
            .engine
            .programs()
            .first()
            .map_or(0, |program| program.plan.numbers.len());
        Columns {
            admitted: BooleanBuilder::new(),
            ids: hashes(),
            payloads: hashes(),
            event_times: Int64Builder::new(),
            kinds: Int32Builder::new(),
            utc_offsets: Int32Builder::new(),
            counted: Int64Builder::new(),
            scored: BooleanBuilder::new(),
            segments: Int32Builder::new(),
            dropped: Int32Builder::new(),
            folds: BooleanBuilder::new(),
            frauds: BooleanBuilder::new(),
            keys: self.entities.iter().map(|_| hashes()).collect(),
            numbers: (0..numbers).map(|_| Float64Builder::new()).collect(),
        }
    }
}

impl Columns {
    fn transaction(&mut self, transaction: &Transaction) -> Result<(), TableError> {
        self.event_times.append_value(transaction.event_time.0);
        self.kinds.append_value(transaction.kind as i32);
        self.utc_offsets.append_value(transaction.utc_offset_minutes.into());
        self.counted.append_option(transaction.amount.map(|amount| amount.0));
        self.entities(&transaction.entities)?;
        for (column, number) in self.numbers.iter_mut().zip(transaction.numbers) {
            column.append_option((!number.is_nan()).then_some(number));
        }
        Ok(())
    }

    fn told(&mut self, subject: &Subject, folds: bool, fraud: Option<bool>) -> Result<(), TableError> {
        self.admitted.append_value(true);
        self.ids.append_value(bytes(subject.transaction)).map_err(table_error)?;
        self.payloads.append_null();
        self.event_times.append_value(subject.event_time.0);
        self.kinds.append_value(subject.kind as i32);
        self.utc_offsets.append_null();
        self.counted.append_null();
        self.scored.append_null();
        self.segments.append_null();
        self.dropped.append_null();
        self.folds.append_value(folds);
        self.frauds.append_option(fraud);
        self.entities(&subject.entities)?;
        self.numbers.iter_mut().for_each(PrimitiveBuilder::append_null);
        Ok(())
    }

    fn entities(&mut self, entities: &[Option<KeyHash>]) -> Result<(), TableError> {
        for (column, key) in self.keys.iter_mut().zip(entities) {
            match key {
                Some(key) => column.append_value(bytes(*key)).map_err(table_error)?,
                None => column.append_null(),
            }
        }
        Ok(())
    }

    fn refuse(&mut self) {
        fn null<T: ArrowPrimitiveType>(column: &mut PrimitiveBuilder<T>) {
            column.append_null();
        }
        self.admitted.append_value(false);
        self.ids.append_null();
        self.payloads.append_null();
        null(&mut self.event_times);
        null(&mut self.kinds);
        null(&mut self.utc_offsets);
        null(&mut self.counted);
        self.scored.append_null();
        null(&mut self.segments);
        null(&mut self.dropped);
        self.folds.append_null();
        self.frauds.append_null();
        self.keys.iter_mut().for_each(FixedSizeBinaryBuilder::append_null);
        self.numbers.iter_mut().for_each(null);
    }

    fn finish(mut self, entities: &[String], numbers: &[String]) -> Result<RecordBatch, TableError> {
        let booleans = |column: &mut BooleanBuilder| -> ArrayRef { Arc::new(column.finish()) };
        let hashes = |column: &mut FixedSizeBinaryBuilder| -> ArrayRef { Arc::new(column.finish()) };
        let longs = |column: &mut Int64Builder| -> ArrayRef { Arc::new(column.finish()) };
        let ints = |column: &mut Int32Builder| -> ArrayRef { Arc::new(column.finish()) };
        let mut columns: Vec<(String, ArrayRef)> = vec![
            ("admitted".to_owned(), booleans(&mut self.admitted)),
            ("id".to_owned(), hashes(&mut self.ids)),
            ("payload".to_owned(), hashes(&mut self.payloads)),
            ("event_time_us".to_owned(), longs(&mut self.event_times)),
            ("kind".to_owned(), ints(&mut self.kinds)),
            ("utc_offset_minutes".to_owned(), ints(&mut self.utc_offsets)),
            ("counted_minor".to_owned(), longs(&mut self.counted)),
            ("scored".to_owned(), booleans(&mut self.scored)),
            ("segment".to_owned(), ints(&mut self.segments)),
            ("dropped".to_owned(), ints(&mut self.dropped)),
            ("folds".to_owned(), booleans(&mut self.folds)),
            ("fraud".to_owned(), booleans(&mut self.frauds)),
        ];
        for (name, column) in entities.iter().zip(&mut self.keys) {
            columns.push((format!("key.{name}"), hashes(column)));
        }
        for (name, column) in numbers.iter().zip(&mut self.numbers) {
            columns.push((format!("number.{name}"), Arc::new(column.finish())));
        }
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, column)| Field::new(name, column.data_type().clone(), true))
            .collect();
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(table_error)
    }
}

fn of_label(admitted: AdmittedLabel) -> (Subject, bool, Option<bool>) {
    let label = admitted.label;
    let subject = Subject {
        transaction: label.transaction,
        event_time: label.event_time,
        kind: label.kind,
        entities: label.entities,
    };
    (subject, admitted.folds, label.fraud)
}

fn of_outcome(admitted: AdmittedOutcome) -> (Subject, bool, Option<bool>) {
    (admitted.subject, false, None)
}

fn bytes(hash: KeyHash) -> [u8; 16] {
    hash.0.to_le_bytes()
}

fn table_error(error: arrow_schema::ArrowError) -> TableError {
    TableError(error.to_string())
}
