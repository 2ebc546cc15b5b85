//! The histories of one entity: what each of its keys did, and how what is old or too much goes.
//!
//! Hints and blocks are caches; all else is state and follows from the inputs alone. What is dead by its event time may
//! still lie there: nothing that is read or written depends on when it is taken away.

use super::{
    Bounds,
    cost::Costs,
    extremes::Blocks,
    head::{Head, KeyNumber, Keys},
    ledger::{Ledger, Live},
    reading::Reading,
    ring::{HINTS, Ring},
    side::{Past, Side},
    sweep::Sweep,
    tiling::join_tile,
};
use crate::{
    plan::{Column, EntityLayout, Measure},
    transaction::{AmountMinor, EventTime, KeyHash, Kind},
};

/// What is dead at one moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Through {
    /// Rows with an event time through this one are.
    pub dead: i64,
    /// Keys are forgotten that held nothing later.
    pub forgotten: i64,
}

impl Through {
    /// Whether a key is not forgotten.
    #[inline]
    pub fn knows(self, head: &Head) -> bool {
        head.events.newest() > self.forgotten || head.newest() > self.forgotten
    }
}

/// All histories of one entity.
#[derive(Clone, Debug)]
pub(super) struct EntityHistory {
    /// Events with an event time through this one were never told.
    pub(super) since: EventTime,
    /// Events with an event time through this one were evicted for want of room; the least there is before anything was.
    pub(super) evicted_through: i64,
    /// Rows with an event time through this one are dead: evicted, or beyond what any window reaches.
    pub(super) dead_through: i64,
    pub(super) keys: Keys,
    pub(super) ledger: Ledger,
    pub(super) costs: Costs,
    pub(super) bounds: Bounds,
    /// The watermark that dead rows were last counted for.
    pub(super) watermark: i64,
    /// The number of the key that is looked at next, to take away what is dead of it; how many are left to look at; what was
    /// dead when that began.
    pub(super) hand: KeyNumber,
    pub(super) left: KeyNumber,
    pub(super) looked_through: i64,
    /// What the next key's rows stand in: nothing yet, but where one key follows another.
    spare: Ring,
    /// The sums of the event that is being folded.
    pub(super) added: Vec<i64>,
    /// A snapshot's, while one is written.
    pub(super) sweep: Option<Box<Sweep>>,
}

impl EntityHistory {
    pub fn new(layout: &EntityLayout, since: EventTime, bounds: Bounds) -> EntityHistory {
        EntityHistory {
            since,
            evicted_through: i64::MIN,
            dead_through: i64::MIN,
            keys: Keys::default(),
            ledger: Ledger::new(layout),
            costs: Costs::of(layout),
            bounds,
            watermark: i64::MIN,
            hand: 0,
            left: 0,
            looked_through: i64::MIN,
            spare: Ring::new(layout.measures.len()),
            added: Vec::with_capacity(layout.measures.len().max(1 + layout.frauds.len())),
            sweep: None,
        }
    }

    /// One that holds a single key at a time, from its first event to its last, and counts nothing.
    pub fn of_one_key(layout: &EntityLayout, since: EventTime, bounds: Bounds) -> EntityHistory {
        EntityHistory {
            ledger: Ledger::of_time(layout),
            ..EntityHistory::new(layout, since, bounds)
        }
    }

    /// Forgets its key, and how far time has come: another key follows, with room for so many rows.
    pub fn begin_another(&mut self, layout: &EntityLayout, rows: usize) {
        if self.keys.count() > 0 {
            self.spare = std::mem::replace(&mut self.keys.at_mut(0).events, Ring::new(0));
            self.keys.remove(0);
        }
        self.spare.begin_anew(rows);
        self.ledger = Ledger::of_time(layout);
        self.watermark = i64::MIN;
        self.dead_through = i64::MIN;
        self.looked_through = i64::MIN;
        self.left = 0;
    }

    /// The number of a key that has a history.
    pub fn find(&self, layout: &EntityLayout, key: KeyHash) -> Option<KeyNumber> {
        let number = self.keys.find(key)?;
        self.is_known(layout, self.keys.at(number)).then_some(number)
    }

    /// Whether a key is not forgotten: it held something that is not dead, or was not evicted where features remember more.
    pub(super) fn is_known(&self, layout: &EntityLayout, head: &Head) -> bool {
        self.through(layout).knows(head)
    }

    /// What is dead now.
    #[inline]
    pub(super) fn through(&self, layout: &EntityLayout) -> Through {
        Through {
            dead: self.dead_through,
            forgotten: match layout.evicted.is_empty() {
                true => self.dead_through,
                false => self.evicted_through,
            },
        }
    }

