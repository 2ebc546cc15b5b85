//! What each transaction of a table saw of one entity, key by key instead of row by row: rows are put together by their key,
//! each key's history is folded alone, and what rows saw goes to their place.

use std::ops::Range;

use fraudgate_core::{
    features::{self, FeatureSet, Seen},
    history::Alone,
    plan::{EntityLayout, Plan},
    transaction::{AmountMinor, EventTime, Kind, Labelled},
};

use super::{
    groups::Groups,
    numbered::NO_KEY,
    values::{Section, Value, Values},
};

/// The most events of a key that are taken at once: what they see stays in the first cache.
const A_RUN: usize = 256;

/// How many rows ahead what is read of one is asked for: each lies in a line of its own.
const AHEAD: usize = 48;

/// An amount that there is not.
pub(super) const NO_AMOUNT: i64 = -1;

/// An event of a key.
#[derive(Clone, Copy)]
struct Event {
    time: EventTime,
    amount: i64,
    row: u32,
    /// Where what it sees goes.
    slot: u32,
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

/// The events of one entity, by key: of a group of keys at a time. Its memory is used again and again, for fresh memory costs
/// as much as what is done with it, and what is small stays in the caches while it is filled.
#[derive(Default)]
pub(super) struct Keyed {
    groups: Groups,
    events: Vec<Event>,
    /// Of each key of the group where its events end.
    ends: Vec<usize>,
    /// By block of rows and group the next slot.
    slots: Vec<u32>,
    /// Rows that are late, in their order, with the newest event time of any before them.
    late: Vec<(u32, EventTime)>,
    run: Run,
}

/// Events that are taken at once, and what they see.
#[derive(Default)]
struct Run {
    events: Vec<features::Event>,
    /// Of each event the features, in the layout's order.
    values: Vec<f64>,
    incomplete: Vec<FeatureSet>,
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
    /// Its kind.
    fn kind(&self, at: usize) -> Kind;
    /// Its amount, or none.
    fn amount(&self, at: usize) -> i64;
    /// Asks for what lies in memory of one that is looked for soon.
    fn approach(&self, at: usize);
}

/// Where what rows see goes.
pub(super) trait Rows {
    /// What features are kept as.
    type Value: Value;
    /// The features.
    fn values(&mut self) -> &mut Values<Self::Value>;
    /// Takes what is said of them, if there is anything to say.
    fn mark(&mut self, row: u32, seen: &Seen);
}

impl Keyed {
    /// For the rows of some tables, one after the other, and after others with event times up to `watermark`.
    pub fn of(tables: &[impl Table], mut watermark: EventTime) -> Keyed {
        let mut late = Vec::new();
        let times = tables
            .iter()
            .flat_map(|table| (0..table.len()).map(|at| table.time(at)));
        for (row, time) in (0..).zip(times) {
            if time < watermark {
                late.push((row, watermark));
            }
            watermark = watermark.max(time);
        }
        Keyed {
            late,
            ..Keyed::default()
        }
    }

    /// Folds each key alone. `numbers` are those of all rows' keys. Labels are by the number of their key, and of each key in
    /// their order.
    pub fn fold<R: Rows>(
        &mut self,
        (plan, layout): (&Plan, &EntityLayout),
        complete_since: EventTime,
        (tables, numbers): (&[impl Table], Vec<u32>),
        labels: &[(u32, &Told)],
        lender: &mut impl Lender,
        into: &mut R,
    ) {
        let keys = labels.last().map_or(0, |&(key, _)| key as usize + 1);
        let groups = self.groups.make(&numbers, keys);
        // Rows are listed with their keys now.
        drop(numbers);
        self.slots.clear();
        for rows in groups.chunks(1 << into.values().shift()) {
            self.slots.extend(&Groups::begins(rows)[..self.groups.len()]);
        }
        let section = into.values().begin(layout, groups);
        let mut alone = Alone::new(plan, layout, complete_since);
        for group in 0..self.groups.len() {
            self.put_together(group, into.values().shift(), tables);
            let labels = labels_of(labels, self.groups.keys(group));
            self.fold_group(plan, &mut alone, group, labels, lender, (section, into));
        }
    }

    /// Puts the rows of a group's keys together by their key, in their order.
    fn put_together(&mut self, group: usize, shift: u32, tables: &[impl Table]) {
        const BLANK: Event = Event {
            time: EventTime(0),
            amount: NO_AMOUNT,
            row: 0,
            slot: 0,
            kind: Kind::Purchase,
            is_late: false,
        };
        let keys = self.groups.keys(group);
        let before = self.groups.begin(keys.start);
        // First where each begins, and in the end where it ends.
        self.ends.clear();
        self.ends
            .extend(keys.clone().map(|key| self.groups.begin(key) - before));
        let mut rows = self.groups.rows(group);
        if self.events.len() < rows.len() {
            self.events = vec![BLANK; rows.len()];
        }
        let mut late = self.late.iter().map(|&(row, _)| row).peekable();
        let mut begin = 0;
        for table in tables {
            let of_table = rows.partition_point(|&(row, _)| (row as usize) < begin + table.len());
            let (now, rest) = rows.split_at(of_table);
            for (place, &(row, key)) in now.iter().enumerate() {
                if let Some(&(soon, _)) = now.get(place + AHEAD) {
                    table.approach(soon as usize - begin);
                }
                let at = row as usize - begin;
                while late.next_if(|&late| late < row).is_some() {}
                let slot = &mut self.slots[(row >> shift) as usize * self.groups.len() + group];
                let place = &mut self.ends[key as usize - keys.start];
                self.events[*place] = Event {
                    time: table.time(at),
                    amount: table.amount(at),
                    row,
                    slot: (row >> shift << shift) + *slot,
                    kind: table.kind(at),
                    is_late: late.peek() == Some(&row),
                };
                *place += 1;
                *slot += 1;
            }
            (rows, begin) = (rest, begin + table.len());
        }
    }

