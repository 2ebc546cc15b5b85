//! Proves, each time a model is loaded, that the walk gives the bits that ONNX Runtime gives.

use std::ops::RangeInclusive;

use fraudgate_core::model::{Forest, ForestFailure, ModelError};

use super::{
    graph::{Ensemble, Node, Split, Tree},
    onnx::ROWS,
};

/// Rows that are made for no split.
const DRAWN: usize = 2_048;
/// Splits that rows are made for: all of a student's.
const SPLITS: usize = 4_096;

/// Scores rows by both: whatever differs in a bit is an error. The rows are the same every time. Some hold values on and
/// beside any threshold of their features, missing ones, infinities and zeros; and for each split there are some that come
/// to it, with its threshold, the next float32 above it, nothing, and in turn one of the others.
pub fn agree(
    ensemble: &Ensemble,
    features: usize,
    reference: &mut dyn Forest,
    walker: &mut dyn Forest,
) -> Result<(), ModelError> {
    let rows = Telling::new(ensemble, features).rows();
    let expected = scored(reference, &rows, features, ROWS..=ROWS)?;
    // Alone, and among others of every number: a row must not see those beside it.
    for sizes in [1..=1, 3..=66] {
        let walked = scored(walker, &rows, features, sizes)?;
        if walked.len() != expected.len() {
            return Err(ModelError(format!(
                "{} rows have {} scores",
                expected.len(),
                walked.len()
            )));
        }
        let differ = |(expected, walked): (&f32, &f32)| expected.to_bits() != walked.to_bits();
        if let Some(row) = expected.iter().zip(&walked).position(differ) {
            return Err(ModelError(format!(
                "the engine's walk and ONNX Runtime score the same row differently, so it is not served: {} and {} for {:?}",
                walked[row],
                expected[row],
                &rows[row * features..(row + 1) * features]
            )));
        }
    }
    Ok(())
}

/// Scores rows in runs of these sizes, in turn.
fn scored(
    forest: &mut dyn Forest,
    rows: &[f32],
    features: usize,
    sizes: RangeInclusive<usize>,
) -> Result<Vec<f32>, ModelError> {
    let mut log_odds = Vec::new();
    let mut left = rows;
    for size in sizes.cycle() {
        let (run, rest) = left.split_at(left.len().min(size * features));
        forest
            .score(run, run.len() / features, &mut log_odds)
            .map_err(|ForestFailure(why)| ModelError(format!("it does not run: {why}")))?;
        left = rest;
        if left.is_empty() {
            break;
        }
    }
    Ok(log_odds)
}

/// What rows are made of.
struct Telling<'a> {
    ensemble: &'a Ensemble,
    /// By feature.
    thresholds: Vec<Vec<f32>>,
}

impl<'a> Telling<'a> {
    /// Of a forest of rows of so many features.
    fn new(ensemble: &'a Ensemble, features: usize) -> Telling<'a> {
        let mut thresholds = vec![Vec::new(); features];
        for split in ensemble.trees.iter().flat_map(Tree::splits) {
            thresholds[split.feature].push(split.threshold);
        }
        Telling { ensemble, thresholds }
    }

    /// The rows, one behind the other.
    fn rows(&self) -> Vec<f32> {
        let mut draw = Draw(1);
        let mut rows: Vec<f32> = (0..DRAWN).flat_map(|_| self.row(&mut draw)).collect();
        let splits: usize = self.ensemble.trees.iter().map(|tree| tree.splits().count()).sum();
        let step = splits.div_ceil(SPLITS).max(1);
        let all = self.ensemble.trees.iter().flat_map(paths);
        for (path, split) in all.step_by(step) {
            let mut row = self.row(&mut draw);
            for &(above, left) in &path {
                lead(&mut row, above, left);
            }
            let t = split.threshold;
            let other = [t.next_down(), f32::INFINITY, f32::NEG_INFINITY, 0.0, -0.0];
            for x in [t, t.next_up(), f32::NAN, other[draw.below(other.len())]] {
                row[split.feature] = x;
                rows.extend_from_slice(&row);
            }
        }
        rows
    }

    fn row(&self, draw: &mut Draw) -> Vec<f32> {
        let value = |thresholds: &Vec<f32>| {
            let near = match thresholds.len() {
                0 => 1.0,
                count => thresholds[draw.below(count)],
            };
            match draw.below(16) {
                0 | 1 => f32::NAN,
                2 => f32::INFINITY,
                3 => f32::NEG_INFINITY,
                4 => 0.0,
                5 => -0.0,
                6..=8 => near.next_down(),
                9..=11 => near.next_up(),
                12 => near * 1.5,
                _ => near,
            }
        };
        self.thresholds.iter().map(value).collect()
    }
}

/// Each split of a tree, with those above it and whether the way to it is their left.
fn paths(tree: &Tree) -> Vec<(Vec<(&Split, bool)>, &Split)> {
    let mut found = Vec::new();
    let mut stack = vec![(0, Vec::new())];
    while let Some((at, path)) = stack.pop() {
        let Node::Split(split) = &tree.0[at] else { continue };
        for (child, left) in [(split.left, true), (split.right, false)] {
            let mut below: Vec<(&Split, bool)> = path.clone();
            below.push((split, left));
            stack.push((child, below));
        }
        found.push((path, split));
    }
    found
}

/// Changes a row so that a split sends it to one side, where a value can.
fn lead(row: &mut [f32], split: &Split, left: bool) {
    let x = &mut row[split.feature];
    let beside = if left {
        split.threshold
    } else {
        split.threshold.next_up()
    };
    if split.goes_left(*x) != left {
        *x = if split.goes_left(beside) == left {
            beside
        } else {
            f32::NAN
        };
    }
}

/// Numbers that are the same every time: SplitMix64 (Steele, Lea, Flood 2014).
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % bound as u64) as usize
    }
}
