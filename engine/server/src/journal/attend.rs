//! The thread that drives a [`Keeper`].

use std::{
    sync::Arc,
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use fraudgate_core::transaction::Clock;
use rustix::process::setpriority_process;

use super::{
    JournalError, Promise, failed,
    keeper::{Desk, Keeper, Now},
};

/// How far the keeper steps back where nobody waits for it: so far that it does not push the engine's thread from its core, and
/// not so far that on a full core a sync would come later than is promised.
const KEEPER: i32 = 5;
/// How far the scribe does: nobody ever waits for it.
pub(super) const SCRIBE: i32 = 10;

/// A keeper that is attended to, and how that ends.
pub struct Attended {
    /// How the keeper is spoken to.
    pub desk: Arc<Desk>,
    end: Option<Box<dyn FnOnce() + Send>>,
}

impl Attended {
    /// One that someone else drives: `end` comes back when the keeper, whose desk is closed, has taken its last step.
    pub fn by(desk: Arc<Desk>, end: Box<dyn FnOnce() + Send>) -> Attended {
        Attended { desk, end: Some(end) }
    }

    /// Syncs what there is and ends.
    pub fn close(&mut self) {
        self.desk.close();
        if let Some(end) = self.end.take() {
            end();
        }
    }
}

/// Attends to a keeper on a thread of its own.
pub fn attend(mut keeper: Keeper) -> Result<Attended, JournalError> {
    let desk = keeper.desk().clone();
    let at = desk.clone();
    let run = move || {
        match keeper.promise() {
            Promise::Written => step_back(KEEPER),
            // Answers wait for it.
            Promise::Synced => {}
        }
        let began = Instant::now();
        let now = || Now {
            elapsed: began.elapsed(),
            clock: clock(),
        };
        while let Some(most) = keeper.step(now()) {
            at.wait(most);
        }
    };
    let thread = thread::Builder::new().name("fraudgate-keeper".to_owned());
    let thread = thread.spawn(run).map_err(|e| failed("start")(&e))?;
    // It does not panic; and if it did, what it knew is synced or not, as each segment says.
    let end = Box::new(move || drop(thread.join()));
    Ok(Attended::by(desk, end))
}

/// Lets other threads go before this one where they share a core.
pub(super) fn step_back(nice: i32) {
    // Of this thread, on Linux. Where it may not, it takes its turn like any other.
    let _ = setpriority_process(None, nice);
}

/// The time of day. A clock before 1970 reads as 1970.
pub fn clock() -> Clock {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clock(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
