//! What one key's history says at one moment: counts, sums and times between the ends of windows, as integers.

use super::{
    entity::Evicted,
    extremes::{Blocks, Extremes},
    ring::Ring,
};
use crate::{
    plan::{Column, EntityLayout, WindowFeature},
    transaction::EventTime,
};

/// A key's history as of an event time; ends of windows are places in the layout's offsets.
pub(crate) struct Reading<'a> {
    pub(super) layout: &'a EntityLayout,
    pub(super) t: EventTime,
    pub(super) since: EventTime,
    /// `None` for a key that nothing was folded into.
    pub(super) events: Option<&'a Ring>,
    /// The row at each of the layout's offsets.
    pub(super) rows: &'a [usize],
    /// `None` for a key that has no fraud.
    pub(super) frauds: Option<&'a Ring>,
    pub(super) evicted: &'a [Option<Evicted>],
    pub(super) blocks: &'a [Blocks],
}

impl Reading<'_> {
    /// Events through a time may be unknown of this key.
    pub fn is_unknown_through(&mut self, through: EventTime) {
        self.since = self.since.max(through);
    }

    /// Whether a window begins at a time through which events may be unknown.
    pub fn is_incomplete(&self, window: &WindowFeature) -> bool {
        self.t.0.saturating_sub(self.layout.offsets[window.begin]) < self.since.0
    }

    /// Events in the window.
    pub fn count(&self, window: &WindowFeature, column: Column) -> i64 {
        match column {
            Column::Rows => (self.rows[window.end] - self.rows[window.begin]) as i64,
            Column::Prefix(column) => self.sum(window, column),
        }
    }

    /// What a column sums to in the window.
    pub fn sum(&self, window: &WindowFeature, column: usize) -> i64 {
        self.events.map_or(0, |ring| {
            ring.between(self.rows[window.begin], self.rows[window.end], column)
        })
    }

    /// The smallest and the largest amount in the window.
    pub fn extremes(&self, window: &WindowFeature, place: usize) -> Extremes {
        let events = self.events?;
        let amounts = self.layout.extremes[place];
        self.blocks[place].between(events, amounts, self.rows[window.begin], self.rows[window.end])
    }

    /// Subjects in the window that are labelled fraud now.
    pub fn frauds(&self, window: &WindowFeature, filter: usize) -> i64 {
        self.frauds.map_or(0, |frauds| {
            let row =
                |offset: usize| frauds.position(self.t.0.saturating_sub(self.layout.offsets[offset]), frauds.last());
            frauds.between(row(window.begin), row(window.end), 1 + filter)
        })
    }

    /// Event time of the newest event that is not after the reading's.
    pub fn newest(&self, window: &WindowFeature, place: usize) -> Option<EventTime> {
        let ring = self.events?;
        let row = self.rows[window.end];
        let found = match self.layout.evicted[place] {
            Column::Rows => (row > ring.base()).then_some(row),
            Column::Prefix(column) => {
                let count = ring.between(ring.base(), row, column);
                (count > 0).then(|| ring.nth(column, count))
            }
        };
        found
            .map(|row| ring.time(row))
            .or_else(|| self.evicted[place].map(|evicted| evicted.newest))
            .map(EventTime)
    }

    /// Event time of the oldest event that is not after the reading's.
    pub fn oldest(&self, window: &WindowFeature, place: usize) -> Option<EventTime> {
        let ring = self.events?;
        let row = self.rows[window.end];
        // What was evicted is older than whatever may still come.
        if let Some(evicted) = self.evicted[place] {
            return Some(EventTime(evicted.oldest));
        }
        let found = match self.layout.evicted[place] {
            Column::Rows => (row > ring.base()).then_some(ring.base() + 1),
            Column::Prefix(column) => (ring.between(ring.base(), row, column) > 0).then(|| ring.nth(column, 1)),
        };
        found.map(|row| EventTime(ring.time(row)))
    }
}
