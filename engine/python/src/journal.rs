//! A journal's files for Python: what looks into them and what maintains them while no server has them open.

use std::{path::PathBuf, sync::Arc};

use fraudgate_core::key::HashKey;
use fraudgate_server::journal::{
    JournalError,
    disk::{Disk, Folder},
    erasure, keyring,
    look::{self, Files, OfFiles},
    repair::repair,
};
use pyo3::{exceptions::PyValueError, prelude::*, types::PyDict};

/// What finds a model by its digest: manifest, ONNX bytes, and those of the second student.
type Found = Option<(Vec<u8>, Vec<u8>, Option<Vec<u8>>)>;

pub fn journal_error(error: JournalError) -> PyErr {
    PyValueError::new_err(error.to_string())
}

pub(crate) fn secret(name: &str, bytes: &[u8]) -> PyResult<[u8; 32]> {
    bytes
        .try_into()
        .map_err(|_| PyValueError::new_err(format!("{name}: must be 32 bytes")))
}

/// Models that a Python function finds.
fn models(runtime: PathBuf, find: Py<PyAny>) -> OfFiles<impl FnMut(&str) -> Result<Option<Files>, String>> {
    let find = move |digest: &str| {
        let found = Python::attach(|py| find.call1(py, (digest,))?.extract::<Found>(py));
        let found = found.map_err(|error| error.to_string())?;
        Ok(found.map(|(manifest, onnx, reduced)| Files {
            manifest,
            onnx,
            reduced,
        }))
    };
    OfFiles { runtime, find }
}

#[pyfunction]
pub(super) fn journal_info(py: Python<'_>, folder: PathBuf) -> PyResult<String> {
    let told = py.detach(|| look::info(&folder)).map_err(journal_error)?;
    Ok(told.to_string())
}

#[pyfunction]
pub(super) fn journal_verify(py: Python<'_>, folder: PathBuf, journal_key: &[u8]) -> PyResult<String> {
    let key = secret("journal_key", journal_key)?;
    let told = py.detach(|| look::verify(&folder, &key)).map_err(journal_error)?;
    Ok(told.to_string())
}

#[pyfunction]
pub(super) fn journal_repair(
    py: Python<'_>,
    folder: PathBuf,
    journal_key: &[u8],
    through_us: i64,
    really: bool,
) -> PyResult<String> {
    let key = secret("journal_key", journal_key)?;
    let told = py
        .detach(|| repair(&folder, &key, through_us, really))
        .map_err(journal_error)?;
    Ok(told.to_string())
}

#[pyfunction]
pub(super) fn journal_tail(py: Python<'_>, folder: PathBuf, journal_key: &[u8], inputs: usize) -> PyResult<String> {
    let key = secret("journal_key", journal_key)?;
    let told = py.detach(|| look::tail(&folder, &key, inputs)).map_err(journal_error)?;
    Ok(told.to_string())
}

#[pyfunction]
#[expect(clippy::too_many_arguments, reason = "each is a keyword of the Python function")]
pub(super) fn journal_show(
    py: Python<'_>,
    folder: PathBuf,
    journal_key: &[u8],
    hash_key: &[u8],
    program: &str,
    id: &str,
    runtime: PathBuf,
    find_model: Py<PyAny>,
) -> PyResult<String> {
    let key = secret("journal_key", journal_key)?;
    let hash_key = HashKey {
        version: 1,
        secret: secret("hash_key", hash_key)?,
    };
    let mut models = models(runtime, find_model);
    let told = py.detach(|| look::show(&folder, &key, &hash_key, program, id, &mut models));
    Ok(told.map_err(journal_error)?.to_string())
}

#[pyfunction]
#[pyo3(signature = (folder, journal_key, known_ids, runtime=None, find_model=None, progress=None))]
pub(super) fn journal_replay(
    py: Python<'_>,
    folder: PathBuf,
    journal_key: &[u8],
    known_ids: usize,
    runtime: Option<PathBuf>,
    find_model: Option<Py<PyAny>>,
    progress: Option<Py<PyAny>>,
) -> PyResult<String> {
    let key = secret("journal_key", journal_key)?;
    let mut models = runtime.zip(find_model).map(|(runtime, find)| models(runtime, find));
    let mut raised = None;
    let mut tell = |done: u64, all: u64| {
        if let Some(progress) = &progress
            && let Err(error) = Python::attach(|py| progress.call1(py, (done, all)))
        {
            raised = Some(error);
        }
    };
    let told = py.detach(|| {
        let models = models.as_mut().map(|models| models as &mut dyn look::Models);
        look::replay(&folder, &key, known_ids, models, &mut tell)
    });
    match raised {
        Some(error) => Err(error),
        None => Ok(told.map_err(journal_error)?.to_string()),
    }
}

#[pyfunction]
#[pyo3(signature = (folder, journal_key, progress=None))]
pub(super) fn journal_rewrite<'py>(
    py: Python<'py>,
    folder: PathBuf,
    journal_key: &[u8],
    progress: Option<Py<PyAny>>,
) -> PyResult<Bound<'py, PyDict>> {
    let key = secret("journal_key", journal_key)?;
    let mut raised = None;
    let mut tell = |done: u64, all: u64| {
        if let Some(progress) = &progress
            && let Err(error) = Python::attach(|py| progress.call1(py, (done, all)))
        {
            raised = Some(error);
        }
    };
    let rewrote = py.detach(|| {
        let open = Folder::open(&folder);
        let disk: Arc<dyn Disk> = Arc::new(open.map_err(|e| JournalError(e.to_string()))?);
        let mut keyring = keyring::Keyring::open(disk.clone(), &key)?;
        erasure::rewrite(&*disk, &mut keyring, &mut tell)
    });
    let rewrote = rewrote.map_err(journal_error)?;
    if let Some(error) = raised {
        return Err(error);
    }
    let told = PyDict::new(py);
    told.set_item("erasures", rewrote.erasures)?;
    told.set_item("keys", rewrote.keys)?;
    told.set_item("segments", rewrote.segments)?;
    told.set_item("open", rewrote.open)?;
    told.set_item("given_up", rewrote.given_up)?;
    told.set_item("snapshots", rewrote.snapshots)?;
    Ok(told)
}

#[pyfunction]
pub(super) fn journal_rotate(py: Python<'_>, folder: PathBuf, journal_key: &[u8], new_key: &[u8]) -> PyResult<usize> {
    let (from, to) = (secret("journal_key", journal_key)?, secret("new_key", new_key)?);
    py.detach(|| {
        let open = Folder::open(&folder);
        let disk: Arc<dyn Disk> = Arc::new(open.map_err(|e| JournalError(e.to_string()))?);
        keyring::rotate(&disk, &from, &to)
    })
    .map_err(journal_error)
}
