//! One value of a column of any type that a file may hold, so that what is wrong with it can be said of its row.

use arrow_array::{Array, Int16Array, Int32Array, Int64Array, RecordBatch, StringArray, cast::AsArray, types::*};
use arrow_schema::{DataType, TimeUnit};

use super::TableError;

/// A value as the file holds it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell<'a> {
    Null,
    Boolean(bool),
    Whole(i128),
    Real(f64),
    /// A whole number of 10^-scale.
    Decimal(i128, i8),
    Text(&'a str),
    /// Microseconds since 1970, or since midnight of 1970-01-01 of an unnamed zone.
    Moment {
        us: Option<i64>,
        zoned: bool,
    },
}

/// A column whose cells can be asked for.
#[derive(Clone, Copy)]
pub(super) struct Cells<'a> {
    array: &'a dyn Array,
    usual: Usual<'a>,
}

/// The types that ids and keys mostly are of, told apart once.
#[derive(Clone, Copy)]
enum Usual<'a> {
    Shorts(&'a Int16Array),
    Ints(&'a Int32Array),
    Longs(&'a Int64Array),
    Texts(&'a StringArray),
    Other,
}

impl<'a> Cells<'a> {
    /// The column of a name.
    pub fn of(batch: &'a RecordBatch, name: &str) -> Result<Cells<'a>, TableError> {
        let Some(column) = batch.column_by_name(name) else {
            return Err(TableError(format!(
                "the input has no column `{name}`, which the mapping names"
            )));
        };
        match column.data_type() {
            DataType::Null
            | DataType::Boolean
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Utf8
            | DataType::LargeUtf8
            | DataType::Utf8View
            | DataType::Date32
            | DataType::Timestamp(..) => Ok(Cells::new(column.as_ref())),
            kind if kind.is_integer() => Ok(Cells::new(column.as_ref())),
            other => Err(TableError(format!(
                "column `{name}` is {other}, which no field is read from"
            ))),
        }
    }

    fn new(array: &'a dyn Array) -> Cells<'a> {
        let usual = match array.data_type() {
            DataType::Int16 => Usual::Shorts(array.as_primitive()),
            DataType::Int32 => Usual::Ints(array.as_primitive()),
            DataType::Int64 => Usual::Longs(array.as_primitive()),
            DataType::Utf8 => Usual::Texts(array.as_string()),
            _ => Usual::Other,
        };
        Cells { array, usual }
    }

    /// Whether its values are texts.
    pub fn are_texts(&self) -> bool {
        matches!(
            self.array.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        )
    }

    /// Its value at each row. Columns of the types that most are of are told apart once, not at each row.
    pub fn each(&self, mut take: impl FnMut(Cell<'a>)) {
        let array = self.array;
        macro_rules! each {
            ($values:expr, $cell:expr) => {{
                let values = $values;
                match values.nulls() {
                    None => (0..values.len()).for_each(|row| take($cell(values.value(row).into()))),
                    Some(nulls) => (0..values.len()).for_each(|row| match nulls.is_null(row) {
                        true => take(Cell::Null),
                        false => take($cell(values.value(row).into())),
                    }),
                }
            }};
        }
        match array.data_type() {
            DataType::Int8 => each!(array.as_primitive::<Int8Type>(), Cell::Whole),
            DataType::Int16 => each!(array.as_primitive::<Int16Type>(), Cell::Whole),
            DataType::Int32 => each!(array.as_primitive::<Int32Type>(), Cell::Whole),
            DataType::Int64 => each!(array.as_primitive::<Int64Type>(), Cell::Whole),
            DataType::Boolean => each!(array.as_boolean(), Cell::Boolean),
            DataType::Float64 => each!(array.as_primitive::<Float64Type>(), Cell::Real),
            DataType::Utf8 => each!(array.as_string::<i32>(), Cell::Text),
            _ => (0..array.len()).for_each(|row| take(self.get(row))),
        }
    }

    /// Its value at a row.
    #[inline]
    pub fn get(&self, row: usize) -> Cell<'a> {
        match self.usual {
            Usual::Shorts(values) if values.is_valid(row) => Cell::Whole(values.value(row).into()),
            Usual::Ints(values) if values.is_valid(row) => Cell::Whole(values.value(row).into()),
            Usual::Longs(values) if values.is_valid(row) => Cell::Whole(values.value(row).into()),
            Usual::Texts(values) if values.is_valid(row) => Cell::Text(values.value(row)),
            Usual::Shorts(_) | Usual::Ints(_) | Usual::Longs(_) | Usual::Texts(_) => Cell::Null,
            Usual::Other => self.other(row),
        }
    }

    fn other(&self, row: usize) -> Cell<'a> {
        let array = self.array;
        if array.is_null(row) {
            return Cell::Null;
        }
        macro_rules! whole {
            ($kind:ty) => {
                Cell::Whole(array.as_primitive::<$kind>().value(row).into())
            };
        }
        match array.data_type() {
            DataType::Boolean => Cell::Boolean(array.as_boolean().value(row)),
            DataType::Int8 => whole!(Int8Type),
            DataType::Int16 => whole!(Int16Type),
            DataType::Int32 => whole!(Int32Type),
            DataType::Int64 => whole!(Int64Type),
            DataType::UInt8 => whole!(UInt8Type),
            DataType::UInt16 => whole!(UInt16Type),
            DataType::UInt32 => whole!(UInt32Type),
            DataType::UInt64 => whole!(UInt64Type),
            DataType::Float32 => Cell::Real(array.as_primitive::<Float32Type>().value(row).into()),
            DataType::Float64 => Cell::Real(array.as_primitive::<Float64Type>().value(row)),
            DataType::Decimal128(_, scale) => Cell::Decimal(array.as_primitive::<Decimal128Type>().value(row), *scale),
            DataType::Utf8 => Cell::Text(array.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => Cell::Text(array.as_string::<i64>().value(row)),
            DataType::Utf8View => Cell::Text(array.as_string_view().value(row)),
            DataType::Date32 => Cell::Moment {
                us: i64::from(array.as_primitive::<Date32Type>().value(row)).checked_mul(86_400_000_000),
                zoned: false,
            },
            DataType::Timestamp(unit, zone) => {
                let us = match unit {
                    TimeUnit::Second => array
                        .as_primitive::<TimestampSecondType>()
                        .value(row)
                        .checked_mul(1_000_000),
                    TimeUnit::Millisecond => array
                        .as_primitive::<TimestampMillisecondType>()
                        .value(row)
                        .checked_mul(1_000),
                    TimeUnit::Microsecond => Some(array.as_primitive::<TimestampMicrosecondType>().value(row)),
                    TimeUnit::Nanosecond => Some(
                        array
                            .as_primitive::<TimestampNanosecondType>()
                            .value(row)
                            .div_euclid(1_000),
                    ),
                };
                let zoned = zone.is_some();
                Cell::Moment { us, zoned }
            }
            // `of` let no other type pass.
            _ => Cell::Null,
        }
    }
}
