//! What one key's history says at one moment: counts, sums and times between the ends of windows, as integers.

use super::{
    extremes::{Blocks, Extremes, widest},
    ring::Ring,
    side::{Left, Side},
    tiles::{Tile, Tiles},
};
use crate::{
    plan::{Column, EntityLayout, WindowFeature, WindowOp},
    transaction::EventTime,
};

/// A key's history as of an event time; ends of windows are places in the layout's offsets.
pub(crate) struct Reading<'a> {
    pub(super) layout: &'a EntityLayout,
    pub(super) t: EventTime,
    /// Events with an event time through this one may be unknown; and those that were evicted.
    pub(super) since: i64,
    pub(super) evicted_through: i64,
    /// Whether anything is known of the key.
    pub(super) is_known: bool,
    /// `None` for a key that has no rows.
    pub(super) events: Option<&'a Ring>,
    /// The row at each of the layout's offsets.
    pub(super) rows: &'a [usize],
    /// `None` for a key that nothing rare is known of.
    pub(super) side: Option<&'a Side>,
}

/// When something happened, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(EventTime),
    Never,
    Unknown,
}

impl<'a> Reading<'a> {
    /// Events through a time may be unknown of this key.
    pub fn is_unknown_through(&mut self, through: EventTime) {
        self.since = self.since.max(through.0);
    }

    fn moment(&self, offset: usize) -> i64 {
        self.t.0.saturating_sub(self.layout.offsets[offset])
    }

    /// Whether a window begins at a time through which events may be unknown.
    pub fn is_incomplete(&self, window: &WindowFeature) -> bool {
        self.moment(window.begin) < self.since
    }

    /// Whether a window begins or ends within events that are told apart no more.
    pub fn is_approximate(&self, window: &WindowFeature) -> bool {
        let Some(side) = self.side else { return false };
        let cut = |tiles: &Tiles| tiles.is_cut_by(self.moment(window.begin), self.moment(window.end));
        match window.op {
            WindowOp::Risk { .. } => cut(&side.tiles) || cut(&side.fraud_tiles),
            WindowOp::Count(_) | WindowOp::Sum(_) | WindowOp::Mean { .. } | WindowOp::Min(_) | WindowOp::Max(_) => {
                cut(&side.tiles)
            }
            WindowOp::SinceLast(_) | WindowOp::SinceFirst(_) => false,
        }
    }

    fn tiles(&self, window: &WindowFeature) -> impl Iterator<Item = &'a Tile> {
        let (begin, end) = (self.moment(window.begin), self.moment(window.end));
        let tiles = self.side.map(|side| side.tiles.within(begin, end));
        tiles.into_iter().flatten()
    }

    /// Events in the window.
    pub fn count(&self, window: &WindowFeature, column: Column) -> i64 {
        let rows = (self.rows[window.end] - self.rows[window.begin]) as i64;
        let tiled = || self.tiles(window).map(|tile| tile.rows).sum::<i64>();
        match column {
            Column::Rows => rows + tiled(),
            Column::Given => rows + tiled() - self.blanks(window),
            Column::Prefix(column) => self.sum(window, column),
        }
    }

    /// Events without an amount in the window, where rows do not tell.
    fn blanks(&self, window: &WindowFeature) -> i64 {
        let Some(side) = self.side else { return 0 };
        let row = |offset| side.blanks.position(self.moment(offset), side.blanks.last());
        let rows = if side.blanks.is_empty() {
            0
        } else {
            row(window.end) - row(window.begin)
        };
        rows as i64 + self.tiles(window).map(|tile| tile.blanks).sum::<i64>()
    }

    /// What a column sums to in the window.
    pub fn sum(&self, window: &WindowFeature, column: usize) -> i64 {
        let rows = self.events.map_or(0, |ring| {
            ring.between(self.rows[window.begin], self.rows[window.end], column)
        });
        self.tiles(window)
            .fold(rows, |sum, tile| sum.wrapping_add(tile.sums[column]))
    }

    /// The smallest and the largest amount in the window.
    pub fn extremes(&self, window: &WindowFeature, place: usize) -> Extremes {
        let amounts = self.layout.extremes[place];
        let blocks = self.side.and_then(|side| side.blocks.get(place));
        let rows = self.events.and_then(|events| {
            let (begin, end) = (self.rows[window.begin], self.rows[window.end]);
            match blocks {
                Some(blocks) => blocks.between(events, amounts, begin, end),
                None => Blocks::NONE.between(events, amounts, begin, end),
            }
        });
        self.tiles(window)
            .fold(rows, |all, tile| widest(all, tile.extremes[place]))
    }

    /// Subjects in the window that are labelled fraud now.
    pub fn frauds(&self, window: &WindowFeature, filter: usize) -> i64 {
        let Some(side) = self.side else { return 0 };
        let (begin, end) = (self.moment(window.begin), self.moment(window.end));
        let row = |moment| side.frauds.position(moment, side.frauds.last());
        let rows = match side.frauds.is_empty() {
            true => 0,
            false => side.frauds.between(row(begin), row(end), 1 + filter),
        };
        let tiles = side.fraud_tiles.within(begin, end);
        tiles.fold(rows, |count, tile| count + tile.sums[filter])
    }

    /// Event time of the newest event that is not after the reading's.
    pub fn newest(&self, window: &WindowFeature, place: usize) -> When {
        if self.t.0 < self.evicted_through {
            return When::Unknown;
        }
        let found = self.events.and_then(|ring| {
            let row = self.rows[window.end];
            let row = match self.layout.evicted[place] {
                Column::Rows | Column::Given => (row > ring.base()).then_some(row),
                Column::Prefix(column) => {
                    let count = ring.between(ring.base(), row, column);
                    (count > 0).then(|| ring.nth(column, count))
                }
            };
            row.map(|row| ring.time(row))
        });
        match (found, self.left(place, |past| past.newest)) {
            (Some(time), _) => When::At(EventTime(time)),
            // It is in a tile, and how late is not known.
            (None, _) if self.side.is_some_and(|side| self.t.0 < side.tiles.through()) => When::Unknown,
            (None, Left::At(time)) => When::At(EventTime(time)),
            (None, Left::Unknown) => When::Unknown,
            (None, Left::Nothing) => When::Never,
        }
    }

    /// Event time of the oldest event that is not after the reading's.
    pub fn oldest(&self, window: &WindowFeature, place: usize) -> When {
        if self.t.0 < self.evicted_through {
            return When::Unknown;
        }
        match self.left(place, |past| past.oldest) {
            Left::Unknown => return When::Unknown,
            // What left the rows is older than all of them.
            Left::At(time) if time <= self.t.0 => return When::At(EventTime(time)),
            Left::At(_) => return When::Never,
            Left::Nothing => {}
        }
        let found = self.events.and_then(|ring| {
            let row = self.rows[window.end];
            let row = match self.layout.evicted[place] {
                Column::Rows | Column::Given => (row > ring.base()).then_some(ring.base() + 1),
                Column::Prefix(column) => (ring.between(ring.base(), row, column) > 0).then(|| ring.nth(column, 1)),
            };
            row.map(|row| ring.time(row))
        });
        found.map_or(When::Never, |time| When::At(EventTime(time)))
    }

    /// What is known of what left the rows. Of a key that is not there nothing is known once anything was evicted.
    fn left(&self, place: usize, which: impl Fn(&super::side::Past) -> Left) -> Left {
        match self.side.and_then(|side| side.past.get(place)) {
            Some(past) => which(past),
            None if !self.is_known && self.evicted_through > i64::MIN => Left::Unknown,
            None => Left::Nothing,
        }
    }
}
