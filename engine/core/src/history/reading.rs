//! What one key's history says at one moment: counts, sums and times between the ends of windows, as integers.

use super::{
    extremes::{Blocks, Extremes, widest},
    head::Head,
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
    layout: &'a EntityLayout,
    t: EventTime,
    /// Events with an event time through this one may be unknown; and those that were evicted.
    since: i64,
    evicted_through: i64,
    /// Whether a window of this entity may begin before that: most often none does.
    reaches_back: bool,
    /// Whether anything is known of the key.
    is_known: bool,
    /// `None` for a key that has no rows.
    events: Option<&'a Ring>,
    /// The row at each of the layout's offsets.
    rows: &'a [usize],
    /// `None` for a key that nothing rare is known of.
    side: Option<&'a Side>,
    /// The same, of a key that has tiles.
    tiled: Option<&'a Side>,
}

/// When something happened, as far as that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    At(EventTime),
    Never,
    Unknown,
}

impl<'a> Reading<'a> {
    /// What a key's history says as of `t`; `rows` are those at the layout's offsets.
    #[inline]
    pub(super) fn new(
        layout: &'a EntityLayout,
        t: EventTime,
        since: i64,
        evicted_through: i64,
        rows: &'a [usize],
        head: Option<&'a Head>,
    ) -> Reading<'a> {
        let side = head.and_then(|head| head.side.as_deref());
        let mut reading = Reading {
            layout,
            t,
            since,
            evicted_through,
            reaches_back: false,
            is_known: head.is_some(),
            events: head.map(|head| &head.events).filter(|events| !events.is_empty()),
            rows,
            side,
            tiled: side.filter(|side| side.is_tiled()),
        };
        reading.is_unknown_through(EventTime(since));
        reading
    }

    /// Events through a time may be unknown of this key.
    #[inline]
    pub fn is_unknown_through(&mut self, through: EventTime) {
        self.since = self.since.max(through.0);
        // No window is longer than events are kept.
        self.reaches_back = self.t.0.saturating_sub(self.layout.retention_us) < self.since;
    }

    /// What it says at another time, with rows at the layout's offsets of its own. Of a key without tiles; whether any window
    /// reaches back is not looked at, so one may.
    #[inline(always)]
    pub(super) fn moved(&self, t: EventTime, rows: &'a [usize]) -> Reading<'a> {
        Reading {
            t,
            rows,
            reaches_back: true,
            tiled: None,
            ..*self
        }
    }

    fn moment(&self, offset: usize) -> i64 {
        self.t.0.saturating_sub(self.layout.offsets[offset])
    }

    /// Whether any window may begin at a time through which events may be unknown.
    #[inline]
    pub fn reaches_back(&self) -> bool {
        self.reaches_back
    }

    /// Whether a window does.
    pub fn is_incomplete(&self, window: &WindowFeature) -> bool {
        self.moment(window.begin) < self.since
    }

    /// Whether there are events that are told apart no more.
    #[inline]
    pub fn is_tiled(&self) -> bool {
        self.tiled.is_some()
    }

    /// Whether a window begins or ends within them.
    pub fn is_approximate(&self, window: &WindowFeature) -> bool {
        let Some(side) = self.tiled else { return false };
        let cut = |tiles: &Tiles| tiles.is_cut_by(self.moment(window.begin), self.moment(window.end));
        match window.op {
            WindowOp::Risk { .. } => cut(&side.tiles) || cut(&side.fraud_tiles),
            WindowOp::Count(_) | WindowOp::Sum(_) | WindowOp::Mean { .. } | WindowOp::Min(_) | WindowOp::Max(_) => {
                cut(&side.tiles)
            }
            WindowOp::SinceLast(_) | WindowOp::SinceFirst(_) => false,
        }
    }

    fn tiles(&self, window: &WindowFeature, side: &'a Side) -> impl Iterator<Item = &'a Tile> {
        side.tiles.within(self.moment(window.begin), self.moment(window.end))
    }

    /// Events in the window.
    #[inline(always)]
    pub fn count(&self, window: &WindowFeature, column: Column) -> i64 {
        match column {
            Column::Rows => self.events_in(window),
            Column::Given => self.events_in(window) - self.side.map_or(0, |side| self.blanks(window, side)),
            Column::Prefix(column) => self.sum(window, column),
        }
    }

    #[inline]
    fn events_in(&self, window: &WindowFeature) -> i64 {
        let rows = (self.rows[window.end] - self.rows[window.begin]) as i64;
        match self.tiled {
            None => rows,
            Some(side) => self.join_tiles(window, side, rows, |rows, tile| rows + tile.rows),
        }
    }

    /// What tiles add to what rows gave. Out of line, as what follows it: few keys have them, and every window passes here.
    #[cold]
    #[inline(never)]
    fn join_tiles<T>(&self, window: &WindowFeature, side: &'a Side, rows: T, join: impl Fn(T, &Tile) -> T) -> T {
        self.tiles(window, side).fold(rows, join)
    }

    /// Events without an amount in the window, where rows do not tell.
    #[cold]
    #[inline(never)]
    fn blanks(&self, window: &WindowFeature, side: &'a Side) -> i64 {
        let row = |offset| side.blanks.position(self.moment(offset), side.blanks.last());
        let rows = if side.blanks.is_empty() {
            0
        } else {
            row(window.end) - row(window.begin)
        };
        rows as i64 + self.tiles(window, side).map(|tile| tile.blanks).sum::<i64>()
    }

    /// What a column sums to in the window.
    #[inline]
    pub fn sum(&self, window: &WindowFeature, column: usize) -> i64 {
        let rows = self.events.map_or(0, |ring| {
            ring.between(self.rows[window.begin], self.rows[window.end], column)
        });
        match self.tiled {
            None => rows,
            Some(side) => self.join_tiles(window, side, rows, |sum, tile| sum.wrapping_add(tile.sums[column])),
        }
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
        match self.tiled {
            None => rows,
            Some(side) => self.join_tiles(window, side, rows, |all, tile| widest(all, tile.extremes[place])),
        }
    }

    /// Subjects in the window that are labelled fraud now.
    #[inline]
    pub fn frauds(&self, window: &WindowFeature, filter: usize) -> i64 {
        self.side.map_or(0, |side| self.frauds_beside(window, side, filter))
    }

    #[inline(never)]
    fn frauds_beside(&self, window: &WindowFeature, side: &'a Side, filter: usize) -> i64 {
        let (begin, end) = (self.moment(window.begin), self.moment(window.end));
        let row = |moment| side.frauds.position(moment, side.frauds.last());
        let rows = match side.frauds.is_empty() {
            true => 0,
            false => side.frauds.between(row(begin), row(end), 1 + filter),
        };
        self.tiled.map_or(rows, |side| {
            let tiles = side.fraud_tiles.within(begin, end);
            tiles.fold(rows, |count, tile| count + tile.sums[filter])
        })
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
