//! Waiting for what another thread does, however slow the machine is.

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

/// Waits until something is so. Panics with its name when it is not after a minute.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !so() {
        assert!(began.elapsed() < Duration::from_secs(60), "not within a minute: {what}");
        sleep(Duration::from_millis(2));
    }
}
