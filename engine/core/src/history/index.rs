//! Where a key of an entity has its number: a hash table of its own, so that the place of a key can be fetched before it is
//! asked for, and so that it grows in small parts and never as a whole.

use super::prefetch::prefetch;
use crate::transaction::KeyHash;

/// Parts that grow by themselves: a million keys are moved four thousand at a time.
const PARTS: usize = 256;
/// Places of the smallest part that holds something.
const LEAST: usize = 8;

/// Numbers by key. Keys are keyed hashes: nobody without the secret can choose where they fall.
#[derive(Clone, Debug)]
pub(super) struct Index(Box<[Part]>);

/// An open table: a place holds 32 bits of a key and its number, or nothing. What does not find its place free stands
/// behind it, with no gap between.
#[derive(Clone, Debug, Default)]
struct Part {
    places: Box<[u64]>,
    keys: u32,
}

/// A place that holds no key: none has so high a number.
const FREE: u64 = u64::MAX;

fn part(key: KeyHash) -> usize {
    (key.0 >> 32) as usize % PARTS
}

fn place(key: KeyHash, number: u32) -> u64 {
    u64::from(key.0 as u32) << 32 | u64::from(number)
}

impl Default for Index {
    fn default() -> Index {
        Index(vec![Part::default(); PARTS].into())
    }
}

impl Index {
    /// Asks for the place of a key. Changes nothing.
    pub fn prefetch(&self, key: KeyHash) {
        let part = &self.0[part(key)];
        if !part.places.is_empty() {
            prefetch(&part.places, part.home(u64::from(key.0 as u32)));
        }
    }

    /// The number for which `is_it` holds, of those that the key may have.
    pub fn find(&self, key: KeyHash, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        let part = &self.0[part(key)];
        if part.places.is_empty() {
            return None;
        }
        let tag = key.0 as u32;
        let mut at = part.home(u64::from(tag));
        loop {
            let held = part.places[at];
            if held == FREE {
                return None;
            }
            if (held >> 32) as u32 == tag && is_it(held as u32) {
                return Some(held as u32);
            }
            at = part.after(at);
        }
    }

    /// Takes in a key that is not there.
    pub fn insert(&mut self, key: KeyHash, number: u32) {
        let part = &mut self.0[part(key)];
        part.keys += 1;
        if part.keys as usize * 4 > part.places.len() * 3 {
            part.resize((part.places.len() * 2).max(LEAST));
        }
        part.put(place(key, number));
    }

    /// A key that is there has another number now.
    pub fn renumber(&mut self, key: KeyHash, from: u32, to: u32) {
        let part = &mut self.0[part(key)];
        if let Some(at) = part.position(place(key, from)) {
            part.places[at] = place(key, to);
        }
    }

    /// Takes out a key that is there.
    pub fn remove(&mut self, key: KeyHash, number: u32) {
        let part = &mut self.0[part(key)];
        let Some(mut gap) = part.position(place(key, number)) else {
            return;
        };
        part.keys -= 1;
        let mut at = part.after(gap);
        while part.places[at] != FREE {
            // What may stand in the gap is what is looked for from there or from before.
            let mask = part.places.len() - 1;
            let home = part.home(part.places[at] >> 32);
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(gap) & mask {
                part.places[gap] = part.places[at];
                gap = at;
            }
            at = part.after(at);
        }
        part.places[gap] = FREE;
        if part.places.len() > LEAST && (part.keys as usize) * 4 < part.places.len() {
            part.resize(part.places.len() / 2);
        }
    }
}

impl Part {
    fn home(&self, tag: u64) -> usize {
        tag as usize & (self.places.len() - 1)
    }

    fn after(&self, at: usize) -> usize {
        (at + 1) & (self.places.len() - 1)
    }

    fn position(&self, held: u64) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let mut at = self.home(held >> 32);
        while self.places[at] != FREE {
            if self.places[at] == held {
                return Some(at);
            }
            at = self.after(at);
        }
        None
    }

    fn put(&mut self, held: u64) {
        let mut at = self.home(held >> 32);
        while self.places[at] != FREE {
            at = self.after(at);
        }
        self.places[at] = held;
    }

    fn resize(&mut self, places: usize) {
        let old = std::mem::replace(&mut self.places, vec![FREE; places].into());
        old.into_iter()
            .filter(|&held| held != FREE)
            .for_each(|held| self.put(held));
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_index_is_a_map(steps in prop::collection::vec((any::<bool>(), 0_u128..40), 0..400)) {
            let mut index = Index::default();
            let mut map: HashMap<u128, u32> = HashMap::new();
            // Keys that differ in their high bits alone share a part and a tag.
            let hash = |key: u128| KeyHash((key & 3) | (key >> 2) << 100);
            for (number, (inserts, key)) in steps.into_iter().enumerate() {
                match (inserts, map.remove(&key)) {
                    (true, Some(before)) => {
                        index.renumber(hash(key), before, number as u32);
                        map.insert(key, number as u32);
                    }
                    (true, None) => {
                        index.insert(hash(key), number as u32);
                        map.insert(key, number as u32);
                    }
                    (false, Some(before)) => index.remove(hash(key), before),
                    (false, None) => {}
                }
                for key in 0..40 {
                    let found = index.find(hash(key), |number| map.get(&key) == Some(&number));
                    prop_assert_eq!(found, map.get(&key).copied());
                }
            }
        }
    }
}
