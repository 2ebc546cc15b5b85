//! The served model: a student that gives log-odds, and two monotone tables that turn them into a probability and a risk
//! score; and beside it perhaps a second, tiny one with tables of its own. Inference itself is a trait, so that the core
//! links no runtime.

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{ladder::Trial, transaction::Clock};

/// Something that scores rows of float32 features.
///
/// A row's score must not depend on the rows beside it: the size of a drain never shows.
pub trait Forest: Send {
    /// Writes the log-odds of fraud of `n` rows, held one after the other in `rows`, to `log_odds`.
    fn score(&mut self, rows: &[f32], n: usize, log_odds: &mut Vec<f32>) -> Result<(), ForestFailure>;

    /// What runs it.
    fn runner(&self) -> Runner {
        Runner::Double
    }
}

/// What runs a student.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runner {
    /// The engine's own walk, which gave the bits that ONNX Runtime gives when it was loaded.
    Walker,
    /// ONNX Runtime; and why not the walk.
    OnnxRuntime(String),
    /// No model, but what stands for one in tests.
    Double,
}

impl std::fmt::Display for Runner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Runner::Walker => f.write_str("walker"),
            Runner::OnnxRuntime(why) => write!(f, "ONNX Runtime: {why}"),
            Runner::Double => f.write_str("double"),
        }
    }
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
    reduced: Option<Reduced>,
    #[serde(skip)]
    digest: [u8; 32],
}

/// What a manifest says of the second, tiny student. It takes the same rows, and its graph has the same names.
#[derive(Debug, Deserialize)]
struct Reduced {
    onnx_sha256: String,
    probability: Table,
    risk: Table,
}

/// Which of a model's students.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// The one that answers in full.
    Full,
    /// The tiny one.
    Reduced,
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
        if let Some(reduced) = &manifest.reduced {
            reduced.probability.check("reduced.probability", 0.0..=1.0)?;
            reduced.risk.check("reduced.risk", 0.0..=100.0)?;
        }
        manifest.digest = Sha256::digest(json).into();
        Ok(manifest)
    }

    /// Compares a student's ONNX bytes with the manifest, before anything parses them.
    pub fn check_onnx(&self, size: Size, onnx: &[u8]) -> Result<(), ModelError> {
        let (file, stated) = match (size, &self.reduced) {
            (Size::Full, _) => ("model.onnx", &self.onnx_sha256),
            (Size::Reduced, Some(reduced)) => ("reduced.onnx", &reduced.onnx_sha256),
            (Size::Reduced, None) => return Err(ModelError("its manifest names no reduced student".to_owned())),
        };
        same_digest(file, stated, &Sha256::digest(onnx).into())
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
    /// SHA-256 of its manifest, which names both students.
    pub digest: [u8; 32],
    full: Student,
    reduced: Option<Student>,
    /// The tables of a reduced student whose forest was not given.
    tables: Option<Reduced>,
}

struct Student {
    probability: Table,
    risk: Table,
    forest: Box<dyn Forest>,
    trial: Trial,
}

/// What a student says of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scores {
    /// Calibrated probability of fraud.
    pub fraud_probability: f64,
    /// How rare so high a score is, 0 to 100.
    pub risk_score: f64,
}

impl Model {
    /// Joins a checked manifest and the forest that was made from its ONNX bytes.
    pub fn new(manifest: Manifest, forest: Box<dyn Forest>) -> Model {
        Model {
            digest: manifest.digest,
            full: Student {
                probability: manifest.probability,
                risk: manifest.risk,
                forest,
                trial: Trial::default(),
            },
            reduced: None,
            tables: manifest.reduced,
        }
    }

    /// The model with its second student. The manifest must name one.
    pub fn with_reduced(mut self, forest: Box<dyn Forest>) -> Result<Model, ModelError> {
        let Some(tables) = self.tables.take() else {
            return Err(ModelError("its manifest names no reduced student".to_owned()));
        };
        self.reduced = Some(Student {
            probability: tables.probability,
            risk: tables.risk,
            forest,
            trial: Trial::default(),
        });
        Ok(self)
    }

    /// What runs each of its students.
    pub fn runners(&self) -> impl Iterator<Item = (Size, Runner)> {
        let reduced = self.reduced.iter().map(|student| (Size::Reduced, student));
        let students = [(Size::Full, &self.full)].into_iter().chain(reduced);
        students.map(|(size, student)| (size, student.forest.runner()))
    }

    /// Whether it has a second student.
    pub fn has_reduced(&self) -> bool {
        self.reduced.is_some()
    }

    /// Log-odds of `n` rows, see [`Forest::score`], by one of the students: says whether there are any. A student that
    /// failed lately, or that there is not, is not asked.
    pub fn score(
        &mut self,
        size: Size,
        now: Clock,
        rows: &[f32],
        n: usize,
        log_odds: &mut Vec<f32>,
    ) -> Result<Ran, ForestFailure> {
        log_odds.clear();
        let student = match size {
            Size::Full => &mut self.full,
            Size::Reduced => match &mut self.reduced {
                Some(student) => student,
                None => return Ok(Ran::Not),
            },
        };
        if !student.trial.may(now) {
            return Ok(Ran::Not);
        }
        let ran = student.forest.score(rows, n, log_odds);
        let ran = ran.and_then(|()| match log_odds.len() == n {
            true => Ok(Ran::All),
            false => Err(ForestFailure(format!("{} scores of {n} rows", log_odds.len()))),
        });
        if ran.is_err() {
            log_odds.clear();
            student.trial.failed(now);
        }
        ran
    }

    /// What log-odds of a student stand for; nothing where they are no number.
    pub fn calibrate(&self, size: Size, log_odds: f32) -> Option<Scores> {
        let student = match size {
            Size::Full => &self.full,
            Size::Reduced => self.reduced.as_ref()?,
        };
        let x = f64::from(log_odds);
        x.is_finite().then(|| Scores {
            fraud_probability: student.probability.at(x),
            risk_score: student.risk.at(x),
        })
    }
}

/// Whether a student was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ran {
    /// It scored all rows.
    All,
    /// It was not: there is none, or it rests after a failure.
    Not,
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
        for size in [Size::Full, Size::Reduced] {
            assert!(manifest.check_onnx(size, b"not the model").is_err());
        }
    }
}
