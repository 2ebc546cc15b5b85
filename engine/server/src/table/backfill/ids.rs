//! The ids that were taken lately, as the index of known ids has them: a retransmission gets the answer of its first.

use fraudgate_core::{keyed::ByKey, program::Program, transaction::KeyHash};
use hashbrown::HashMap;

use super::{
    super::{cell::Cell, inputs::text},
    foreseen::REFUSED,
};

/// The ids that were taken lately, as the index of known ids has them.
pub(super) struct Ids {
    capacity: usize,
    /// Places by whole numbers that are small; a column holds ids of one type.
    small: Vec<u32>,
    others: HashMap<KeyHash, u32, ByKey>,
}

impl Ids {
    /// Whole numbers below this have their places in a list.
    const SMALL: i128 = 1 << 22;

    pub fn new(capacity: usize) -> Ids {
        Ids {
            capacity,
            small: Vec::new(),
            others: HashMap::default(),
        }
    }

    /// The place of an id that is known where the next place is `next`.
    pub fn find(&self, program: &Program, id: Cell, next: u32) -> Option<u32> {
        let found = match id {
            Cell::Whole(number @ 0..Ids::SMALL) => self.small.get(number as usize).copied(),
            other => self.others.get(&program.gate.id(&text(other))).copied(),
        };
        found.filter(|&place| place != REFUSED && (next - place) as usize <= self.capacity)
    }

    pub fn take(&mut self, program: &Program, id: Cell, place: u32) {
        match id {
            Cell::Whole(number @ 0..Ids::SMALL) => {
                let number = number as usize;
                if self.small.len() <= number {
                    self.small.resize((number + 1).next_power_of_two(), REFUSED);
                }
                self.small[number] = place;
            }
            other => {
                self.others.insert(program.gate.id(&text(other)), place);
            }
        }
    }
}
