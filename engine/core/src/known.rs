//! The ids that were taken lately, with their first answers: a retransmission gets the first answer and changes nothing.
//!
//! The newest `capacity` ids are kept, in the order of their sequence; an older one is forgotten and would be taken again.

use hashbrown::HashMap;
use std::collections::VecDeque;

use crate::{
    assessment::Assessment,
    keyed::ByKey,
    snapshot::{Buffers, Piece, Pieces},
    transaction::KeyHash,
};

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

impl Taken {
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0.to_le_bytes());
        out.extend_from_slice(&self.payload.0.to_le_bytes());
        out.extend_from_slice(&self.sequence.to_le_bytes());
        out.push(u8::from(self.assessment.is_some()));
        if let Some(assessment) = &self.assessment {
            assessment.write(out);
        }
    }
}

/// The place of an id, valid while it is among the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(u64);

/// The index of ids.
pub struct Known {
    capacity: usize,
    forgotten: u64,
    taken: VecDeque<Taken>,
    /// Places of the ids taken last, and of those before them. When the young are as many as are remembered, the old are
    /// dropped as a whole and the two change roles: removing ids one by one would have the map rebuilt now and then.
    young: HashMap<KeyHash, Place, ByKey>,
    old: HashMap<KeyHash, Place, ByKey>,
    /// A snapshot's, while one is written.
    sweep: Option<Sweep>,
}

/// What was known at a cut, written while more is taken: oldest first, and each before it is forgotten.
struct Sweep {
    /// The next place whose turn it is.
    next: u64,
    /// Places from this one on were taken after the cut.
    until: u64,
    pieces: Pieces,
}

impl Known {
    /// An index of the newest `capacity` ids. All of its memory is taken, and touched, now: none of it is a transaction's to
    /// wait for.
    pub fn new(capacity: usize) -> Known {
        let mut known = Known::untouched(capacity);
        known.taken.resize_with(capacity, || Taken {
            id: KeyHash(0),
            payload: KeyHash(0),
            sequence: 0,
            assessment: None,
        });
        known.taken.clear();
        known
    }

    /// The same where nobody waits: its memory is touched as it is needed.
    pub fn untouched(capacity: usize) -> Known {
        let places = || HashMap::with_capacity_and_hasher(capacity, ByKey::default());
        Known {
            capacity,
            forgotten: 0,
            taken: VecDeque::with_capacity(capacity),
            young: places(),
            old: places(),
            sweep: None,
        }
    }

    /// Forgets all, and keeps its memory.
    pub fn clear(&mut self) {
        self.forgotten = 0;
        self.taken.clear();
        self.young.clear();
        self.old.clear();
        self.sweep = None;
    }

    /// Where an id is, if it is known.
    pub fn find(&self, id: KeyHash) -> Option<Place> {
        let place = self.young.get(&id).or_else(|| self.old.get(&id)).copied()?;
        (place.0 >= self.forgotten).then_some(place)
    }

    /// Whether the id at a place that is known still is, once so many more are.
    pub fn is_known_after(&self, place: Place, more: usize) -> bool {
        let newer = (self.forgotten + self.taken.len() as u64).saturating_sub(place.0);
        newer + more as u64 <= self.capacity as u64
    }

    /// Looks an id up that will be taken next, so that its place in the index is in the caches by then. Changes nothing.
    pub fn announce(&self, id: KeyHash) {
        std::hint::black_box(self.young.get(&id));
    }

    /// Remembers an id that is not known yet.
    pub fn take(&mut self, id: KeyHash, payload: KeyHash, sequence: u64) -> Place {
        self.remember(Taken {
            id,
            payload,
            sequence,
            assessment: None,
        })
    }

    /// The same of many, in their order: their places in the index are asked for before any is needed.
    pub fn remember_all(&mut self, taken: Vec<Taken>) {
        const ANNOUNCED: usize = 16;
        let mut taken = taken.into_iter();
        while !taken.as_slice().is_empty() {
            let together = taken.as_slice().iter().take(ANNOUNCED);
            together.for_each(|taken| self.announce(taken.id));
            for taken in taken.by_ref().take(ANNOUNCED) {
                self.remember(taken);
            }
        }
    }

    /// The same, with what was answered.
    pub fn remember(&mut self, taken: Taken) -> Place {
        if self.taken.len() == self.capacity {
            if self.sweep.as_ref().is_some_and(|sweep| sweep.next == self.forgotten) {
                self.sweep(1);
            }
            self.taken.pop_front();
            self.forgotten += 1;
        }
        if self.young.len() == self.capacity {
            std::mem::swap(&mut self.young, &mut self.old);
            self.young.clear();
        }
        let place = Place(self.forgotten + self.taken.len() as u64);
        self.young.insert(taken.id, place);
        self.taken.push_back(taken);
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

    /// Begins a sweep of what is known now; each piece will begin with `head`. Gives how many ids that are. No drain is under
    /// way.
    pub fn cut(&mut self, head: Vec<u8>) -> u64 {
        self.sweep = Some(Sweep {
            next: self.forgotten,
            until: self.forgotten + self.taken.len() as u64,
            pieces: Pieces::new(head),
        });
        self.taken.len() as u64
    }

    /// Writes further ids, until about `bytes` were written. Gives how many of those are left; some when all are written.
    pub fn sweep(&mut self, bytes: usize) -> usize {
        let Some(sweep) = &mut self.sweep else { return bytes };
        let mut left = bytes;
        while left > 0 && sweep.next < sweep.until {
            let taken = sweep.next.checked_sub(self.forgotten);
            let taken = taken.and_then(|index| self.taken.get(usize::try_from(index).ok()?));
            if let Some(taken) = taken {
                left = left.saturating_sub(sweep.pieces.write(|out| taken.write(out)));
            }
            sweep.next += 1;
        }
        if sweep.next == sweep.until {
            sweep.pieces.close();
        }
        left
    }

    /// A piece of the sweep that is done.
    pub fn take_piece(&mut self) -> Option<Piece> {
        self.sweep.as_mut().and_then(|sweep| sweep.pieces.take())
    }

    /// Has buffers at hand for what is still to be written.
    pub fn refill(&mut self, buffers: &mut Buffers) {
        if let Some(sweep) = self.sweep.as_mut().filter(|sweep| sweep.next < sweep.until) {
            sweep.pieces.refill(buffers);
        }
    }

    /// Ends the sweep, whether or not all was written, and gives its buffers back.
    pub fn end_sweep(&mut self, buffers: &mut Buffers) {
        if let Some(sweep) = self.sweep.take() {
            sweep.pieces.end(buffers);
        }
    }

    /// The most ids that are known.
    pub fn capacity(&self) -> usize {
        self.capacity
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
