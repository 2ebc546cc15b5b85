//! Snapshots of the state beside the journal: with the newest one a start reads the journal from its place on alone.
//!
//! The engine's thread makes a cut and sweeps in slices between drains ([`mod@take`]); a thread of its own seals and writes
//! what is swept ([`scribe`]); at a start the newest that is whole and hangs together with the journal is taken in ([`mod@load`]).
//! ARCHITECTURE.md describes the file; `fraudgate_core::snapshot::file` reads and writes it.

pub mod load;
pub mod scribe;
pub mod take;

use std::sync::{Arc, atomic::AtomicU64};

use fraudgate_core::{journal::segment::End, road::Engine};

use super::{JournalError, disk::Disk, keyring::Keyring};
use scribe::{Begun, Scribe};

/// A snapshot that may be written: its number and its key.
pub struct Prepared {
    /// Its number, among those of segments.
    pub number: u64,
    /// Its key.
    pub key: [u8; 32],
}

/// Which snapshots are kept, and what they need.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Their numbers.
    pub numbers: Vec<u64>,
    /// The first segment that one of them needs; none when none is kept.
    pub needs: Option<u64>,
    /// Those that are gone since it was last told.
    pub gone: Vec<u64>,
}

/// What is told of snapshots to other threads.
#[derive(Debug, Default)]
pub struct Status {
    /// The number of the newest.
    pub number: AtomicU64,
    /// The sequence of its cut.
    pub sequence: AtomicU64,
    /// Its bytes.
    pub bytes: AtomicU64,
    /// How many were taken.
    pub taken: AtomicU64,
    /// How many could not be written.
    pub failures: AtomicU64,
}

/// Writes a snapshot of an engine that takes nothing meanwhile. `end` is where its journal ends; `None` when it has none.
/// Gives the sequence that it is of.
pub fn write(
    disk: &Arc<dyn Disk>,
    keyring: &mut Keyring,
    engine: &mut Engine,
    number: u64,
    epoch: u64,
    end: Option<End>,
) -> Result<u64, JournalError> {
    let key = keyring.make(number, epoch)?;
    let sequence = engine.sequence();
    let status = Arc::new(Status::default());
    let mut scribe = Scribe::new(disk.clone(), 1, Vec::new(), status, Box::new(|_| {}));
    scribe.begin(Begun {
        prepared: Prepared { number, key },
        epoch,
        sequence,
        place: end,
    })?;
    let written = engine.write_snapshot(|piece| scribe.piece(piece).map(drop));
    written.and_then(|()| scribe.publish())?;
    Ok(sequence)
}
