//! A program whose plan has changed: what was journaled under the slots of then, under those of now.

use crate::{
    assessment::MadeWith,
    plan::Plan,
    transaction::{KeyHash, MAX_ENTITIES, MAX_NUMBERS, Transaction},
};

/// Where what is journaled of a program belongs in the engine.
pub(super) struct Place {
    pub made_with: MadeWith,
    /// The slots of now, by the slots of then; `None` when the plan is the same.
    pub moved: Option<Moved>,
}

/// The slots of now, by the slots of then.
pub(super) struct Moved {
    pub entities: [Option<usize>; MAX_ENTITIES],
    numbers: [Option<usize>; MAX_NUMBERS],
}

impl Moved {
    pub fn new(then: &Plan, now: &Plan) -> Moved {
        let (mut entities, mut numbers) = ([None; MAX_ENTITIES], [None; MAX_NUMBERS]);
        for (slot, name) in entities.iter_mut().zip(&then.entities) {
            *slot = now.entity(name);
        }
        for (slot, name) in numbers.iter_mut().zip(&then.numbers) {
            *slot = now.number(name);
        }
        Moved { entities, numbers }
    }

    pub fn transaction(&self, then: &Transaction) -> Transaction {
        let mut now = then.clone();
        now.entities = self.entities(&then.entities);
        now.numbers = [f64::NAN; MAX_NUMBERS];
        for (&slot, &number) in self.numbers.iter().zip(&then.numbers) {
            if let Some(slot) = slot {
                now.numbers[slot] = number;
            }
        }
        now
    }

    pub fn entities(&self, then: &[Option<KeyHash>; MAX_ENTITIES]) -> [Option<KeyHash>; MAX_ENTITIES] {
        let mut now = [None; MAX_ENTITIES];
        for (&slot, &key) in self.entities.iter().zip(then) {
            if let Some(slot) = slot {
                now[slot] = key;
            }
        }
        now
    }
}
