//! A table that is at hand as a whole: what each transaction saw, key by key instead of row by row. One entity after the
//! other, rows are put together by their key, each key's history is folded alone, and what rows saw goes to their place.
//! To the bit it is what [`Folder`](super::Folder) gives, and no history is left.

use std::ops::Range;

use arrow_array::{
    ArrayRef, RecordBatch,
    types::{Float32Type, Float64Type},
};
use fraudgate_core::{
    features::{self, FeatureSet},
    history::{Alone, prefetch},
    key::HashKey,
    plan::{EntityLayout, Plan},
    transaction::{AmountMinor, EventTime, Kind, Labelled, Transaction},
};

use super::{
    Keys, TableError,
    folder::{Precision, lists},
    numbered::{NO_KEY, Numbered},
    rows::{self, LabelRows, TransactionRows},
};

/// How many events ahead the place is asked for that an event's features go to.
const AHEAD: usize = 12;

/// What a window can see of a transaction.
#[derive(Clone, Copy)]
struct Event {
    time: EventTime,
    /// The newest event time of any transaction before it.
    watermark: EventTime,
    amount: Option<AmountMinor>,
    row: u32,
    kind: Kind,
}

/// A label that is told before the last transaction.
struct Told {
    label: Labelled,
    /// The transaction before which it is told, and the newest event time of any before that.
    before: u32,
    watermark: EventTime,
    /// Which table it stands in, and its row.
    table: usize,
    row: usize,
}

/// The tables, checked.
struct Tables<'a> {
    plan: &'a Plan,
    transactions: Vec<TransactionRows>,
    labels: Vec<LabelRows>,
    told: Vec<Told>,
    rows: usize,
}

/// The features of each transaction as [`Folder::fold`](super::Folder::fold) gives them of an empty history.
pub fn whole(
    plan: &Plan,
    key: &HashKey,
    transactions: &[RecordBatch],
    labels: &[RecordBatch],
    complete_since: EventTime,
    precision: Precision,
) -> Result<ArrayRef, TableError> {
    let tables = Tables::new(plan, key, transactions, labels)?;
    match precision {
        Precision::Float32 => {
            let values = tables.features(complete_since, f32::NAN, |value| value as f32);
            lists::<Float32Type>(plan, values)
        }
        Precision::Float64 => {
            let values = tables.features(complete_since, f64::NAN, |value| value);
            lists::<Float64Type>(plan, values)
        }
    }
}

