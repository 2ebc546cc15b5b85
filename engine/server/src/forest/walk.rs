//! The walk: every split is asked of many rows at once, and no row ever waits for the one before it.
//!
//! A tree has at most 32 leaves, numbered from the left, and a row begins with all of them. A split that sends it right
//! strikes out the leaves on its left; the first that is left, after all splits, is where the row ends. So there is no
//! branch and no pointer: a comparison and two operations on bits, for as many rows as a register holds. Leaves are then
//! added tree by tree in float32, as ONNX Runtime adds them.
//! Source: Lucchese et al. 2015 (QuickScorer, SIGIR) and 2016 (its vectors of rows).

use fraudgate_core::model::{Forest, ForestFailure, Runner};

use super::{
    check_rows,
    graph::{Ensemble, Node, Tree, Unwalkable},
    lone::Lone,
    wide::{self, Splits, Wide},
};

/// Leaves of a tree at most: a bit each.
pub const LEAVES: usize = 32;

/// Rows that are walked together at most, where registers are not wide.
const ROWS: usize = 16;

/// A forest that is walked.
pub struct Walker {
    features: usize,
    /// Of all trees.
    splits: Vec<Strike>,
    /// For each tree, where its splits end.
    ends: Vec<usize>,
    /// For each tree, what its leaves add, from the left.
    leaves: Vec<[f32; LEAVES]>,
    base: f32,
    /// The same splits, for a row that comes alone.
    lone: Lone,
    wide: Option<Wide>,
    /// The rows under way, column by column; see [`Walker::turn`].
    columns: Vec<f32>,
}

/// A split: what is left where `x <= threshold` does not hold.
pub struct Strike {
    pub column: u32,
    pub threshold: f32,
    pub left_out: u32,
}

impl Walker {
    /// A walker over rows of so many features.
    pub fn new(ensemble: &Ensemble, features: usize) -> Result<Walker, Unwalkable> {
        let mut walker = Walker {
            features,
            splits: Vec::new(),
            ends: Vec::new(),
            leaves: Vec::new(),
            base: ensemble.base,
            lone: Lone::default(),
            wide: Wide::found(),
            columns: vec![0.0; 2 * features * wide::ROWS],
        };
        for (number, tree) in ensemble.trees.iter().enumerate() {
            let leaves = tree.0.len() - tree.splits().count();
            if leaves > LEAVES {
                return Err(Unwalkable(format!(
                    "tree {number} has {leaves} leaves, more than {LEAVES}"
                )));
            }
            let mut weights = [0.0; LEAVES];
            walker.strike(tree, 0, &mut weights, &mut 0);
            walker.leaves.push(weights);
            walker.ends.push(walker.splits.len());
        }
        let begins = [0].into_iter().chain(walker.ends.iter().copied());
        let trees = begins.zip(&walker.ends).map(|(begin, &end)| &walker.splits[begin..end]);
        walker.lone = Lone::new(trees);
        Ok(walker)
    }

    /// The same on a machine whose registers are not wide.
    #[cfg(test)]
    pub fn narrow(self) -> Walker {
        Walker { wide: None, ..self }
    }

    /// Takes in the splits under a node and its leaves, which are numbered from `next`, and gives the bits of these.
    fn strike(&mut self, tree: &Tree, node: usize, weights: &mut [f32; LEAVES], next: &mut usize) -> u32 {
        let split = match &tree.0[node] {
            Node::Split(split) => split,
            Node::Leaf(weight) => {
                weights[*next] = *weight;
                *next += 1;
                return 1 << (*next - 1);
            }
        };
        // See `turn`.
        let column = split.feature + if split.missing_left { self.features } else { 0 };
        let left = self.strike(tree, split.left, weights, next);
        let right = self.strike(tree, split.right, weights, next);
        self.splits.push(Strike {
            column: column as u32,
            threshold: split.threshold,
            left_out: !left,
        });
        left | right
    }

