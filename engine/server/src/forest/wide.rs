//! The walk of many rows on a machine whose registers hold sixteen (AVX-512): the same comparisons and the same sums as
//! `Walker::walk`, tree by tree in the same order, so the same bits.

use super::walk::{LEAVES, Strike};

/// Rows of a register.
const LANES: usize = 16;

/// Rows that are walked together at most.
pub const ROWS: usize = 4 * LANES;

/// A forest as a walker holds it.
#[derive(Clone, Copy)]
pub struct Splits<'a> {
    pub splits: &'a [Strike],
    /// For each tree, where its splits end.
    pub ends: &'a [usize],
    /// For each tree, what its leaves add, from the left.
    pub leaves: &'a [[f32; LEAVES]],
}

/// That this machine has them.
#[derive(Clone, Copy)]
pub struct Wide(());

impl Wide {
    /// Looks whether it has.
    pub fn found() -> Option<Wide> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512f") && is_x86_feature_detected!("avx512cd") {
            return Some(Wide(()));
        }
        None
    }

    /// The sums of the rows of `V` registers, which `columns` holds as `Walker::turn` lays them out.
    pub fn walk<const V: usize>(self, forest: Splits, columns: &[f32]) -> [[f32; LANES]; V] {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: there is no `Wide` where these instructions are not.
        return unsafe { avx512::walk(forest, columns) };
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("{:?} of {} values", forest.ends, columns.len())
    }
}

#[cfg(target_arch = "x86_64")]
mod avx512 {
    use std::arch::x86_64::*;

    use super::{LANES, LEAVES, Splits};

    #[target_feature(enable = "avx512f,avx512cd")]
    pub(super) fn walk<const V: usize>(forest: Splits, columns: &[f32]) -> [[f32; LANES]; V] {
        let (registers, _) = columns.as_chunks::<LANES>();
        let (columns, _) = registers.as_chunks::<V>();
        let mut sums = [_mm512_setzero_ps(); V];
        let mut from = 0;
        for (&end, weights) in forest.ends.iter().zip(forest.leaves) {
            let mut leaves = [_mm512_set1_epi32(-1); V];
            for split in &forest.splits[from..end] {
                let threshold = _mm512_set1_ps(split.threshold);
                let left_out = _mm512_set1_epi32(split.left_out.cast_signed());
                for (leaves, x) in leaves.iter_mut().zip(&columns[split.column as usize]) {
                    // Not at most the threshold, or no number: it goes right.
                    let right = _mm512_cmp_ps_mask::<_CMP_NLE_UQ>(load(x), threshold);
                    *leaves = _mm512_mask_and_epi32(*leaves, right, *leaves, left_out);
                }
            }
            from = end;
            let (low, high) = halves(weights);
            for (sum, leaves) in sums.iter_mut().zip(leaves) {
                let lowest = _mm512_and_si512(leaves, _mm512_sub_epi32(_mm512_setzero_si512(), leaves));
                let first = _mm512_sub_epi32(_mm512_set1_epi32(31), _mm512_lzcnt_epi32(lowest));
                *sum = _mm512_add_ps(*sum, _mm512_permutex2var_ps(low, first, high));
            }
        }
        sums.map(|sum| {
            let mut stored = [0.0; LANES];
            // SAFETY: it holds what a register holds; no alignment is asked.
            unsafe { _mm512_storeu_ps(stored.as_mut_ptr(), sum) };
            stored
        })
    }

    #[target_feature(enable = "avx512f")]
    fn load(values: &[f32; LANES]) -> __m512 {
        // SAFETY: it holds what a register holds; no alignment is asked.
        unsafe { _mm512_loadu_ps(values.as_ptr()) }
    }

    #[target_feature(enable = "avx512f")]
    fn halves(weights: &[f32; LEAVES]) -> (__m512, __m512) {
        let (halves, _) = weights.as_chunks::<LANES>();
        (load(&halves[0]), load(&halves[1]))
    }
}
