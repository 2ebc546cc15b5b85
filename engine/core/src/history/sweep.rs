//! An entity's keys as they stood at a cut, written while inputs go on: swept in the order of their numbers, and each at
//! the latest before its first change after the cut. And their way back.
//!
//! What is written of a key is everything that [`super::History::write_canonical`] covers of it, and no cache. Whatever
//! changes a key (a fold, a label, an eviction, its removal) must call [`EntityHistory::before_change`] first, and whatever
//! gives a number to a key [`EntityHistory::numbered`]. What an entity has beside its keys is in [`EntityHistory::marks`]:
//! it is small, so it is written whole at the cut.

#[cfg(test)]
mod tests;

use super::{
    entity::{EntityHistory, Through, due, refresh},
    head::KeyNumber,
    ring::Ring,
    side::{Left, Past, Side},
    tiles::{Tile, Tiles},
};
use crate::{
    plan::{Column, EntityLayout},
    snapshot::{Buffers, Piece, Pieces, Unreadable, number},
    transaction::{EventTime, KeyHash},
};

/// What finding a key costs, in bytes that could be written meanwhile: it lies somewhere else than the last one.
const KEY_COST: usize = 512;

/// A sweep under way.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    /// The next number whose turn it is.
    next: KeyNumber,
    /// Numbers from this one on had no key at the cut.
    until: KeyNumber,
    /// One bit a number: written already, or without a key at the cut.
    done: Vec<u64>,
    /// What was dead at the cut: more may be by now.
    through: Through,
    pieces: Pieces,
}

impl Sweep {
    /// Whether a number is still to be written; it is not any more from now on.
    fn claim(&mut self, number: KeyNumber) -> bool {
        if number >= self.until {
            return false;
        }
        let (word, bit) = (&mut self.done[number as usize / 64], 1 << (number % 64));
        let is_due = *word & bit == 0;
        *word |= bit;
        is_due
    }
}

impl EntityHistory {
    /// Begins a sweep of the keys as they stand now; each piece will begin with `head`. Gives how many keys there are.
    pub fn cut(&mut self, layout: &EntityLayout, head: Vec<u8>) -> u64 {
        let until = self.keys.count();
        self.sweep = Some(Box::new(Sweep {
            next: 0,
            until,
            // Zeroed memory is not touched before it is used.
            done: vec![0; (until as usize).div_ceil(64)],
            through: self.through(layout),
            pieces: Pieces::new(head),
        }));
        self.live_keys(layout) as u64
    }

