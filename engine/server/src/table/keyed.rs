//! What each transaction of a table saw of one entity, key by key instead of row by row: rows are put together by their key,
//! each key's history is folded alone, and what rows saw goes to their place.

use fraudgate_core::{
    features::Seen,
    history::Alone,
    plan::{EntityLayout, Plan},
    transaction::{AmountMinor, EventTime, Kind, Labelled},
};

use super::{numbered::NO_KEY, rows};

/// How many events ahead the place is asked for that an event's features go to.
const AHEAD: usize = 12;

/// An amount that there is not.
const NO_AMOUNT: i64 = -1;

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

/// The events of one entity, by key. Its memory is used again for the next one: fresh memory costs as much as what is done
/// with it.
#[derive(Default)]
pub(super) struct Keyed {
    events: Vec<Event>,
    /// Where the events of each key end.
    ends: Vec<usize>,
    /// Rows that are late, with the newest event time of any before them.
    late: Vec<(u32, EventTime)>,
}

/// Where what rows see goes.
pub(super) trait Rows {
    /// Asks for the place of a row that will be given soon.
    fn announce(&self, layout: &EntityLayout, row: u32);
    /// Takes the features of a layout of a row.
    fn put(&mut self, layout: &EntityLayout, row: u32, values: &[f64], seen: &Seen);
}

impl Keyed {
    /// Puts rows together by their key's number, of which there are `count`, in their order. `fields` are those of each row.
    pub fn put_together(
        &mut self,
        numbers: &[u32],
        count: usize,
        fields: impl Iterator<Item = (EventTime, Kind, Option<AmountMinor>)>,
    ) {
        const BLANK: Event = Event {
            time: EventTime(0),
            amount: NO_AMOUNT,
            row: 0,
            kind: Kind::Purchase,
            is_late: false,
        };
        // How many each key has, then where the next one of each goes, which in the end is where its last one is.
        self.ends.clear();
        self.ends.resize(count, 0);
        for &number in numbers.iter().filter(|&&number| number != NO_KEY) {
            self.ends[number as usize] += 1;
        }
        let mut total = 0;
        for count in &mut self.ends {
            total += std::mem::replace(count, total);
        }
        if self.events.len() < total {
            self.events = vec![BLANK; total];
        }
        self.late.clear();
        let mut watermark = EventTime(i64::MIN);
        for ((row, &number), (time, kind, amount)) in (0_u32..).zip(numbers).zip(fields) {
            let is_late = time < watermark;
            if is_late {
                self.late.push((row, watermark));
            }
            if number != NO_KEY {
                let place = &mut self.ends[number as usize];
                self.events[*place] = Event {
                    time,
                    amount: amount.map_or(NO_AMOUNT, |amount| amount.0),
                    row,
                    kind,
                    is_late,
                };
                *place += 1;
            }
            watermark = watermark.max(time);
        }
    }

    /// Folds each key alone. Labels are by the number of their key, and of each key in their order.
    pub fn fold(
        &self,
        plan: &Plan,
        layout: &EntityLayout,
        complete_since: EventTime,
        labels: &[(u32, &Told)],
        into: &mut impl Rows,
    ) {
        let mut labels = labels.iter().peekable();
        let mut values = vec![f64::NAN; plan.features.len()];
        let mut transaction = rows::blank();
        let mut alone = Alone::new(plan, layout, complete_since);
        let mut begin = 0;
        for (key, &end) in (0_u32..).zip(&self.ends) {
            alone.begin(end - begin);
            // Labels of keys that have no transaction.
            while labels.next_if(|&&(other, _)| other < key).is_some() {}
            for at in begin..end {
                let event = &self.events[at];
                // A key's rows lie far apart where they go: without this, waiting for them is a fifth of the time.
                if let Some(coming) = self.events.get(at + AHEAD) {
                    into.announce(layout, coming.row);
                }
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
                into.put(layout, event.row, &values, &seen);
            }
            begin = end;
        }
    }

    /// The newest event time before a row that is late. Before one that is not, nothing is later than itself, and what it
    /// sees is what it would see if time had come as far.
    fn watermark(&self, row: u32) -> EventTime {
        let place = self.late.partition_point(|&(late, _)| late < row);
        self.late.get(place).map_or(EventTime(i64::MIN), |&(_, watermark)| watermark)
    }
}

/// Labels by the number of their key, and of each key in their order.
pub(super) fn by_key<'a>(numbered: impl Iterator<Item = (u32, &'a Told)>) -> Vec<(u32, &'a Told)> {
    let mut labels: Vec<_> = numbered.filter(|&(number, _)| number != NO_KEY).collect();
    labels.sort_by_key(|&(number, _)| number);
    labels
}

