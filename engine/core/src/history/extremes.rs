//! Smallest and largest amounts between two rows, which sums cannot tell.
//!
//! Rows are looked through one by one, but for whole blocks of 64 the answer is kept: a key with ten thousand live events
//! costs about 160 summaries and two broken blocks. A summary is a cache of the rows and no state of its own.

use super::ring::Ring;
use crate::plan::Amounts;

const ROWS_A_BLOCK: usize = 64;

/// The smallest and the largest amount of some rows; `None` when none of them has one.
pub(super) type Extremes = Option<(i64, i64)>;

/// Extremes of each whole block of a ring's buffer, for one filter. Without any, rows are looked through.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks(Vec<Extremes>);

impl Blocks {
    /// Those of a ring that has none.
    pub const NONE: Blocks = Blocks(Vec::new());

    /// Whether a ring has a whole block.
    pub fn are_worth_it(ring: &Ring) -> bool {
        ring.last() + 1 >= ROWS_A_BLOCK
    }

    /// Brings the summaries up to date after a row was put in at `row`; with 0 all are made anew.
    pub fn refresh(&mut self, ring: &Ring, amounts: Amounts, row: usize) {
        self.0.truncate(row / ROWS_A_BLOCK);
        while (self.0.len() + 1) * ROWS_A_BLOCK <= ring.last() + 1 {
            let start = self.0.len() * ROWS_A_BLOCK;
            // Row 0 is dead and has no row before it; no window ever takes in its whole block.
            self.0.push(scan(ring, amounts, start.max(1)..start + ROWS_A_BLOCK));
        }
    }

    /// The extremes of the rows after `begin` through `end`.
    pub fn between(&self, ring: &Ring, amounts: Amounts, begin: usize, end: usize) -> Extremes {
        let (start, stop) = (begin + 1, end + 1);
        let (first, past) = (start.div_ceil(ROWS_A_BLOCK), stop / ROWS_A_BLOCK);
        if first >= past {
            return scan(ring, amounts, start..stop);
        }
        let whole = self.0[first..past].iter().fold(None, |all, &block| widest(all, block));
        let before = scan(ring, amounts, start..first * ROWS_A_BLOCK);
        let after = scan(ring, amounts, past * ROWS_A_BLOCK..stop);
        widest(widest(before, whole), after)
    }
}

fn scan(ring: &Ring, amounts: Amounts, rows: std::ops::Range<usize>) -> Extremes {
    rows.filter(|&row| ring.own(row, amounts.present) != 0)
        .fold(None, |all, row| {
            let amount = ring.own(row, amounts.sum);
            widest(all, Some((amount, amount)))
        })
}

pub(super) fn widest(one: Extremes, other: Extremes) -> Extremes {
    match (one, other) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (some, None) | (None, some) => some,
    }
}
