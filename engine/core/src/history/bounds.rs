//! What bounds a state, and what it holds within.

use super::ledger::Live;
use crate::transaction::EventTime;

/// What bounds a state. Others are another state: these are a part of what a program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Most bytes, as [`super::Costs`] counts them: what is oldest is evicted beyond four fifths of it. The last fifth is for what
    /// is dead and was not taken away yet.
    pub bytes: u64,
    /// Most events of one key, and most frauds, that are told apart; older ones become tiles.
    pub rows_a_key: usize,
    /// Most tiles of each that a key has.
    pub tiles_a_key: usize,
}

impl Bounds {
    /// No bounds but that of what is told apart.
    pub const NONE: Bounds = Bounds {
        bytes: u64::MAX,
        rows_a_key: 1 << 16,
        tiles_a_key: 128,
    };
}

/// What one entity holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// What is live.
    pub live: Live,
    /// What it is counted with.
    pub bytes: i64,
    /// Through when events were evicted; nothing where none were.
    pub evicted_through: Option<EventTime>,
}
