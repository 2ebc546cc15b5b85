//! For a door that has many inputs at hand: what it takes of them apart from the road, key by key, and what the engine is told
//! of them, so that it goes on as if the road had taken them.

use super::Engine;
use crate::{known::Taken, transaction::KeyHash};

impl Engine {
    /// What was taken lately under an id, where it is still known once so many more transactions were taken apart.
    pub fn taken_lately(&self, id: KeyHash, apart: usize) -> Option<&Taken> {
        let place = self.known.find(id)?;
        self.known.is_known_after(place, apart).then(|| self.known.at(place))?
    }

    /// Remembers ids that were taken apart, with their answers, in the order of their sequences.
    pub fn remember(&mut self, taken: Vec<Taken>) {
        self.known.remember_all(taken);
    }

    /// So many inputs were taken apart, and have their sequences.
    pub fn took(&mut self, inputs: u64) {
        self.sequence += inputs;
    }
}
