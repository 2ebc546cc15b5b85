//! What every entity's keys have done: the state that features read, folded from transactions and labels.
//!
//! Windows are in event time over what was folded before. Nothing here depends on a clock, on how inputs were batched, or
//! on what the scorer answered.

mod entity;
mod extremes;
mod reading;
mod ring;

use entity::EntityHistory;
pub(crate) use reading::Reading;

use crate::{
    features::{self, FeatureSet, Lateness, Seen},
    plan::Plan,
    transaction::{EventTime, Labelled, Transaction},
};

/// The state of one program.
#[derive(Clone, Debug)]
pub struct History {
    /// The newest event time folded.
    watermark: EventTime,
    entities: Vec<EntityHistory>,
    /// Rows at which windows begin and end, for the entity that is being read.
    rows: Vec<usize>,
}

impl History {
    /// An empty state. Events with an event time through `complete_since` are unknown to it: windows that begin before are
    /// missing. `EventTime(i64::MIN)` says that nothing happened before.
    pub fn new(plan: &Plan, complete_since: EventTime) -> History {
        History {
            watermark: EventTime(i64::MIN),
            entities: plan
                .layouts
                .iter()
                .map(|layout| EntityHistory::new(layout, complete_since))
                .collect(),
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
            lateness: Lateness::InOrder,
        };
        features::own(plan, t, row, &mut seen.missing);
        let beyond = self.is_beyond(plan, t.event_time);
        if beyond {
            seen.lateness = Lateness::Beyond;
        }
        for ((layout, entity), key) in plan.layouts.iter().zip(&mut self.entities).zip(t.entities) {
            match key.filter(|_| !beyond) {
                None => features::unknown(layout, row, &mut seen.missing),
                Some(key) => {
                    let number = entity.find(key);
                    if number.is_some_and(|number| entity.holds_later(number, t.event_time)) {
                        seen.lateness = Lateness::Late;
                    }
                    let reading = entity.read(layout, number, t.event_time, &mut self.rows);
                    features::windows(plan, layout, &reading, t, row, &mut seen);
                }
            }
        }
        seen
    }

    /// Folds a transaction in. The caller has made sure that it is not beyond the lateness.
    pub fn fold(&mut self, plan: &Plan, t: &Transaction) {
        self.watermark = self.watermark.max(t.event_time);
        for ((layout, entity), key) in plan.layouts.iter().zip(&mut self.entities).zip(t.entities) {
            if let Some(key) = key
                && layout.kinds.contains(t.kind)
            {
                let evict_through = self.watermark.0.saturating_sub(layout.retention_us);
                entity.fold(layout, key, t.event_time, t.kind, t.amount, evict_through);
            }
        }
    }

    /// Takes a label in. What was seen before stays as it was.
    pub fn label(&mut self, plan: &Plan, label: &Labelled) {
        for ((layout, entity), key) in plan.layouts.iter().zip(&mut self.entities).zip(label.entities) {
            if let Some(key) = key
                && !layout.frauds.is_empty()
            {
                let evict_through = self.watermark.0.saturating_sub(layout.retention_us);
                entity.label(layout, key, label, evict_through);
            }
        }
    }
}