    /// Lays at most `R` rows out by column. Each feature has two: in one a missing value stays NaN, which no comparison
    /// holds for, so that it goes right; in the other it is minus infinity, and goes left.
    fn turn<const R: usize>(&mut self, rows: &[f32]) {
        let (columns, _) = self.columns.as_chunks_mut::<R>();
        let (right, left) = columns.split_at_mut(self.features);
        for (r, row) in rows.chunks_exact(self.features).enumerate() {
            for ((&x, right), left) in row.iter().zip(&mut *right).zip(&mut *left) {
                right[r] = x;
                left[r] = if x.is_nan() { f32::NEG_INFINITY } else { x };
            }
        }
    }

    /// Scores at most `R` rows. What stands beside them is of rows before, and is not looked at.
    fn walk<const R: usize>(&mut self, rows: &[f32], log_odds: &mut Vec<f32>) {
        self.turn::<R>(rows);
        let (columns, _) = self.columns.as_chunks::<R>();
        let mut sums = [0.0_f32; R];
        let mut from = 0;
        for (&end, weights) in self.ends.iter().zip(&self.leaves) {
            let mut leaves = [u32::MAX; R];
            for split in &self.splits[from..end] {
                let column = &columns[split.column as usize];
                for (leaves, x) in leaves.iter_mut().zip(column) {
                    let goes_left = u32::from(*x <= split.threshold).wrapping_neg();
                    *leaves &= goes_left | split.left_out;
                }
            }
            from = end;
            let first = leaves.map(first_bit);
            for (sum, first) in sums.iter_mut().zip(first) {
                *sum += weights[first % LEAVES];
            }
        }
        self.based(&sums, rows, log_odds);
    }

    /// The same on wide registers, `V` of them, for at most `R` rows.
    fn walk_wide<const V: usize, const R: usize>(&mut self, wide: Wide, rows: &[f32], log_odds: &mut Vec<f32>) {
        self.turn::<R>(rows);
        let forest = Splits {
            splits: &self.splits,
            ends: &self.ends,
            leaves: &self.leaves,
        };
        let sums = wide.walk::<V>(forest, &self.columns);
        self.based(sums.as_flattened(), rows, log_odds);
    }

    /// The scores of these rows, whose sums stand first.
    fn based(&self, sums: &[f32], rows: &[f32], log_odds: &mut Vec<f32>) {
        let scored = rows.len() / self.features;
        log_odds.extend(sums[..scored].iter().map(|sum| sum + self.base));
    }
}

/// The number of the lowest bit that is set. It is the exponent of that bit as a float: registers of many rows can do that,
/// and cannot count zeros.
pub fn first_bit(bits: u32) -> usize {
    let lowest = bits & bits.wrapping_neg();
    // The highest bit comes out negative, with the same exponent.
    let exponent = (lowest as i32 as f32).to_bits() >> 23 & 0xff;
    exponent.wrapping_sub(127) as usize
}

impl Forest for Walker {
    fn score(&mut self, rows: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure> {
        check_rows(rows, n, self.features)?;
        log_odds.reserve(n);
        let most = if self.wide.is_some() { wide::ROWS } else { ROWS };
        for piece in rows.chunks(most * self.features) {
            match (piece.len() / self.features, self.wide) {
                (..=2, _) => {
                    for row in piece.chunks_exact(self.features) {
                        self.turn::<1>(row);
                        let columns = &self.columns[..2 * self.features];
                        log_odds.push(self.lone.walk(columns, &self.leaves) + self.base);
                    }
                }
                (3..=4, _) => self.walk::<4>(piece, log_odds),
                (5..=8, None) => self.walk::<8>(piece, log_odds),
                (9.., None) => self.walk::<ROWS>(piece, log_odds),
                (5..=16, Some(wide)) => self.walk_wide::<1, 16>(wide, piece, log_odds),
                (17..=32, Some(wide)) => self.walk_wide::<2, 32>(wide, piece, log_odds),
                (33.., Some(wide)) => self.walk_wide::<4, { wide::ROWS }>(wide, piece, log_odds),
            }
        }
        Ok(())
    }

    fn runner(&self) -> Runner {
        Runner::Walker
    }
}
