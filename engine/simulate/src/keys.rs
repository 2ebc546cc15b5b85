//! One entity of the oracle: what each of its keys did, in plain lists, and how what is old or too much goes from them.

use std::collections::BTreeMap;

use fraudgate_core::{
    history::{Bounds, Costs},
    transaction::{KeyHash, Kind, Labelled, Transaction},
};

use crate::brute::{Feature, Value, given};

/// Buckets of event time that eviction tells apart.
const BUCKETS: i64 = 2048;
const THREE_HOURS_US: i64 = 3 * 3_600_000_000;

/// What has an event time.
trait Timed {
    fn time(&self) -> i64;
}

impl Timed for Transaction {
    fn time(&self) -> i64 {
        self.event_time.0
    }
}

impl Timed for Labelled {
    fn time(&self) -> i64 {
        self.event_time.0
    }
}

/// One key.
#[derive(Clone, Default)]
pub struct Key {
    /// The event time of the newest thing that it ever held.
    newest: i64,
    /// It may have been there before, and be forgotten.
    is_back: bool,
    /// Every event of it that was told, while it is known; and those that were as old as what was evicted by then.
    told: Vec<(i64, Kind)>,
    told_late: Vec<(i64, Kind)>,
    /// Events that are told apart, by time.
    rows: Vec<Transaction>,
    tiles: Vec<Vec<Transaction>>,
    frauds: Vec<Labelled>,
    fraud_tiles: Vec<Vec<Labelled>>,
}

impl Key {
    /// Whether it holds an event later than `time`.
    pub fn holds_later(&self, time: i64) -> bool {
        self.rows
            .iter()
            .chain(self.tiles.iter().flatten())
            .any(|event| event.time() > time)
    }
}

/// All keys of an entity.
#[derive(Clone)]
pub struct Entity {
    /// Its features.
    pub features: Vec<Feature>,
    retention_us: i64,
    shift: u32,
    costs: Costs,
    evicted_through: i64,
    dead_through: i64,
    /// By key, the newest event time that was folded when it was erased.
    erased: BTreeMap<u128, i64>,
    /// What it knows.
    pub keys: BTreeMap<u128, Key>,
}

impl Entity {
    /// No key yet.
    pub fn new(features: Vec<Feature>, lateness_us: i64, costs: Costs) -> Entity {
        let reach = |feature: &Feature| feature.window_us.unwrap_or(0) + feature.delay_us.unwrap_or(0);
        let retention_us = features.iter().map(reach).max().unwrap_or(0) + lateness_us;
        let least = if remembers(&features) { THREE_HOURS_US } else { 1 };
        let width = (retention_us / 1024).max(least);
        Entity {
            features,
            retention_us,
            shift: (width as u64).next_power_of_two().ilog2(),
            costs,
            evicted_through: i64::MIN,
            dead_through: i64::MIN,
            erased: BTreeMap::new(),
            keys: BTreeMap::new(),
        }
    }

    /// Whether any feature does.
    pub fn counts(&self, kind: Kind) -> bool {
        self.features.iter().any(|feature| feature.counts(kind))
    }

    /// Takes out what no window can reach, now that the newest event is of that time; and keys that hold nothing.
    pub fn bury(&mut self, newest: i64) {
        let begin = newest.saturating_sub(self.retention_us).saturating_add(1) >> self.shift;
        let expired = begin.saturating_mul(1 << self.shift).saturating_sub(1);
        self.dead_through = self.dead_through.max(expired);
        let (dead, remembers) = (self.dead_through, remembers(&self.features));
        let forgotten = if remembers { self.evicted_through } else { dead };
        for key in self.keys.values_mut() {
            key.rows.retain(|row| row.time() > dead);
            key.frauds.retain(|fraud| fraud.time() > dead);
            key.tiles.retain(|tile| span(tile).1 > dead);
            key.fraud_tiles.retain(|tile| span(tile).1 > dead);
        }
        self.keys.retain(|_, key| key.newest > forgotten);
    }

    fn begin(&mut self, key: u128, time: i64) -> &mut Key {
        let is_back = self.evicted_through > i64::MIN;
        let key = self.keys.entry(key).or_insert(Key {
            newest: time,
            is_back,
            ..Key::default()
        });
        key.newest = key.newest.max(time);
        key
    }

