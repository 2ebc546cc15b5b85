//! What every entity's keys have done: the state that features read, folded from transactions and labels.
//!
//! Windows are in event time over what was folded before. Nothing here depends on a clock, on how inputs were batched, or
//! on what the scorer answered.

mod alone;
mod bounds;
mod cost;
mod entity;
mod erased;
mod extremes;
mod fade;
mod head;
mod index;
mod labels;
mod ledger;
mod lent;
mod prefetch;
mod reading;
mod ring;
mod run;
mod side;
mod sweep;
mod tiles;
mod tiling;

pub use alone::Alone;
pub use bounds::{Bounds, Held};
pub use cost::Costs;
use entity::EntityHistory;
use erased::Erased;
pub use ledger::Live;
pub use prefetch::prefetch;
pub(crate) use reading::{Reading, When};
pub(crate) use run::Run;

use crate::{
    features::{self, Event, Lateness, Seen},
    plan::Plan,
    transaction::{EventTime, KeyHash, Labelled, Transaction},
};

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
        let mut seen = Seen::default();
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
                    features::windows(plan, layout, &reading, Event::from(t), row, &mut seen);
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
mod tests;
