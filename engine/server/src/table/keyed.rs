//! What each transaction of a table saw of one entity, key by key instead of row by row: rows are put together by their key,
//! each key's history is folded alone, and what rows saw goes to their place.

use std::ops::Range;

use fraudgate_core::{
    features::Seen,
    history::Alone,
    plan::{EntityLayout, Plan},
    transaction::{AmountMinor, EventTime, Kind, Labelled},
};

use super::{numbered::NO_KEY, rows, values::Value};

/// In how many passes over all rows they are put together, about, where they are more than the least that there is room for.
const PASSES: usize = 12;

/// Events that there is always room for: what second caches hold.
const LEAST_ROOM: usize = 1 << 16;

/// An amount that there is not.
pub(super) const NO_AMOUNT: i64 = -1;

/// What a window can see of a transaction, as small as it is, since it is moved.
#[derive(Clone, Copy)]
struct Event {
    time: EventTime,
    amount: i64,
    row: u32,
    kind: Kind,
    /// Whether one before it has a later event time.
    is_late: bool,
}

/// A label that is told before the last transaction.
pub(super) struct Told {
    pub label: Labelled,
    /// The row before which it is told, and the newest event time of any before that.
    pub before: u32,
    pub watermark: EventTime,
}

/// The events of one entity, by key: of as many keys at a time as there is room for. Its memory is used again and again, for
/// fresh memory costs as much as what is done with it, and what is small stays in the caches while it is filled.
pub(super) struct Keyed<T> {
    room: usize,
    events: Vec<Event>,
    /// Of each key where its events end: first where those end that precede them, and in the end their own.
    ends: Vec<usize>,
    /// What the events saw, one after the other.
    seen: Vec<T>,
    /// Rows that are late, in their order, with the newest event time of any before them.
    late: Vec<(u32, EventTime)>,
}

/// Who knows what keys did before the rows.
pub(super) trait Lender {
    /// Has the history of the next key begin, which has so many rows.
    fn lend(&mut self, alone: &mut Alone, key: u32, rows: usize);
    /// Takes back what it came to.
    fn take_back(&mut self, alone: &mut Alone, key: u32);
}

/// Nobody: keys begin with their first row, and nothing is left of them.
pub(super) struct Nobody;

impl Lender for Nobody {
    fn lend(&mut self, alone: &mut Alone, _: u32, rows: usize) {
        alone.begin(rows);
    }

    fn take_back(&mut self, _: &mut Alone, _: u32) {}
}

/// Rows that stand together.
pub(super) trait Table {
    /// How many there are.
    fn len(&self) -> usize;
    /// When one happened.
    fn time(&self, at: usize) -> EventTime;
    /// Its kind, and its amount or none.
    fn fields(&self, at: usize) -> (Kind, i64);
}

/// Where what rows see goes.
pub(super) trait Rows {
    /// What features are kept as.
    type Value: Value;
    /// Takes the features of a layout of a row, in the layout's order.
    fn put(&mut self, layout: &EntityLayout, row: u32, features: &[Self::Value]);
    /// Takes what is said of them.
    fn mark(&mut self, row: u32, seen: &Seen);
}

impl<T: Value> Keyed<T> {
    /// For the rows of some tables, one after the other, and after others with event times up to `watermark`.
    pub fn of(tables: &[impl Table], mut watermark: EventTime) -> Keyed<T> {
        let mut late = Vec::new();
        let times = tables
            .iter()
            .flat_map(|table| (0..table.len()).map(|at| table.time(at)));
        let mut rows = 0;
        for time in times {
            if time < watermark {
                late.push((rows, watermark));
            }
            watermark = watermark.max(time);
            rows += 1;
        }
        Keyed {
            room: (rows as usize / PASSES).max(LEAST_ROOM),
            events: Vec::new(),
            ends: Vec::new(),
            seen: Vec::new(),
            late,
        }
    }

    /// Folds each key alone. `numbers` are those of all rows' keys. Labels are by the number of their key, and of each key in
    /// their order.
    pub fn fold(
        &mut self,
        (plan, layout): (&Plan, &EntityLayout),
        complete_since: EventTime,
        (tables, numbers): (&[impl Table], &[u32]),
        labels: &[(u32, &Told)],
        lender: &mut impl Lender,
        into: &mut impl Rows<Value = T>,
    ) {
        self.count(numbers, labels);
        let mut alone = Alone::new(plan, layout, complete_since);
        let mut keys = 0..0;
        while keys.end + 1 < self.ends.len() {
            let before = self.ends[keys.end];
            // As many keys as there is room for, and one at least.
            let fit = self.ends[keys.end + 1..].partition_point(|&end| end - before <= self.room);
            keys = keys.end..keys.end + fit.max(1);
            self.put_together(keys.clone(), before, tables, numbers);
            let labels = labels_of(labels, &keys);
            self.fold_keys(plan, &mut alone, (keys.clone(), before), labels, lender, into);
            self.give(layout, keys.clone(), before, numbers, into);
        }
    }

    /// How many rows keys have that precede each of them, and last how many all have.
    fn count(&mut self, numbers: &[u32], labels: &[(u32, &Told)]) {
        self.ends.clear();
        if let Some(&(key, _)) = labels.last() {
            self.ends.resize(key as usize + 1, 0);
        }
        for &number in numbers.iter().filter(|&&number| number != NO_KEY) {
            let number = number as usize;
            if self.ends.len() <= number {
                self.ends.resize(number + 1, 0);
            }
            self.ends[number] += 1;
        }
        let mut total = 0;
        for count in &mut self.ends {
            total += std::mem::replace(count, total);
        }
        self.ends.push(total);
    }

