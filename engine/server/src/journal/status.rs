//! What a journal tells of itself, without a lock.

use std::sync::atomic::AtomicU64;

/// What a journal tells other threads of itself.
#[derive(Debug, Default)]
pub struct Status {
    /// The sequence through which all is written.
    pub written: AtomicU64,
    /// The sequence through which all is synced.
    pub synced: AtomicU64,
    /// The segment that is written to; 0 when none can be.
    pub segment: AtomicU64,
    /// Bytes that are written.
    pub bytes: AtomicU64,
    /// Bytes kept in memory because they are not synced.
    pub held: AtomicU64,
    /// Files that failed.
    pub failures: AtomicU64,
    /// The sequence through which what is to be scored again was shipped.
    pub shipped: AtomicU64,
}
