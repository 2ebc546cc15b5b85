//! The door over files as Python sees it. `_native.pyi` documents it.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow_array::{RecordBatch, StructArray};
use fraudgate_core::{
    history::Bounds,
    key::HashKey,
    model::hex,
    plan::Plan,
    policy::Policy,
    road::{Engine, Limits},
    transaction::EventTime,
};
use fraudgate_server::{
    model::{self, ModelFiles},
    server::KEY_VERSION,
    table::{self, DRAIN, Holds, Mapping, Piece, Refused, Taken, Wanted, refused_batch},
};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};

use crate::{
    journal::secret,
    table::{Rows, batches, precision_of},
    value_error,
};

/// While it is entered, this process gets no large pages.
#[pyclass(frozen, module = "engine._native")]
pub(crate) struct SmallPages(Mutex<Option<table::SmallPages>>);

#[pymethods]
impl SmallPages {
    #[new]
    fn new() -> SmallPages {
        SmallPages(Mutex::new(None))
    }

    fn __enter__(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(table::SmallPages::begin());
    }

    #[pyo3(signature = (*_raised))]
    fn __exit__(&self, _raised: &Bound<'_, PyAny>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Columns of members, and their words by number.
#[pyfunction]
pub(crate) fn words() -> Vec<(&'static str, Vec<String>)> {
    table::words()
}

/// What a file's columns mean.
#[pyclass(frozen, module = "engine._native", name = "Mapping")]
pub(crate) struct PyMapping(Arc<Mapping>);

#[pymethods]
impl PyMapping {
    #[new]
    fn new(compiled: &[u8]) -> PyResult<PyMapping> {
        Ok(PyMapping(Arc::new(Mapping::parse(compiled).map_err(value_error)?)))
    }

    fn map(&self, py: Python<'_>, holds: &str, batch: &Bound<'_, PyAny>, first_row: i64) -> PyResult<(Rows, Rows)> {
        let holds = match holds {
            "transactions" => Holds::Transactions,
            "labels" => Holds::Labels,
            "outcomes" => Holds::Outcomes,
            "order" => Holds::Order,
            _ => {
                return Err(PyValueError::new_err(
                    "holds must be \"transactions\", \"labels\", \"outcomes\" or \"order\"",
                ));
            }
        };
        let batch = one(batch)?;
        let (mapped, refused) = py
            .detach(|| table::map(&self.0, holds, &batch, first_row))
            .map_err(value_error)?;
        Ok((rows(mapped), refused_rows(&refused)?))
    }
}

/// An engine that is fed from files.
#[pyclass(frozen, module = "engine._native")]
pub(crate) struct Backfill(Mutex<table::Backfill>);

impl Backfill {
    fn door(&self) -> MutexGuard<'_, table::Backfill> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Backfill {
    #[new]
    #[pyo3(signature = (program, plan, policy, mapping, hash_key, *, model=None, reduced=None, onnxruntime, complete_since_us, known_ids, score_from_us))]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of a Python call")]
    fn new(
        program: &str,
        plan: &[u8],
        policy: &[u8],
        mapping: &PyMapping,
        hash_key: &[u8],
        model: Option<(Vec<u8>, Vec<u8>)>,
        reduced: Option<&[u8]>,
        onnxruntime: PathBuf,
        complete_since_us: i64,
        known_ids: usize,
        score_from_us: i64,
    ) -> PyResult<Backfill> {
        let key = HashKey {
            version: KEY_VERSION,
            secret: secret("hash_key", hash_key)?,
        };
        let files = model.as_ref().map(|(manifest, onnx)| ModelFiles {
            manifest,
            onnx,
            reduced,
        });
        let (plan, policy) = (
            Plan::parse(plan).map_err(value_error)?,
            Policy::parse(policy).map_err(value_error)?,
        );
        let model = files.map(|files| model::load(&onnxruntime, &plan, files)).transpose();
        let model = model.map_err(value_error)?;
        let limits = Limits {
            known_ids,
            drain: DRAIN,
            history: Bounds::NONE,
            ahead_us: None,
        };
        // No receipt of a backfill is shown, so its life needs no number.
        let mut engine = Engine::of_history(key, limits);
        engine
            .add_program(program, plan, policy, model, EventTime(complete_since_us))
            .map_err(value_error)?;
        let door = table::Backfill::new(engine, mapping.0.clone(), score_from_us).map_err(value_error)?;
        Ok(Backfill(Mutex::new(door)))
    }

    #[pyo3(signature = (pieces, *, features=None, leaves_ids=true))]
    fn foresee(
        &self,
        py: Python<'_>,
        pieces: Vec<Pieced<'_>>,
        features: Option<&str>,
        leaves_ids: bool,
    ) -> PyResult<bool> {
        let features = features.map(precision_of).transpose()?;
        let pieces = pieces.into_iter().map(piece).collect::<PyResult<Vec<_>>>()?;
        py.detach(|| self.door().foresee(&pieces, features, leaves_ids))
            .map_err(value_error)
    }

    #[pyo3(signature = (transactions, labels=None, outcomes=None, *, assessments=true, bytes=false, features=None))]
    #[expect(clippy::too_many_arguments, reason = "they are the keywords of a Python call")]
    fn take(
        &self,
        py: Python<'_>,
        transactions: &Bound<'_, PyAny>,
        labels: Option<&Bound<'_, PyAny>>,
        outcomes: Option<&Bound<'_, PyAny>>,
        assessments: bool,
        bytes: bool,
        features: Option<&str>,
    ) -> PyResult<(Rows, Rows)> {
        let transactions = one(transactions)?;
        let (labels, outcomes) = (labels.map(one).transpose()?, outcomes.map(one).transpose()?);
        let wanted = Wanted {
            assessments,
            bytes,
            features: features.map(precision_of).transpose()?,
        };
        let Taken { answers, refused } = py
            .detach(|| {
                self.door()
                    .take(&transactions, labels.as_ref(), outcomes.as_ref(), wanted)
            })
            .map_err(value_error)?;
        Ok((rows(answers), refused_rows(&refused)?))
    }

    fn admit(&self, py: Python<'_>, transactions: &Bound<'_, PyAny>) -> PyResult<(Rows, Rows)> {
        let transactions = one(transactions)?;
        let (admitted, refused) = py.detach(|| self.door().admit(&transactions)).map_err(value_error)?;
        Ok((rows(admitted), refused_rows(&refused)?))
    }

    fn admit_told(&self, py: Python<'_>, told: &Bound<'_, PyAny>) -> PyResult<(Rows, Rows)> {
        let told = one(told)?;
        let (admitted, refused) = py.detach(|| self.door().admit_told(&told)).map_err(value_error)?;
        Ok((rows(admitted), refused_rows(&refused)?))
    }

    fn refuse_reused(&self, rows: Vec<i64>) -> PyResult<Rows> {
        refused_rows(&self.door().refuse_reused(rows))
    }

    #[pyo3(signature = (seen, *, assessments=true, bytes=false, features=None))]
    fn answer(
        &self,
        py: Python<'_>,
        seen: &Bound<'_, PyAny>,
        assessments: bool,
        bytes: bool,
        features: Option<&str>,
    ) -> PyResult<Rows> {
        let seen = one(seen)?;
        let wanted = Wanted {
            assessments,
            bytes,
            features: features.map(precision_of).transpose()?,
        };
        let answers = py.detach(|| self.door().answer(&seen, wanted));
        answers.map(rows).map_err(value_error)
    }

    fn write_state(&self, py: Python<'_>, folder: PathBuf, journal_key: &[u8]) -> PyResult<()> {
        let key = secret("journal_key", journal_key)?;
        py.detach(|| self.door().write_state(&folder, &key))
            .map_err(value_error)
    }

    fn read_state(&self, py: Python<'_>, folder: PathBuf, journal_key: &[u8]) -> PyResult<()> {
        let key = secret("journal_key", journal_key)?;
        py.detach(|| self.door().read_state(&folder, &key)).map_err(value_error)
    }

    fn digest(&self, py: Python<'_>) -> String {
        hex(&py.detach(|| self.door().engine.digest()))
    }

    fn counts<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let counts = self.door().engine.counts();
        let counters = PyDict::new(py);
        counters.set_item("transactions", counts.transactions)?;
        counters.set_item("replayed", counts.replayed)?;
        counters.set_item("labels", counts.labels)?;
        counters.set_item("outcomes", counts.outcomes)?;
        Ok(counters)
    }
}

/// One entity's part of a history.
#[pyclass(frozen, module = "engine._native")]
pub(crate) struct Apart(Mutex<table::Apart>);

#[pymethods]
impl Apart {
    #[new]
    fn new(plan: &[u8], entity: Option<usize>, complete_since_us: i64) -> PyResult<Apart> {
        let plan = Plan::parse(plan).map_err(value_error)?;
        let apart = table::Apart::new(plan, entity, EventTime(complete_since_us)).map_err(value_error)?;
        Ok(Apart(Mutex::new(apart)))
    }