    /// Asks for what leads to a key's head. Changes nothing but caches.
    pub fn announce(&self, key: KeyHash) {
        self.keys.announce(key);
    }

    /// Asks for a key's head, once it was announced.
    pub fn approach(&mut self, key: KeyHash) {
        self.keys.approach(key);
    }

    /// Asks for the rows at which a key's windows began and ended when it was last read, and for its ends.
    pub fn reach(&self, layout: &EntityLayout, key: KeyHash) {
        if let Some(number) = self.keys.find(key) {
            let ring = &self.keys.at(number).events;
            for &hint in &ring.hints[..layout.offsets.len().min(HINTS)] {
                ring.prefetch(usize::from(hint));
            }
            // A fold looks at the oldest row, and writes behind the newest.
            ring.prefetch(ring.base());
            ring.prefetch(ring.last());
        }
    }

    /// A key's history as of `t`, and whether it holds an event later than that; `rows` takes one place for each of the
    /// layout's offsets.
    #[inline]
    pub fn read<'a>(
        &'a mut self,
        layout: &'a EntityLayout,
        key: KeyHash,
        t: EventTime,
        rows: &'a mut [usize],
    ) -> (Reading<'a>, bool) {
        let rows = &mut rows[..layout.offsets.len()];
        let (since, evicted_through) = (self.since.0.max(self.evicted_through), self.evicted_through);
        let (through, dead_through) = (self.through(layout), self.dead_through);
        let number = self.keys.find(key);
        let head = number.map(|number| self.keys.at_mut(number));
        let Some(head) = head.filter(|head| through.knows(head)) else {
            rows.fill(0);
            return (Reading::new(layout, t, since, evicted_through, rows, None), false);
        };
        let newest = match head.events.is_empty() {
            true => head.side.as_ref().map_or(i64::MIN, |side| side.tiles.through()),
            false => head.events.newest(),
        };
        let holds_later = newest > t.0.max(dead_through);
        find_rows(layout, &mut head.events, t, rows);
        let reading = Reading::new(layout, t, since, evicted_through, rows, Some(head));
        (reading, holds_later)
    }

    /// Folds an event in.
    pub fn fold(&mut self, layout: &EntityLayout, key: KeyHash, t: EventTime, kind: Kind, amount: Option<AmountMinor>) {
        if t.0 <= self.evicted_through {
            return self.comes_late(layout, key, t.0, kind);
        }
        let number = self.find_or_add(layout, key, t.0);
        self.trim_if_due(layout, number);
        self.added.clear();
        for measure in &layout.measures {
            self.added.push(measure.of(kind, amount));
        }
        let is_blank = layout.blanks && amount.is_none();
        let head = self.keys.at_mut(number);
        let before = head.newest_or(t.0);
        if let Some(side) = &mut head.side
            && t.0 < side.tiles.through()
        {
            return join_tile(layout, side, t.0, is_blank, &self.added);
        }
        let inserted = head.events.insert(t.0, &self.added);
        if inserted.row == head.events.base() + 1 {
            head.events.due = due(&self.ledger, head);
        }
        if is_blank {
            head.side_mut(layout).blanks.insert(t.0, &[]);
        }
        if !layout.extremes.is_empty() {
            refresh(layout, head, if inserted.moved > 0 { 0 } else { inserted.row });
        }
        let (after, rows) = (head.newest(), head.events.len());
        self.ledger.add(
            t.0,
            Live {
                events: 1,
                keys: 0,
                rare: if is_blank { self.costs.blank } else { 0 },
            },
        );
        self.ledger.move_key(before, after);
        if rows > self.bounds.rows_a_key {
            self.tile_oldest(layout, number);
            // Twice, so that a key comes back to a bound that is lower than it was.
            if self.keys.at(number).events.len() > self.bounds.rows_a_key {
                self.tile_oldest(layout, number);
            }
        }
    }

    /// Writes the state, but for what is dead; see [`super::History::write_canonical`].
    pub fn write_canonical(&self, layout: &EntityLayout, write: &mut impl FnMut(&[u8])) {
        self.marks().iter().for_each(|mark| write(&mark.to_le_bytes()));
        write(&self.live_keys(layout).to_le_bytes());
        let through = self.through(layout);
        for number in self.keys.sorted() {
            if through.knows(self.keys.at(number)) {
                self.write_key(layout, number, through.dead, write);
            }
        }
    }

    /// Forgets a key with all that it did. Says whether there was anything.
    pub fn forget(&mut self, layout: &EntityLayout, key: KeyHash) -> bool {
        let Some(number) = self.find(layout, key) else {
            return false;
        };
        self.before_change(layout, number);
        self.trim(layout, number);
        self.count(number, -1);
        self.take_away(layout, number);
        true
    }

    /// The number of a key that is about to change; one that is not known begins with something at `time`.
    #[inline]
    pub(super) fn find_or_add(&mut self, layout: &EntityLayout, key: KeyHash, time: i64) -> KeyNumber {
        match self.keys.find(key) {
            Some(number) if self.is_known(layout, self.keys.at(number)) => {
                self.before_change(layout, number);
                number
            }
            forgotten => self.begin(layout, key, time, forgotten),
        }
    }

    /// Begins a key with something at `time`; it may have been there before.
    #[inline(never)]
    fn begin(&mut self, layout: &EntityLayout, key: KeyHash, time: i64, forgotten: Option<KeyNumber>) -> KeyNumber {
        if let Some(number) = forgotten {
            self.take_away(layout, number);
        }
        let events = std::mem::replace(&mut self.spare, Ring::new(layout.measures.len()));
        let number = self.keys.add(key, events);
        self.numbered(number);
        let head = self.keys.at_mut(number);
        if self.evicted_through > i64::MIN && !layout.evicted.is_empty() {
            head.side_mut(layout).past = vec![Past::UNKNOWN; layout.evicted.len()].into();
        }
        self.ledger.add(time, one_key(1));
        number
    }

    /// An event comes that is as old as what was evicted: only when it happened is remembered, of a key that is known.
    fn comes_late(&mut self, layout: &EntityLayout, key: KeyHash, time: i64, kind: Kind) {
        if layout.evicted.is_empty() {
            return;
        }
        let Some(number) = self.find(layout, key) else { return };
        self.before_change(layout, number);
        self.trim(layout, number);
        let measures = layout.measures.iter().map(|measure| match *measure {
            Measure::Count(kinds) => i64::from(kinds.contains(kind)),
            Measure::Sum(_) | Measure::Present(_) => 0,
        });
        self.added.clear();
        self.added.extend(measures);
        let side = self.keys.at_mut(number).side_mut(layout);
        for (past, &column) in side.past_mut(layout).iter_mut().zip(&layout.evicted) {
            if counts(column, &self.added) {
                past.comes_late(time);
            }
        }
    }
}

