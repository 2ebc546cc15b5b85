//! Rows of features that were seen before, scored by a model and answered by a policy: no state, so any part of them can be
//! answered anywhere. A row comes out as the road answers it in full.

use std::sync::Arc;

use arrow_array::{
    Array, ArrayRef, Float64Array, Int32Array, RecordBatch,
    cast::AsArray,
    types::{Float32Type, Float64Type},
};
use arrow_schema::{DataType, Field, Schema};
use fraudgate_core::{
    model::{Model, Ran, Scores, Size},
    plan::Plan,
    policy::Policy,
    transaction::Clock,
};

use super::TableError;

/// A model and a policy over the rows of a plan.
pub struct Scorer {
    features: Vec<String>,
    policy: Policy,
    model: Model,
    rows: Vec<f32>,
    log_odds: Vec<f32>,
}

impl Scorer {
    /// Scores rows of a plan's features.
    pub fn new(plan: &Plan, policy: Policy, model: Model) -> Scorer {
        Scorer {
            features: plan.features.iter().map(|feature| feature.name.clone()).collect(),
            policy,
            model,
            rows: Vec::new(),
            log_odds: Vec::new(),
        }
    }

    /// What is answered in full to each row: `fraud_probability`, `risk_score`, `verdict` and `policy_verdict` by number.
    /// The batch has a column of numbers for each feature; null and NaN are missing.
    pub fn score(&mut self, batch: &RecordBatch) -> Result<RecordBatch, TableError> {
        let rows = batch.num_rows();
        let width = self.features.len();
        self.rows.clear();
        self.rows.resize(rows * width, f32::NAN);
        for (place, name) in self.features.iter().enumerate() {
            let Some(column) = batch.column_by_name(name) else {
                return Err(TableError(format!(
                    "the rows have no column `{name}`, which is a feature of the plan"
                )));
            };
            let into = self.rows[place..].iter_mut().step_by(width);
            match column.data_type() {
                DataType::Float32 => {
                    let values = column.as_primitive::<Float32Type>().iter();
                    into.zip(values)
                        .for_each(|(into, value)| *into = value.unwrap_or(f32::NAN));
                }
                DataType::Float64 => {
                    // The one rounding, as where they were seen.
                    let values = column.as_primitive::<Float64Type>().iter();
                    into.zip(values)
                        .for_each(|(into, value)| *into = value.map_or(f32::NAN, |value| value as f32));
                }
                other => {
                    return Err(TableError(format!(
                        "column `{name}` is {other}; must be float32 or float64"
                    )));
                }
            }
        }
        match self
            .model
            .score(Size::Full, Clock(0), &self.rows, rows, &mut self.log_odds)
        {
            Ok(Ran::All) => {}
            Ok(Ran::Not) => return Err(TableError("the model was not asked".to_owned())),
            Err(failure) => return Err(TableError(format!("the model failed to score: {}", failure.0))),
        }
        let scores = self
            .log_odds
            .iter()
            .map(|&log_odds| self.model.calibrate(Size::Full, log_odds))
            .collect::<Option<Vec<Scores>>>()
            .ok_or_else(|| TableError("the model gave what is no number".to_owned()))?;
        let own: Vec<_> = scores
            .iter()
            .map(|scores| self.policy.verdict(scores.risk_score))
            .collect();
        let columns: [(&str, ArrayRef); 4] = [
            (
                "fraud_probability",
                Arc::new(
                    scores
                        .iter()
                        .map(|scores| Some(scores.fraud_probability))
                        .collect::<Float64Array>(),
                ),
            ),
            (
                "risk_score",
                Arc::new(
                    scores
                        .iter()
                        .map(|scores| Some(scores.risk_score))
                        .collect::<Float64Array>(),
                ),
            ),
            (
                "verdict",
                Arc::new(
                    own.iter()
                        .map(|&own| self.policy.overrule(own).0 as i32)
                        .collect::<Int32Array>(),
                ),
            ),
            (
                "policy_verdict",
                Arc::new(own.iter().map(|&own| own as i32).collect::<Int32Array>()),
            ),
        ];
        let fields: Vec<Field> = columns
            .iter()
            .map(|(name, column)| Field::new(*name, column.data_type().clone(), true))
            .collect();
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).map_err(|error| TableError(error.to_string()))
    }
}
