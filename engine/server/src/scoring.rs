//! The services over the core, in the order in which a call passes them: `routes` by path and identity, then `unary`,
//! `batch` or `stream` admit what was sent and put it into the `queue`, whose drain hands what has arrived to the core.

mod batch;
pub mod bulk;
mod call;
mod deadline;
mod health;
mod queue;
mod routes;
mod stream;
mod unary;

use std::{
    cell::{Cell, OnceCell, RefCell},
    rc::Rc,
};

use fraudgate_core::road::Engine;

pub use deadline::Cost;
pub use queue::{Machine, Queue, drain, photograph, tend};
pub use routes::Scoring;

use crate::{server::Journaled, transport::Signal};

/// What the services share. Everything of it lives on the engine's thread.
pub struct Shared {
    /// The core.
    pub engine: RefCell<Engine>,
    /// What has arrived for it.
    pub queue: Queue,
    /// Raised when state is there, and models answer.
    pub ready: Rc<Signal>,
    /// Raised when the server leaves.
    pub leaving: Rc<Signal>,
    /// The largest message, in bytes.
    pub message_bytes: usize,
    /// The most items of a batch.
    pub batch: usize,
    /// Where inputs are journaled.
    pub journal: OnceCell<Journaled>,
    /// The real memory of the process, as it was last looked at.
    pub resident_bytes: Cell<u64>,
}
