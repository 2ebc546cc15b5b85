//! What every entity's keys have done: the state that features read, folded from transactions and labels.
//!
//! Windows are in event time over what was folded before. Nothing here depends on a clock, on how inputs were batched, or
//! on what the scorer answered.

mod alone;
mod cost;
mod entity;
mod erased;
mod extremes;
mod fade;
mod head;
mod index;
mod ledger;
mod prefetch;
mod reading;
mod ring;
mod side;
mod sweep;
mod tiles;
mod tiling;

pub use alone::Alone;
pub use cost::Costs;
use entity::EntityHistory;
use erased::Erased;
pub use ledger::Live;
pub(crate) use reading::{Reading, When};

use crate::{
    features::{self, FeatureSet, Lateness, Seen},
    plan::Plan,
    transaction::{EventTime, KeyHash, Labelled, Transaction},
};

/// What bounds a state. Others are another state: these are a part of what a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes, as [`Costs`] counts them: what is oldest is evicted beyond four fifths of it. The last fifth is for what
    /// is dead and was not taken away yet.
    pub bytes: u64,
    /// Most events of one key, and most frauds, that are told apart; older ones become tiles.
    pub rows_a_key: usize,
    /// Most tiles of each that a key has.
    pub tiles_a_key: usize,
}

impl Bounds {
    /// No bounds but that of what is told apart.
    pub const NONE: Bounds = Bounds {
        bytes: u64::MAX,
        rows_a_key: 1 << 16,
        tiles_a_key: 128,
    };
}

/// What one entity holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is live.
    pub live: Live,
    /// What it is counted with.
    pub bytes: i64,
    /// Through when events were evicted; nothing where none were.
    pub evicted_through: Option<EventTime>,
}

/// The state of one program.
#[derive(Clone, Debug)]
pub struct History {
    /// The newest event time folded.
    watermark: EventTime,
    complete_since: EventTime,
    bounds: Bounds,
    entities: Vec<EntityHistory>,
    /// By entity.
    erased: Vec<Erased>,
    /// Rows at which windows begin and end, for the entity that is being read.
    rows: Vec<usize>,
}

impl History {
    /// An empty state. Events with an event time through `complete_since` are unknown to it: windows that begin before are
    /// missing. `EventTime(i64::MIN)` says that nothing happened before.
    pub fn new(plan: &Plan, complete_since: EventTime, bounds: Bounds) -> History {
        History {
            watermark: EventTime(i64::MIN),
            complete_since,
            bounds,
            entities: plan
                .layouts
                .iter()
                .map(|layout| EntityHistory::new(layout, complete_since, bounds))
                .collect(),
            erased: vec![Erased::default(); plan.layouts.len()],
            rows: vec![
                0;
                plan.layouts
                    .iter()
                    .map(|layout| layout.offsets.len())
                    .max()
                    .unwrap_or(0)
            ],
        }
    }

    /// The newest event time folded; the least there is when nothing was.
    pub fn watermark(&self) -> EventTime {
        self.watermark
    }

    /// Writes the state, but for caches, in an order that does not depend on where it lies in memory: equal bytes are equal
    /// states.
    pub fn write_canonical(&self, plan: &Plan, write: &mut impl FnMut(&[u8])) {
        write(&self.watermark.0.to_le_bytes());
        let entities = plan.layouts.iter().zip(&self.entities);
        for ((layout, entity), erased) in entities.zip(&self.erased) {
            entity.write_canonical(layout, write);
            erased.write(write);
        }
    }

    /// Since when it is complete, but for what was evicted.
    pub fn complete_since(&self) -> EventTime {
        self.complete_since
    }

