//! The columns of a mapped batch, one kind of field after the other, and the rows that no value could be made of.

use std::{collections::HashMap, sync::Arc};

use arrow_array::{
    Array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch,
    builder::{Int32Builder, Int64Builder},
    cast::AsArray,
};
use arrow_buffer::ScalarBuffer;
use arrow_schema::{DataType, Field, Schema};
use fraudgate_core::currency::Currency;

use super::{
    Holds, Input, Refused, TableError,
    cell::{Cell, Cells},
    mapping::{Amount, Arrival, CurrencyOf, Mapping, Member, Time, UtcOffset, Words},
    value::{self, Wrong},
};

const US_A_SECOND: i64 = 1_000_000;

/// Columns as they are made, and the rows refused meanwhile: each by what was found first.
pub(super) struct Fields<'a> {
    input: Input,
    batch: &'a RecordBatch,
    first_row: i64,
    taken: Vec<bool>,
    refused: Vec<Refused>,
    columns: Vec<(String, ArrayRef)>,
}

impl<'a> Fields<'a> {
    pub fn new(input: Input, batch: &'a RecordBatch, first_row: i64) -> Fields<'a> {
        Fields {
            input,
            batch,
            first_row,
            taken: vec![true; batch.num_rows()],
            refused: Vec::new(),
            columns: Vec::new(),
        }
    }

    pub fn numbers_of_rows(&self) -> Int64Array {
        Int64Array::from_iter_values(self.first_row..self.first_row + self.taken.len() as i64)
    }

    pub fn put(&mut self, name: &str, column: ArrayRef) {
        self.columns.push((name.to_owned(), column));
    }

    /// When rows happened, and their places in the order, where these are others.
    pub fn put_times(&mut self, times: ScalarBuffer<i64>, orders: Option<ScalarBuffer<i64>>) {
        let times: ArrayRef = Arc::new(Int64Array::new(times, None));
        let orders = orders.map_or_else(|| times.clone(), |orders| Arc::new(Int64Array::new(orders, None)));
        self.put("event_time_us", times);
        self.put("order_us", orders);
    }

    fn refuse(&mut self, row: usize, column: &str, reason: &str) {
        if std::mem::replace(&mut self.taken[row], false) {
            self.refused.push(Refused {
                input: self.input,
                row: self.first_row + row as i64,
                column: column.to_owned(),
                reason: reason.to_owned(),
            });
        }
    }

    /// A value of each row, none where there is none or it was refused.
    pub fn each<T>(
        &mut self,
        column: &str,
        read: impl FnMut(Cell) -> Result<Option<T>, Wrong>,
    ) -> Result<Vec<Option<T>>, TableError> {
        let mut values = Vec::with_capacity(self.taken.len());
        self.read(column, read, |value| values.push(value))?;
        Ok(values)
    }

    /// The same, each handed over as it is read.
    fn read<T>(
        &mut self,
        column: &str,
        mut read: impl FnMut(Cell) -> Result<Option<T>, Wrong>,
        mut take: impl FnMut(Option<T>),
    ) -> Result<(), TableError> {
        let mut row = 0;
        Cells::of(self.batch, column)?.each(|cell| {
            take(read(cell).unwrap_or_else(|wrong| {
                self.refuse(row, column, wrong);
                None
            }));
            row += 1;
        });
        Ok(())
    }

    /// Times, and the offsets that their texts state.
    pub fn event_times(&mut self, mapping: &Mapping) -> Result<(ScalarBuffer<i64>, Vec<Option<i32>>), TableError> {
        if !matches!(mapping.utc_offset, UtcOffset::EventTime) {
            return Ok((self.required_times(&mapping.event_time)?, Vec::new()));
        }
        let (mut times, mut offsets) = (Vec::with_capacity(self.taken.len()), Vec::new());
        self.times(&mapping.event_time, |us, offset| {
            times.push(us);
            offsets.push(offset);
        })?;
        Ok((times.into(), offsets))
    }

    pub fn required_times(&mut self, time: &Time) -> Result<ScalarBuffer<i64>, TableError> {
        if time.unit_us == 1
            && time.origin_us == 0
            && let Some(times) = self.longs(&time.column)
            && times.null_count() == 0
        {
            return Ok(times.values().clone());
        }
        let mut times = Vec::with_capacity(self.taken.len());
        self.times(time, |us, _| times.push(us))?;
        Ok(times.into())
    }

    /// A column that holds what is asked for as it stands.
    fn longs(&self, column: &str) -> Option<&'a Int64Array> {
        self.batch.column_by_name(column)?.as_primitive_opt()
    }

    fn times(&mut self, time: &Time, mut take: impl FnMut(i64, Option<i32>)) -> Result<(), TableError> {
        let read = |cell: Cell| {
            value::moment(time, cell)?
                .map(Some)
                .ok_or("is required: every row needs a time")
        };
        self.read(&time.column, read, |moment| {
            let (us, offset) = moment.unwrap_or((0, None));
            take(us, offset);
        })
    }