    /// Folds a group's keys, one after the other.
    fn fold_group<R: Rows>(
        &mut self,
        plan: &Plan,
        alone: &mut Alone,
        group: usize,
        labels: &[(u32, &Told)],
        lender: &mut impl Lender,
        (section, into): (Section, &mut R),
    ) {
        let keys = self.groups.keys(group);
        let mut labels = labels.iter().peekable();
        let mut row = vec![f64::NAN; plan.features.len()];
        let mut begin = 0;
        for (key, &end) in (keys.start as u32..).zip(&self.ends) {
            if begin == end && labels.peek().is_none_or(|&&(of, _)| of != key) {
                continue;
            }
            lender.lend(alone, key, end - begin);
            let mut events = &self.events[begin..end];
            while let Some(event) = events.first() {
                while let Some((_, told)) = labels.next_if(|&&(of, told)| of == key && told.before <= event.row) {
                    alone.reach(told.watermark);
                    alone.label(&told.label);
                }
                let told = labels.peek().filter(|&&&(of, _)| of == key);
                let until = told.map_or(u32::MAX, |(_, told)| told.before);
                let taken = match event.is_late {
                    true => 0,
                    false => self.run.take(alone, events, until, (section, into)),
                };
                if taken == 0 {
                    if event.is_late {
                        alone.reach(watermark(&self.late, event.row));
                    }
                    take_one(alone, event, &mut row, (section, into));
                }
                events = &events[taken.max(1)..];
            }
            while let Some((_, told)) = labels.next_if(|&&(of, _)| of == key) {
                alone.reach(told.watermark);
                alone.label(&told.label);
            }
            lender.take_back(alone, key);
            begin = end;
        }
    }
}

impl Run {
    /// Takes events at once, as many as can be of those before the row `until`. Gives how many.
    fn take<R: Rows>(
        &mut self,
        alone: &mut Alone,
        events: &[Event],
        until: u32,
        (section, into): (Section, &mut R),
    ) -> usize {
        let together = events.iter().take(A_RUN);
        let together = together.take_while(|event| !event.is_late && event.row < until);
        self.events.clear();
        self.events.extend(together.map(Event::seen));
        let taken = alone.take_run(&self.events, &mut self.values, &mut self.incomplete);
        let seen = self.values.chunks_exact(alone.layout().features.len());
        for (event, seen) in events[..taken].iter().zip(seen) {
            let features = into.values().slot(section, event.slot);
            for (feature, &value) in features.iter_mut().zip(seen) {
                *feature = Value::of(value);
            }
        }
        for (event, &incomplete) in events.iter().zip(&self.incomplete) {
            let seen = Seen {
                incomplete,
                ..Seen::default()
            };
            into.mark(event.row, &seen);
        }
        taken
    }
}

impl Event {
    fn seen(&self) -> features::Event {
        features::Event {
            event_time: self.time,
            kind: self.kind,
            amount: (self.amount != NO_AMOUNT).then_some(AmountMinor(self.amount)),
        }
    }
}

fn take_one<R: Rows>(alone: &mut Alone, event: &Event, row: &mut [f64], (section, into): (Section, &mut R)) {
    let seen = alone.take(event.seen(), row);
    into.mark(event.row, &seen);
    let features = into.values().slot(section, event.slot);
    for (feature, value) in alone.layout().features.iter().zip(features) {
        *value = Value::of(row[feature.feature]);
    }
}

/// The newest event time before a row that is late. Before one that is not, nothing is later than itself, and what it
/// sees is what it would see if time had come as far.
fn watermark(late: &[(u32, EventTime)], row: u32) -> EventTime {
    let place = late.partition_point(|&(late, _)| late < row);
    late.get(place).map_or(EventTime(i64::MIN), |&(_, watermark)| watermark)
}

/// Those of some keys.
fn labels_of<'l, 'a>(labels: &'l [(u32, &'a Told)], keys: Range<usize>) -> &'l [(u32, &'a Told)] {
    let place = |key: usize| labels.partition_point(|&(of, _)| (of as usize) < key);
    &labels[place(keys.start)..place(keys.end)]
}

/// Labels by the number of their key, and of each key in their order.
pub(super) fn by_key<'a>(numbered: impl Iterator<Item = (u32, &'a Told)>) -> Vec<(u32, &'a Told)> {
    let mut labels: Vec<_> = numbered.filter(|&(number, _)| number != NO_KEY).collect();
    labels.sort_by_key(|&(number, _)| number);
    labels
}