/// Finds the rows at which windows begin and end. Most are found where they were found last, or a little further.
pub(super) fn find_rows(layout: &EntityLayout, ring: &mut Ring, t: EventTime, rows: &mut [usize]) {
    let mut hints = ring.hints;
    let mut unused = hints.iter_mut();
    let mut near = ring.last();
    for (&offset, row) in layout.offsets.iter().zip(rows) {
        if offset == 0 {
            // Windows that end now end at the newest row, unless the transaction is late.
            near = ring.position(t.0, ring.last());
        } else if let Some(hint) = unused.next() {
            near = ring.position(t.0.saturating_sub(offset), usize::from(*hint));
            *hint = near.min(usize::from(u16::MAX)) as u16;
        } else {
            near = ring.position(t.0.saturating_sub(offset), near);
        }
        *row = near;
    }
    ring.hints = hints;
}

/// Whether an event that adds this is counted.
pub(super) fn counts(column: Column, added: &[i64]) -> bool {
    match column {
        Column::Rows | Column::Given => true,
        Column::Prefix(count) => added[count] > 0,
    }
}

/// Brings the summaries of a key with many rows up to date after a row changed; 0 is all.
pub(super) fn refresh(layout: &EntityLayout, head: &mut Head, row: usize) {
    if !Blocks::are_worth_it(&head.events) && head.side.as_ref().is_none_or(|side| side.blocks.is_empty()) {
        return;
    }
    let side = head.side.get_or_insert_with(|| Box::new(Side::new(layout)));
    side.blocks.resize(layout.extremes.len(), Blocks::default());
    for (blocks, &amounts) in side.blocks.iter_mut().zip(&layout.extremes) {
        blocks.refresh(&head.events, amounts, row);
    }
}

/// In which bucket something of a key dies next, or the key itself.
pub(super) fn due(ledger: &Ledger, head: &Head) -> u32 {
    let oldest = |ring: &Ring| (!ring.is_empty()).then(|| ring.time(ring.base() + 1));
    let side = head.side.as_ref().map(|side| {
        let tiles = side.tiles.first().into_iter().chain(side.fraud_tiles.first());
        tiles.chain(oldest(&side.frauds)).min()
    });
    let next = side.flatten().into_iter().chain(oldest(&head.events)).min();
    ledger.bucket(next.unwrap_or_else(|| head.newest())) as u32
}

pub(super) fn rare(bytes: i64) -> Live {
    Live {
        rare: bytes,
        ..Live::default()
    }
}

pub(super) fn one_key(keys: i64) -> Live {
    Live {
        keys,
        ..Live::default()
    }
}
