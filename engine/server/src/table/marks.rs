//! A set of features of each row of many, where few rows have any: nothing is held of rows that lie among such as have none.

use fraudgate_core::features::FeatureSet;

/// Rows whose sets are held together.
const TOGETHER: usize = 1_024;

/// Sets of features by the row.
#[derive(Default)]
pub(super) struct Marks(Vec<Option<Box<[FeatureSet]>>>);

impl Marks {
    /// Adds to the set of a row.
    #[inline]
    pub fn unite(&mut self, row: u32, set: &FeatureSet) {
        if !set.is_empty() {
            self.add(row as usize, set);
        }
    }

    /// The set of a row.
    pub fn get(&self, row: u32) -> FeatureSet {
        let block = self.0.get(row as usize / TOGETHER).and_then(Option::as_ref);
        block.map_or_else(FeatureSet::default, |block| block[row as usize % TOGETHER])
    }

    #[inline(never)]
    fn add(&mut self, row: usize, set: &FeatureSet) {
        let block = row / TOGETHER;
        if self.0.len() <= block {
            self.0.resize(block + 1, None);
        }
        let block = self.0[block].get_or_insert_with(|| vec![FeatureSet::default(); TOGETHER].into());
        block[row % TOGETHER].unite(set);
    }
}
