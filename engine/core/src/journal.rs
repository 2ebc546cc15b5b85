//! The journal: every input that was taken, with its answer and the features it saw, in the order of its sequence. State
//! is a fold over it. Here are its forms and its sealing; files are the server's.
//!
//! A drain is drafted ([`draft`]) as [`record`]s and sealed as one [`chunk`]; chunks stand in a [`segment`] one after the
//! other; [`reader`] walks them back; [`keys`] wraps each segment's key. ARCHITECTURE.md describes the format.

pub mod chunk;
pub mod draft;
pub mod gap;
pub(crate) mod header;
pub mod keys;
pub mod reader;
pub mod record;
pub mod rewritten;
pub mod segment;

pub use draft::Draft;

use crate::{program::Program, rescore::Spool, transaction::Clock};
use segment::End;

/// What an input that was taken survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Durability {
    /// Nothing: it is in memory.
    Memory,
    /// The death of the process.
    Written,
    /// The loss of power.
    Synced,
}

/// Where an engine's drafts go, drain by drain.
pub trait Journal: Send {
    /// Whether it takes one more drain. When it does not, the engine reads and does not fold. Also writes what could not
    /// be written before, if that can be done by `now`.
    fn takes(&mut self, now: Clock, programs: &[Program]) -> bool;

    /// Appends a drain, before its answers leave. Takes the draft's bytes and leaves another buffer, perhaps a used one.
    /// `programs` are those that a new segment states.
    fn append(&mut self, draft: &mut Draft, programs: &[Program]);

    /// Does what can wait until answers have left. What needs it sooner does it itself.
    fn rest(&mut self) {}

    /// Ends the segment here, so that a start from a snapshot of this moment reads nothing of what is before, and gives where
    /// that is. Nothing while not all that was appended stands there, or no other segment is ready. `programs` are those that
    /// the next one states.
    fn cut(&mut self, programs: &[Program]) -> Option<End>;

    /// What the input at a sequence survives by now.
    fn durability(&self, sequence: u64) -> Durability;

    /// Whether what is to be scored again is still taken, when `sequence` is the newest input. Nobody ships anything from
    /// a journal that does not say so.
    fn spool(&self, sequence: u64) -> Spool {
        let _ = sequence;
        Spool::None
    }
}
