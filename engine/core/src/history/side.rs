//! What few keys have beside their rows: frauds, events without an amount, tiles, and what left their rows.

use super::{extremes::Blocks, ring::Ring, tiles::Tiles};
use crate::plan::EntityLayout;

/// Event time of the oldest or the newest event that left a key's rows, of those that one filter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    /// There was none.
    Nothing,
    /// There may have been one before anything that is known.
    Unknown,
    /// It happened then.
    At(i64),
}

/// What left a key's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Past {
    pub oldest: Left,
    pub newest: Left,
}

impl Past {
    pub const NOTHING: Past = Past {
        oldest: Left::Nothing,
        newest: Left::Nothing,
    };
    /// Of a key that may have been there before and is forgotten.
    pub const UNKNOWN: Past = Past {
        oldest: Left::Unknown,
        newest: Left::Unknown,
    };

    /// An event leaves the rows: it is later than anything forgotten.
    pub fn leaves(&mut self, time: i64) {
        match self.oldest {
            Left::Nothing => self.oldest = Left::At(time),
            Left::Unknown => {}
            Left::At(oldest) => self.oldest = Left::At(oldest.min(time)),
        }
        match self.newest {
            Left::Nothing | Left::Unknown => self.newest = Left::At(time),
            Left::At(newest) => self.newest = Left::At(newest.max(time)),
        }
    }

    /// An event comes that has no row, being as old as what was evicted: what is forgotten may be later.
    pub fn comes_late(&mut self, time: i64) {
        if self.newest != Left::Unknown {
            self.leaves(time);
        }
    }
}

/// All of that.
#[derive(Clone, Debug)]
pub(super) struct Side {
    /// The first sum is of transaction ids, so that the difference of neighbours is a fraud's own; then one count a filter.
    pub frauds: Ring,
    /// Event time of the newest fraud that there ever was.
    pub newest_fraud: i64,
    /// Event times of rows without an amount, where they are not told by a column.
    pub blanks: Ring,
    pub tiles: Tiles,
    pub fraud_tiles: Tiles,
    /// By filter; empty until something left.
    pub past: Box<[Past]>,
    /// By filter; empty while there are few rows: a cache.
    pub blocks: Vec<Blocks>,
}

impl Side {
    pub fn new(layout: &EntityLayout) -> Side {
        Side {
            frauds: Ring::new(1 + layout.frauds.len()),
            newest_fraud: i64::MIN,
            blanks: Ring::new(0),
            tiles: Tiles::default(),
            fraud_tiles: Tiles::default(),
            past: Box::default(),
            blocks: Vec::new(),
        }
    }

    /// What left the rows, by filter.
    pub fn past_mut(&mut self, layout: &EntityLayout) -> &mut [Past] {
        if self.past.is_empty() {
            self.past = vec![Past::NOTHING; layout.evicted.len()].into();
        }
        &mut self.past
    }

    /// Whether there are events or frauds that are told apart no more.
    pub fn is_tiled(&self) -> bool {
        self.tiles.first().is_some() || self.fraud_tiles.first().is_some()
    }

    /// Whether it holds nothing, where the key's newest event is of that time.
    pub fn is_empty(&self, newest: i64) -> bool {
        self.frauds.is_empty()
            && self.newest_fraud <= newest
            && self.blanks.is_empty()
            && self.tiles.first().is_none()
            && self.fraud_tiles.first().is_none()
            && self.past.is_empty()
            && self.blocks.is_empty()
    }
}
