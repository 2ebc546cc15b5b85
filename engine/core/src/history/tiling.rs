//! How events of a very active key are told apart no more: those of its oldest moment leave the rows and become a tile.

use super::{
    entity::{EntityHistory, counts, due, rare},
    head::KeyNumber,
    ledger::Live,
    side::Side,
    tiles::Tile,
};
use crate::plan::{Amounts, EntityLayout};

impl EntityHistory {
    /// A key has more rows than it may: those of the oldest moment become a tile, or a part of one.
    pub(super) fn tile_oldest(&mut self, layout: &EntityLayout, number: KeyNumber) {
        let head = self.keys.at_mut(number);
        let (now, time) = (head.events.newest(), head.events.oldest());
        let mut oldest = Tile::nothing(time, layout.measures.len(), layout.extremes.len());
        let mut sums = vec![0; layout.measures.len()];
        while head.events.is_due(time) {
            head.events.evict();
            let row = head.events.base();
            for (column, sum) in sums.iter_mut().enumerate() {
                *sum = head.events.own(row, column);
            }
            oldest.join(&tile(layout, time, false, &sums));
            if layout.evicted.is_empty() {
                continue;
            }
            let past = head
                .side
                .get_or_insert_with(|| Box::new(Side::new(layout)))
                .past_mut(layout);
            for (past, &column) in past.iter_mut().zip(&layout.evicted) {
                if counts(column, &sums) {
                    past.leaves(time);
                }
            }
        }
        let side = head.side_mut(layout);
        while side.blanks.is_due(time) {
            side.blanks.evict();
            oldest.blanks += 1;
        }
        self.ledger.add(
            time,
            Live {
                events: -oldest.rows,
                keys: 0,
                rare: self.costs.tile - oldest.blanks * self.costs.blank,
            },
        );
        if let Some(joined) = side.tiles.push(oldest, self.bounds.tiles_a_key, now) {
            self.ledger.add(joined, rare(-self.costs.tile));
        }
        head.events.due = due(&self.ledger, head);
    }

    /// Likewise for frauds.
    pub(super) fn tile_oldest_fraud(&mut self, number: KeyNumber) {
        let Some(side) = &mut self.keys.at_mut(number).side else {
            return;
        };
        let (now, time) = (side.frauds.newest(), side.frauds.oldest());
        let mut oldest = Tile::nothing(time, side.frauds.sums() - 1, 0);
        while side.frauds.is_due(time) {
            side.frauds.evict();
            let row = side.frauds.base();
            let filters: Vec<i64> = (1..side.frauds.sums()).map(|sum| side.frauds.own(row, sum)).collect();
            oldest.join(&fraud_tile(time, &filters));
        }
        let cost = self.costs.fraud_tile - oldest.rows * self.costs.fraud;
        self.ledger.add(time, rare(cost));
        if let Some(joined) = side.fraud_tiles.push(oldest, self.bounds.tiles_a_key, now) {
            self.ledger.add(joined, rare(-self.costs.fraud_tile));
        }
    }
}

/// An event comes that is older than what is told apart.
#[cold]
pub(super) fn join_tile(layout: &EntityLayout, side: &mut Side, time: i64, is_blank: bool, added: &[i64]) {
    for (past, &column) in side.past_mut(layout).iter_mut().zip(&layout.evicted) {
        if counts(column, added) {
            past.leaves(time);
        }
    }
    side.tiles.join(&tile(layout, time, is_blank, added));
}

/// One event as a tile.
fn tile(layout: &EntityLayout, time: i64, is_blank: bool, sums: &[i64]) -> Tile {
    let own = |amounts: &Amounts| {
        let amount = sums[amounts.sum];
        (sums[amounts.present] != 0).then_some((amount, amount))
    };
    Tile {
        oldest: time,
        newest: time,
        rows: 1,
        blanks: i64::from(is_blank),
        sums: sums.into(),
        extremes: layout.extremes.iter().map(own).collect(),
    }
}

pub(super) fn fraud_tile(time: i64, filters: &[i64]) -> Tile {
    Tile {
        oldest: time,
        newest: time,
        rows: 1,
        blanks: 0,
        sums: filters.into(),
        extremes: Box::default(),
    }
}
