//! The ids that were taken lately, with their first answers: a retransmission gets the first answer and changes nothing.
//!
//! The newest `capacity` ids are kept, in the order of their sequence; an older one is forgotten and would be taken again.

use hashbrown::HashMap;
use std::collections::VecDeque;

use crate::{assessment::Assessment, keyed::ByKey, transaction::KeyHash};

/// One id that was taken.
#[derive(Debug)]
pub struct Taken {
    id: KeyHash,
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

/// The index of ids.
pub struct Known {
    capacity: usize,
    forgotten: u64,
    taken: VecDeque<Taken>,
    places: HashMap<KeyHash, Place, ByKey>,
}

impl Known {
    /// An index of the newest `capacity` ids.
    pub fn new(capacity: usize) -> Known {
        Known {
            capacity,
            forgotten: 0,
            taken: VecDeque::new(),
            places: HashMap::default(),
        }
    }

    /// Where an id is, if it is known.
    pub fn find(&self, id: KeyHash) -> Option<Place> {
        self.places.get(&id).copied()
    }

    /// Remembers an id that is not known yet.
    pub fn take(&mut self, id: KeyHash, payload: KeyHash, sequence: u64) -> Place {
        if self.taken.len() == self.capacity
            && let Some(oldest) = self.taken.pop_front()
        {
            self.places.remove(&oldest.id);
            self.forgotten += 1;
        }
        let place = Place(self.forgotten + self.taken.len() as u64);
        self.taken.push_back(Taken {
            id,
            payload,
            sequence,
            assessment: None,
        });
        self.places.insert(id, place);
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
        let places: Vec<Place> = (0..5)
            .map(|i| known.take(KeyHash(i), KeyHash(100 + i), i as u64))
            .collect();
        assert_eq!(known.len(), 3);
        for i in 0..2 {
            assert_eq!(known.find(KeyHash(i)), None);
            assert!(known.at(places[i as usize]).is_none());
        }
        for i in 2..5 {
            let place = known.find(KeyHash(i)).unwrap();
            assert_eq!(place, places[i as usize]);
            assert_eq!(known.at(place).unwrap().payload, KeyHash(100 + i));
        }
    }
}
