//! What is told of a key's events afterwards: frauds, in a list of their own beside its rows.

use super::{
    entity::{EntityHistory, due, rare},
    tiling::fraud_tile,
};
use crate::{
    plan::EntityLayout,
    transaction::{KeyHash, Labelled},
};

impl EntityHistory {
    /// Takes a label in: the last one for its transaction stands, and only frauds are kept.
    pub fn label(&mut self, layout: &EntityLayout, key: KeyHash, label: &Labelled) {
        let time = label.event_time.0;
        let is_fraud = label.fraud == Some(true) && layout.kinds.contains(label.kind) && time > self.dead_through;
        let number = match self.find(layout, key) {
            Some(number) => {
                self.before_change(layout, number);
                number
            }
            None if is_fraud => self.find_or_add(layout, key, time),
            None => return,
        };
        self.trim_if_due(layout, number);
        // 64 bits tell the labelled transactions of one key apart.
        let id = label.transaction.0 as i64;
        let head = self.keys.at_mut(number);
        let before = head.newest_or(time);
        if let Some(side) = &mut head.side {
            let frauds = &mut side.frauds;
            if let Some(row) = (frauds.base() + 1..=frauds.last()).find(|&row| frauds.own(row, 0) == id) {
                let gone = frauds.time(row);
                frauds.remove(row);
                self.ledger.add(gone, rare(-self.costs.fraud));
            }
        }
        if is_fraud {
            self.added.clear();
            self.added.push(id);
            self.added
                .extend(layout.frauds.iter().map(|kinds| i64::from(kinds.contains(label.kind))));
            let side = head.side_mut(layout);
            side.newest_fraud = side.newest_fraud.max(time);
            if time < side.fraud_tiles.through() {
                side.fraud_tiles.join(&fraud_tile(time, &self.added[1..]));
            } else {
                side.frauds.insert(time, &self.added);
                self.ledger.add(time, rare(self.costs.fraud));
                if side.frauds.len() > self.bounds.rows_a_key {
                    self.tile_oldest_fraud(number);
                }
            }
            let head = self.keys.at_mut(number);
            head.events.due = due(&self.ledger, head);
            let after = head.newest();
            self.ledger.move_key(before, after);
        }
    }
}