    fn take(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<Rows> {
        let batch = one(batch)?;
        let taken = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).take(&batch));
        taken.map(rows).map_err(value_error)
    }
}

/// Scores rows that were seen before.
#[pyclass(frozen, module = "engine._native")]
pub(crate) struct Scorer(Mutex<table::Scorer>);

#[pymethods]
impl Scorer {
    #[new]
    #[pyo3(signature = (plan, policy, model, *, onnxruntime))]
    fn new(plan: &[u8], policy: &[u8], model: (Vec<u8>, Vec<u8>), onnxruntime: PathBuf) -> PyResult<Scorer> {
        let plan = Plan::parse(plan).map_err(value_error)?;
        let policy = Policy::parse(policy).map_err(value_error)?;
        let files = ModelFiles {
            manifest: &model.0,
            onnx: &model.1,
            reduced: None,
        };
        let model = model::load(&onnxruntime, &plan, files).map_err(value_error)?;
        Ok(Scorer(Mutex::new(table::Scorer::new(&plan, policy, model))))
    }

    fn score(&self, py: Python<'_>, batch: &Bound<'_, PyAny>) -> PyResult<Rows> {
        let batch = one(batch)?;
        let scored = py.detach(|| self.0.lock().unwrap_or_else(PoisonError::into_inner).score(&batch));
        scored.map(rows).map_err(value_error)
    }
}

/// Transactions, labels and outcomes.
type Pieced<'py> = (Bound<'py, PyAny>, Option<Bound<'py, PyAny>>, Option<Bound<'py, PyAny>>);

fn piece((transactions, labels, outcomes): Pieced<'_>) -> PyResult<Piece> {
    Ok(Piece {
        transactions: one(&transactions)?,
        labels: labels.as_ref().map(one).transpose()?,
        outcomes: outcomes.as_ref().map(one).transpose()?,
    })
}

fn one(source: &Bound<'_, PyAny>) -> PyResult<RecordBatch> {
    match &batches(source)?[..] {
        [batch] => Ok(batch.clone()),
        _ => Err(PyValueError::new_err("must be one record batch")),
    }
}

fn rows(batch: RecordBatch) -> Rows {
    Rows(Arc::new(StructArray::from(batch)))
}

fn refused_rows(refused: &[Refused]) -> PyResult<Rows> {
    refused_batch(refused).map(rows).map_err(value_error)
}
