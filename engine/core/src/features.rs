//! A transaction's row of features: from its own fields, and from what its entities' histories say.
//!
//! All in f64, in one fixed order of operations; what is stored, hashed and scored is the row rounded once to f32. Money
//! stands in major units: exact integers of minor units first, one division last.

use crate::{
    history::{Reading, Run, When},
    plan::{Column, EntityLayout, MAX_FEATURES, OwnOp, Plan, WindowFeature, WindowOp},
    transaction::{AmountMinor, EventTime, Kind, Transaction},
};

/// A set of features by their place in the row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSet([u64; MAX_FEATURES / 64]);

impl FeatureSet {
    /// Adds a feature.
    pub fn insert(&mut self, feature: usize) {
        self.0[feature / 64] |= 1 << (feature % 64);
    }

    /// Whether it holds a feature.
    pub fn contains(&self, feature: usize) -> bool {
        self.0[feature / 64] & (1 << (feature % 64)) != 0
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.0 == [0; MAX_FEATURES / 64]
    }

    /// Adds those of another.
    pub fn unite(&mut self, other: &FeatureSet) {
        for (word, other) in self.0.iter_mut().zip(other.0) {
            *word |= other;
        }
    }

    /// One bit a feature.
    pub fn bits(&self) -> [u8; MAX_FEATURES / 8] {
        let mut bits = [0; MAX_FEATURES / 8];
        for (bytes, word) in bits.chunks_exact_mut(8).zip(self.0) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        bits
    }

    /// The set of these bits.
    pub fn of_bits(bits: &[u8; MAX_FEATURES / 8]) -> FeatureSet {
        let mut set = FeatureSet::default();
        for (word, bytes) in set.0.iter_mut().zip(bits.as_chunks().0) {
            *word = u64::from_le_bytes(*bytes);
        }
        set
    }

    /// The features, in the order of the row.
    pub fn iter(&self) -> impl Iterator<Item = usize> + '_ {
        self.0.iter().enumerate().flat_map(|(place, &word)| {
            std::iter::successors((word != 0).then_some(word), |rest| {
                let rest = rest & (rest - 1);
                (rest != 0).then_some(rest)
            })
            .map(move |rest| place * 64 + rest.trailing_zeros() as usize)
        })
    }
}

/// How a transaction stands to what was folded before it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lateness {
    /// It did not come out of order.
    #[default]
    InOrder,
    /// One of its entities holds an event with a later event time.
    Late,
    /// It lies further behind the newest folded event time than the plan allows, and is not folded.
    Beyond,
}

/// What is said of a row beside its values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Features that had nothing to be computed from.
    pub missing: FeatureSet,
    /// Features whose window begins before the state is complete.
    pub incomplete: FeatureSet,
    /// Features whose window begins or ends within events that are told apart no more.
    pub approximate: FeatureSet,
    /// Whether it came late.
    pub lateness: Lateness,
}

impl Seen {
    /// Whether it came too late to be folded.
    pub fn is_beyond(&self) -> bool {
        self.lateness == Lateness::Beyond
    }
}

/// What a window can see of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Event {
    pub event_time: EventTime,
    pub kind: Kind,
    pub amount: Option<AmountMinor>,
}

impl From<&Transaction> for Event {
    fn from(t: &Transaction) -> Event {
        Event {
            event_time: t.event_time,
            kind: t.kind,
            amount: t.amount,
        }
    }
}

const US_A_MINUTE: i64 = 60_000_000;
const US_AN_HOUR: i64 = 60 * US_A_MINUTE;
const US_A_DAY: i64 = 24 * US_AN_HOUR;
/// 1970-01-01 was a Thursday, and Monday is 0.
const WEEKDAY_OF_THE_EPOCH: i64 = 3;
const SATURDAY: i64 = 5;

