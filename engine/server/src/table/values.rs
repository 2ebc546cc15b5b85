//! Rows of features, one after the other: those of a row's own fields as it comes, those over histories as they are found.
//!
//! What is found together lies together until all is found: of each block of rows first their own features, then those of
//! one layout after the other. Then each block is woven into its rows where it lies. So memory is gone through block by block
//! and once for each, however far apart a key's rows are.

use fraudgate_core::{
    features::{self, FeatureSet, Seen},
    plan::{EntityLayout, Plan},
    transaction::Transaction,
};

use super::{
    groups::{Groups, NO_GROUP},
    keyed,
};

/// What a feature is kept as; NaN where it has no value.
pub(super) trait Value: Copy {
    /// As it was computed, rounded once.
    fn of(computed: f64) -> Self;
    /// Likewise back.
    fn as_f64(self) -> f64;
}

impl Value for f32 {
    #[inline]
    fn of(computed: f64) -> f32 {
        computed as f32
    }

    fn as_f64(self) -> f64 {
        self.into()
    }
}

impl Value for f64 {
    #[inline]
    fn of(computed: f64) -> f64 {
        computed
    }

    fn as_f64(self) -> f64 {
        self
    }
}

/// Bytes of a block, about: it and what it is woven of stay in the second cache.
const A_BLOCK: usize = 1 << 19;

/// The rows.
pub(super) struct Values<T> {
    all: Vec<T>,
    width: usize,
    /// Rows of a block are two to this many.
    shift: u32,
    rows: usize,
    computed: Vec<f64>,
    own: Vec<usize>,
    found: Vec<Found>,
}

/// What was found of a layout.
struct Found {
    /// Where its features stand in a row.
    places: Vec<usize>,
    /// How many features stand before them in a block.
    before: usize,
    /// The group of each row, which lie together in a block; those of no group have no key.
    groups: Vec<u8>,
}

/// Where features of a layout are kept until they are woven.
#[derive(Clone, Copy)]
pub(super) struct Section {
    shift: u32,
    width: usize,
    before: usize,
    features: usize,
}

impl Section {
    #[inline]
    fn place(self, slot: usize) -> usize {
        let block = slot >> self.shift << self.shift;
        block * self.width + (self.before << self.shift) + (slot - block) * self.features
    }
}

impl<T: Value> Values<T> {
    /// None yet, and room for so many.
    pub fn new(plan: &Plan, rows: usize) -> Values<T> {
        let width = plan.features.len();
        let of_a_block = (A_BLOCK / (width * size_of::<T>()).max(1)).max(1).ilog2();
        let shift = of_a_block.min(rows.max(1).next_power_of_two().ilog2());
        Values {
            // Zeroed memory is not touched before it is used.
            all: vec![T::of(0.0); (rows.div_ceil(1 << shift) << shift) * width],
            width,
            shift,
            rows: 0,
            computed: vec![f64::NAN; width],
            own: plan.own.iter().map(|feature| feature.feature).collect(),
            found: Vec::new(),
        }
    }

    /// The next row, with the features of its own fields.
    #[inline]
    pub fn push(&mut self, plan: &Plan, transaction: &Transaction) {
        features::own(plan, transaction, &mut self.computed, &mut FeatureSet::default());
        let place = self.section(0, self.own.len()).place(self.rows);
        for (&feature, value) in self.own.iter().zip(&mut self.all[place..]) {
            *value = T::of(self.computed[feature]);
        }
        self.rows += 1;
    }

    fn section(&self, before: usize, features: usize) -> Section {
        Section {
            shift: self.shift,
            width: self.width,
            before,
            features,
        }
    }

    /// How many rows lie together, as a power of two.
    pub fn shift(&self) -> u32 {
        self.shift
    }

    /// Where the features of a layout go, whose rows are in these groups: those of a group lie together in each block, one
    /// group after the other.
    pub fn begin(&mut self, layout: &EntityLayout, groups: Vec<u8>) -> Section {
        let before = self
            .found
            .last()
            .map_or(self.own.len(), |found| found.before + found.places.len());
        let places: Vec<usize> = layout.features.iter().map(|feature| feature.feature).collect();
        let section = self.section(before, places.len());
        self.found.push(Found { places, before, groups });
        section
    }

    /// The features of what has a slot: of a row, in the layout's order.
    #[inline]
    pub fn slot(&mut self, section: Section, slot: u32) -> &mut [T] {
        &mut self.all[section.place(slot as usize)..][..section.features]
    }

    /// Makes rows of what was found; before it there are none.
    pub fn weave(&mut self) {
        let block = self.width << self.shift;
        let (mut before, mut rows) = (vec![T::of(0.0); block], 0);
        let blocks = self.rows.div_ceil(1 << self.shift);
        for woven in self.all.chunks_exact_mut(block.max(1)).take(blocks) {
            let count = (self.rows - rows).min(1 << self.shift);
            before.copy_from_slice(woven);
            let woven = &mut woven[..count * self.width];
            for (row, features) in woven
                .chunks_exact_mut(self.width)
                .zip(before.chunks(self.own.len().max(1)))
            {
                for (&place, &value) in self.own.iter().zip(features) {
                    row[place] = value;
                }
            }
            for found in &self.found {
                let groups = &found.groups[rows..rows + count];
                let mut next = Groups::begins(groups);
                let features = &before[found.before << self.shift..];
                for (row, &group) in woven.chunks_exact_mut(self.width).zip(groups) {
                    if group == NO_GROUP {
                        found.places.iter().for_each(|&place| row[place] = T::of(f64::NAN));
                        continue;
                    }
                    let slot = &mut next[usize::from(group)];
                    let features = &features[*slot as usize * found.places.len()..][..found.places.len()];
                    *slot += 1;
                    for (&place, &value) in found.places.iter().zip(features) {
                        row[place] = value;
                    }
                }
            }
            rows += count;
        }
        self.all.truncate(self.rows * self.width);
    }

    /// Features a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row, once they are woven.
    pub fn row(&self, row: u32) -> &[T] {
        &self.all[row as usize * self.width..][..self.width]
    }

    /// All rows, one after the other, once they are woven.
    pub fn into_all(self) -> Vec<T> {
        self.all
    }
}

impl<T: Value> keyed::Rows for Values<T> {
    type Value = T;

    #[inline]
    fn values(&mut self) -> &mut Values<T> {
        self
    }

    #[inline]
    fn mark(&mut self, _: u32, _: &Seen) {}
}