impl<'a> Tables<'a> {
    fn new(
        plan: &'a Plan,
        key: &HashKey,
        transactions: &[RecordBatch],
        labels: &[RecordBatch],
    ) -> Result<Tables<'a>, TableError> {
        let transactions = transactions.iter().map(|batch| TransactionRows::new(plan, batch));
        let transactions = transactions.collect::<Result<Vec<_>, _>>()?;
        let labels = labels.iter().map(|batch| LabelRows::new(plan, batch));
        let labels = labels.collect::<Result<Vec<_>, _>>()?;
        rows::check_order(&labels)?;
        let rows = transactions.iter().map(TransactionRows::len).sum();
        if rows >= NO_KEY as usize {
            return Err(TableError("transactions: more than 2^32 - 2 rows at once".to_owned()));
        }
        let keys = Keys::new(&plan.name, plan, key);
        Ok(Tables {
            told: told(&transactions, &labels, &keys),
            plan,
            transactions,
            labels,
            rows,
        })
    }

    fn features<T: Copy>(&self, complete_since: EventTime, missing: T, round: impl Fn(f64) -> T + Copy) -> Vec<T> {
        let mut values = self.own(missing, round);
        // One buffer for all entities: as large as what it holds is, fresh memory costs as much as what is done with it.
        let mut events = Vec::new();
        for (slot, layout) in self.plan.layouts.iter().enumerate() {
            if !layout.features.is_empty() {
                self.windows(slot, layout, complete_since, round, &mut events, &mut values);
            }
        }
        values
    }

    /// Rows with the features of their own fields; the others are missing still.
    fn own<T: Copy>(&self, missing: T, round: impl Fn(f64) -> T) -> Vec<T> {
        let width = self.plan.features.len();
        let mut values = Vec::with_capacity(self.rows * width);
        let mut row = vec![f64::NAN; width];
        let mut rounded = vec![missing; width];
        let mut transaction = rows::blank();
        for table in &self.transactions {
            for at in 0..table.len() {
                table.read_own(at, &mut transaction);
                features::own(self.plan, &transaction, &mut row, &mut FeatureSet::default());
                for feature in &self.plan.own {
                    rounded[feature.feature] = round(row[feature.feature]);
                }
                values.extend_from_slice(&rounded);
            }
        }
        values
    }

    /// Puts the features over an entity's histories into the rows.
    fn windows<T>(
        &self,
        slot: usize,
        layout: &EntityLayout,
        complete_since: EventTime,
        round: impl Fn(f64) -> T,
        events: &mut Vec<Event>,
        values: &mut [T],
    ) {
        let columns = self.transactions.iter().map(|table| table.ids(slot));
        let columns = columns.chain(self.labels.iter().map(|table| table.ids(slot)));
        let mut numbered = Numbered::of(columns, self.rows);
        let keys = self.by_key(slot, &mut numbered, events);
        let mut labels = self.labels_by_key(slot, &mut numbered).into_iter().peekable();

        let width = self.plan.features.len();
        let mut row = vec![f64::NAN; width];
        let mut transaction = rows::blank();
        let mut alone = Alone::new(self.plan, layout, complete_since);
        let ends = [layout.features.first(), layout.features.last()];
        for (key, stand) in keys {
            alone.begin(stand.len());
            // Labels of keys that have no transaction.
            while labels.next_if(|&(other, _)| other < key).is_some() {}
            for at in stand {
                let event = &events[at];
                // A key's rows lie far apart in what is given back: without this, waiting for them is a fifth of the time.
                if let Some(coming) = events.get(at + AHEAD) {
                    for end in ends.into_iter().flatten() {
                        prefetch(values, coming.row as usize * width + end.feature);
                    }
                }
                while let Some((_, told)) = labels.next_if(|&(of, told)| of == key && told.before <= event.row) {
                    alone.reach(told.watermark);
                    alone.label(&told.label);
                }
                event.read(&mut transaction);
                alone.reach(event.watermark);
                alone.take(&transaction, &mut row);
                let place = &mut values[event.row as usize * width..][..width];
                for feature in &layout.features {
                    place[feature.feature] = round(row[feature.feature]);
                }
            }
        }
    }

    /// Puts the events of each key together, in their order, and gives where those of each key stand.
    fn by_key(
        &self,
        slot: usize,
        numbered: &mut Numbered,
        events: &mut Vec<Event>,
    ) -> impl Iterator<Item = (u32, Range<usize>)> + use<> {
        let mut numbers = Vec::with_capacity(self.rows);
        for table in &self.transactions {
            let ids = table.ids(slot);
            numbers.extend((0..table.len()).map(|row| numbered.number(ids.get(row))));
        }
        // How many each key has, then where the next one of each goes.
        let mut next = vec![0_usize; numbered.count()];
        for &number in numbers.iter().filter(|&&number| number != NO_KEY) {
            next[number as usize] += 1;
        }
        let mut total = 0;
        for count in &mut next {
            total += std::mem::replace(count, total);
        }
        if events.len() < total {
            events.resize(total, Event::BLANK);
        }
        let mut watermark = EventTime(i64::MIN);
        let mut row = 0;
        for table in &self.transactions {
            for at in 0..table.len() {
                let time = EventTime(table.event_times()[at]);
                let number = numbers[row as usize];
                if number != NO_KEY {
                    let place = &mut next[number as usize];
                    events[*place] = Event {
                        time,
                        watermark,
                        amount: table.amount(at),
                        row,
                        kind: table.kind(at),
                    };
                    *place += 1;
                }
                watermark = watermark.max(time);
                row += 1;
            }
        }
        // By now each stands where its key ends.
        let mut begin = 0;
        let keys = (0_u32..)
            .zip(next)
            .map(move |(key, end)| (key, std::mem::replace(&mut begin, end)..end));
        keys.filter(|(_, place)| !place.is_empty())
    }

    /// Labels by the number of their key, and of each key in their order.
    fn labels_by_key(&self, slot: usize, numbered: &mut Numbered) -> Vec<(u32, &Told)> {
        let number = |told: &Told| numbered.number(self.labels[told.table].ids(slot).get(told.row));
        let numbers: Vec<u32> = self.told.iter().map(number).collect();
        let mut labels: Vec<(u32, &Told)> = numbers.into_iter().zip(&self.told).collect();
        labels.sort_by_key(|&(number, _)| number);
        labels
    }
}

impl Event {
    const BLANK: Event = Event {
        time: EventTime(0),
        watermark: EventTime(0),
        amount: None,
        row: 0,
        kind: Kind::Purchase,
    };

    #[inline]
    fn read(&self, transaction: &mut Transaction) {
        transaction.event_time = self.time;
        transaction.kind = self.kind;
        transaction.amount = self.amount;
    }
}

/// When each label is told: before the first transaction whose event time, or that of one before it, has reached its
/// arrival. What is told after the last one is seen by none.
fn told(transactions: &[TransactionRows], labels: &[LabelRows], keys: &Keys) -> Vec<Told> {
    let mut due = labels
        .iter()
        .enumerate()
        .flat_map(|(table, labels)| (0..labels.len()).map(move |row| (table, labels, row)))
        .peekable();
    let mut told = Vec::new();
    let mut watermark = EventTime(i64::MIN);
    let times = transactions.iter().flat_map(|table| table.event_times());
    for (before, &time) in (0_u32..).zip(times) {
        let reached = watermark.0.max(time);
        while let Some((table, labels, row)) = due.next_if(|(_, labels, row)| labels.arrival(*row) <= reached) {
            told.push(Told {
                label: labels.read_own(row, keys),
                before,
                watermark,
                table,
                row,
            });
        }
        watermark = EventTime(reached);
    }
    told
}
