//! How much of an entity is live, by bucket of event time: what says how far to evict, in constant time and without a look
//! at any key. Rows are counted in the bucket of their event time, a key in that of the newest thing it ever held.
//!
//! It counts what is logically live and nothing else, so it follows from the inputs alone, and can be counted anew from a
//! snapshot's keys.

use std::collections::BTreeMap;

use super::cost::Costs;
use crate::plan::EntityLayout;

/// Buckets that are told apart, a power of two; what is older is counted in the oldest of them.
const BUCKETS: i64 = 2048;
/// Into how many of them a retention is cut at most; at least into half as many.
const A_RETENTION: i64 = 1024;
/// What keys live on for after their rows, where features remember the oldest and the newest event, has no retention: then
/// a bucket is at least three hours, so that the buckets reach over two thirds of a year.
const REMEMBERED_US: i64 = 3 * 3_600_000_000;

/// What is live.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// Events with a row of their own.
    pub events: i64,
    /// Keys.
    pub keys: i64,
    /// Bytes of everything else: frauds, tiles, events without an amount.
    pub rare: i64,
}

impl Live {
    fn add(&mut self, other: Live) {
        self.events += other.events;
        self.keys += other.keys;
        self.rare += other.rare;
    }

    fn is_nothing(&self) -> bool {
        *self == Live::default()
    }

    /// What it costs, in bytes.
    pub(super) fn bytes(&self, costs: &Costs) -> i64 {
        self.events * costs.row + self.keys * costs.key + self.rare
    }
}

/// What one entity holds, by event time.
#[derive(Clone, Debug)]
pub(super) struct Ledger {
    /// A bucket is two to this many microseconds wide.
    shift: u32,
    /// Whether keys are remembered when their rows are beyond the retention.
    remembers: bool,
    /// Whether anything is counted; else it knows what is dead, and no more.
    counts: bool,
    watermark: i64,
    /// Its bucket, the newest that has a slot.
    newest: i64,
    /// A slot for each of the newest buckets, at its number modulo theirs; none before anything was counted.
    slots: Option<Box<[Live; BUCKETS as usize]>>,
    /// What is later than the watermark, by event time: only labels speak of such times.
    ahead: BTreeMap<i64, Live>,
    /// Rows in buckets before this one are beyond the retention.
    expired: i64,
    /// The last moment of the last of those.
    dead_through: i64,
    /// As long as the watermark is below this, and nothing is ahead of it, nothing rolls and nothing expires.
    turns_at: i64,
    total: Live,
}

impl Ledger {
    pub fn new(layout: &EntityLayout) -> Ledger {
        let remembers = !layout.evicted.is_empty();
        let least = if remembers { REMEMBERED_US } else { 1 };
        let width = (layout.retention_us / A_RETENTION).max(least) as u64;
        let shift = width.next_power_of_two().ilog2();
        Ledger {
            shift,
            remembers,
            counts: true,
            watermark: i64::MIN,
            newest: i64::MIN >> shift,
            slots: None,
            ahead: BTreeMap::new(),
            expired: i64::MIN,
            dead_through: i64::MIN,
            turns_at: i64::MIN,
            total: Live::default(),
        }
    }

    /// One that knows what is dead and counts nothing: for what no bound on bytes holds for.
    pub fn of_time(layout: &EntityLayout) -> Ledger {
        Ledger {
            counts: false,
            ..Ledger::new(layout)
        }
    }

    /// Counts nothing from now on.
    pub fn stop(&mut self) {
        if self.counts {
            self.counts = false;
            self.slots = None;
            self.ahead.clear();
            self.total = Live::default();
        }
    }

    /// Whether it counts.
    pub fn counts(&self) -> bool {
        self.counts
    }

    /// The bucket of an event time.
    pub fn bucket(&self, time: i64) -> i64 {
        time >> self.shift
    }

    /// What is live, where it counts.
    pub fn live(&self) -> Live {
        self.total
    }

    /// Counts something at an event time.
    #[inline]
    pub fn add(&mut self, time: i64, what: Live) {
        if !self.counts {
            return;
        }
        self.total.add(what);
        self.at(time).add(what);
    }

    /// A key's newest thing is another now.
    #[inline]
    pub fn move_key(&mut self, from: i64, to: i64) {
        if self.counts && (self.bucket(from) != self.bucket(to) || from.max(to) > self.watermark) {
            self.at(from).keys -= 1;
            self.at(to).keys += 1;
        }
    }

