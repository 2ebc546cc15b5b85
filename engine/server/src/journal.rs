//! The journal's files. A drain is sealed by the core and appended by the engine's thread before its answers leave
//! ([`writer`]), and kept until it is synced ([`unsynced`]); a thread of its own ([`mod@attend`]) syncs in groups, makes the
//! next segment ready and removes old ones ([`keeper`]); at a start what is there is taken in again ([`recovery`]), the most
//! of it from a [`snapshot`]; what leaves for elsewhere is read behind the writer by cursors ([`cursor`]), each with its own
//! choice ([`decisions`]). [`disk`] is what all of it asks of a file system.

mod attend;
pub mod chain;
pub mod cursor;
pub mod decisions;
pub mod disk;
mod dying;
pub mod erasure;
pub mod forward;
pub mod keeper;
pub mod keyring;
pub mod look;
pub mod place;
pub mod recovery;
pub mod repair;
mod segment;
pub mod snapshot;
mod status;
mod unsynced;
pub mod writer;

use std::{path::PathBuf, time::Duration};

use serde::Deserialize;

pub use attend::{Attended, attend, clock};
pub(crate) use dying::armed;
pub use recovery::{Recovered, recover};
pub use status::Status;
pub use writer::Writer;

/// The journal's part of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where its files are.
    pub folder: PathBuf,
    /// What an answer waits for.
    pub promise: Promise,
    /// The size at which a segment ends, in bytes.
    pub segment_bytes: u64,
    /// The most that is kept in memory of what is not synced yet, in bytes.
    pub buffer_bytes: usize,
    /// How often is synced, in milliseconds.
    pub sync_ms: u64,
    /// Segments are removed from the oldest on while all are larger than this, in bytes; null: never.
    pub retain_bytes: Option<u64>,
    /// Segments all of whose inputs are older than this are removed, in seconds; null: never.
    pub retain_s: Option<u64>,
    /// The most inputs that may wait to be shipped to the cloud: beyond it nothing more is taken to be scored again; null:
    /// nothing is shipped.
    #[serde(default)]
    pub spool_inputs: Option<u64>,
    /// A snapshot is taken when so many bytes were journaled since the last one; null: not by itself.
    pub snapshot_bytes: Option<u64>,
    /// A snapshot is taken when so many inputs were taken since the last one; null: not by itself.
    pub snapshot_inputs: Option<u64>,
    /// How many snapshots are kept.
    pub snapshots: usize,
}

/// What an answer waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Promise {
    /// That it was written: it survives the process.
    Written,
    /// That it was synced: it survives the loss of power.
    Synced,
}

impl Settings {
    /// How often is synced.
    pub fn interval(&self) -> Duration {
        Duration::from_millis(self.sync_ms)
    }
}

/// Why a journal cannot be opened or read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalError(pub String);

impl std::fmt::Display for JournalError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "journal: {}", self.0)
    }
}

impl std::error::Error for JournalError {}

/// Tells what was being done when something failed.
fn failed(what: &str) -> impl Fn(&dyn std::fmt::Display) -> JournalError + '_ {
    move |error| JournalError(format!("{what}: {error}"))
}
