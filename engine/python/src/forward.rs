//! What leaves of the journal for the cloud, as Python sees it.

use std::{
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use fraudgate_core::rescore::Gathering;
use fraudgate_server::journal::{
    cursor::{Cursor, Cursors},
    forward::{CURSOR, Forwarding, What},
};
use pyo3::{prelude::*, types::PyBytes};

use crate::{duration, journal::journal_error};

/// How many inputs are read at a time.
const TOGETHER: u64 = 4_096;
/// How long is waited before the journal is looked at again: what comes meanwhile leaves together.
const LINGER: Duration = Duration::from_millis(10);

/// `_native.pyi` documents it.
#[pyclass(frozen, module = "engine._native")]
pub struct Forward(Mutex<Reading>);

struct Reading {
    cursor: Cursor,
    forwarding: Forwarding,
    cursors: Arc<Cursors>,
}

/// What it is, its key, its value.
type Leaving<'py> = (&'static str, String, Bound<'py, PyBytes>);

impl Forward {
    /// Goes on where the journal was shipped to, in the name of a PoP.
    pub fn open(cursors: &Arc<Cursors>, pop: &str) -> PyResult<Forward> {
        let cursor = cursors.open(CURSOR).map_err(journal_error)?;
        cursors.shipped(cursor.through());
        Ok(Forward(Mutex::new(Reading {
            cursor,
            forwarding: Forwarding(Gathering::new(pop)),
            cursors: cursors.clone(),
        })))
    }
}

#[pymethods]
impl Forward {
    fn read<'py>(&self, py: Python<'py>, rows: usize, wait_s: f64) -> PyResult<(u64, usize, Vec<Leaving<'py>>)> {
        let wait = duration(wait_s)?;
        let read = py.detach(|| {
            let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Reading { cursor, forwarding, .. } = &mut *reading;
            let (began, mut before) = (Instant::now(), 0);
            loop {
                let through = cursor.read(TOGETHER, forwarding)?;
                if forwarding.0.rows() >= rows || began.elapsed() >= wait {
                    return Ok((through, forwarding.take()));
                }
                if std::mem::replace(&mut before, through) == through {
                    thread::sleep(LINGER.min(wait));
                }
            }
        });
        let (through, (rows, leaving)) = read.map_err(journal_error)?;
        let messages = leaving.into_iter().map(|one| {
            let what = match one.what {
                What::Request => "request",
                What::Reversal => "reversal",
            };
            (what, one.key, PyBytes::new(py, &one.value))
        });
        Ok((through, rows, messages.collect()))
    }

    fn keep(&self, py: Python<'_>, through: u64) -> PyResult<()> {
        py.detach(|| {
            let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            reading.cursor.keep(through)?;
            reading.cursors.shipped(through);
            Ok(())
        })
        .map_err(journal_error)
    }

    fn behind(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).cursor.behind()
    }
}