    /// Takes an event in.
    pub fn fold(&mut self, key: u128, t: &Transaction, bounds: &Bounds) {
        if t.time() <= self.evicted_through {
            if let Some(key) = self.keys.get_mut(&key) {
                key.told_late.push((t.time(), t.kind));
            }
            return;
        }
        let key = self.begin(key, t.time());
        key.told.push((t.time(), t.kind));
        tell(&mut key.rows, &mut key.tiles, t, bounds);
    }

    /// Takes a label in.
    pub fn label(&mut self, key: u128, label: &Labelled, bounds: &Bounds, newest: i64) {
        self.bury(newest);
        let is_fraud = label.fraud == Some(true) && self.counts(label.kind) && label.time() > self.dead_through;
        if let Some(key) = self.keys.get_mut(&key) {
            key.frauds.retain(|fraud| fraud.transaction != label.transaction);
        }
        if is_fraud {
            let key = self.begin(key, label.time());
            tell(&mut key.frauds, &mut key.fraud_tiles, label, bounds);
        }
    }

    /// Erases a key.
    pub fn erase(&mut self, key: u128, newest: i64) {
        self.keys.remove(&key);
        self.erased.insert(key, newest);
    }

    /// What it costs.
    pub fn bytes(&self) -> i64 {
        self.charges().iter().map(|(_, bytes)| bytes).sum()
    }

    fn charges(&self) -> Vec<(i64, i64)> {
        let mut charges = Vec::new();
        let blanks = self
            .features
            .iter()
            .any(|feature| feature.op == "mean" && self.is_of_all(feature))
            && !self
                .features
                .iter()
                .any(|feature| (feature.op == "min" || feature.op == "max") && self.is_of_all(feature));
        for key in self.keys.values() {
            charges.push((key.newest, self.costs.key));
            let blank = |row: &Transaction| {
                if blanks && row.amount.is_none() {
                    self.costs.blank
                } else {
                    0
                }
            };
            charges.extend(key.rows.iter().map(|row| (row.time(), self.costs.row + blank(row))));
            charges.extend(key.tiles.iter().map(|tile| (span(tile).1, self.costs.tile)));
            charges.extend(key.frauds.iter().map(|fraud| (fraud.time(), self.costs.fraud)));
            charges.extend(key.fraud_tiles.iter().map(|tile| (span(tile).1, self.costs.fraud_tile)));
        }
        charges
    }

    /// Whether a feature counts all kinds that any counts.
    fn is_of_all(&self, feature: &Feature) -> bool {
        Kind::ALL
            .into_iter()
            .all(|kind| feature.counts(kind) == self.counts(kind))
    }

    /// Evicts the oldest bucket that holds something.
    pub fn evict(&mut self, newest: i64) {
        let now = newest >> self.shift;
        let bucket = |time: i64| (time >> self.shift).max(now.saturating_sub(BUCKETS - 1));
        let Some(oldest) = self.charges().iter().map(|&(time, _)| time).min() else {
            return;
        };
        let end = (bucket(oldest) + 1) * (1 << self.shift) - 1;
        let through = if oldest > newest { oldest } else { end.min(newest) };
        self.evicted_through = self.evicted_through.max(through);
        self.dead_through = self.dead_through.max(through);
        self.bury(newest);
    }

    /// A feature of a key, and whether it is approximate.
    pub fn aggregate(&self, feature: &Feature, key: KeyHash, t: &Transaction, complete_since: i64) -> (Value, bool) {
        let known = self.keys.get(&key.0);
        let (Some(window), Some(delay)) = (feature.window_us, feature.delay_us) else {
            return (self.since(feature, known, t), false);
        };
        let end = t.time() - delay;
        let begin = end - window;
        let erased = self.erased.get(&key.0).copied().unwrap_or(i64::MIN);
        if begin < complete_since.max(self.evicted_through).max(erased) {
            return (Value::Incomplete, false);
        }
        let nothing = Key::default();
        let key = known.unwrap_or(&nothing);
        let (events, mut cut) = within(&key.rows, &key.tiles, begin, end);
        let mut events: Vec<&Transaction> = events.into_iter().filter(|event| feature.counts(event.kind)).collect();
        if feature.op == "risk" {
            let (frauds, also_cut) = within(&key.frauds, &key.fraud_tiles, begin, end);
            cut |= also_cut;
            let frauds = frauds.iter().filter(|label| feature.counts(label.kind)).count();
            let risk = frauds as f64 / events.len().max(1) as f64;
            return (given(Some(if events.is_empty() { 0.0 } else { risk })), cut);
        }
        if feature.inclusive == Some(true) && feature.counts(t.kind) {
            events.push(t);
        }
        let amounts: Vec<i64> = events.iter().filter_map(|e| e.amount.map(|amount| amount.0)).collect();
        let sum: i64 = amounts.iter().sum();
        let minor = |minor: &i64| *minor as f64 / 100.0;
        let value = given(match feature.op.as_str() {
            "count" => Some(events.len() as f64),
            "sum" => Some(sum as f64 / 100.0),
            "mean" => (!amounts.is_empty()).then(|| sum as f64 / (amounts.len() as i64 * 100) as f64),
            "min" => amounts.iter().min().map(minor),
            "max" => amounts.iter().max().map(minor),
            _ => None,
        });
        (value, cut)
    }

