//! What a very active key did before its rows: tiles, each the sum of some events that are told apart no more.
//!
//! A tile counts at the time of its newest event. So a window is exact unless it begins or ends within a tile; then what it
//! gives is approximate, and says so.

use super::extremes::{Extremes, widest};

/// Some events of one key, or some frauds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tile {
    pub oldest: i64,
    pub newest: i64,
    pub rows: i64,
    /// How many of them have no amount.
    pub blanks: i64,
    /// By column.
    pub sums: Box<[i64]>,
    /// By the layout's extremes.
    pub extremes: Box<[Extremes]>,
}

impl Tile {
    /// One that no event is in yet.
    pub fn nothing(time: i64, sums: usize, extremes: usize) -> Tile {
        Tile {
            oldest: time,
            newest: time,
            rows: 0,
            blanks: 0,
            sums: vec![0; sums].into(),
            extremes: vec![None; extremes].into(),
        }
    }

    /// Takes another's events in.
    pub fn join(&mut self, other: &Tile) {
        self.oldest = self.oldest.min(other.oldest);
        self.newest = self.newest.max(other.newest);
        self.rows += other.rows;
        self.blanks += other.blanks;
        for (sum, more) in self.sums.iter_mut().zip(&other.sums) {
            *sum = sum.wrapping_add(*more);
        }
        for (extremes, others) in self.extremes.iter_mut().zip(&other.extremes) {
            *extremes = widest(*extremes, *others);
        }
    }

    fn is_cut_at(&self, bound: i64) -> bool {
        self.oldest <= bound && bound < self.newest
    }
}

/// The tiles of one key, in order of time. They do not overlap.
#[derive(Clone, Debug, Default)]
pub(super) struct Tiles(Vec<Tile>);

impl Tiles {
    /// Through when events are in tiles: rows are of this time or later. The least there is without a tile.
    pub fn through(&self) -> i64 {
        self.0.last().map_or(i64::MIN, |tile| tile.newest)
    }

    /// The first moment at which a tile dies.
    pub fn first(&self) -> Option<i64> {
        self.0.first().map(|tile| tile.newest)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Tile> {
        self.0.iter()
    }

    /// Takes the rows of the oldest moment in, as a tile; `now` is the time of its key's newest event. Beyond `most` tiles, those two
    /// neighbours become one that are closest for their age. Gives when the older of those counted.
    pub fn push(&mut self, tile: Tile, most: usize, now: i64) -> Option<i64> {
        self.0.push(tile);
        if self.0.len() <= most {
            return None;
        }
        let closeness = |pair: &[Tile]| (pair[1].newest - pair[0].oldest) as f64 / (now - pair[0].oldest + 1) as f64;
        let pairs = self.0.windows(2).map(closeness).enumerate();
        let closest = pairs.min_by(|(_, one), (_, other)| one.total_cmp(other));
        let (place, _) = closest?;
        let older = self.0.remove(place);
        self.0[place].join(&older);
        Some(older.newest)
    }

    /// Takes an event in that came after those of its time became tiles: into the first tile that counts no earlier.
    pub fn join(&mut self, tile: &Tile) {
        if let Some(at) = self.0.iter_mut().find(|at| at.newest >= tile.newest) {
            at.join(tile);
        }
    }

    /// Drops what counts no later than `through`.
    pub fn trim(&mut self, through: i64) {
        let dead = self.0.partition_point(|tile| tile.newest <= through);
        self.0.drain(..dead);
    }

    /// Takes a tile back; they come in order.
    pub fn restore(&mut self, tile: Tile) {
        self.0.push(tile);
    }

    /// The tiles that count in a window.
    pub fn within(&self, begin: i64, end: i64) -> impl Iterator<Item = &Tile> {
        self.0
            .iter()
            .filter(move |tile| begin < tile.newest && tile.newest <= end)
    }

    /// Whether a window begins or ends within a tile.
    pub fn is_cut_by(&self, begin: i64, end: i64) -> bool {
        self.0.iter().any(|tile| tile.is_cut_at(begin) || tile.is_cut_at(end))
    }
}
