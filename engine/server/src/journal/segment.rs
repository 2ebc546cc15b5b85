//! One segment as the two threads share it: the engine's writes and says how far, the keeper's syncs and says how far.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::disk::SegmentFile;

/// A segment that is written to, or was until a moment ago.
pub struct Segment {
    /// Its number.
    pub number: u64,
    /// Its file.
    pub file: Arc<dyn SegmentFile>,
    written: AtomicU64,
    synced: AtomicU64,
    ended: AtomicBool,
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
            ended: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        })
    }

    /// It is written through `offset`.
    pub fn wrote(&self, offset: u64) {
        self.written.store(offset, Ordering::Release);
    }

    /// Nothing more is written to it.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Release);
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
        self.has_failed() || self.ended.load(Ordering::Acquire) && self.synced() == self.written.load(Ordering::Acquire)
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
