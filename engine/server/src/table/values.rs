//! Rows of features, one after the other: those of a row's own fields as it comes, those over histories as they are found.

use fraudgate_core::{
    features::{self, FeatureSet, Seen},
    plan::{EntityLayout, Plan},
    transaction::Transaction,
};

use super::keyed;

/// What a feature is kept as; NaN where it has no value.
pub(super) trait Value: Copy {
    /// As it was computed, rounded once.
    fn of(computed: f64) -> Self;
    /// Likewise back.
    fn as_f64(self) -> f64;
}

impl Value for f32 {
    fn of(computed: f64) -> f32 {
        computed as f32
    }

    fn as_f64(self) -> f64 {
        self.into()
    }
}

impl Value for f64 {
    fn of(computed: f64) -> f64 {
        computed
    }

    fn as_f64(self) -> f64 {
        self
    }
}

/// The rows.
pub(super) struct Values<T> {
    all: Vec<T>,
    width: usize,
    computed: Vec<f64>,
    /// A row of which only its own fields are known.
    own: Vec<T>,
}

impl<T: Value> Values<T> {
    /// None yet, and room for so many.
    pub fn new(plan: &Plan, rows: usize) -> Values<T> {
        let width = plan.features.len();
        Values {
            all: Vec::with_capacity(rows * width),
            width,
            computed: vec![f64::NAN; width],
            own: vec![T::of(f64::NAN); width],
        }
    }

    /// The next row, with the features of its own fields.
    #[inline]
    pub fn push(&mut self, plan: &Plan, transaction: &Transaction) {
        features::own(plan, transaction, &mut self.computed, &mut FeatureSet::default());
        for feature in &plan.own {
            self.own[feature.feature] = T::of(self.computed[feature.feature]);
        }
        self.all.extend_from_slice(&self.own);
    }

    /// Features a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// A row.
    pub fn row(&self, row: u32) -> &[T] {
        &self.all[row as usize * self.width..][..self.width]
    }

    /// All rows, one after the other.
    pub fn into_all(self) -> Vec<T> {
        self.all
    }
}

impl<T: Value> keyed::Rows for Values<T> {
    type Value = T;

    #[inline]
    fn put(&mut self, layout: &EntityLayout, row: u32, features: &[T]) {
        let place = &mut self.all[row as usize * self.width..][..self.width];
        for (feature, &value) in layout.features.iter().zip(features) {
            place[feature.feature] = value;
        }
    }

    #[inline]
    fn mark(&mut self, _: u32, _: &Seen) {}
}
