//! How what is old or too much goes from an entity. By its event time it is dead at once, for all keys together; it is
//! taken away when its key changes next, or when a hand passes that looks at a few keys with each input.

use super::{
    entity::{EntityHistory, due, one_key, rare, refresh},
    head::KeyNumber,
    ledger::Live,
};
use crate::plan::{Column, EntityLayout};

/// How many keys the hand looks at with an input: enough to pass all of them while a fifth of the budget fills, even if
/// each input brings a new key.
const LOOKS: u32 = 8;
/// The hand passes when this share of a retention has died.
const A_PASS: i64 = 16;

impl EntityHistory {
    /// The watermark moved: what no window can reach any more is dead.
    #[inline]
    pub fn advance(&mut self, layout: &EntityLayout, watermark: i64) {
        if watermark <= self.watermark {
            return;
        }
        self.watermark = watermark;
        let reach = watermark.saturating_sub(layout.retention_us);
        self.dead_through = self.dead_through.max(self.ledger.advance(watermark, reach));
        let died = self.dead_through.saturating_sub(self.looked_through);
        if died > layout.retention_us / A_PASS && self.left == 0 {
            self.begin_pass();
        }
    }

    /// What is counted of it, in bytes.
    pub fn bytes(&self) -> i64 {
        self.ledger.live().bytes(&self.costs)
    }

    /// Evicts what is oldest. Gives whether there was anything.
    pub fn evict(&mut self) -> bool {
        let Some(through) = self.ledger.evict() else {
            return false;
        };
        if !crate::broken::is(crate::broken::Broken::ForgetEvictedThrough) {
            self.evicted_through = self.evicted_through.max(through);
        }
        self.dead_through = self.dead_through.max(through);
        self.begin_pass();
        true
    }

    fn begin_pass(&mut self) {
        self.left = self.keys.count();
        self.looked_through = self.dead_through;
    }

    /// Looks at a few keys and takes away what is dead of them.
    #[inline]
    pub fn look(&mut self, layout: &EntityLayout) {
        if self.left > 0 {
            self.look_on(layout);
        }
    }

    fn look_on(&mut self, layout: &EntityLayout) {
        for _ in 0..LOOKS.min(self.left) {
            self.left -= 1;
            if self.hand >= self.keys.count() {
                self.hand = 0;
            }
            if self.hand >= self.keys.count() {
                self.left = 0;
                return;
            }
            if !self.is_due(self.hand) {
                self.hand += 1;
                continue;
            }
            if self.is_known(layout, self.keys.at(self.hand)) {
                self.before_change(layout, self.hand);
                self.trim(layout, self.hand);
                let head = self.keys.at_mut(self.hand);
                let moved = head.events.tidy();
                if let Some(side) = &mut head.side {
                    side.frauds.tidy();
                    side.blanks.tidy();
                }
                if moved > 0 && !layout.extremes.is_empty() {
                    refresh(layout, head, 0);
                }
                head.tidy_side();
                self.hand += 1;
            } else {
                // Another key has its number now.
                self.take_away(layout, self.hand);
            }
        }
    }

    /// Whether something of a key may be dead.
    fn is_due(&self, number: KeyNumber) -> bool {
        /// A bucket that is this far ahead of the dead ones, in 32 bits, lies before them.
        const FAR: u32 = 1 << 30;
        let dead = self.ledger.bucket(self.dead_through) as u32;
        let ahead = self.keys.at(number).events.due.wrapping_sub(dead);
        self.dead_through > i64::MIN && (ahead == 0 || ahead > FAR)
    }

    pub(super) fn trim_if_due(&mut self, layout: &EntityLayout, number: KeyNumber) {
        if self.is_due(number) {
            self.trim(layout, number);
        }
    }

    /// Takes away what is dead of a key that is known and about to change.
    pub(super) fn trim(&mut self, layout: &EntityLayout, number: KeyNumber) {
        let through = self.dead_through;
        let head = self.keys.at_mut(number);
        if layout.evicted.is_empty() {
            head.events.evict_through(through);
        }
        while head.events.is_due(through) {
            let (row, time) = (head.events.base() + 1, head.events.time(head.events.base() + 1));
            head.events.evict();
            for (place, &column) in layout.evicted.iter().enumerate() {
                let counted = match column {
                    Column::Rows | Column::Given => true,
                    Column::Prefix(count) => head.events.own(row, count) > 0,
                };
                if counted {
                    let side = head
                        .side
                        .get_or_insert_with(|| Box::new(super::side::Side::new(layout)));
                    side.past_mut(layout)[place].leaves(time);
                }
            }
        }
        if let Some(side) = &mut head.side {
            side.frauds.evict_through(through);
            side.blanks.evict_through(through);
            side.tiles.trim(through);
            side.fraud_tiles.trim(through);
        }
        head.events.due = due(&self.ledger, head);
    }

    /// Counts a key whole: with 1 as it comes, with -1 as it goes.
    pub(super) fn count(&mut self, number: KeyNumber, sign: i64) {
        let (head, ledger, costs) = (self.keys.at(number), &mut self.ledger, &self.costs);
        ledger.add(head.newest(), one_key(sign));
        let event = Live {
            events: sign,
            ..Live::default()
        };
        head.events.times().for_each(|time| ledger.add(time, event));
        let Some(side) = head.side.as_deref() else { return };
        let mut add = |time, cost: i64| ledger.add(time, rare(sign * cost));
        side.frauds.times().for_each(|time| add(time, costs.fraud));
        side.blanks.times().for_each(|time| add(time, costs.blank));
        side.tiles.iter().for_each(|tile| add(tile.newest, costs.tile));
        side.fraud_tiles
            .iter()
            .for_each(|tile| add(tile.newest, costs.fraud_tile));
    }

    /// Takes a key away that is forgotten. The last key has its number then.
    pub(super) fn take_away(&mut self, layout: &EntityLayout, number: KeyNumber) {
        self.before_change(layout, number);
        self.before_change(layout, self.keys.count() - 1);
        self.keys.remove(number);
    }
}
