//! Columns of a table, found by name and read as the few types that the door takes.

use arrow_array::{
    Array, BooleanArray, Float64Array, Int8Array, Int16Array, Int32Array, Int64Array, LargeStringArray, RecordBatch,
    StringArray,
    cast::AsArray,
    types::{
        ArrowPrimitiveType, Float32Type, Int8Type, Int16Type, Int32Type, Int64Type, TimestampMicrosecondType,
        TimestampMillisecondType, TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
        UInt64Type,
    },
};
use arrow_schema::{DataType, TimeUnit};

use super::{TableError, keys::Id};

/// A table that says its own name in errors.
#[derive(Clone, Copy)]
pub(super) struct Columns<'a> {
    pub table: &'static str,
    pub batch: &'a RecordBatch,
}

/// Ids: text, or whole numbers.
pub(super) enum Ids {
    Text(StringArray),
    LargeText(LargeStringArray),
    Numbers(Int64Array),
    Ints(Int32Array),
    Shorts(Int16Array),
    Bytes(Int8Array),
}

/// Numbers as a plan declares them.
pub(super) type Numbers = Float64Array;

impl Columns<'_> {
    pub fn error<T>(&self, name: &str, problem: impl std::fmt::Display) -> Result<T, TableError> {
        Err(TableError(format!("{}: column `{name}` {problem}", self.table)))
    }

    pub fn find(&self, name: &str) -> Option<&dyn Array> {
        self.batch.column_by_name(name).map(|column| column.as_ref())
    }

    pub fn required(&self, name: &str) -> Result<&dyn Array, TableError> {
        match self.find(name) {
            Some(column) => Ok(column),
            None => Err(TableError(format!(
                "{} have no column `{name}`, which the plan needs",
                self.table
            ))),
        }
    }

    /// Moments in microseconds; none may be null.
    pub fn times(&self, name: &str) -> Result<Int64Array, TableError> {
        let column = self.required(name)?;
        let times = match column.data_type() {
            DataType::Timestamp(TimeUnit::Second, _) => {
                scaled::<TimestampSecondType>(column, |s| s.checked_mul(1_000_000))
            }
            DataType::Timestamp(TimeUnit::Millisecond, _) => {
                scaled::<TimestampMillisecondType>(column, |ms| ms.checked_mul(1_000))
            }
            DataType::Timestamp(TimeUnit::Microsecond, _) => scaled::<TimestampMicrosecondType>(column, Some),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                scaled::<TimestampNanosecondType>(column, |ns| Some(ns.div_euclid(1_000)))
            }
            DataType::Int64 => column.as_primitive::<Int64Type>().clone(),
            other => return self.error(name, format!("is {other}; must be int64 microseconds or a timestamp")),
        };
        if column.null_count() > 0 {
            return self.error(name, "holds nulls; every row needs a time");
        }
        if times.null_count() > 0 {
            return self.error(name, "holds a time that does not fit in 64 bits of microseconds");
        }
        Ok(times)
    }

    /// Whole numbers of any width.
    pub fn integers(&self, name: &str, column: &dyn Array) -> Result<Int64Array, TableError> {
        let numbers = match column.data_type() {
            DataType::Int8 => scaled::<Int8Type>(column, |n| Some(n.into())),
            DataType::Int16 => scaled::<Int16Type>(column, |n| Some(n.into())),
            DataType::Int32 => scaled::<Int32Type>(column, |n| Some(n.into())),
            DataType::Int64 => column.as_primitive::<Int64Type>().clone(),
            DataType::UInt8 => scaled::<UInt8Type>(column, |n| Some(n.into())),
            DataType::UInt16 => scaled::<UInt16Type>(column, |n| Some(n.into())),
            DataType::UInt32 => scaled::<UInt32Type>(column, |n| Some(n.into())),
            DataType::UInt64 => scaled::<UInt64Type>(column, |n| i64::try_from(n).ok()),
            other => return self.error(name, format!("is {other}; must be whole numbers")),
        };
        if numbers.null_count() > column.null_count() {
            return self.error(name, "holds a number of 2^63 or more");
        }
        Ok(numbers)
    }

    /// Ids, text or whole numbers; null where there is none.
    pub fn ids(&self, name: &str) -> Result<Ids, TableError> {
        let column = self.required(name)?;
        match column.data_type() {
            DataType::Utf8 => Ok(Ids::Text(column.as_string().clone())),
            DataType::LargeUtf8 => Ok(Ids::LargeText(column.as_string().clone())),
            DataType::Int8 => Ok(Ids::Bytes(column.as_primitive().clone())),
            DataType::Int16 => Ok(Ids::Shorts(column.as_primitive().clone())),
            DataType::Int32 => Ok(Ids::Ints(column.as_primitive().clone())),
            kind if kind.is_integer() => Ok(Ids::Numbers(self.integers(name, column)?)),
            other => self.error(name, format!("is {other}; must be strings or whole numbers")),
        }
    }

    /// Numbers of any type; NaN where there is none. Infinities are refused, as on the wire.
    pub fn numbers(&self, name: &str) -> Result<Numbers, TableError> {
        let column = self.required(name)?;
        let numbers = match column.data_type() {
            DataType::Float64 => column.as_primitive().clone(),
            DataType::Float32 => column.as_primitive::<Float32Type>().unary(f64::from),
            kind if kind.is_integer() => self.integers(name, column)?.unary(|n| n as f64),
            other => return self.error(name, format!("is {other}; must be numbers")),
        };
        if numbers.iter().flatten().any(f64::is_infinite) {
            return self.error(name, "holds an infinity");
        }
        Ok(numbers)
    }

    pub fn booleans(&self, name: &str) -> Result<BooleanArray, TableError> {
        let column = self.required(name)?;
        match column.data_type() {
            DataType::Boolean => Ok(column.as_boolean().clone()),
            other => self.error(name, format!("is {other}; must be booleans")),
        }
    }
}

impl Ids {
    pub fn are_texts(&self) -> bool {
        match self {
            Ids::Text(_) | Ids::LargeText(_) => true,
            Ids::Numbers(_) | Ids::Ints(_) | Ids::Shorts(_) | Ids::Bytes(_) => false,
        }
    }

    pub fn get(&self, row: usize) -> Option<Id<'_>> {
        match self {
            Ids::Text(texts) => texts.is_valid(row).then(|| Id::Text(texts.value(row))),
            Ids::LargeText(texts) => texts.is_valid(row).then(|| Id::Text(texts.value(row))),
            Ids::Bytes(numbers) => numbers.is_valid(row).then(|| Id::Number(numbers.value(row).into())),
            Ids::Shorts(numbers) => numbers.is_valid(row).then(|| Id::Number(numbers.value(row).into())),
            Ids::Ints(numbers) => numbers.is_valid(row).then(|| Id::Number(numbers.value(row).into())),
            Ids::Numbers(numbers) => numbers.is_valid(row).then(|| Id::Number(numbers.value(row))),
        }
    }
}

/// A column as 64-bit integers; null where it was, and where the value does not fit.
fn scaled<T: ArrowPrimitiveType>(column: &dyn Array, scale: impl Fn(T::Native) -> Option<i64>) -> Int64Array {
    column.as_primitive::<T>().unary_opt(scale)
}