    /// What bounds it.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// What is held of each entity, by slot.
    pub fn held(&self) -> impl Iterator<Item = Held> + '_ {
        self.entities.iter().map(|entity| Held {
            live: entity.ledger.live(),
            bytes: entity.bytes(),
            evicted_through: (entity.evicted_through > i64::MIN).then_some(EventTime(entity.evicted_through)),
        })
    }

    /// What each entity's things are counted with, by slot.
    pub fn costs(&self) -> impl Iterator<Item = Costs> + '_ {
        self.entities.iter().map(|entity| entity.costs)
    }

    /// Whether an event comes too late to be folded.
    pub fn is_beyond(&self, plan: &Plan, event_time: EventTime) -> bool {
        event_time.0 < self.watermark.0.saturating_sub(plan.lateness_us)
    }

    /// Writes the transaction's features, in plan order, as the state stands before it is folded. A feature without a value
    /// is NaN. `row` has a place for every feature. Only caches change.
    pub fn see(&mut self, plan: &Plan, t: &Transaction, row: &mut [f64]) -> Seen {
        let mut seen = Seen {
            missing: FeatureSet::default(),
            incomplete: FeatureSet::default(),
            approximate: FeatureSet::default(),
            lateness: Lateness::InOrder,
        };
        features::own(plan, t, row, &mut seen.missing);
        let beyond = self.is_beyond(plan, t.event_time);
        if beyond {
            seen.lateness = Lateness::Beyond;
        }
        let erased = self.erased.iter();
        for (((layout, entity), erased), key) in
            plan.layouts.iter().zip(&mut self.entities).zip(erased).zip(&t.entities)
        {
            match key.filter(|_| !beyond) {
                None => features::unknown(layout, row, &mut seen.missing),
                Some(key) => {
                    let (mut reading, holds_later) = entity.read(layout, key, t.event_time, &mut self.rows);
                    if holds_later {
                        seen.lateness = Lateness::Late;
                    }
                    reading.is_unknown_through(erased.through(key));
                    features::windows(plan, layout, &reading, t, row, &mut seen);
                }
            }
        }
        seen
    }

    /// Tells of transactions that will be seen next, a few dozen at most, so that what they read is in the caches by then:
    /// each step asks for the memory of all before any of it is needed. Nothing depends on whether this is called.
    pub fn announce<'a>(&mut self, plan: &Plan, coming: impl Iterator<Item = &'a Transaction> + Clone) {
        for (slot, (layout, entity)) in plan.layouts.iter().zip(&mut self.entities).enumerate() {
            if !layout.features.is_empty() {
                let keys = || coming.clone().filter_map(|t| t.entities[slot]);
                keys().for_each(|key| entity.announce(key));
                keys().for_each(|key| entity.approach(key));
                keys().for_each(|key| entity.reach(layout, key));
            }
        }
    }

    /// Moves the watermark to an event time that was folded elsewhere: for a part of a history that is folded apart.
    pub fn reach(&mut self, plan: &Plan, watermark: EventTime) {
        if watermark > self.watermark {
            self.watermark = watermark;
            for (layout, entity) in plan.layouts.iter().zip(&mut self.entities) {
                entity.advance(layout, watermark.0);
            }
        }
    }

    /// Folds a transaction in. The caller has made sure that it is not beyond the lateness.
    pub fn fold(&mut self, plan: &Plan, t: &Transaction) {
        self.watermark = self.watermark.max(t.event_time);
        for (layout, erased) in plan.layouts.iter().zip(&mut self.erased) {
            erased.expire(EventTime(self.watermark.0.saturating_sub(layout.retention_us)));
        }
        for ((layout, entity), key) in plan.layouts.iter().zip(&mut self.entities).zip(&t.entities) {
            entity.advance(layout, self.watermark.0);
            if let &Some(key) = key
                && layout.kinds.contains(t.kind)
            {
                entity.fold(layout, key, t.event_time, t.kind, t.amount);
            }
        }
        self.bound(plan);
    }

    /// Erases a key of the entity in a slot: what it did is gone, and windows that reach back before now are incomplete for
    /// it. Says whether anything was held of it.
    pub fn erase(&mut self, plan: &Plan, slot: usize, key: KeyHash) -> bool {
        let (Some(layout), Some(entity)) = (plan.layouts.get(slot), self.entities.get_mut(slot)) else {
            return false;
        };
        if self.watermark > EventTime(i64::MIN) {
            self.erased[slot].add(key, self.watermark);
        }
        entity.forget(layout, key)
    }

    /// Takes a label in. What was seen before stays as it was.
    pub fn label(&mut self, plan: &Plan, label: &Labelled) {
        for ((layout, entity), key) in plan.layouts.iter().zip(&mut self.entities).zip(&label.entities) {
            if let &Some(key) = key
                && !layout.frauds.is_empty()
            {
                entity.label(layout, key, label);
            }
        }
        self.bound(plan);
    }

    /// Sees to it that the bounds hold: of what holds most, what is oldest goes. So a flood of one entity's keys costs that
    /// entity its past, and no other.
    fn bound(&mut self, plan: &Plan) {
        let most = (self.bounds.bytes / 5).saturating_mul(4);
        while self
            .entities
            .iter()
            .map(EntityHistory::bytes)
            .sum::<i64>()
            .unsigned_abs()
            > most
        {
            // Of those that hold as much, the first.
            let largest = self.entities.iter_mut().rev().max_by_key(|entity| entity.bytes());
            if !largest.is_some_and(EntityHistory::evict) {
                break;
            }
        }
        for (layout, entity) in plan.layouts.iter().zip(&mut self.entities) {
            entity.look(layout);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transaction::{AmountMinor, Kind, MAX_ENTITIES, MAX_NUMBERS};

    const LATENESS: i64 = 100;

    fn plan() -> Plan {
        let window = r#""window_us":50,"delay_us":0,"inclusive":false,"where":{"kinds":["purchase"]}"#;
        let json = format!(
            r#"{{"format":1,"name":"p","currency":"EUR","entities":["card","shop","idle"],"numbers":[],"texts":[],
            "fraud":["third_party_fraud"],"lateness_us":{LATENESS},"features":[{{"name":"amount","op":"amount"}},
            {{"name":"card","op":"count","entity":0,{window}}},{{"name":"shop","op":"mean","entity":1,{window}}}]}}"#
        );
        Plan::parse(json.as_bytes()).unwrap()
    }

    fn at(time: i64, kind: Kind, keys: [Option<u128>; 3]) -> Transaction {
        let mut entities = [None; MAX_ENTITIES];
        for (entity, key) in entities.iter_mut().zip(keys) {
            *entity = key.map(KeyHash);
        }
        let amount = Some(AmountMinor(150));
        let event_time = EventTime(time);
        Transaction {
            event_time,
            utc_offset_minutes: 0,
            kind,
            amount,
            entities,
            numbers: [f64::NAN; MAX_NUMBERS],
        }
    }

    fn see(history: &mut History, t: &Transaction) -> (Seen, [f64; 3]) {
        let mut row = [0.0; 3];
        (history.see(&plan(), t, &mut row), row)
    }

    fn set(features: &[usize]) -> FeatureSet {
        let mut set = FeatureSet::default();
        features.iter().for_each(|&feature| set.insert(feature));
        set
    }

    #[test]
    fn late_means_that_a_history_holds_something_later() {
        let mut history = History::new(&plan(), EventTime(i64::MIN), Bounds::NONE);
        history.fold(&plan(), &at(1_000, Kind::Purchase, [Some(1), Some(2), Some(3)]));
        // Time, kind, keys; what it is.
        let cases = [
            (1_000, [Some(1), Some(2), None], Lateness::InOrder),
            (999, [Some(1), Some(9), None], Lateness::Late),
            (999, [Some(9), Some(2), None], Lateness::Late),
            (999, [Some(9), Some(9), None], Lateness::InOrder),
            // An entity that no feature reads has no history.
            (999, [None, None, Some(3)], Lateness::InOrder),
            (1_000 - LATENESS, [Some(9), None, None], Lateness::InOrder),
            (999 - LATENESS, [Some(9), None, None], Lateness::Beyond),
        ];
        for (time, keys, lateness) in cases {
            let t = at(time, Kind::Purchase, keys);
            assert_eq!(see(&mut history, &t).0.lateness, lateness, "{time} {keys:?}");
            assert_eq!(history.is_beyond(&plan(), t.event_time), lateness == Lateness::Beyond);
        }
    }

    #[test]
    fn kinds_that_no_feature_counts_move_the_watermark_and_nothing_else() {
        let mut history = History::new(&plan(), EventTime(i64::MIN), Bounds::NONE);
        history.fold(&plan(), &at(1_000, Kind::Refund, [Some(1), Some(2), None]));
        let (seen, row) = see(&mut history, &at(950, Kind::Purchase, [Some(1), Some(2), None]));
        assert_eq!((seen.lateness, row[1]), (Lateness::InOrder, 0.0));
        assert!(history.is_beyond(&plan(), EventTime(899)));
    }

    #[test]
    fn what_has_no_value_says_whether_it_is_missing_or_incomplete() {
        let mut history = History::new(&plan(), EventTime(500), Bounds::NONE);
        // Time, keys; missing, incomplete.
        let cases = [
            (600, [Some(1), None, None], set(&[2]), set(&[])),
            (600, [None, None, None], set(&[1, 2]), set(&[])),
            (550, [Some(1), Some(2), None], set(&[2]), set(&[])),
            (549, [Some(1), Some(2), None], set(&[]), set(&[1, 2])),
            (549, [Some(1), None, None], set(&[2]), set(&[1])),
        ];
        for (time, keys, missing, incomplete) in cases {
            let (seen, row) = see(&mut history, &at(time, Kind::Purchase, keys));
            assert_eq!(
                (seen.missing, seen.incomplete),
                (missing, incomplete),
                "{time} {keys:?}"
            );
            assert!(
                missing
                    .iter()
                    .chain(incomplete.iter())
                    .all(|feature| row[feature].is_nan())
            );
        }
    }

    #[test]
    fn what_comes_too_late_has_its_own_fields_only() {
        let mut history = History::new(&plan(), EventTime(i64::MIN), Bounds::NONE);
        history.fold(&plan(), &at(1_000, Kind::Purchase, [Some(1), Some(2), None]));
        let (seen, row) = see(&mut history, &at(10, Kind::Purchase, [Some(1), Some(2), None]));
        assert_eq!(row[0], 1.5);
        assert_eq!((seen.missing, seen.incomplete), (set(&[1, 2]), set(&[])));
    }

    #[test]
    fn announcing_changes_nothing() {
        let mut told = History::new(&plan(), EventTime(i64::MIN), Bounds::NONE);
        let mut untold = told.clone();
        for place in 0..200 {
            let key = Some(u128::from(place % 7_u64));
            let t = at(place as i64, Kind::Purchase, [key, key, None]);
            told.announce(
                &plan(),
                [t.clone(), at(0, Kind::Purchase, [Some(99), None, None])].iter(),
            );
            let (seen, row) = see(&mut told, &t);
            let (seen_untold, row_untold) = see(&mut untold, &t);
            assert_eq!(seen, seen_untold);
            assert_eq!(row.map(f64::to_bits), row_untold.map(f64::to_bits));
            told.fold(&plan(), &t);
            untold.fold(&plan(), &t);
        }
    }
}
