//! The services over the core, in the order in which a call passes them: `routes` by path and identity, then `unary`,
//! `batch` or `stream` admit what was sent and put it into the `queue`, whose drain hands what has arrived to the core.

mod batch;
pub mod bulk;
mod call;
mod deadline;
mod health;
mod hybrid;
mod queue;
mod routes;
mod stats;
mod stream;
mod unary;

use std::{
    borrow::Cow,
    cell::{Cell, OnceCell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use fraudgate_core::road::Engine;

pub use deadline::Cost;
pub use queue::{Machine, Queue, drain, photograph, tend};
pub use routes::Scoring;
pub use stats::stats;

use crate::{
    cloud::Cloud,
    server::Journaled,
    transport::{Signal, Traffic},
};

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
    /// Who is asked of what is uncertain, while its caller waits.
    pub cloud: Option<Cloud>,
    /// Where inputs are journaled.
    pub journal: OnceCell<Journaled>,
    /// What the transport counts.
    pub traffic: Rc<Traffic>,
    /// What other threads of the process told, by name: the newest of each.
    pub told: RefCell<BTreeMap<Cow<'static, str>, u64>>,
    /// The real memory of the process, as it was last looked at.
    pub resident_bytes: Cell<u64>,
}
