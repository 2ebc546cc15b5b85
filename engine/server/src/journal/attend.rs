//! The thread that drives a [`Keeper`].

use std::{
    sync::Arc,
    thread,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use fraudgate_core::transaction::Clock;

use super::{
    JournalError, failed,
    keeper::{Desk, Keeper, Now},
};

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

/// The time of day. A clock before 1970 reads as 1970.
pub fn clock() -> Clock {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Clock(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}