    fn since(&self, feature: &Feature, known: Option<&Key>, t: &Transaction) -> Value {
        let may_be_forgotten = known.map_or(self.evicted_through > i64::MIN, |key| key.is_back);
        if t.time() < self.evicted_through {
            return Value::Incomplete;
        }
        let counts = |&&(time, kind): &&(i64, Kind)| time <= t.time() && feature.counts(kind);
        // Of one that is back, what is forgotten may be later than what came late, but not than anything else.
        let late = known.filter(|key| !key.is_back || key.told.iter().any(|told| counts(&told)));
        let told = known.into_iter().flat_map(|key| &key.told);
        let told = told.chain(late.into_iter().flat_map(|key| &key.told_late));
        let times = told.filter(counts).map(|&(time, _)| time);
        let tiled = known
            .and_then(|key| key.tiles.last())
            .map_or(i64::MIN, |tile| span(tile).1);
        let (time, is_unknown) = match feature.op.as_str() {
            "since_last" => {
                let time = times.max();
                (time, t.time() < tiled || time.is_none() && may_be_forgotten)
            }
            _ => (times.min(), may_be_forgotten),
        };
        match is_unknown {
            true => Value::Incomplete,
            false => given(time.map(|time| (t.time() - time) as f64 / 1e6)),
        }
    }
}

fn remembers(features: &[Feature]) -> bool {
    features.iter().any(|feature| feature.op.starts_with("since"))
}

/// Event times of the oldest and the newest of a tile.
fn span<T: Timed>(tile: &[T]) -> (i64, i64) {
    let times = || tile.iter().map(Timed::time);
    (times().min().unwrap_or(i64::MAX), times().max().unwrap_or(i64::MIN))
}

/// Takes something in; beyond the bounds the oldest is told apart no more.
fn tell<T: Timed + Clone>(rows: &mut Vec<T>, tiles: &mut Vec<Vec<T>>, what: &T, bounds: &Bounds) {
    if tiles.last().is_some_and(|tile| what.time() < span(tile).1) {
        let tile = tiles.iter_mut().find(|tile| span(tile).1 >= what.time());
        tile.into_iter().for_each(|tile| tile.push(what.clone()));
        return;
    }
    let place = rows.partition_point(|row| row.time() <= what.time());
    rows.insert(place, what.clone());
    if rows.len() <= bounds.rows_a_key {
        return;
    }
    let (oldest, now) = (rows[0].time(), rows[rows.len() - 1].time());
    let moment = rows.partition_point(|row| row.time() <= oldest);
    tiles.push(rows.drain(..moment).collect());
    if tiles.len() > bounds.tiles_a_key {
        let closeness = |place: usize| {
            let (oldest, newest) = (span(&tiles[place]).0, span(&tiles[place + 1]).1);
            (newest - oldest) as f64 / (now - oldest + 1) as f64
        };
        let pairs = 0..tiles.len() - 1;
        if let Some(place) = pairs.min_by(|&one, &other| closeness(one).total_cmp(&closeness(other))) {
            let newer = tiles.remove(place + 1);
            tiles[place].extend(newer);
        }
    }
}

/// What counts in a window, and whether a tile is cut by its ends.
fn within<'a, T: Timed>(rows: &'a [T], tiles: &'a [Vec<T>], begin: i64, end: i64) -> (Vec<&'a T>, bool) {
    let counts = |time: i64| begin < time && time <= end;
    let tiled = tiles.iter().filter(|tile| counts(span(tile).1)).flatten();
    let events = rows.iter().filter(|row| counts(row.time())).chain(tiled).collect();
    let cut = |tile: &Vec<T>| {
        let (oldest, newest) = span(tile);
        [begin, end].iter().any(|&bound| oldest <= bound && bound < newest)
    };
    (events, tiles.iter().any(cut))
}