    #[inline]
    fn at(&mut self, time: i64) -> &mut Live {
        if time > self.watermark {
            return self.ahead_at(time);
        }
        let bucket = self.bucket(time).max(self.oldest());
        &mut self.slots.get_or_insert_with(no_slots)[place(bucket)]
    }

    #[cold]
    fn ahead_at(&mut self, time: i64) -> &mut Live {
        self.ahead.entry(time).or_default()
    }

    /// The oldest bucket that has a slot.
    fn oldest(&self) -> i64 {
        self.newest.saturating_sub(BUCKETS - 1)
    }

    /// The watermark moved; rows through `expired_through` are beyond the retention. Gives the last moment of the last
    /// bucket of which nothing can be reached: what is in it is dead.
    #[inline]
    pub fn advance(&mut self, watermark: i64, expired_through: i64) -> i64 {
        if watermark >= self.turns_at || !self.ahead.is_empty() {
            self.turn(watermark, expired_through);
        }
        self.watermark = watermark;
        self.dead_through
    }

    fn turn(&mut self, watermark: i64, expired_through: i64) {
        self.watermark = watermark;
        let newest = self.bucket(watermark);
        if newest > self.newest {
            self.roll(newest);
        }
        while let Some(entry) = self.ahead.first_entry()
            && *entry.key() <= watermark
        {
            let (time, what) = entry.remove_entry();
            self.at(time).add(what);
        }
        // The bucket in which the retention ends is live as a whole.
        let expired = self.bucket(expired_through.saturating_add(1));
        if expired > self.expired {
            self.expire(expired);
            self.expired = expired;
            self.dead_through = self.end(expired.saturating_sub(1));
        }
        // The first moment of the next bucket, and the one at which the bucket expires in which the retention ends.
        let expires = self.end(self.expired).saturating_add(watermark - expired_through);
        self.turns_at = self.end(self.newest).saturating_add(1).min(expires);
    }

    fn roll(&mut self, newest: i64) {
        if let Some(slots) = &mut self.slots {
            // After so many steps all there is stands in the oldest bucket, and further ones change nothing.
            let first = self.newest.max(newest.saturating_sub(BUCKETS));
            for bucket in first..newest {
                let oldest = std::mem::take(&mut slots[place(bucket - (BUCKETS - 1))]);
                slots[place(bucket - (BUCKETS - 1) + 1)].add(oldest);
            }
        }
        self.newest = newest;
    }

    fn expire(&mut self, expired: i64) {
        let oldest = self.oldest();
        let through = (expired - 1).min(self.newest);
        let mut gone = Live::default();
        if let Some(slots) = &mut self.slots {
            for bucket in self.expired.max(oldest)..=through {
                let slot = &mut slots[place(bucket)];
                let kept = if self.remembers { slot.keys } else { 0 };
                gone.add(Live {
                    keys: slot.keys - kept,
                    ..*slot
                });
                *slot = Live {
                    keys: kept,
                    ..Live::default()
                };
            }
        }
        self.forget(gone);
    }

    /// Drops the oldest bucket that holds something. Gives the last moment that is gone with it; nothing when nothing is
    /// there.
    pub fn evict(&mut self) -> Option<i64> {
        let (oldest, newest) = (self.oldest(), self.newest);
        let held = self.slots.as_mut().and_then(|slots| {
            let bucket = (oldest..=newest).find(|&bucket| !slots[place(bucket)].is_nothing())?;
            Some((bucket, std::mem::take(&mut slots[place(bucket)])))
        });
        if let Some((bucket, gone)) = held {
            self.forget(gone);
            // Nothing in it is later than the watermark, and what comes next is.
            return Some(self.end(bucket).min(self.watermark));
        }
        let (time, gone) = self.ahead.pop_first()?;
        self.forget(gone);
        Some(time)
    }

    fn end(&self, bucket: i64) -> i64 {
        bucket
            .saturating_add(1)
            .saturating_mul(1 << self.shift)
            .saturating_sub(1)
    }

    fn forget(&mut self, gone: Live) {
        self.total.events -= gone.events;
        self.total.keys -= gone.keys;
        self.total.rare -= gone.rare;
    }
}

/// Where the slot of a bucket stands.
fn place(bucket: i64) -> usize {
    (bucket & (BUCKETS - 1)) as usize
}

#[cold]
fn no_slots() -> Box<[Live; BUCKETS as usize]> {
    Box::new([Live::default(); BUCKETS as usize])
}