    /// Ids pass as they are, texts or whole numbers; whole numbers that a null made real are whole again.
    pub fn ids(&mut self, name: &str, column: &str, required: bool) -> Result<(), TableError> {
        let batch = self.batch;
        Cells::of(batch, column)?;
        let Some(array) = batch.column_by_name(column) else {
            return Err(TableError(format!("the input has no column `{column}`")));
        };
        let ids: ArrayRef = match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => array.clone(),
            kind if kind.is_integer() => array.clone(),
            DataType::Null => array.clone(),
            DataType::Float32 | DataType::Float64 | DataType::Decimal128(..) => {
                let whole = self.each(column, |cell| match cell {
                    Cell::Null => Ok(None),
                    Cell::Real(value) if value.is_nan() => Ok(None),
                    Cell::Real(value) if value.fract() == 0.0 && value.abs() < 9_007_199_254_740_992.0 => {
                        Ok(Some(value as i64))
                    }
                    Cell::Decimal(units, 0) => i64::try_from(units).map(Some).map_err(|_| NOT_AN_ID),
                    _ => Err(NOT_AN_ID),
                })?;
                Arc::new(Int64Array::from(whole))
            }
            other => {
                return Err(TableError(format!(
                    "column `{column}` is {other}; ids are texts or whole numbers"
                )));
            }
        };
        if required && ids.logical_null_count() > 0 {
            for row in (0..ids.len()).filter(|&row| ids.is_null(row)) {
                self.refuse(row, column, "is required: every row needs an id");
            }
        }
        self.put(name, ids);
        Ok(())
    }

    pub fn texts(&mut self, name: &str, column: &str) -> Result<(), TableError> {
        let batch = self.batch;
        Cells::of(batch, column)?;
        let Some(array) = batch.column_by_name(column) else {
            return Err(TableError(format!("the input has no column `{column}`")));
        };
        match array.data_type() {
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => {}
            kind if kind.is_integer() => {}
            other => {
                return Err(TableError(format!(
                    "column `{column}` is {other}; must be texts or whole numbers"
                )));
            }
        }
        let array = array.clone();
        self.put(name, array);
        Ok(())
    }

    pub fn utc_offsets(&mut self, from: &UtcOffset, stated: Vec<Option<i32>>) -> Result<(), TableError> {
        let offsets: Int32Array = match from {
            UtcOffset::Utc => return Ok(()),
            UtcOffset::Minutes(minutes) => vec![*minutes; self.taken.len()].into(),
            UtcOffset::EventTime => stated.into(),
            UtcOffset::Column(column) => self
                .each(column, |cell| match cell {
                    Cell::Null => Ok(None),
                    Cell::Whole(minutes) => i32::try_from(minutes).map(Some).map_err(|_| NOT_MINUTES),
                    Cell::Text(text) if text.trim().is_empty() => Ok(None),
                    Cell::Text(text) => text.trim().parse().map(Some).map_err(|_| NOT_MINUTES),
                    _ => Err(NOT_MINUTES),
                })?
                .into(),
        };
        self.put("utc_offset_minutes", Arc::new(offsets));
        Ok(())
    }

    pub fn amounts(&mut self, name: &str, amount: &Amount) -> Result<(), TableError> {
        const UNKNOWN: Wrong = "is not an alphabetic code of ISO 4217, in capitals";
        let mut minor = Int64Builder::with_capacity(self.taken.len());
        match &amount.currency {
            CurrencyOf::Code(code) => {
                let Some(currency) = Currency::parse(code) else {
                    return Err(TableError(format!("mapping: amount: currency: {UNKNOWN}")));
                };
                if amount.minor
                    && let Some(units) = self.longs(&amount.column)
                {
                    let units = units.clone();
                    self.put(name, Arc::new(units));
                    return Ok(());
                }
                let read = |cell: Cell| value::minor_units(amount, currency, cell);
                self.read(&amount.column, read, |units| minor.append_option(units))?;
            }
            CurrencyOf::Column(column) => {
                let currencies = self.each(column, |cell| match cell {
                    Cell::Null => Ok(None),
                    Cell::Text(code) => Currency::parse(code).map(Some).ok_or(UNKNOWN),
                    _ => Err(UNKNOWN),
                })?;
                let mut row = 0;
                let read = |cell: Cell| {
                    row += 1;
                    match currencies[row - 1] {
                        Some(currency) => value::minor_units(amount, currency, cell),
                        None => Ok(None),
                    }
                };
                self.read(&amount.column, read, |units| minor.append_option(units))?;
            }
        }
        self.put(name, Arc::new(minor.finish()));
        Ok(())
    }

    /// Members of an enum by the words of a column.
    pub fn words<M: Member>(&mut self, name: &str, words: &Words) -> Result<(), TableError> {
        let member = |word: &str| match (word, M::named(word)) {
            ("", _) => Ok(None),
            (_, Some(member)) => Ok(Some(member)),
            (_, None) => Err(TableError(format!("mapping: {name}: {word:?} is none of its members"))),
        };
        let otherwise = member(words.otherwise.as_deref().unwrap_or_default())?;
        let Some(column) = &words.column else {
            let rows = self.taken.len();
            let all = otherwise.map_or_else(
                || Int32Array::new_null(rows),
                |member| Int32Array::from_value(member, rows),
            );
            self.put(name, Arc::new(all));
            return Ok(());
        };
        let names: HashMap<&str, Option<i32>> = words
            .names
            .iter()
            .map(|(word, named)| Ok((word.as_str(), member(named)?)))
            .collect::<Result<_, TableError>>()?;
        let find = |word: &str| match names.is_empty() {
            true => M::named(word).map(Some).ok_or(NOT_A_WORD),
            false => names.get(word).copied().ok_or(NOT_A_WORD),
        };
        // A column repeats its words, most of all the last one.
        let mut last: Option<(i128, Option<i32>)> = None;
        let (yes, no) = (find("true"), find("false"));
        let mut members = Int32Builder::with_capacity(self.taken.len());
        let read = |cell: Cell| match cell {
            Cell::Null | Cell::Text("") => Ok(otherwise),
            Cell::Text(word) => find(word),
            Cell::Boolean(true) => yes,
            Cell::Boolean(false) => no,
            Cell::Whole(number) => match last {
                Some((before, found)) if before == number => Ok(found),
                _ => {
                    let found = find(&number.to_string())?;
                    last = Some((number, found));
                    Ok(found)
                }
            },
            Cell::Real(number) if number.is_nan() => Ok(otherwise),
            Cell::Real(number) if number.fract() == 0.0 => find(&format!("{number:.0}")),
            Cell::Real(_) | Cell::Decimal(..) | Cell::Moment { .. } => Err(NOT_A_WORD),
        };
        self.read(column, read, |member| members.append_option(member))?;
        self.put(name, Arc::new(members.finish()));
        Ok(())
    }

    /// The place in the order of inputs of what is told: at the beginning of the second in which it arrives, before all
    /// transactions of that second, but never before the one that it is told beside.
    pub fn arrivals(
        &mut self,
        told: &str,
        member: &str,
        arrival: &Arrival,
        times: &[i64],
        orders: &[i64],
        holds: Holds,
    ) -> Result<(), TableError> {
        let name = format!("{told}.{member}");
        let told_here = self.columns.iter().find(|(column, _)| *column == name);
        let is_told = told_here.map(|(_, column)| column.clone());
        let mut places = Int64Builder::with_capacity(times.len());
        let mut row = 0;
        let mut place = |at: Result<Option<i64>, Wrong>| {
            let this = row;
            row += 1;
            if is_told.as_ref().is_none_or(|told| told.is_null(this)) {
                return Ok(None);
            }
            let at = at?.ok_or("is required where something is told")?;
            if at < times[this] {
                return Err("lies before the transaction that it tells of");
            }
            let second = at.div_euclid(US_A_SECOND) * US_A_SECOND;
            Ok(Some(match holds {
                Holds::Transactions if second <= orders[this] => orders[this].saturating_add(1),
                Holds::Transactions | Holds::Labels | Holds::Outcomes | Holds::Order => second,
            }))
        };
        match arrival {
            Arrival::DelayUs(delay) => times.iter().for_each(|time| {
                places.append_option(place(Ok(Some(time.saturating_add(*delay)))).ok().flatten());
            }),
            Arrival::At(time) => {
                let read = |cell: Cell| place(value::moment(time, cell).map(|moment| moment.map(|(us, _)| us)));
                self.read(&time.column, read, |at| places.append_option(at))?;
            }
        }
        self.put(&format!("{told}.order_us"), Arc::new(places.finish()));
        Ok(())
    }

    pub fn finish(mut self) -> Result<(RecordBatch, Vec<Refused>), TableError> {
        let taken: BooleanArray = std::mem::take(&mut self.taken).into();
        self.put("taken", Arc::new(taken));
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|(name, column)| Field::new(name, column.data_type().clone(), true))
            .collect();
        let columns = self.columns.into_iter().map(|(_, column)| column).collect();
        let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns);
        Ok((batch.map_err(|error| TableError(error.to_string()))?, self.refused))
    }
}

const NOT_AN_ID: Wrong = "must be a text or a whole number";
const NOT_MINUTES: Wrong = "must be whole minutes from -1080 to 1080";
const NOT_A_WORD: Wrong = "holds a word that the mapping does not name";