/// Features of the transaction's own fields, in their places of `row`; `missing` takes those without a value.
pub fn own(plan: &Plan, t: &Transaction, row: &mut [f64], missing: &mut FeatureSet) {
    let local = t
        .event_time
        .0
        .saturating_add(i64::from(t.utc_offset_minutes) * US_A_MINUTE);
    let hour = local.rem_euclid(US_A_DAY) / US_AN_HOUR;
    let weekday = (local.div_euclid(US_A_DAY) + WEEKDAY_OF_THE_EPOCH).rem_euclid(7);
    for feature in &plan.own {
        let value = match feature.op {
            OwnOp::Amount => t
                .amount
                .map_or(f64::NAN, |amount| amount.0 as f64 / plan.currency.scale() as f64),
            OwnOp::Number { slot } => t.numbers[slot],
            OwnOp::Hour => hour as f64,
            OwnOp::Weekday => weekday as f64,
            OwnOp::Weekend => f64::from(weekday >= SATURDAY),
            OwnOp::Night { through_hour } => f64::from(hour <= i64::from(through_hour)),
        };
        put(row, feature.feature, value, missing);
    }
}

/// Features of an entity that the transaction gives no key for, or that comes too late to be placed.
pub(crate) fn unknown(layout: &EntityLayout, row: &mut [f64], missing: &mut FeatureSet) {
    for feature in &layout.features {
        put(row, feature.feature, f64::NAN, missing);
    }
}

/// Features over an entity's history.
pub(crate) fn windows(
    plan: &Plan,
    layout: &EntityLayout,
    reading: &Reading,
    event: Event,
    row: &mut [f64],
    seen: &mut Seen,
) {
    let scale = plan.currency.scale();
    for feature in &layout.features {
        let known = !reading.reaches_back() || !is_bounded(feature) || !reading.is_incomplete(feature);
        match window(feature, feature.op, reading, event, scale).filter(|_| known) {
            Some(value) => put(row, feature.feature, value, &mut seen.missing),
            None => {
                row[feature.feature] = f64::NAN;
                seen.incomplete.insert(feature.feature);
            }
        }
    }
    if reading.is_tiled() {
        let cut = layout.features.iter().filter(|feature| reading.is_approximate(feature));
        for feature in cut.filter(|feature| !seen.incomplete.contains(feature.feature)) {
            seen.approximate.insert(feature.feature);
        }
    }
}

/// Features over a key's history of a run of its events, to the bit as [`windows`] gives them of one after the other: of each
/// event the values in the layout's order. `incomplete` takes what is said of events, through the last of which there is
/// anything to say.
pub(crate) fn run(plan: &Plan, layout: &EntityLayout, run: &Run, values: &mut [f64], incomplete: &mut Vec<FeatureSet>) {
    let (scale, width) = (plan.currency.scale(), layout.features.len());
    for (place, feature) in layout.features.iter().enumerate() {
        let mut say = |at: usize| {
            if incomplete.len() <= at {
                incomplete.resize(at + 1, FeatureSet::default());
            }
            incomplete[at].insert(feature.feature);
        };
        // Events are in order of time.
        let known = match is_bounded(feature) {
            true => run.first_known(feature),
            false => 0,
        };
        for at in 0..known {
            values[at * width + place] = f64::NAN;
            say(at);
        }
        let values = values[known * width..]
            .chunks_exact_mut(width)
            .map(|row| &mut row[place]);
        let seen = (run, known, values);
        // What most ask for is looked at once, before all events.
        match feature.op {
            WindowOp::Count(Column::Rows) => each((feature, WindowOp::Count(Column::Rows)), scale, seen, say),
            WindowOp::Sum(sum) => each((feature, WindowOp::Sum(sum)), scale, seen, say),
            WindowOp::Mean {
                sum,
                present: present @ Column::Given,
            } => each((feature, WindowOp::Mean { sum, present }), scale, seen, say),
            WindowOp::Risk {
                count: count @ Column::Rows,
                frauds,
            } => each((feature, WindowOp::Risk { count, frauds }), scale, seen, say),
            op => each((feature, op), scale, seen, say),
        }
    }
}

