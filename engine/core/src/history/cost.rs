//! What state costs, in bytes that are counted by its logic and never measured: the same inputs cost the same anywhere. A
//! charge is more than what is taken of real memory for it, at any time and with all slack; a test holds the two together
//! by counting allocations.

use super::{extremes::Extremes, head::Head, side::Side, tiles::Tile};
use crate::plan::EntityLayout;

/// Bytes that things of one entity are counted with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Costs {
    /// A key, with room for a few rows.
    pub key: i64,
    /// An event with a row of its own.
    pub row: i64,
    /// More, for an event without an amount.
    pub blank: i64,
    /// A fraud.
    pub fraud: i64,
    /// A tile of events.
    pub tile: i64,
    /// A tile of frauds.
    pub fraud_tile: i64,
}

/// Bytes of the place of a key in the index, at the lowest load.
const INDEX: i64 = 32;
/// A ring's buffer grows to the next of four sizes that an octave has, and an eighth of it may be dead: a half more than
/// what is live.
const A_CELL: i64 = 12;
/// Rows that a small ring has room for beside those.
const SPARE_ROWS: i64 = 4;

impl Costs {
    pub(super) fn of(layout: &EntityLayout) -> Costs {
        let size = |bytes: usize| bytes as i64;
        let (cells, sums) = (1 + layout.measures.len(), size(layout.measures.len()));
        let (fraud_cells, filters) = (2 + layout.frauds.len(), size(layout.frauds.len()));
        let side = size(size_of::<Side>());
        let past = size(layout.evicted.len() * size_of::<super::side::Past>());
        let extremes = size(layout.extremes.len());
        let ring = |cells: usize| 8 * SPARE_ROWS * cells as i64;
        let tile = size(size_of::<Tile>()) * 3 / 2;
        Costs {
            key: size(size_of::<Head>()) + INDEX + ring(cells) + if past > 0 { side + past } else { 0 },
            // Extremes are kept of every 64 rows.
            row: A_CELL * cells as i64 + 4 * extremes,
            blank: side + A_CELL + ring(1),
            fraud: side + A_CELL * fraud_cells as i64 + ring(fraud_cells),
            tile: side + tile + 8 * sums + size(size_of::<Extremes>()) * extremes,
            fraud_tile: side + tile + 8 * filters,
        }
    }
}
