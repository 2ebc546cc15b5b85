//! Chunks that are written and not synced, kept in memory as they were sealed: when their file fails they are written anew.
//! Their digests, which the next segment and a snapshot name, may be taken when answers have left.

use std::{collections::VecDeque, sync::Arc};

use fraudgate_core::journal::{
    chunk::Seal,
    segment::{End, Open},
};

use super::segment::Segment;

/// What one drain left, in the clear or sealed.
pub struct Drain {
    /// Room for a chunk's header, then its records; sealed, a chunk.
    pub bytes: Vec<u8>,
    /// The sequence of its first input.
    pub first: u64,
    /// How many inputs it holds.
    pub count: u32,
}

impl Drain {
    /// The sequence of its last input.
    pub fn through(&self) -> u64 {
        self.first + u64::from(self.count) - 1
    }
}

/// One of them.
pub struct Sealed {
    /// As it was written.
    pub drain: Drain,
    /// The offset at which it ends.
    pub until: u64,
    /// Where it stands.
    pub segment: Arc<Segment>,
    /// What opens it again.
    pub seal: Arc<Seal>,
    /// Where the journal ends with it, once its digest was taken.
    pub end: Option<End>,
}

/// All of them, in order.
#[derive(Default)]
pub struct Unsynced(VecDeque<Sealed>);

impl Unsynced {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The oldest.
    pub fn front(&self) -> Option<&Sealed> {
        self.0.front()
    }

    /// The newest.
    pub fn back(&self) -> Option<&Sealed> {
        self.0.back()
    }

    /// Keeps one more.
    pub fn push(&mut self, sealed: Sealed) {
        self.0.push_back(sealed);
    }

    /// Takes the digests that were not taken. Those chunks stand in `open`: it is the last segment, and they came last.
    pub fn link(&mut self, open: &mut Open) {
        let linked = self.0.partition_point(|sealed| sealed.end.is_some());
        for sealed in self.0.range_mut(linked..) {
            sealed.end = Some(open.link(&sealed.drain.bytes, sealed.until));
        }
    }

    /// Where the journal ends with the newest, if its digest was taken.
    pub fn end(&self) -> Option<End> {
        self.0.back().and_then(|last| last.end)
    }

    /// The oldest, if it is synced and its digest was taken, and where the journal ends with it.
    pub fn pop_synced(&mut self) -> Option<(Drain, End)> {
        let front = self.0.front()?;
        let end = front.end.filter(|_| front.segment.synced() >= front.until)?;
        self.0.pop_front().map(|sealed| (sealed.drain, end))
    }

    /// The newest, to be written anew.
    pub fn pop_newest(&mut self) -> Option<Sealed> {
        self.0.pop_back()
    }
}
