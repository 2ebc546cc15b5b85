//! What every feature is, in the fewest lines: over a plain list of all that was accepted, with nothing evicted, indexed or
//! summed ahead. It reads the plan's JSON by itself.

use std::collections::BTreeMap;

use fraudgate_core::transaction::{KeyHash, Kind, Labelled, Transaction};
use serde::Deserialize;

#[derive(Clone, Deserialize)]
struct Declared {
    lateness_us: i64,
    features: Vec<Feature>,
}

#[derive(Clone, Deserialize)]
struct Feature {
    name: String,
    op: String,
    number: Option<usize>,
    entity: Option<usize>,
    window_us: Option<i64>,
    delay_us: Option<i64>,
    inclusive: Option<bool>,
    #[serde(rename = "where")]
    filter: Option<Filter>,
}

#[derive(Clone, Deserialize)]
struct Filter {
    kinds: Vec<String>,
}

/// What a feature must be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    /// This, exactly.
    Is(f32),
    /// There is nothing to compute it from.
    Missing,
    /// Its window begins before what is known.
    Incomplete,
}

/// How a transaction comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comes {
    /// Nothing of its entities is later.
    InOrder,
    /// Something is.
    Late,
    /// Too late to be folded.
    Beyond,
}

/// One program's inputs.
#[derive(Clone)]
pub struct Brute {
    plan: Declared,
    complete_since: i64,
    folded: Vec<Transaction>,
    /// By entity, key and transaction: the last one stands.
    labels: BTreeMap<(usize, u128, u128), Labelled>,
    /// By entity and key: the newest event time that was folded when it was erased.
    erased: BTreeMap<(usize, u128), i64>,
}

impl Brute {
    /// Nothing is folded yet.
    pub fn new(plan: &str, complete_since: i64) -> Result<Brute, String> {
        Ok(Brute {
            plan: serde_json::from_str(plan).map_err(|e| e.to_string())?,
            complete_since,
            folded: Vec::new(),
            labels: BTreeMap::new(),
            erased: BTreeMap::new(),
        })
    }

    /// The names of the features.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plan.features.iter().map(|feature| feature.name.as_str())
    }

    /// The newest event time that is folded.
    pub fn newest(&self) -> i64 {
        self.folded.iter().map(|t| t.event_time.0).max().unwrap_or(i64::MIN)
    }

    /// How a transaction comes.
    pub fn comes(&self, t: &Transaction) -> Comes {
        if t.event_time.0 < self.newest().saturating_sub(self.plan.lateness_us) {
            return Comes::Beyond;
        }
        let read = |entity: usize, kind: Kind| {
            let of_entity = self
                .plan
                .features
                .iter()
                .filter(|feature| feature.entity == Some(entity));
            of_entity.into_iter().any(|feature| feature.counts(kind))
        };
        let later = self.folded.iter().any(|other| {
            let shared = |(entity, key): (usize, &Option<KeyHash>)| {
                key.is_some() && *key == t.entities[entity] && read(entity, other.kind)
            };
            other.event_time > t.event_time && other.entities.iter().enumerate().any(shared)
        });
        if later { Comes::Late } else { Comes::InOrder }
    }

    /// Takes a transaction in, unless it is too late.
    pub fn fold(&mut self, t: &Transaction) {
        if self.comes(t) != Comes::Beyond {
            self.folded.push(t.clone());
        }
    }

    /// Takes a label in.
    pub fn label(&mut self, label: &Labelled) {
        for (entity, key) in label.entities.iter().enumerate() {
            if let Some(key) = key {
                self.labels.insert((entity, key.0, label.transaction.0), label.clone());
            }
        }
    }

    /// Erases a key: nothing of it is known any more, nor will be of what came until now.
    pub fn erase(&mut self, entity: usize, key: KeyHash) {
        for t in &mut self.folded {
            t.entities[entity] = t.entities[entity].filter(|of| *of != key);
        }
        self.labels.retain(|&(of, whose, _), _| (of, whose) != (entity, key.0));
        self.erased.insert((entity, key.0), self.newest());
    }

    /// A transaction's features before it is folded.
    pub fn row(&self, t: &Transaction) -> Vec<Value> {
        let beyond = self.comes(t) == Comes::Beyond;
        let value = |feature: &Feature| match (feature.op.as_str(), feature.entity) {
            ("amount", _) => given(t.amount.map(|amount| amount.0 as f64 / 100.0)),
            ("number", _) => given(
                feature
                    .number
                    .map(|slot| t.numbers[slot])
                    .filter(|number| !number.is_nan()),
            ),
            (_, Some(entity)) => match t.entities[entity] {
                Some(key) if !beyond => self.aggregate(feature, entity, key, t),
                _ => Value::Missing,
            },
            _ => Value::Missing,
        };
        self.plan.features.iter().map(value).collect()
    }

    fn aggregate(&self, feature: &Feature, entity: usize, key: KeyHash, t: &Transaction) -> Value {
        let of_key = self
            .folded
            .iter()
            .filter(|e| e.entities[entity] == Some(key) && feature.counts(e.kind));
        let (Some(window), Some(delay)) = (feature.window_us, feature.delay_us) else {
            let times = of_key.map(|e| e.event_time.0).filter(|&time| time <= t.event_time.0);
            let time = if feature.op == "since_last" {
                times.max()
            } else {
                times.min()
            };
            return given(time.map(|time| (t.event_time.0 - time) as f64 / 1e6));
        };
        let end = t.event_time.0 - delay;
        let begin = end - window;
        let erased = self.erased.get(&(entity, key.0)).copied().unwrap_or(i64::MIN);
        if begin < self.complete_since.max(erased) {
            return Value::Incomplete;
        }
        let within = |time: i64| begin < time && time <= end;
        let mut events: Vec<&Transaction> = of_key.filter(|e| within(e.event_time.0)).collect();
        if feature.op == "risk" {
            let frauds = self.labels.iter().filter(|((of, whose, _), label)| {
                let is_fraud = label.fraud == Some(true) && feature.counts(label.kind);
                (*of, *whose) == (entity, key.0) && is_fraud && within(label.event_time.0)
            });
            let risk = frauds.count() as f64 / events.len().max(1) as f64;
            return given(Some(if events.is_empty() { 0.0 } else { risk }));
        }
        if feature.inclusive == Some(true) && feature.counts(t.kind) {
            events.push(t);
        }
        let amounts: Vec<i64> = events.iter().filter_map(|e| e.amount.map(|amount| amount.0)).collect();
        let sum: i64 = amounts.iter().sum();
        let minor = |minor: &i64| *minor as f64 / 100.0;
        given(match feature.op.as_str() {
            "count" => Some(events.len() as f64),
            "sum" => Some(sum as f64 / 100.0),
            "mean" => (!amounts.is_empty()).then(|| sum as f64 / (amounts.len() as i64 * 100) as f64),
            "min" => amounts.iter().min().map(minor),
            "max" => amounts.iter().max().map(minor),
            _ => None,
        })
    }
}

impl Feature {
    fn counts(&self, kind: Kind) -> bool {
        let kinds = self.filter.as_ref().map(|filter| &filter.kinds);
        kinds.is_some_and(|kinds| kinds.iter().any(|name| Kind::parse(name) == Some(kind)))
    }
}

fn given(value: Option<f64>) -> Value {
    value.map_or(Value::Missing, |value| Value::Is(value as f32))
}
