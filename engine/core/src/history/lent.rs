//! What a history holds of its keys, lent one key at a time to be folded alone: for a door that has many inputs at hand and
//! takes them key by key. When all keys of those inputs were given back and time was brought as far as the inputs came,
//! the history is what it would be had they been folded in their order.
//!
//! Only a history without a bound on bytes lends: what such a bound evicts depends on the order of all keys' events.

#[cfg(test)]
mod tests;

use super::{
    Alone, History, alone::KEY, entity::EntityHistory, erased::Erased, head::KeyNumber, ring::Ring, side::Side,
};
use crate::{
    plan::{EntityLayout, Plan},
    transaction::{EventTime, KeyHash},
};

impl History {
    /// Whether it lends. What was erased is unknown for a while, which who folds a key alone does not know.
    pub fn lends(&self) -> bool {
        self.bounds.bytes == u64::MAX && self.erased.iter().all(Erased::is_empty)
    }

    /// Brings time as far as what was lent has come, and takes away what is dead by then.
    pub fn come_to(&mut self, plan: &Plan, watermark: EventTime) {
        self.reach(plan, watermark);
        for (layout, entity) in plan.layouts.iter().zip(&mut self.entities) {
            while entity.left > 0 {
                entity.look(layout);
            }
        }
    }
}

impl Alone<'_> {
    /// The next key, with what a history holds of it under the entity in a slot; it has so many more events. The history
    /// holds nothing of it until it is given back.
    pub fn borrow(&mut self, history: &mut History, slot: usize, key: KeyHash, events: usize) {
        let lender = &mut history.entities[slot];
        // Whoever lends has no bound to count for.
        lender.ledger.stop();
        let found = lender.keys.find(key);
        self.begin(if found.is_some() { 0 } else { events });
        self.entity.bounds = lender.bounds;
        self.reach(history.watermark);
        if let Some(number) = found {
            let head = lender.keys.at_mut(number);
            let nothing = Ring::new(self.layout().measures.len());
            let events = std::mem::replace(&mut head.events, nothing);
            self.entity.hold(events, head.side.take());
        }
    }

    /// Gives back what there is of the key that was borrowed.
    pub fn give_back(&mut self, history: &mut History, slot: usize, key: KeyHash) {
        let Some((events, side)) = self.entity.let_go() else {
            return;
        };
        let keys = &mut history.entities[slot].keys;
        let number = match keys.find(key) {
            Some(number) => {
                keys.at_mut(number).events = events;
                number
            }
            None => keys.add(key, events),
        };
        keys.at_mut(number).side = side;
    }
}

impl EntityHistory {
    /// Holds what a key did, alone.
    fn hold(&mut self, events: Ring, side: Option<Box<Side>>) {
        let number = self.keys.add(KEY, events);
        self.keys.at_mut(number).side = side;
    }

    /// Lets go what its one key did, where there is one.
    fn let_go(&mut self) -> Option<(Ring, Option<Box<Side>>)> {
        if self.keys.count() == 0 {
            return None;
        }
        let head = self.keys.at_mut(0);
        let held = (std::mem::replace(&mut head.events, Ring::new(0)), head.side.take());
        self.keys.remove(0);
        Some(held)
    }

    /// How many keys there are that are not forgotten.
    pub(super) fn live_keys(&self, layout: &EntityLayout) -> i64 {
        if self.ledger.counts() {
            return self.ledger.live().keys;
        }
        let through = self.through(layout);
        let is_known = |&number: &KeyNumber| through.knows(self.keys.at(number));
        (0..self.keys.count()).filter(is_known).count() as i64
    }
}
