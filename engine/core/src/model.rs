//! The served model: a forest that gives log-odds, and two monotone tables that turn them into a probability and a risk
//! score. Inference itself is a trait, so that the core links no runtime.

use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Something that scores rows of float32 features.
///
/// A row's score must not depend on the rows beside it: the size of a drain never shows.
pub trait Forest: Send {
    /// Writes the log-odds of fraud of `n` rows, held one after the other in `rows`, to `log_odds`.
    fn score(&mut self, rows: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure>;
}

/// The runtime could not score.
#[derive(Debug)]
pub struct ForestFailure(pub String);

/// What the engine reads of a model's manifest. Other members are for people and for training.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    format: u32,
    /// SHA-256 of the compiled plan whose rows the model takes; hex.
    pub plan_digest: String,
    /// SHA-256 of the ONNX file; hex.
    pub onnx_sha256: String,
    /// The ONNX graph's input: float32 [n, features].
    pub input: String,
    /// The ONNX graph's output: float32 [n, 1], log-odds.
    pub output: String,
    /// Names in plan order.
    pub features: Vec<String>,
    probability: Table,
    risk: Table,
    #[serde(skip)]
    digest: [u8; 32],
}

/// Why a model cannot be used.
#[derive(Debug, PartialEq)]
pub struct ModelError(pub String);

impl std::fmt::Display for ModelError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "model: {}", self.0)
    }
}

impl std::error::Error for ModelError {}

impl Manifest {
    /// Reads a manifest and checks what it says of itself.
    pub fn parse(json: &[u8]) -> Result<Manifest, ModelError> {
        let mut manifest: Manifest = serde_json::from_slice(json).map_err(|e| ModelError(format!("manifest: {e}")))?;
        if manifest.format != 1 {
            return Err(ModelError(format!(
                "manifest: format {} is not known; this engine reads 1",
                manifest.format
            )));
        }
        manifest.probability.check("probability", 0.0..=1.0)?;
        manifest.risk.check("risk", 0.0..=100.0)?;
        manifest.digest = Sha256::digest(json).into();
        Ok(manifest)
    }

    /// Compares the ONNX bytes with the manifest, before anything parses them.
    pub fn check_onnx(&self, onnx: &[u8]) -> Result<(), ModelError> {
        same_digest("model.onnx", &self.onnx_sha256, &Sha256::digest(onnx).into())
    }

    /// Compares the plan with the manifest.
    pub fn check_plan(&self, digest: &[u8; 32], features: &[String]) -> Result<(), ModelError> {
        same_digest("the plan", &self.plan_digest, digest)?;
        if self.features != features {
            return Err(ModelError(
                "its features are not the plan's, in the plan's order".to_owned(),
            ));
        }
        Ok(())
    }
}

fn same_digest(what: &str, stated: &str, found: &[u8; 32]) -> Result<(), ModelError> {
    let found = hex(found);
    if stated == found {
        return Ok(());
    }
    Err(ModelError(format!(
        "{what} has SHA-256 {found}, the manifest states another: they do not belong together"
    )))
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .filter_map(|n| char::from_digit(n.into(), 16))
        .collect()
}

/// A model that is served.
pub struct Model {
    /// SHA-256 of its manifest.
    pub digest: [u8; 32],
    probability: Table,
    risk: Table,
    forest: Box<dyn Forest>,
}

impl Model {
    /// Joins a checked manifest and the forest that was made from its ONNX bytes.
    pub fn new(manifest: Manifest, forest: Box<dyn Forest>) -> Model {
        Model {
            digest: manifest.digest,
            probability: manifest.probability,
            risk: manifest.risk,
            forest,
        }
    }

    /// Log-odds of `n` rows; see [`Forest::score`].
    pub fn score(&mut self, rows: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure> {
        log_odds.clear();
        self.forest.score(rows, n, log_odds)?;
        if log_odds.len() == n {
            Ok(())
        } else {
            Err(ForestFailure(format!("{} scores of {n} rows", log_odds.len())))
        }
    }

    /// The probability of fraud and the risk score that log-odds stand for.
    pub fn calibrate(&self, log_odds: f32) -> (f64, f64) {
        let x = f64::from(log_odds);
        (self.probability.at(x), self.risk.at(x))
    }
}

/// A strictly increasing piecewise linear function, constant beyond its ends.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    log_odds: Vec<f64>,
    value: Vec<f64>,
}

impl Table {
    fn check(&self, name: &str, within: std::ops::RangeInclusive<f64>) -> Result<(), ModelError> {
        let error = |what: &str| Err(ModelError(format!("manifest: {name}: {what}")));
        if self.log_odds.len() != self.value.len() || self.log_odds.len() < 2 {
            return error("needs as many values as log-odds, at least two");
        }
        let finite = self.log_odds.iter().all(|x| x.is_finite());
        if !finite || !self.value.iter().all(|y| within.contains(y)) {
            return error("holds a value out of its range");
        }
        if !self.log_odds.is_sorted_by(|a, b| a < b) || !self.value.is_sorted_by(|a, b| a < b) {
            return error("must increase strictly");
        }
        Ok(())
    }

    fn at(&self, x: f64) -> f64 {
        let above = self.log_odds.partition_point(|&point| point <= x);
        if above == 0 {
            return self.value[0];
        }
        if above == self.log_odds.len() {
            return self.value[above - 1];
        }
        let (x0, x1) = (self.log_odds[above - 1], self.log_odds[above]);
        let (y0, y1) = (self.value[above - 1], self.value[above]);
        y0 + (y1 - y0) * ((x - x0) / (x1 - x0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(risk: &str) -> Result<Manifest, ModelError> {
        let text = format!(
            r#"{{"format":1,"plan_digest":"00","onnx_sha256":"00","input":"features","output":"log_odds","features":[],
            "probability":{{"log_odds":[-1,1],"value":[0.25,0.75]}},"risk":{risk},"metrics":{{"auc":0.9}}}}"#
        );
        Manifest::parse(text.as_bytes())
    }

    #[test]
    fn a_table_is_linear_between_its_points_and_constant_beyond() {
        let risk = manifest(r#"{"log_odds":[-2,0,1],"value":[0,10,100]}"#).unwrap().risk;
        for (x, y) in [
            (-9.0, 0.0),
            (-2.0, 0.0),
            (-1.0, 5.0),
            (0.0, 10.0),
            (0.5, 55.0),
            (1.0, 100.0),
            (7.0, 100.0),
        ] {
            assert_eq!(risk.at(x), y, "{x}");
        }
    }

    #[test]
    fn a_table_that_is_not_strictly_increasing_is_refused() {
        for risk in [
            r#"{"log_odds":[0,1],"value":[5,5]}"#,
            r#"{"log_odds":[1,1],"value":[5,6]}"#,
            r#"{"log_odds":[0,1],"value":[5,101]}"#,
            r#"{"log_odds":[0],"value":[5]}"#,
            r#"{"log_odds":[0,1],"value":[5]}"#,
        ] {
            assert!(manifest(risk).is_err(), "{risk}");
        }
    }

    #[test]
    fn bytes_that_the_manifest_does_not_name_are_refused() {
        let manifest = manifest(r#"{"log_odds":[0,1],"value":[5,6]}"#).unwrap();
        assert!(manifest.check_onnx(b"not the model").is_err());
    }
}
