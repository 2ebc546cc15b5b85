//! The engine as the Python module `engine._native`: this file and those beside it are the only ones that name PyO3.

mod forward;
mod journal;
mod stream;
mod table;
mod table_backfill;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use fraudgate_core::model::{Size, hex};
use fraudgate_server::{
    cloud::TlsPaths,
    journal::cursor::Cursors,
    model::ModelFiles,
    server::{self, Running, ServerError},
    transport::{Credentials, TlsFiles},
};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyDict, PyList},
};
use table::batches;

/// Calls come in bursts of many small allocations that are freed together, which glibc's allocator is slow at: a tenth to
/// a fifth of the CPU time of a call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::journal::{
        journal_info, journal_repair, journal_replay, journal_rewrite, journal_rotate, journal_show, journal_tail,
        journal_verify,
    };
    #[pymodule_export]
    use super::{
        Server,
        forward::Forward,
        stream::Cursor,
        table::{Folder, Rows, fold},
        table_backfill::{Apart, Backfill, PyMapping, Scorer, SmallPages, words},
    };
}

/// How long a wait lasts before Python may look at its signals.
const SLICE: Duration = Duration::from_millis(100);

/// The data plane. `_native.pyi` documents it.
#[pyclass(frozen, module = "engine._native")]
struct Server {
    state: Mutex<State>,
    /// How its journal is read, once that was taken in.
    cursors: OnceLock<Arc<Cursors>>,
}

enum State {
    Made(Box<server::Server>),
    Running(Arc<Running>),
    /// It could not be started.
    Spent,
}

fn runtime_error(error: ServerError) -> PyErr {
    PyRuntimeError::new_err(error.0)
}

fn tls_files(certificate: &[u8], key: &[u8], ca: &[u8]) -> TlsFiles {
    TlsFiles {
        certificate: certificate.to_vec(),
        key: key.to_vec(),
        ca: ca.to_vec(),
    }
}

fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|error| PyValueError::new_err(format!("seconds: {error}")))
}

impl Server {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does something with a server that is not started yet.
    fn made<T>(&self, action: impl FnOnce(&mut server::Server) -> PyResult<T>) -> PyResult<T> {
        match &mut *self.state() {
            State::Made(server) => action(server),
            State::Running(_) | State::Spent => Err(PyRuntimeError::new_err("the server was started already")),
        }
    }

    fn running(&self) -> PyResult<Arc<Running>> {
        match &*self.state() {
            State::Running(running) => Ok(running.clone()),
            State::Made(_) | State::Spent => Err(PyRuntimeError::new_err("the server was not started")),
        }
    }
}

#[pymethods]
impl Server {
    #[new]
    fn new(
        config: &[u8],
        hash_key: &[u8],
        certificate_pem: &[u8],
        key_pem: &[u8],
        client_ca_pem: &[u8],
    ) -> PyResult<Server> {
        let hash_key = hash_key
            .try_into()
            .map_err(|_| PyValueError::new_err("hash_key: must be 32 bytes"))?;
        let tls = tls_files(certificate_pem, key_pem, client_ca_pem);
        let made = server::Server::new(config, hash_key, &tls).map_err(value_error)?;
        Ok(Server {
            state: Mutex::new(State::Made(Box::new(made))),
            cursors: OnceLock::new(),
        })
    }

    fn ask_cloud(&self, settings: &[u8], certificate: PathBuf, key: PathBuf, ca: PathBuf) -> PyResult<()> {
        let tls = TlsPaths { certificate, key, ca };
        self.made(|server| server.ask_cloud(settings, tls).map_err(value_error))
    }

    fn renew(&self, py: Python<'_>, certificate_pem: &[u8], key_pem: &[u8], client_ca_pem: &[u8]) -> PyResult<()> {
        let (running, tls) = (self.running()?, tls_files(certificate_pem, key_pem, client_ca_pem));
        let credentials = Credentials::new(&tls).map_err(value_error)?;
        py.detach(|| running.renew(credentials)).map_err(runtime_error)
    }