/// A feature of a run's events from one on.
#[inline(always)]
fn each<'a>(
    (feature, op): (&WindowFeature, WindowOp),
    scale: i64,
    (run, from, values): (&Run, usize, impl Iterator<Item = &'a mut f64>),
    mut say: impl FnMut(usize),
) {
    for (at, ((event, reading), value)) in (from..).zip(run.readings(from).zip(values)) {
        *value = window(feature, op, &reading, event, scale).unwrap_or_else(|| {
            say(at);
            f64::NAN
        });
    }
}

/// Whether a feature's window has a beginning.
fn is_bounded(feature: &WindowFeature) -> bool {
    !matches!(feature.op, WindowOp::SinceLast(_) | WindowOp::SinceFirst(_))
}

/// One feature's value; NaN when there is nothing to compute it from, `None` when that is not known. That its window begins
/// where events may be unknown is for the caller to see.
#[inline(always)]
fn window(feature: &WindowFeature, op: WindowOp, reading: &Reading, t: Event, scale: i64) -> Option<f64> {
    let is_counted = feature.inclusive && feature.kinds.contains(t.kind);
    let amount = t.amount.filter(|_| is_counted);
    Some(match op {
        WindowOp::Count(count) => (reading.count(feature, count) + i64::from(is_counted)) as f64,
        WindowOp::Sum(sum) => {
            reading.sum(feature, sum).wrapping_add(amount.map_or(0, |own| own.0)) as f64 / scale as f64
        }
        WindowOp::Mean { sum, present } => {
            let present = reading.count(feature, present) + i64::from(amount.is_some());
            if present == 0 {
                return Some(f64::NAN);
            }
            let sum = reading.sum(feature, sum).wrapping_add(amount.map_or(0, |own| own.0));
            sum as f64 / (present * scale) as f64
        }
        WindowOp::Min(place) => extreme(
            reading.extremes(feature, place).map(|(least, _)| least),
            amount,
            i64::min,
            scale,
        ),
        WindowOp::Max(place) => extreme(
            reading.extremes(feature, place).map(|(_, most)| most),
            amount,
            i64::max,
            scale,
        ),
        WindowOp::SinceLast(place) => return since(reading.newest(feature, place), t),
        WindowOp::SinceFirst(place) => return since(reading.oldest(feature, place), t),
        WindowOp::Risk { count, frauds } => {
            let count = reading.count(feature, count);
            if count == 0 {
                0.0
            } else {
                reading.frauds(feature, frauds) as f64 / count as f64
            }
        }
    })
}

fn since(when: When, t: Event) -> Option<f64> {
    match when {
        When::At(time) => Some(t.event_time.0.saturating_sub(time.0) as f64 / 1e6),
        When::Never => Some(f64::NAN),
        When::Unknown => None,
    }
}

fn extreme(before: Option<i64>, own: Option<AmountMinor>, choose: fn(i64, i64) -> i64, scale: i64) -> f64 {
    let own = own.map(|amount| amount.0);
    let chosen = before.into_iter().chain(own).reduce(choose);
    chosen.map_or(f64::NAN, |minor| minor as f64 / scale as f64)
}

fn put(row: &mut [f64], feature: usize, value: f64, missing: &mut FeatureSet) {
    row[feature] = value;
    if value.is_nan() {
        missing.insert(feature);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_gives_back_what_was_put_in_in_order() {
        let mut set = FeatureSet::default();
        assert!(set.is_empty());
        for feature in [255, 0, 63, 64, 128] {
            set.insert(feature);
        }
        assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 128, 255]);
        assert!(set.contains(64) && !set.contains(65));
        assert_eq!(FeatureSet::of_bits(&set.bits()), set);
    }
}
