//! Keys that were erased, and through when nothing is known of them. The history of a key goes at once; that it went is kept
//! as long as a window can reach back before it, so that what was erased reads as unknown and never as nothing.
//!
//! Nothing here depends on whether the key had a history: a replay of records that do not name it any more comes to the same.

use std::collections::VecDeque;

use hashbrown::HashMap;

use crate::{
    keyed::ByKey,
    snapshot::{Unreadable, number},
    transaction::{EventTime, KeyHash},
};

/// The erased keys of one entity.
#[derive(Clone, Debug, Default)]
pub(super) struct Erased {
    /// The newest event time that was folded when a key was erased.
    through: HashMap<KeyHash, EventTime, ByKey>,
    /// The same in the order of erasures, and so of times; a key that was erased again stands twice.
    order: VecDeque<(KeyHash, EventTime)>,
}

impl Erased {
    /// A key is erased: events through this time are unknown of it.
    pub fn add(&mut self, key: KeyHash, through: EventTime) {
        self.through.insert(key, through);
        self.order.push_back((key, through));
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Through when nothing is known of a key because it was erased; the least time there is when it was not.
    pub fn through(&self, key: KeyHash) -> EventTime {
        if self.through.is_empty() {
            return EventTime(i64::MIN);
        }
        self.through.get(&key).copied().unwrap_or(EventTime(i64::MIN))
    }

    /// Forgets keys that were erased through a time before which no window begins.
    pub fn expire(&mut self, reach: EventTime) {
        while let Some(&(key, through)) = self.order.front().filter(|&&(_, through)| through <= reach) {
            self.order.pop_front();
            if self.through.get(&key) == Some(&through) {
                self.through.remove(&key);
            }
        }
    }

    /// Writes them in the order of erasures.
    pub fn write(&self, write: &mut impl FnMut(&[u8])) {
        write(&(self.order.len() as u64).to_le_bytes());
        for (key, through) in &self.order {
            write(&key.0.to_le_bytes());
            write(&through.0.to_le_bytes());
        }
    }

    /// What [`Erased::write`] wrote, taken off the beginning of `bytes`.
    pub fn read(bytes: &mut &[u8]) -> Result<Erased, Unreadable> {
        let mut erased = Erased::default();
        for _ in 0..u64::from_le_bytes(number(bytes)?) {
            let key = KeyHash(u128::from_le_bytes(number(bytes)?));
            erased.add(key, EventTime(i64::from_le_bytes(number(bytes)?)));
        }
        Ok(erased)
    }
}
