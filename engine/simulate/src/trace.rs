//! What happened, as a digest: the same seed gives the same one. Told aloud on request.

use std::sync::{Arc, Mutex, PoisonError};

/// A trace, shared by all that take part.
#[derive(Clone)]
pub struct Trace(Arc<Mutex<State>>);

struct State {
    hash: u64,
    aloud: bool,
}

impl Trace {
    /// An empty one; `aloud` prints each event.
    pub fn new(aloud: bool) -> Trace {
        // FNV-1a.
        let hash = 0xcbf2_9ce4_8422_2325;
        Trace(Arc::new(Mutex::new(State { hash, aloud })))
    }

    /// Something happened.
    pub fn tell(&self, what: &str, numbers: &[u64]) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let numbers_bytes = numbers.iter().flat_map(|number| number.to_le_bytes());
        for byte in what.bytes().chain(numbers_bytes) {
            state.hash = (state.hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        }
        if state.aloud {
            println!("  {what} {numbers:?}");
        }
    }

    /// Something of note for a reader only.
    pub fn remark(&self, what: impl FnOnce() -> String) {
        let aloud = self.0.lock().unwrap_or_else(PoisonError::into_inner).aloud;
        if aloud {
            println!("  {}", what());
        }
    }

    /// The digest of all so far.
    pub fn digest(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).hash
    }
}