    /// Writes further keys, until about `bytes` were written. Gives how many of those are left; some when all are written.
    pub fn sweep(&mut self, layout: &EntityLayout, bytes: usize) -> usize {
        let Some(mut sweep) = self.sweep.take() else {
            return bytes;
        };
        let mut left = bytes;
        while left > 0 && sweep.next < sweep.until {
            let number = sweep.next;
            sweep.next += 1;
            if sweep.claim(number) {
                let wrote = self.write_to(layout, number, &mut sweep);
                left = left.saturating_sub(wrote + KEY_COST);
            } else {
                left -= 1;
            }
        }
        if sweep.next >= sweep.until {
            sweep.pieces.close();
        }
        self.sweep = Some(sweep);
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

    /// A key is about to change: writes it as it stands, if a sweep has not.
    #[inline]
    pub(super) fn before_change(&mut self, layout: &EntityLayout, number: KeyNumber) {
        if self.sweep.is_some() {
            self.write_before_change(layout, number);
        }
    }

    fn write_before_change(&mut self, layout: &EntityLayout, number: KeyNumber) {
        let Some(mut sweep) = self.sweep.take() else { return };
        if sweep.claim(number) {
            self.write_to(layout, number, &mut sweep);
        }
        self.sweep = Some(sweep);
    }

    /// A number was given to a key: that key was not there at the cut.
    pub(super) fn numbered(&mut self, number: KeyNumber) {
        if let Some(sweep) = &mut self.sweep {
            sweep.claim(number);
        }
    }

    /// Writes a key as it stood at the cut, unless it was forgotten by then. Gives how many bytes it was.
    fn write_to(&self, layout: &EntityLayout, number: KeyNumber, sweep: &mut Sweep) -> usize {
        let through = sweep.through;
        if !through.knows(self.keys.at(number)) {
            return 0;
        }
        let write = |out: &mut Vec<u8>| {
            self.write_key(layout, number, through.dead, &mut |part| out.extend_from_slice(part));
        };
        sweep.pieces.write(write)
    }

    /// What the entity has beside its keys: since when it is complete, and through when was evicted.
    pub fn marks(&self) -> [i64; 2] {
        [self.since.0, self.evicted_through]
    }

    /// Takes back what [`EntityHistory::marks`] gave.
    pub fn restore(&mut self, layout: &EntityLayout, marks: [i64; 2], watermark: EventTime) {
        [self.since.0, self.evicted_through] = marks;
        self.dead_through = self.evicted_through;
        self.advance(layout, watermark.0);
    }

    /// Writes a key: its hash, when it held something last, what is live of it after `dead`, and what left its rows.
    pub(super) fn write_key(&self, layout: &EntityLayout, number: KeyNumber, dead: i64, write: &mut impl FnMut(&[u8])) {
        let head = self.keys.at(number);
        write(&head.key.0.to_le_bytes());
        write(&head.newest().to_le_bytes());
        head.events.write(dead, write);
        let side = head.side.as_deref();
        let ring = |ring: Option<&Ring>, write: &mut _| match ring {
            Some(ring) => ring.write(dead, write),
            None => Ring::new(0).write(dead, write),
        };
        if !layout.frauds.is_empty() {
            ring(side.map(|side| &side.frauds), write);
        }
        if layout.blanks {
            ring(side.map(|side| &side.blanks), write);
        }
        for tiles in [side.map(|side| &side.tiles), side.map(|side| &side.fraud_tiles)] {
            write_tiles(tiles, dead, write);
        }
        for (place, &column) in layout.evicted.iter().enumerate() {
            let past = side.and_then(|side| side.past.get(place));
            let mut past = past.copied().unwrap_or(Past::NOTHING);
            // What is dead and was not taken away yet has left the rows.
            for row in head.events.dead(dead) {
                let counted = match column {
                    Column::Rows | Column::Given => true,
                    Column::Prefix(count) => head.events.own(row, count) > 0,
                };
                if counted {
                    past.leaves(head.events.time(row));
                }
            }
            for left in [past.oldest, past.newest] {
                let (tag, time) = match left {
                    Left::Nothing => (0, 0),
                    Left::Unknown => (1, 0),
                    Left::At(time) => (2, time),
                };
                write(&[tag]);
                write(&time.to_le_bytes());
            }
        }
    }

    /// Takes a key in that [`EntityHistory::write_key`] wrote, off the beginning of `bytes`. It must not be there.
    pub fn read_key(&mut self, layout: &EntityLayout, bytes: &mut &[u8]) -> Result<(), Unreadable> {
        let key = KeyHash(u128::from_le_bytes(number(bytes)?));
        if self.keys.find(key).is_some() {
            return Err(Unreadable);
        }
        let newest = i64::from_le_bytes(number(bytes)?);
        let place = self.keys.add(key, Ring::read(layout.measures.len(), bytes)?);
        let mut side = Side::new(layout);
        if !layout.frauds.is_empty() {
            side.frauds = Ring::read(1 + layout.frauds.len(), bytes)?;
        }
        if layout.blanks {
            side.blanks = Ring::read(0, bytes)?;
        }
        side.tiles = read_tiles(layout.measures.len(), layout.extremes.len(), bytes)?;
        side.fraud_tiles = read_tiles(layout.frauds.len(), 0, bytes)?;
        let mut left = || -> Result<Left, Unreadable> {
            let (tag, time) = (u8::from_le_bytes(number(bytes)?), i64::from_le_bytes(number(bytes)?));
            match tag {
                0 => Ok(Left::Nothing),
                1 => Ok(Left::Unknown),
                2 => Ok(Left::At(time)),
                _ => Err(Unreadable),
            }
        };
        for place in 0..layout.evicted.len() {
            let past = Past {
                oldest: left()?,
                newest: left()?,
            };
            if past != Past::NOTHING {
                side.past_mut(layout)[place] = past;
            }
        }
        let head = self.keys.at_mut(place);
        match layout.frauds.is_empty() {
            true if head.events.is_empty() => head.events.begin_after(newest),
            true => {}
            false => side.newest_fraud = newest,
        }
        if !side.is_empty(head.events.newest()) {
            head.side = Some(Box::new(side));
        }
        refresh(layout, head, 0);
        head.events.due = due(&self.ledger, head);
        self.count(place, 1);
        Ok(())
    }
}

fn write_tiles(tiles: Option<&Tiles>, dead: i64, write: &mut impl FnMut(&[u8])) {
    let live = || {
        tiles
            .into_iter()
            .flat_map(Tiles::iter)
            .filter(|tile| tile.newest > dead)
    };
    write(&(live().count() as u32).to_le_bytes());
    for tile in live() {
        for cell in [tile.oldest, tile.newest, tile.rows, tile.blanks]
            .iter()
            .chain(&tile.sums)
        {
            write(&cell.to_le_bytes());
        }
        for extremes in &tile.extremes {
            let (least, most) = extremes.unwrap_or((i64::MAX, i64::MIN));
            write(&least.to_le_bytes());
            write(&most.to_le_bytes());
        }
    }
}

fn read_tiles(sums: usize, extremes: usize, bytes: &mut &[u8]) -> Result<Tiles, Unreadable> {
    let mut tiles = Tiles::default();
    for _ in 0..u32::from_le_bytes(number(bytes)?) {
        let mut cell = || number(bytes).map(i64::from_le_bytes);
        let [oldest, newest, rows, blanks] = [cell()?, cell()?, cell()?, cell()?];
        let sums = (0..sums).map(|_| cell()).collect::<Result<_, _>>()?;
        let mut range = || Ok((cell()?, cell()?));
        let extremes = (0..extremes)
            .map(|_| range().map(|(least, most)| (least <= most).then_some((least, most))))
            .collect::<Result<_, Unreadable>>()?;
        tiles.restore(Tile {
            oldest,
            newest,
            rows,
            blanks,
            sums,
            extremes,
        });
    }
    Ok(tiles)
}

impl super::History {
    /// Begins a sweep of every entity as it stands now; `head` gives what the pieces of one begin with. Writes how many keys
    /// each has, and what else there is.
    pub fn cut(&mut self, plan: &crate::plan::Plan, head: impl Fn(usize) -> Vec<u8>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.watermark.0.to_le_bytes());
        out.push(self.entities.len() as u8);
        for (slot, (entity, layout)) in self.entities.iter_mut().zip(&plan.layouts).enumerate() {
            entity
                .marks()
                .iter()
                .for_each(|mark| out.extend_from_slice(&mark.to_le_bytes()));
            out.extend_from_slice(&entity.cut(layout, head(slot)).to_le_bytes());
        }
        self.erased
            .iter()
            .for_each(|erased| erased.write(&mut |part| out.extend_from_slice(part)));
    }

