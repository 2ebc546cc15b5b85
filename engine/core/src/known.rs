//! The ids that were taken lately, with their first answers: a retransmission gets the first answer and changes nothing.
//!
//! The newest `capacity` ids are kept, in the order of their sequence; an older one is forgotten and would be taken again.

use hashbrown::HashMap;
use std::collections::VecDeque;

use crate::{assessment::Assessment, keyed::ByKey, transaction::KeyHash};

/// One id that was taken.
#[derive(Debug)]
pub struct Taken {
    /// The hash of the id.
    pub id: KeyHash,
    /// The digest of its fields but mode and decide-by.
    pub payload: KeyHash,
    /// The position at which it was taken.
    pub sequence: u64,
    /// What was answered; `None` when only a fold was asked, or as long as its drain is under way.
    pub assessment: Option<Assessment>,
}

/// The place of an id, valid while it is among the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place(u64);

/// The index of ids. All of its memory is taken, and touched, when it is made: none of it is a transaction's to wait for.
pub struct Known {
    capacity: usize,
    forgotten: u64,
    taken: VecDeque<Taken>,
    /// Places of the ids taken last, and of those before them. When the young are as many as are remembered, the old are
    /// dropped as a whole and the two change roles: removing ids one by one would have the map rebuilt now and then.
    young: HashMap<KeyHash, Place, ByKey>,
    old: HashMap<KeyHash, Place, ByKey>,
}

impl Known {
    /// An index of the newest `capacity` ids.
    pub fn new(capacity: usize) -> Known {
        let mut taken = VecDeque::with_capacity(capacity);
        taken.resize_with(capacity, || Taken {
            id: KeyHash(0),
            payload: KeyHash(0),
            sequence: 0,
            assessment: None,
        });
        taken.clear();
        let places = || HashMap::with_capacity_and_hasher(capacity, ByKey::default());
        Known {
            capacity,
            forgotten: 0,
            taken,
            young: places(),
            old: places(),
        }
    }

    /// Where an id is, if it is known.
    pub fn find(&self, id: KeyHash) -> Option<Place> {
        let place = self.young.get(&id).or_else(|| self.old.get(&id)).copied()?;
        (place.0 >= self.forgotten).then_some(place)
    }

    /// Looks an id up that will be taken next, so that its place in the index is in the caches by then. Changes nothing.
    pub fn announce(&self, id: KeyHash) {
        std::hint::black_box(self.young.get(&id));
    }

    /// Remembers an id that is not known yet.
    pub fn take(&mut self, id: KeyHash, payload: KeyHash, sequence: u64) -> Place {
        if self.taken.len() == self.capacity {
            self.taken.pop_front();
            self.forgotten += 1;
        }
        if self.young.len() == self.capacity {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        let place = Place(self.forgotten + self.taken.len() as u64);
        self.taken.push_back(Taken {
            id,
            payload,
            sequence,
            assessment: None,
        });
        self.young.insert(id, place);
        place
    }

    /// What is known at a place.
    pub fn at(&self, place: Place) -> Option<&Taken> {
        self.taken
            .get(usize::try_from(place.0.checked_sub(self.forgotten)?).ok()?)
    }

    /// Keeps the answer of the id at a place.
    pub fn answer(&mut self, place: Place, assessment: Assessment) {
        let index = place
            .0
            .checked_sub(self.forgotten)
            .and_then(|index| usize::try_from(index).ok());
        if let Some(taken) = index.and_then(|index| self.taken.get_mut(index)) {
            taken.assessment = Some(assessment);
        }
    }

    /// What is known, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Taken> {
        self.taken.iter()
    }

    /// How many ids are known.
    pub fn len(&self) -> usize {
        self.taken.len()
    }

    /// Whether no id is known.
    pub fn is_empty(&self) -> bool {
        self.taken.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_ids_are_known_and_older_ones_are_taken_again() {
        let mut known = Known::new(3);
        let mut places = Vec::new();
        for i in 0..50 {
            places.push(known.take(KeyHash(i), KeyHash(100 + i), i as u64));
            for (id, &place) in (0..=i).zip(&places) {
                let is_known = i - id < 3;
                assert_eq!(known.find(KeyHash(id)), is_known.then_some(place), "{id} after {i}");
                assert_eq!(
                    known.at(place).map(|taken| taken.payload),
                    is_known.then_some(KeyHash(100 + id))
                );
            }
        }
        assert_eq!(known.len(), 3);
    }

    #[test]
    fn an_id_that_was_forgotten_and_is_taken_again_is_known_by_its_new_place() {
        let mut known = Known::new(2);
        for id in [1, 2, 3, 1] {
            known.take(KeyHash(id), KeyHash(id), 0);
        }
        assert_eq!(known.find(KeyHash(1)), Some(Place(3)));
        assert_eq!(known.find(KeyHash(2)), None);
    }
}
