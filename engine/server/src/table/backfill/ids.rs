//! The ids that were taken lately, as the index of known ids has them: a retransmission gets the answer of its first.

use fraudgate_core::{keyed::ByKey, program::Program, transaction::KeyHash};
use hashbrown::HashMap;

use super::super::{
    cell::Cell,
    inputs::{Inputs, text},
};

/// Where no id stands.
const NONE: u32 = u32::MAX;

/// The ids that were taken lately, as the index of known ids has them.
pub(super) struct Ids {
    capacity: usize,
    /// Places of whole numbers, from `first` on, where they lie together; a column holds ids of one type.
    near: Vec<u32>,
    first: i128,
    others: HashMap<KeyHash, u32, ByKey>,
}

impl Ids {
    /// For the rows of some tables, of which so many are known at a time.
    pub fn new(capacity: usize, tables: &[Inputs]) -> Ids {
        /// Whole numbers that lie together so much have their places in a list.
        const A_ROW: i128 = 4;
        let rows: usize = tables.iter().map(Inputs::len).sum();
        let ranges = tables.iter().filter_map(Inputs::whole_ids);
        let range = ranges.reduce(|one, other| (one.0.min(other.0), one.1.max(other.1)));
        let (first, near) = match range {
            Some((least, most)) if most - least < A_ROW * rows as i128 => (least, (most - least + 1) as usize),
            Some(_) | None => (0, 0),
        };
        Ids {
            capacity,
            near: vec![NONE; near],
            first,
            others: HashMap::default(),
        }
    }

    /// The place of an id that is known where the next place is `next`.
    pub fn find(&self, program: &Program, id: Cell, next: u32) -> Option<u32> {
        let found = match self.near(id) {
            Some(at) => self.near[at],
            None => *self.others.get(&program.gate.id(&text(id)))?,
        };
        (found != NONE && (next - found) as usize <= self.capacity).then_some(found)
    }

    pub fn take(&mut self, program: &Program, id: Cell, place: u32) {
        match self.near(id) {
            Some(at) => self.near[at] = place,
            None => {
                self.others.insert(program.gate.id(&text(id)), place);
            }
        }
    }

    /// Where the place of an id stands that lies near others.
    fn near(&self, id: Cell) -> Option<usize> {
        let Cell::Whole(number) = id else { return None };
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        (at < self.near.len()).then_some(at)
    }
}
