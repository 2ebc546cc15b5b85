//! The keys of an entity by their numbers: dense, in pages, so that their list grows without being copied and shrinks when
//! keys go. A number holds until a key goes: then the last key takes the number of the one that went.

use super::{index::Index, prefetch::prefetch, ring::Ring, side::Side};
use crate::{plan::EntityLayout, transaction::KeyHash};

/// A key's number within its entity.
pub(super) type KeyNumber = u32;

/// Heads of a page, as a power of two.
const A_PAGE: u32 = 8;

/// A key and all that leads to what it did: one cache line.
#[derive(Clone, Debug)]
#[repr(align(64))]
pub(super) struct Head {
    pub key: KeyHash,
    pub events: Ring,
    pub side: Option<Box<Side>>,
}

const _: () = assert!(size_of::<Head>() == 64, "a head is one cache line");

impl Head {
    /// Event time of the newest thing that the key ever held.
    pub fn newest(&self) -> i64 {
        let fraud = self.side.as_ref().map_or(i64::MIN, |side| side.newest_fraud);
        self.events.newest().max(fraud)
    }

    /// Likewise; `first` when it never held anything.
    pub fn newest_or(&self, first: i64) -> i64 {
        match self.newest() {
            i64::MIN => first,
            newest => newest,
        }
    }

    /// Frees what few keys have, when it holds nothing.
    pub fn tidy_side(&mut self) {
        let newest = self.events.newest();
        if self.side.as_ref().is_some_and(|side| side.is_empty(newest)) {
            self.side = None;
        }
    }

    /// What few keys have.
    pub fn side_mut(&mut self, layout: &EntityLayout) -> &mut Side {
        self.side.get_or_insert_with(|| Box::new(Side::new(layout)))
    }
}

/// Keys whose numbers are remembered, a power of two: several times as many as are announced together.
const LATELY: usize = 128;

/// All keys of an entity.
#[derive(Clone, Debug)]
pub(super) struct Keys {
    index: Index,
    pages: Vec<Vec<Head>>,
    count: KeyNumber,
    /// Tags and numbers of keys that were looked for lately: each input looks for its keys several times. A cache, and
    /// right by chance.
    lately: [(u32, KeyNumber); LATELY],
}

impl Default for Keys {
    fn default() -> Keys {
        Keys {
            index: Index::default(),
            pages: Vec::new(),
            count: 0,
            lately: [(0, KeyNumber::MAX); LATELY],
        }
    }
}

/// Where the number of a key is remembered, and the tag that tells it from most others there: bits that no two keys of one
/// place in the index need share.
fn lately(key: KeyHash) -> (usize, u32) {
    ((key.0 >> 64) as usize % LATELY, (key.0 >> 96) as u32)
}

impl Keys {
    /// How many there are, dead ones that were not taken away yet among them.
    pub fn count(&self) -> KeyNumber {
        self.count
    }

    /// The number of a key.
    #[inline]
    pub fn find(&self, key: KeyHash) -> Option<KeyNumber> {
        let (place, tag) = lately(key);
        let (known, number) = self.lately[place];
        if known == tag && number < self.count && self.at(number).key == key {
            return Some(number);
        }
        self.look_up(key)
    }

    #[inline(never)]
    fn look_up(&self, key: KeyHash) -> Option<KeyNumber> {
        self.index.find(key, |number| self.at(number).key == key)
    }

    #[inline]
    pub fn at(&self, number: KeyNumber) -> &Head {
        &self.pages[(number >> A_PAGE) as usize][(number & ((1 << A_PAGE) - 1)) as usize]
    }

    #[inline]
    pub fn at_mut(&mut self, number: KeyNumber) -> &mut Head {
        &mut self.pages[(number >> A_PAGE) as usize][(number & ((1 << A_PAGE) - 1)) as usize]
    }

    /// Numbers a key that is not there.
    pub fn add(&mut self, key: KeyHash, events: Ring) -> KeyNumber {
        let number = self.count;
        let page = (number >> A_PAGE) as usize;
        if page == self.pages.len() {
            self.pages.push(Vec::with_capacity(1 << A_PAGE));
        }
        self.pages[page].push(Head {
            key,
            events,
            side: None,
        });
        self.index.insert(key, number);
        self.count += 1;
        self.remember(key, number);
        number
    }

    /// Takes a key away; the last one takes its number.
    pub fn remove(&mut self, number: KeyNumber) {
        self.index.remove(self.at(number).key, number);
        self.count -= 1;
        let Some(last) = self.pages.last_mut().and_then(Vec::pop) else {
            return;
        };
        if self.pages.last().is_some_and(Vec::is_empty) {
            self.pages.pop();
        }
        if number != self.count {
            self.index.renumber(last.key, self.count, number);
            *self.at_mut(number) = last;
        }
    }

    /// Asks for what leads to a key's head. Changes nothing.
    pub fn announce(&self, key: KeyHash) {
        self.index.prefetch(key);
    }

    /// Asks for a key's head, which will be looked for.
    pub fn approach(&mut self, key: KeyHash) {
        // Its number alone: whether it is this key's would take the head itself.
        if let Some(number) = self.index.find(key, |_| true) {
            prefetch(
                &self.pages[(number >> A_PAGE) as usize],
                (number & ((1 << A_PAGE) - 1)) as usize,
            );
            self.remember(key, number);
        }
    }

    fn remember(&mut self, key: KeyHash, number: KeyNumber) {
        let (place, tag) = lately(key);
        self.lately[place] = (tag, number);
    }

    /// The numbers in the order of keys.
    pub fn sorted(&self) -> Vec<KeyNumber> {
        let mut numbers: Vec<KeyNumber> = (0..self.count).collect();
        numbers.sort_unstable_by_key(|&number| self.at(number).key);
        numbers
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn keys_are_found_by_their_numbers_whatever_went(steps in prop::collection::vec((0_u128..900, any::<bool>()), 0..2_000)) {
            let mut keys = Keys::default();
            let mut there = HashSet::new();
            for (key, adds) in steps {
                match keys.find(KeyHash(key)) {
                    None if adds => {
                        keys.add(KeyHash(key), Ring::new(0));
                        there.insert(key);
                    }
                    Some(number) if !adds => {
                        keys.remove(number);
                        there.remove(&key);
                    }
                    _ => {}
                }
                prop_assert_eq!(keys.count() as usize, there.len());
            }
            for key in 0..900 {
                let found = keys.find(KeyHash(key));
                prop_assert_eq!(found.is_some(), there.contains(&key));
                prop_assert!(found.is_none_or(|number| keys.at(number).key == KeyHash(key)));
            }
        }
    }
}
