//! One key's history alone, from its first event to its last: for a table that is at hand as a whole, whose keys are taken
//! one after the other, so that what a key did stays in the caches while it is needed and is nothing to keep afterwards.
//! Each event brings how far time had come by it among all keys, so it sees what it would see of the whole history.

use super::{Bounds, entity::EntityHistory};
use crate::{
    features::{self, Event, FeatureSet, Lateness, Seen},
    plan::{EntityLayout, Plan},
    transaction::{EventTime, KeyHash, Labelled},
};

/// What the one key is called here: it is alone, so it needs no name of its own.
pub(super) const KEY: KeyHash = KeyHash(0);

/// The most rows that are made room for at once; a key with more moves them, as every ring does.
const ROOM: usize = 1 << 15;

/// The history of one key of one entity.
pub struct Alone<'a> {
    plan: &'a Plan,
    layout: &'a EntityLayout,
    /// The newest event time folded anywhere.
    watermark: EventTime,
    pub(super) entity: EntityHistory,
    rows: Vec<usize>,
    /// Likewise of a run's events.
    run_rows: Vec<usize>,
}

impl<'a> Alone<'a> {
    /// Of a key of the entity that `layout`, one of the plan's, is for. Events through `complete_since` are unknown.
    pub fn new(plan: &'a Plan, layout: &'a EntityLayout, complete_since: EventTime) -> Alone<'a> {
        Alone {
            plan,
            layout,
            watermark: EventTime(i64::MIN),
            entity: EntityHistory::of_one_key(layout, complete_since, Bounds::NONE),
            rows: vec![0; layout.offsets.len()],
            run_rows: Vec::new(),
        }
    }

    /// What its entity's features are made of.
    pub fn layout(&self) -> &'a EntityLayout {
        self.layout
    }

    /// The next key, which has so many events.
    pub fn begin(&mut self, events: usize) {
        self.watermark = EventTime(i64::MIN);
        self.entity.begin_another(self.layout, events.min(ROOM));
    }

    /// Moves the watermark to an event time that another key's event has.
    #[inline]
    pub fn reach(&mut self, watermark: EventTime) {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.entity.advance(self.layout, watermark.0);
        }
    }

    /// Takes a label of the key in.
    pub fn label(&mut self, label: &Labelled) {
        if !self.layout.frauds.is_empty() {
            self.entity.label(self.layout, KEY, label);
        }
    }

    /// Writes the features that a transaction of the key sees into their places of `row`, then folds it in.
    #[inline]
    pub fn take(&mut self, t: Event, row: &mut [f64]) -> Seen {
        let mut seen = Seen::default();
        if t.event_time.0 < self.watermark.0.saturating_sub(self.plan.lateness_us) {
            seen.lateness = Lateness::Beyond;
            features::unknown(self.layout, row, &mut seen.missing);
            return seen;
        }
        let (reading, holds_later) = self.entity.read(self.layout, KEY, t.event_time, &mut self.rows);
        if holds_later {
            seen.lateness = Lateness::Late;
        }
        features::windows(self.plan, self.layout, &reading, t, row, &mut seen);
        self.reach(t.event_time);
        if self.layout.kinds.contains(t.kind) {
            self.entity.fold(self.layout, KEY, t.event_time, t.kind, t.amount);
        }
        seen
    }

    /// The same of a run: events in order of time, before none of which another key's event was later. Takes as many as can be
    /// at once, and gives how many; none where the first has to be taken alone. `values` takes what each of these events sees,
    /// in the layout's order, and `incomplete` what is said of them, through the last of which there is anything
    /// to say.
    pub fn take_run(&mut self, events: &[Event], values: &mut Vec<f64>, incomplete: &mut Vec<FeatureSet>) -> usize {
        incomplete.clear();
        let Some(run) = self.entity.run(self.layout, KEY, events, &mut self.run_rows) else {
            return 0;
        };
        let taken = run.events().len();
        values.resize(taken * self.layout.features.len(), f64::NAN);
        features::run(self.plan, self.layout, &run, values, incomplete);
        self.reach(events[taken - 1].event_time);
        taken
    }
}

#[cfg(test)]
mod tests;
