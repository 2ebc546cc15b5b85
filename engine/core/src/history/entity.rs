//! The histories of one entity: a ring of events and one of frauds for each of its keys.
//!
//! Keys are numbered in the order in which they first came, and everything that a key has stands in lists by that number.
//! Hints and blocks are caches; all else is state and follows from the inputs alone.

use hashbrown::HashMap;

use super::{extremes::Blocks, prefetch::prefetch, reading::Reading, ring::Ring, sweep::Sweep};
use crate::{
    keyed::ByKey,
    plan::{Column, EntityLayout, Measure},
    transaction::{AmountMinor, EventTime, KeyHash, Kind, Labelled},
};

/// A key's number within its entity.
pub(super) type KeyNumber = u32;

/// How many keys found lately are remembered.
const RECENT: usize = 64;
/// Stands for no key among those. No entity has so many.
const NO_KEY: KeyNumber = KeyNumber::MAX;

/// Event times of the oldest and the newest event that was evicted, of those that one filter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Evicted {
    pub oldest: i64,
    pub newest: i64,
}

/// All histories of one entity.
#[derive(Clone, Debug)]
pub(super) struct EntityHistory {
    /// Events with an event time through this one may be unknown.
    pub(super) since: EventTime,
    pub(super) numbers: HashMap<KeyHash, KeyNumber, ByKey>,
    /// Keys found a short while ago, by the low bits of their hash: each is announced, then seen, then folded. A cache.
    recent: Box<[(KeyHash, KeyNumber); RECENT]>,
    /// By key number.
    pub(super) keys: Vec<KeyHash>,
    /// Numbers whose key was erased, to be given again.
    pub(super) free: Vec<KeyNumber>,
    /// By key number.
    pub(super) events: Vec<Ring>,
    /// By key number; empty when no feature counts frauds. The first sum is of transaction ids, so that the difference of
    /// neighbours is a fraud's own; then one count a filter.
    pub(super) frauds: Vec<Ring>,
    /// By key number and filter.
    pub(super) evicted: Vec<Option<Evicted>>,
    /// By key number and filter: a cache.
    pub(super) blocks: Vec<Blocks>,
    /// By key number and offset, the row found last: a cache.
    hints: Vec<u32>,
    /// The sums of the event that is being folded.
    added: Vec<i64>,
    /// A snapshot's, while one is written.
    pub(super) sweep: Option<Box<Sweep>>,
}

impl EntityHistory {
    pub fn new(layout: &EntityLayout, since: EventTime) -> EntityHistory {
        EntityHistory {
            since,
            numbers: HashMap::default(),
            recent: Box::new([(KeyHash(0), NO_KEY); RECENT]),
            keys: Vec::new(),
            free: Vec::new(),
            events: Vec::new(),
            frauds: Vec::new(),
            evicted: Vec::new(),
            blocks: Vec::new(),
            hints: Vec::new(),
            added: Vec::with_capacity(layout.measures.len().max(1 + layout.frauds.len())),
            sweep: None,
        }
    }

    /// The number of a key that has a history.
    pub fn find(&mut self, key: KeyHash) -> Option<KeyNumber> {
        let recent = &mut self.recent[key.0 as usize % RECENT];
        if *recent != (key, recent.1) || recent.1 == NO_KEY {
            *recent = (key, *self.numbers.get(&key)?);
        }
        Some(recent.1)
    }

    /// Asks for what leads to a key's rows. Changes nothing but caches.
    pub fn announce(&mut self, layout: &EntityLayout, key: KeyHash) {
        if let Some(number) = self.find(key) {
            // A ring may lie across two cache lines.
            prefetch(&self.events, number as usize);
            prefetch(&self.events, number as usize + 1);
            prefetch(&self.hints, number as usize * layout.offsets.len());
        }
    }

    /// Asks for the rows at which a key's windows began and ended when it was last read, and for its ends. Changes nothing but caches.
    pub fn approach(&mut self, layout: &EntityLayout, key: KeyHash) {
        if let Some(number) = self.find(key) {
            let ring = &self.events[number as usize];
            let first = number as usize * layout.offsets.len();
            for &hint in &self.hints[first..first + layout.offsets.len()] {
                ring.prefetch(hint as usize);
            }
            // A fold looks at the oldest row, and writes behind the newest.
            ring.prefetch(ring.base());
            ring.prefetch(ring.last());
        }
    }

