//! Watches how much real memory the process holds, beside what the core counts of itself: where it is more than was
//! configured, no model is asked until it is less again. Reading it is not the engine's thread's work.

use std::{rc::Rc, time::Duration};

use fraudgate_core::ladder::Cause;
use tokio::{task::spawn_blocking, time::sleep};

use crate::scoring::Shared;

/// How often it is looked at.
const LOOK: Duration = Duration::from_millis(500);

/// Whether memory runs short: from when it is beyond a bound until it is a tenth below it.
#[derive(Debug)]
struct Pressure {
    most: u64,
    is_short: bool,
}

impl Pressure {
    fn of(most: u64) -> Pressure {
        Pressure { most, is_short: false }
    }

    fn look(&mut self, resident: u64) -> bool {
        let least = self.most - self.most / 10;
        self.is_short = resident > if self.is_short { least } else { self.most };
        self.is_short
    }
}

/// Looks at it as long as the server runs.
pub(super) async fn watch(shared: Rc<Shared>, most: Option<u64>) {
    let mut pressure = Pressure::of(most.unwrap_or(u64::MAX));
    loop {
        // Where it cannot be known, nothing runs short.
        let resident = spawn_blocking(resident).await.ok().flatten().unwrap_or(0);
        shared.resident_bytes.set(resident);
        let is_short = pressure.look(resident);
        // Until state is there, another engine stands in, which asks no model anyway.
        if shared.ready.is_raised() {
            let cause = is_short.then_some(Cause::Memory);
            shared.engine.borrow_mut().hold_to_default(cause);
        }
        sleep(LOOK).await;
    }
}

/// The memory that the process holds, in bytes; nothing where the system does not say.
fn resident() -> Option<u64> {
    /// As Linux counts it on the machines that this is built for.
    const PAGE: u64 = 4096;
    let told = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = told.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * PAGE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_short_until_it_is_a_tenth_below_the_bound() {
        let mut pressure = Pressure::of(1_000);
        let seen = [900, 1_000, 1_001, 950, 901, 900, 1_000, 2_000, 0];
        let short = seen.map(|resident| pressure.look(resident));
        assert_eq!(short, [false, false, true, true, true, false, false, true, false]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn what_the_process_holds_is_known() {
        let before = resident().unwrap();
        // Hidden from the optimiser, which would not make what nobody reads.
        let held = std::hint::black_box(vec![1_u8; 64 << 20]);
        let after = resident().unwrap();
        assert!(
            before > 0 && after >= before + (60 << 20),
            "{before} {after} {}",
            held.len()
        );
    }
}
