//! The walk of a lone row: there are no rows to stand side by side, so trees do.

use super::walk::{LEAVES, Strike, first_bit};

/// Trees that are walked together.
const TREES: usize = 8;

/// A forest's splits, the first of eight trees, the second of them, and so on; then those of the next eight.
#[derive(Default)]
pub struct Lone {
    steps: Vec<Step>,
    /// For each eight trees, where their steps end.
    ends: Vec<usize>,
}

/// A split of each of eight trees.
struct Step {
    column: [u32; TREES],
    threshold: [f32; TREES],
    left_out: [u32; TREES],
}

impl Step {
    /// For trees that have no more splits: it leaves all leaves in.
    const NOTHING: Step = Step {
        column: [0; TREES],
        threshold: [0.0; TREES],
        left_out: [u32::MAX; TREES],
    };
}

impl Lone {
    /// Of each tree's splits.
    pub fn new<'a>(trees: impl Iterator<Item = &'a [Strike]>) -> Lone {
        let trees: Vec<&[Strike]> = trees.collect();
        let mut lone = Lone::default();
        for together in trees.chunks(TREES) {
            let longest = together.iter().map(|splits| splits.len()).max().unwrap_or(0);
            let first = lone.steps.len();
            lone.steps.extend((0..longest).map(|_| Step::NOTHING));
            for (tree, splits) in together.iter().enumerate() {
                for (step, split) in lone.steps[first..].iter_mut().zip(*splits) {
                    step.column[tree] = split.column;
                    step.threshold[tree] = split.threshold;
                    step.left_out[tree] = split.left_out;
                }
            }
            lone.ends.push(lone.steps.len());
        }
        lone
    }

    /// The sum of a row's leaves, tree by tree. `columns` holds the row as the walk of many does, see `Walker::turn`.
    pub fn walk(&self, columns: &[f32], weights: &[[f32; LEAVES]]) -> f32 {
        let mut sum = 0.0;
        let mut from = 0;
        for (&end, weights) in self.ends.iter().zip(weights.chunks(TREES)) {
            let mut leaves = [u32::MAX; TREES];
            for step in &self.steps[from..end] {
                let x = step.column.map(|column| columns[column as usize]);
                for tree in 0..TREES {
                    let goes_left = u32::from(x[tree] <= step.threshold[tree]).wrapping_neg();
                    leaves[tree] &= goes_left | step.left_out[tree];
                }
            }
            from = end;
            for (weights, first) in weights.iter().zip(leaves.map(first_bit)) {
                sum += weights[first % LEAVES];
            }
        }
        sum
    }
}