    #[pyo3(signature = (name, plan, policy, model, complete_since_us, reduced=None))]
    fn add_program(
        &self,
        name: &str,
        plan: &[u8],
        policy: &[u8],
        model: Option<(Vec<u8>, Vec<u8>)>,
        complete_since_us: i64,
        reduced: Option<&[u8]>,
    ) -> PyResult<BTreeMap<&'static str, String>> {
        let model = model.as_ref().map(|(manifest, onnx)| ModelFiles {
            manifest,
            onnx,
            reduced,
        });
        let runners = self.made(|server| {
            server
                .add_program(name, plan, policy, model, complete_since_us)
                .map_err(value_error)
        })?;
        let told = runners.into_iter().map(|(size, runner)| match size {
            Size::Full => ("full", runner.to_string()),
            Size::Reduced => ("reduced", runner.to_string()),
        });
        Ok(told.collect())
    }

    #[pyo3(signature = (program, transactions, labels=None))]
    fn warm(
        &self,
        py: Python<'_>,
        program: &str,
        transactions: &Bound<'_, PyAny>,
        labels: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<usize> {
        let transactions = batches(transactions)?;
        let labels = labels.map(batches).transpose()?.unwrap_or_default();
        py.detach(|| self.made(|server| server.warm(program, &transactions, &labels).map_err(value_error)))
    }

    #[pyo3(signature = (journal_key, progress=None))]
    fn recover<'py>(
        &self,
        py: Python<'py>,
        journal_key: &[u8],
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let secret = journal_key
            .try_into()
            .map_err(|_| PyValueError::new_err("journal_key: must be 32 bytes"))?;
        let mut raised = None;
        let mut tell = |done: u64, all: u64| {
            if let Some(progress) = &progress
                && let Err(error) = Python::attach(|py| progress.call1(py, (done, all)))
            {
                raised = Some(error);
            }
        };
        let found = py.detach(|| {
            self.made(|server| {
                let found = server.recover(secret, &mut tell).map_err(value_error)?;
                if let Some(cursors) = server.cursors() {
                    // A journal is taken in once.
                    let _ = self.cursors.set(cursors);
                }
                Ok(found)
            })
        })?;
        if let Some(error) = raised {
            return Err(error);
        }
        let recovered = PyDict::new(py);
        recovered.set_item("epoch", found.epoch)?;
        recovered.set_item("inputs", found.inputs)?;
        recovered.set_item("segments", found.segments)?;
        recovered.set_item("torn_bytes", found.torn)?;
        recovered.set_item("fresh", found.fresh)?;
        recovered.set_item("snapshot", found.snapshot.map(|(sequence, _)| sequence))?;
        recovered.set_item("passed_over", found.passed_over)?;
        Ok(recovered)
    }

    fn erase(&self, program: &str, entity: &str, value: &str) -> PyResult<(u64, bool)> {
        self.made(|server| server.erase(program, entity, value).map_err(value_error))
    }

    fn close(&self, py: Python<'_>) -> PyResult<()> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Spent) {
            State::Made(server) => {
                py.detach(|| drop(server));
                Ok(())
            }
            other => {
                *state = other;
                Err(PyRuntimeError::new_err("the server was started already: drain it"))
            }
        }
    }

    fn digest(&self, py: Python<'_>) -> PyResult<String> {
        if let State::Made(server) = &*self.state() {
            return Ok(hex(&server.digest()));
        }
        let running = self.running()?;
        let digest = py.detach(|| running.digest()).map_err(runtime_error)?;
        Ok(hex(&digest))
    }

    #[pyo3(signature = (seconds=60.0))]
    fn snapshot(&self, py: Python<'_>, seconds: f64) -> PyResult<u64> {
        let time = duration(seconds)?;
        if let State::Made(server) = &mut *self.state() {
            return py.detach(|| server.snapshot(time)).map_err(runtime_error);
        }
        let running = self.running()?;
        py.detach(|| running.snapshot(time)).map_err(runtime_error)
    }

    fn stand_in(&self) -> PyResult<u16> {
        self.made(|server| server.stand_in().map_err(runtime_error))
    }

    fn start(&self) -> PyResult<u16> {
        let mut state = self.state();
        match std::mem::replace(&mut *state, State::Spent) {
            State::Made(server) => {
                let running = server.start().map_err(runtime_error)?;
                let port = running.port;
                *state = State::Running(Arc::new(running));
                Ok(port)
            }
            other => {
                *state = other;
                Err(PyRuntimeError::new_err("the server was started already"))
            }
        }
    }

    fn take(&self, py: Python<'_>, kind: &str, messages: &Bound<'_, PyList>) -> PyResult<usize> {
        let (running, kind) = (self.running()?, stream::kind(kind)?);
        let records = stream::records(messages, kind)?;
        py.detach(|| running.take(kind, records)).map_err(runtime_error)
    }

    fn offsets(&self, py: Python<'_>) -> PyResult<Vec<(String, u32, u64)>> {
        let running = self.running()?;
        let offsets = py.detach(|| running.offsets()).map_err(runtime_error)?;
        let told = offsets
            .into_iter()
            .map(|at| (at.topic.into(), at.partition, at.highest));
        Ok(told.collect())
    }

    fn forward(&self, pop: &str) -> PyResult<forward::Forward> {
        let Some(cursors) = self.cursors.get() else {
            return Err(PyRuntimeError::new_err("the server has no journal that was taken in"));
        };
        forward::Forward::open(cursors, pop)
    }

    fn mirror_behind(&self, py: Python<'_>, behind: bool) -> PyResult<()> {
        let running = self.running()?;
        py.detach(|| running.mirror_behind(behind)).map_err(runtime_error)
    }

    fn tell(&self, py: Python<'_>, stats: BTreeMap<String, u64>) -> PyResult<()> {
        let running = self.running()?;
        let told = stats.into_iter().map(|(name, value)| (name.into(), value)).collect();
        py.detach(|| running.tell(told)).map_err(runtime_error)
    }

    fn cursor(&self, name: &str) -> PyResult<stream::Cursor> {
        let Some(cursors) = self.cursors.get() else {
            return Err(PyRuntimeError::new_err("the server has no journal that was taken in"));
        };
        stream::Cursor::open(cursors, name)
    }

    fn drain(&self, py: Python<'_>, seconds: f64) -> PyResult<()> {
        let (running, time) = (self.running()?, duration(seconds)?);
        py.detach(|| running.drain(time)).map_err(runtime_error)
    }

    #[pyo3(signature = (seconds=None))]
    fn wait(&self, py: Python<'_>, seconds: Option<f64>) -> PyResult<bool> {
        let running = self.running()?;
        let mut left = seconds.map(duration).transpose()?;
        loop {
            let slice = left.map_or(SLICE, |left| left.min(SLICE));
            if py.detach(|| running.wait(Some(slice))).map_err(runtime_error)? {
                return Ok(true);
            }
            left = left.map(|left| left.saturating_sub(slice));
            if left.is_some_and(|left| left.is_zero()) {
                return Ok(false);
            }
            py.check_signals()?;
        }
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let running = self.running()?;
        let stats = py.detach(|| running.stats()).map_err(runtime_error)?;
        let counters = PyDict::new(py);
        for (name, value) in stats {
            counters.set_item(name, value)?;
        }
        Ok(counters)
    }
}

pub(crate) fn value_error(error: impl std::fmt::Display) -> PyErr {
    PyValueError::new_err(error.to_string())
}