    /// Writes further keys, about as many bytes. Gives how many of those are left; some when all are written.
    pub fn sweep(&mut self, plan: &crate::plan::Plan, bytes: usize) -> usize {
        let entities = plan.layouts.iter().zip(&mut self.entities);
        entities.fold(bytes, |left, (layout, entity)| match left {
            0 => 0,
            left => entity.sweep(layout, left),
        })
    }

    /// A piece of the sweep that is done.
    pub fn take_piece(&mut self) -> Option<Piece> {
        self.entities.iter_mut().find_map(EntityHistory::take_piece)
    }

    /// Has buffers at hand for what is still to be written.
    pub fn refill(&mut self, buffers: &mut Buffers) {
        self.entities.iter_mut().for_each(|entity| entity.refill(buffers));
    }

    /// Ends the sweep, whether or not all was written, and gives its buffers back.
    pub fn end_sweep(&mut self, buffers: &mut Buffers) {
        self.entities.iter_mut().for_each(|entity| entity.end_sweep(buffers));
    }

    /// Takes back what [`super::History::cut`] wrote, off the beginning of `bytes`, in a history that holds nothing. Gives
    /// how many keys each entity has, which have to come.
    pub fn restore(&mut self, plan: &crate::plan::Plan, bytes: &mut &[u8]) -> Result<Vec<u64>, Unreadable> {
        self.watermark = EventTime(i64::from_le_bytes(number(bytes)?));
        if usize::from(u8::from_le_bytes(number(bytes)?)) != self.entities.len() {
            return Err(Unreadable);
        }
        let mut keys = Vec::with_capacity(self.entities.len());
        for (entity, layout) in self.entities.iter_mut().zip(&plan.layouts) {
            let marks = [number(bytes)?, number(bytes)?].map(i64::from_le_bytes);
            entity.restore(layout, marks, self.watermark);
            keys.push(u64::from_le_bytes(number(bytes)?));
        }
        for erased in &mut self.erased {
            *erased = super::erased::Erased::read(bytes)?;
        }
        Ok(keys)
    }

    /// Takes in the keys of a piece of an entity. Gives how many.
    pub fn read_keys(&mut self, plan: &crate::plan::Plan, entity: usize, mut bytes: &[u8]) -> Result<u64, Unreadable> {
        let layout = plan.layouts.get(entity).ok_or(Unreadable)?;
        let entity = self.entities.get_mut(entity).ok_or(Unreadable)?;
        let mut keys = 0;
        while !bytes.is_empty() {
            entity.read_key(layout, &mut bytes)?;
            keys += 1;
        }
        Ok(keys)
    }
}
