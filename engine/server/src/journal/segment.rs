//! One segment as the two threads share it: the engine's writes and says how far, the keeper's syncs and says how far.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use fraudgate_core::journal::segment::End;

use super::disk::SegmentFile;

/// A segment that is written to, or was until a moment ago.
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// Its file.
    pub file: Arc<dyn SegmentFile>,
    written: AtomicU64,
    synced: AtomicU64,
    /// Where it ends, when nothing more is written to it.
    end: OnceLock<End>,
    failed: AtomicBool,
}

impl Segment {
    /// One to which nothing is written.
    pub fn new(number: u64, file: Arc<dyn SegmentFile>) -> Arc<Segment> {
        Arc::new(Segment {
            number,
            file,
            written: AtomicU64::new(0),
            synced: AtomicU64::new(0),
            end: OnceLock::new(),
            failed: AtomicBool::new(false),
        })
    }

    /// It is written through `offset`.
    pub fn wrote(&self, offset: u64) {
        self.written.store(offset, Ordering::Release);
    }

    /// Nothing more is written to it: it ends here.
    pub fn ends(&self, end: End) {
        // It ends once.
        let _ = self.end.set(end);
    }

    /// Where it ends, when all of it is synced and nothing more is written to it.
    pub fn end(&self) -> Option<End> {
        let end = self.end.get().filter(|end| end.offset == self.synced());
        end.filter(|_| !self.has_failed()).copied()
    }

    /// It is never trusted again.
    pub fn fail(&self) {
        self.failed.store(true, Ordering::Release);
    }

    /// Whether it is not to be trusted.
    pub fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }

    /// The offset through which it is synced.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Whether there is nothing more to sync of it, ever.
    pub fn is_done(&self) -> bool {
        self.has_failed() || self.end().is_some()
    }

    /// Syncs what was written. Says whether there was anything.
    pub fn sync(&self) -> bool {
        let written = self.written.load(Ordering::Acquire);
        if self.has_failed() || written == self.synced() {
            return false;
        }
        match self.file.sync() {
            Ok(()) => self.synced.store(written, Ordering::Release),
            // What the kernel could not write it may forget, and the next sync would not say so.
            Err(_) => self.fail(),
        }
        true
    }
}