    /// Puts the rows of some keys together by their key, in their order; `before` of all keys' rows come before them.
    fn put_together(&mut self, keys: Range<usize>, before: usize, tables: &[impl Table], numbers: &[u32]) {
        const BLANK: Event = Event {
            time: EventTime(0),
            amount: NO_AMOUNT,
            row: 0,
            kind: Kind::Purchase,
            is_late: false,
        };
        let total = self.ends[keys.end] - before;
        if self.events.len() < total {
            self.events = vec![BLANK; total];
        }
        let first = keys.start as u32;
        let count = keys.end as u32 - first;
        let mut late = self.late.iter().map(|&(row, _)| row).peekable();
        let mut begin = 0;
        for table in tables {
            let numbers = &numbers[begin..begin + table.len()];
            for (at, &number) in numbers.iter().enumerate() {
                // A row without a key has the largest number.
                if number.wrapping_sub(first) >= count {
                    continue;
                }
                let row = (begin + at) as u32;
                while late.next_if(|&late| late < row).is_some() {}
                let (kind, amount) = table.fields(at);
                let place = &mut self.ends[number as usize];
                self.events[*place - before] = Event {
                    time: table.time(at),
                    amount,
                    row,
                    kind,
                    is_late: late.peek() == Some(&row),
                };
                *place += 1;
            }
            begin += table.len();
        }
    }

    /// Folds some keys, one after the other.
    fn fold_keys(
        &mut self,
        plan: &Plan,
        alone: &mut Alone,
        (keys, before): (Range<usize>, usize),
        labels: &[(u32, &Told)],
        lender: &mut impl Lender,
        into: &mut impl Rows<Value = T>,
    ) {
        let layout = alone.layout();
        let mut labels = labels.iter().peekable();
        let mut values = vec![f64::NAN; plan.features.len()];
        let mut transaction = rows::blank();
        self.seen.clear();
        let mut begin = 0;
        for (key, &end) in (keys.start as u32..).zip(&self.ends[keys]) {
            let end = end - before;
            if begin == end && labels.peek().is_none_or(|&&(of, _)| of != key) {
                continue;
            }
            lender.lend(alone, key, end - begin);
            for at in begin..end {
                let event = &self.events[at];
                while let Some((_, told)) = labels.next_if(|&&(of, told)| of == key && told.before <= event.row) {
                    alone.reach(told.watermark);
                    alone.label(&told.label);
                }
                if event.is_late {
                    alone.reach(self.watermark(event.row));
                }
                transaction.event_time = event.time;
                transaction.kind = event.kind;
                transaction.amount = (event.amount != NO_AMOUNT).then_some(AmountMinor(event.amount));
                let seen = alone.take(&transaction, &mut values);
                into.mark(event.row, &seen);
                let features = layout.features.iter().map(|feature| values[feature.feature]);
                self.seen.extend(features.map(T::of));
            }
            while let Some((_, told)) = labels.next_if(|&&(of, _)| of == key) {
                alone.reach(told.watermark);
                alone.label(&told.label);
            }
            lender.take_back(alone, key);
            begin = end;
        }
    }

    /// Gives what some keys' events saw, row after row: so places are gone through once and in order, however far apart a key's
    /// rows lie. Where events stand is found as they were put there.
    fn give(
        &mut self,
        layout: &EntityLayout,
        keys: Range<usize>,
        before: usize,
        numbers: &[u32],
        into: &mut impl Rows<Value = T>,
    ) {
        let width = layout.features.len();
        let (first, count) = (keys.start as u32, keys.len() as u32);
        // From where each key ends to where it begins.
        self.ends[keys.clone()].rotate_right(1);
        self.ends[keys.start] = before;
        for (row, &number) in (0_u32..).zip(numbers) {
            if number.wrapping_sub(first) < count {
                let at = &mut self.ends[number as usize];
                into.put(layout, row, &self.seen[(*at - before) * width..][..width]);
                *at += 1;
            }
        }
    }

    /// The newest event time before a row that is late. Before one that is not, nothing is later than itself, and what it
    /// sees is what it would see if time had come as far.
    fn watermark(&self, row: u32) -> EventTime {
        let place = self.late.partition_point(|&(late, _)| late < row);
        self.late
            .get(place)
            .map_or(EventTime(i64::MIN), |&(_, watermark)| watermark)
    }
}

/// Those of some keys.
fn labels_of<'l, 'a>(labels: &'l [(u32, &'a Told)], keys: &Range<usize>) -> &'l [(u32, &'a Told)] {
    let place = |key: usize| labels.partition_point(|&(of, _)| (of as usize) < key);
    &labels[place(keys.start)..place(keys.end)]
}

/// Labels by the number of their key, and of each key in their order.
pub(super) fn by_key<'a>(numbered: impl Iterator<Item = (u32, &'a Told)>) -> Vec<(u32, &'a Told)> {
    let mut labels: Vec<_> = numbered.filter(|&(number, _)| number != NO_KEY).collect();
    labels.sort_by_key(|&(number, _)| number);
    labels
}