    /// Whether a key has an event later than `t`.
    pub fn holds_later(&self, number: KeyNumber, t: EventTime) -> bool {
        let ring = &self.events[number as usize];
        !ring.is_empty() && ring.time(ring.last()) > t.0
    }

    /// A key's history as of `t`; `rows` takes one place for each of the layout's offsets.
    pub fn read<'a>(
        &'a mut self,
        layout: &'a EntityLayout,
        number: Option<KeyNumber>,
        t: EventTime,
        rows: &'a mut [usize],
    ) -> Reading<'a> {
        let rows = &mut rows[..layout.offsets.len()];
        let mut reading = Reading {
            layout,
            t,
            since: self.since,
            events: None,
            rows: &[],
            frauds: None,
            evicted: &[],
            blocks: &[],
        };
        let Some(number) = number.map(|number| number as usize) else {
            rows.fill(0);
            reading.rows = rows;
            return reading;
        };
        let ring = &self.events[number];
        let hints = &mut self.hints[number * rows.len()..][..rows.len()];
        for ((&offset, hint), row) in layout.offsets.iter().zip(hints).zip(rows.iter_mut()) {
            // Windows that end now end at the newest row, unless the transaction is late.
            let start = if offset == 0 { ring.last() } else { *hint as usize };
            *row = ring.position(t.0.saturating_sub(offset), start);
            *hint = *row as u32;
        }
        reading.rows = rows;
        reading.events = Some(ring).filter(|ring| !ring.is_empty());
        reading.frauds = self.frauds.get(number).filter(|frauds| !frauds.is_empty());
        reading.evicted = &self.evicted[number * layout.evicted.len()..][..layout.evicted.len()];
        reading.blocks = &self.blocks[number * layout.extremes.len()..][..layout.extremes.len()];
        reading
    }

    /// Folds an event in, and drops what no window can reach any more.
    pub fn fold(
        &mut self,
        layout: &EntityLayout,
        key: KeyHash,
        t: EventTime,
        kind: Kind,
        amount: Option<AmountMinor>,
        evict_through: i64,
    ) {
        let number = self.find_or_add(layout, key);
        self.added.clear();
        self.added.extend(layout.measures.iter().map(|measure| match *measure {
            Measure::Count(kinds) => i64::from(kinds.contains(kind)),
            Measure::Sum(kinds) => amount.filter(|_| kinds.contains(kind)).map_or(0, |amount| amount.0),
            Measure::Present(kinds) => i64::from(amount.is_some() && kinds.contains(kind)),
        }));
        self.before_change(layout, number);
        self.trim(layout, number, evict_through);
        let ring = &mut self.events[number as usize];
        let inserted = ring.insert(t.0, &self.added);
        if inserted.moved > 0 {
            let first = number as usize * layout.offsets.len();
            for hint in &mut self.hints[first..first + layout.offsets.len()] {
                *hint = hint.saturating_sub(inserted.moved as u32);
            }
        }
        let changed = if inserted.moved > 0 { 0 } else { inserted.row };
        let first = number as usize * layout.extremes.len();
        for (blocks, &amounts) in self.blocks[first..].iter_mut().zip(&layout.extremes) {
            blocks.refresh(ring, amounts, changed);
        }
    }

    /// Takes a label in: the last one for its transaction stands, and only frauds are kept.
    pub fn label(&mut self, layout: &EntityLayout, key: KeyHash, label: &Labelled, evict_through: i64) {
        let is_fraud =
            label.fraud == Some(true) && layout.kinds.contains(label.kind) && label.event_time.0 > evict_through;
        let number = match self.find(key) {
            Some(number) => number,
            None if is_fraud => self.find_or_add(layout, key),
            None => return,
        };
        self.before_change(layout, number);
        let frauds = &mut self.frauds[number as usize];
        // 64 bits tell the labelled transactions of one key apart.
        let id = label.transaction.0 as i64;
        if let Some(row) = (frauds.base() + 1..=frauds.last()).find(|&row| frauds.own(row, 0) == id) {
            frauds.remove(row);
        }
        while frauds.is_due(evict_through) {
            frauds.evict();
        }
        if is_fraud {
            self.added.clear();
            self.added.push(id);
            self.added
                .extend(layout.frauds.iter().map(|kinds| i64::from(kinds.contains(label.kind))));
            frauds.insert(label.event_time.0, &self.added);
        }
    }

    /// Writes the state of every key, in the order of keys; see [`super::History::write_canonical`].
    pub fn write_canonical(&self, write: &mut impl FnMut(&[u8])) {
        let mut keys: Vec<(KeyHash, KeyNumber)> = self.numbers.iter().map(|(&key, &number)| (key, number)).collect();
        keys.sort_unstable();
        write(&self.since.0.to_le_bytes());
        write(&keys.len().to_le_bytes());
        let evicted_a_key = self.evicted.len().checked_div(self.keys.len()).unwrap_or(0);
        for (key, number) in keys {
            let number = number as usize;
            write(&key.0.to_le_bytes());
            self.events[number].write_canonical(write);
            if let Some(frauds) = self.frauds.get(number) {
                frauds.write_canonical(write);
            }
            for evicted in &self.evicted[number * evicted_a_key..][..evicted_a_key] {
                write(&[u8::from(evicted.is_some())]);
                if let Some(evicted) = evicted {
                    write(&evicted.oldest.to_le_bytes());
                    write(&evicted.newest.to_le_bytes());
                }
            }
        }
    }

    pub(super) fn find_or_add(&mut self, layout: &EntityLayout, key: KeyHash) -> KeyNumber {
        if let Some(number) = self.find(key) {
            return number;
        }
        if let Some(number) = self.free.pop() {
            self.numbers.insert(key, number);
            self.numbered(number);
            self.keys[number as usize] = key;
            return number;
        }
        let number = self.events.len() as KeyNumber;
        self.numbers.insert(key, number);
        self.numbered(number);
        self.keys.push(key);
        self.events.push(Ring::new(layout.measures.len()));
        if !layout.frauds.is_empty() {
            self.frauds.push(Ring::new(1 + layout.frauds.len()));
        }
        self.evicted.resize(self.evicted.len() + layout.evicted.len(), None);
        self.blocks
            .resize(self.blocks.len() + layout.extremes.len(), Blocks::default());
        self.hints.resize(self.hints.len() + layout.offsets.len(), 0);
        number
    }

    /// Forgets a key with all that it did. Says whether there was anything.
    pub fn forget(&mut self, layout: &EntityLayout, key: KeyHash) -> bool {
        let Some(number) = self.find(key) else {
            return false;
        };
        self.before_change(layout, number);
        self.numbers.remove(&key);
        self.recent[key.0 as usize % RECENT] = (KeyHash(0), NO_KEY);
        let place = number as usize;
        self.keys[place] = KeyHash(0);
        self.events[place] = Ring::new(layout.measures.len());
        if let Some(frauds) = self.frauds.get_mut(place) {
            *frauds = Ring::new(1 + layout.frauds.len());
        }
        self.evicted[place * layout.evicted.len()..][..layout.evicted.len()].fill(None);
        self.blocks[place * layout.extremes.len()..][..layout.extremes.len()].fill(Blocks::default());
        self.hints[place * layout.offsets.len()..][..layout.offsets.len()].fill(0);
        self.free.push(number);
        true
    }

    fn trim(&mut self, layout: &EntityLayout, number: KeyNumber, evict_through: i64) {
        let ring = &mut self.events[number as usize];
        let first = number as usize * layout.evicted.len();
        let evicted = &mut self.evicted[first..first + layout.evicted.len()];
        while ring.is_due(evict_through) {
            ring.evict();
            let (row, time) = (ring.base(), ring.time(ring.base()));
            for (evicted, &column) in evicted.iter_mut().zip(&layout.evicted) {
                if match column {
                    Column::Rows => true,
                    Column::Prefix(count) => ring.own(row, count) > 0,
                } {
                    let oldest = evicted.map_or(time, |evicted| evicted.oldest);
                    *evicted = Some(Evicted { oldest, newest: time });
                }
            }
        }
        if let Some(frauds) = self.frauds.get_mut(number as usize) {
            while frauds.is_due(evict_through) {
                frauds.evict();
            }
        }
    }
}
