//! The stream door as Python sees it: records in bulk to the engine, and what leaves of the journal behind it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use fraudgate_core::origin::LONGEST_TOPIC;
use fraudgate_server::{
    journal::{
        cursor,
        decisions::{Decisions, Outgoing, Said},
    },
    scoring::bulk::{Kind, Record},
};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    intern,
    prelude::*,
    types::{PyBytes, PyList, PyString},
};

use crate::{duration, journal::journal_error};

/// The version of the messages' schema that is spoken here.
const VERSION: &str = "1";
/// How long is waited before the journal is looked at again: what comes meanwhile leaves together.
const LINGER: Duration = Duration::from_millis(2);

/// What records are, by name.
pub fn kind(name: &str) -> PyResult<Kind> {
    match name {
        "transactions" => Ok(Kind::Transactions),
        "mirrored" => Ok(Kind::Mirrored),
        "labels" => Ok(Kind::Labels),
        "outcomes" => Ok(Kind::Outcomes),
        "rescored" => Ok(Kind::Rescored),
        "control" => Ok(Kind::Control),
        _ => Err(PyValueError::new_err(
            "kind must be \"transactions\", \"mirrored\", \"labels\", \"outcomes\", \"rescored\" or \"control\"",
        )),
    }
}

/// The records of messages as a client of a broker gives them. One that is an error is raised, and none is taken.
pub fn records(messages: &Bound<'_, PyList>, kind: Kind) -> PyResult<Vec<Record>> {
    let expected = match kind {
        Kind::Transactions | Kind::Mirrored => "fraudgate.v1.Transaction",
        Kind::Labels => "fraudgate.v1.Label",
        Kind::Outcomes => "fraudgate.v1.Outcome",
        Kind::Rescored => "fraudgate.v1.RescoredDecisions",
        Kind::Control => "fraudgate.v1.Control",
    };
    let py = messages.py();
    let mut topic: Arc<str> = Arc::from("");
    let mut records = Vec::with_capacity(messages.len());
    for message in messages {
        let error = message.call_method0(intern!(py, "error"))?;
        if !error.is_none() {
            return Err(PyRuntimeError::new_err(error.str()?.to_string()));
        }
        let named = message.call_method0(intern!(py, "topic"))?;
        let named = named.cast::<PyString>()?.to_cow()?;
        if *named != *topic {
            if named.len() > LONGEST_TOPIC {
                return Err(PyValueError::new_err(format!(
                    "a topic's name has more than {LONGEST_TOPIC} bytes"
                )));
            }
            topic = Arc::from(&*named);
        }
        let value = message.call_method0(intern!(py, "value"))?;
        let value = match value.is_none() {
            true => Bytes::new(),
            false => Bytes::copy_from_slice(value.cast::<PyBytes>()?.as_bytes()),
        };
        records.push(Record {
            topic: topic.clone(),
            partition: message.call_method0(intern!(py, "partition"))?.extract()?,
            offset: message.call_method0(intern!(py, "offset"))?.extract()?,
            value,
            unreadable: unreadable(&message.call_method0(intern!(py, "headers"))?, expected)?,
        });
    }
    Ok(records)
}

/// What headers say that a record cannot be read by. Without a word it is what its topic holds.
fn unreadable(headers: &Bound<'_, PyAny>, expected: &str) -> PyResult<Option<&'static str>> {
    if headers.is_none() {
        return Ok(None);
    }
    for header in headers.cast::<PyList>()? {
        let (name, value) = header.extract::<(Bound<'_, PyString>, Bound<'_, PyAny>)>()?;
        let says = |what: &str| {
            let bytes = value.cast::<PyBytes>().map(|bytes| bytes.as_bytes());
            bytes.is_ok_and(|bytes| bytes == what.as_bytes())
        };
        match &*name.to_cow()? {
            "type" if !says(expected) => return Ok(Some("name another type than the topic holds")),
            "version" if !says(VERSION) => return Ok(Some("name a version of the schema that is unknown here")),
            _ => {}
        }
    }
    Ok(None)
}

/// What leaves of the journal for topics. `_native.pyi` documents it.
#[pyclass(frozen, module = "engine._native")]
pub struct Cursor(Mutex<Reading>);

struct Reading {
    cursor: cursor::Cursor,
    decisions: Decisions,
}

/// A message that leaves: what it is, its key, its value and its headers.
type Message<'py> = (&'static str, String, Bound<'py, PyBytes>, Vec<(&'static str, Vec<u8>)>);

impl Cursor {
    /// That of a name.
    pub fn open(cursors: &Arc<cursor::Cursors>, name: &str) -> PyResult<Cursor> {
        Ok(Cursor(Mutex::new(Reading {
            cursor: cursors.open(name).map_err(journal_error)?,
            decisions: Decisions::default(),
        })))
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[pymethods]
impl Cursor {
    fn read<'py>(&self, py: Python<'py>, most: u64, wait_s: f64) -> PyResult<(u64, Vec<Message<'py>>)> {
        let wait = duration(wait_s)?;
        let read = py.detach(|| {
            let (mut reading, began) = (self.reading(), Instant::now());
            loop {
                let Reading { cursor, decisions } = &mut *reading;
                let through = cursor.read(most, decisions)?;
                if !decisions.outgoing.is_empty() || began.elapsed() >= wait {
                    return Ok((through, std::mem::take(&mut decisions.outgoing)));
                }
                thread::sleep(LINGER.min(wait));
            }
        });
        let (through, outgoing) = read.map_err(journal_error)?;
        Ok((through, outgoing.into_iter().map(|one| message(py, one)).collect()))
    }

    fn keep(&self, py: Python<'_>, through: u64) -> PyResult<()> {
        py.detach(|| self.reading().cursor.keep(through)).map_err(journal_error)
    }

    fn behind(&self) -> u64 {
        self.reading().cursor.behind()
    }
}

fn message(py: Python<'_>, outgoing: Outgoing) -> Message<'_> {
    let (said, named) = match outgoing.said {
        Said::Decision => ("decision", "fraudgate.v1.Decision"),
        Said::DeadLetter => ("dead letter", "fraudgate.v1.DeadLetter"),
    };
    let headers = vec![
        ("type", named.into()),
        ("version", VERSION.into()),
        ("epoch", outgoing.epoch.to_string().into_bytes()),
        ("sequence", outgoing.sequence.to_string().into_bytes()),
    ];
    (said, outgoing.key, PyBytes::new(py, &outgoing.value), headers)
}
