//! What every feature is, in the fewest lines: over plain lists of what each key did, with nothing indexed or summed ahead.
//! It reads the plan's JSON by itself. What is bounded is bounded here too, by counting all there is each time.

use fraudgate_core::{
    history::{Bounds, Costs},
    transaction::{KeyHash, Kind, Labelled, Transaction},
};
use serde::Deserialize;

use crate::keys::Entity;

#[derive(Clone, Deserialize)]
struct Declared {
    lateness_us: i64,
    features: Vec<Feature>,
}

/// A feature, as the plan declares it.
#[derive(Clone, Deserialize)]
pub struct Feature {
    name: String,
    pub(crate) op: String,
    number: Option<usize>,
    entity: Option<usize>,
    pub(crate) window_us: Option<i64>,
    pub(crate) delay_us: Option<i64>,
    pub(crate) inclusive: Option<bool>,
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
    bounds: Bounds,
    newest: i64,
    entities: Vec<Entity>,
}

impl Brute {
    /// Nothing is folded yet. `costs` are the entities'.
    pub fn new(plan: &str, complete_since: i64, bounds: Bounds, costs: &[Costs]) -> Result<Brute, String> {
        let plan: Declared = serde_json::from_str(plan).map_err(|e| e.to_string())?;
        let entities = costs.iter().enumerate();
        Ok(Brute {
            entities: entities
                .map(|(slot, &costs)| {
                    let features = plan.features.iter().filter(|feature| feature.entity == Some(slot));
                    Entity::new(features.cloned().collect(), plan.lateness_us, costs)
                })
                .collect(),
            plan,
            complete_since,
            bounds,
            newest: i64::MIN,
        })
    }

    /// The names of the features.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.plan.features.iter().map(|feature| feature.name.as_str())
    }

    /// The newest event time that is folded.
    pub fn newest(&self) -> i64 {
        self.newest
    }

    /// How a transaction comes.
    pub fn comes(&self, t: &Transaction) -> Comes {
        if t.event_time.0 < self.newest.saturating_sub(self.plan.lateness_us) {
            return Comes::Beyond;
        }
        let later = self.entities.iter().zip(&t.entities).any(|(entity, key)| {
            let key = key.and_then(|key| entity.keys.get(&key.0));
            key.is_some_and(|key| key.holds_later(t.event_time.0))
        });
        if later { Comes::Late } else { Comes::InOrder }
    }

    /// Takes a transaction in, unless it is too late.
    pub fn fold(&mut self, t: &Transaction) {
        if self.comes(t) == Comes::Beyond {
            return;
        }
        self.newest = self.newest.max(t.event_time.0);
        for (entity, key) in self.entities.iter_mut().zip(&t.entities) {
            entity.bury(self.newest);
            if let Some(key) = key
                && entity.counts(t.kind)
            {
                entity.fold(key.0, t, &self.bounds);
            }
        }
        self.bound();
    }

    /// Takes a label in.
    pub fn label(&mut self, label: &Labelled) {
        for (entity, key) in self.entities.iter_mut().zip(&label.entities) {
            if let Some(key) = key
                && entity.features.iter().any(|feature| feature.op == "risk")
            {
                entity.label(key.0, label, &self.bounds, self.newest);
            }
        }
        self.bound();
    }

    /// Evicts what is oldest of the entity that holds most, until the budget holds.
    fn bound(&mut self) {
        let most = (self.bounds.bytes / 5).saturating_mul(4) as i128;
        while self
            .entities
            .iter()
            .map(|entity| i128::from(entity.bytes()))
            .sum::<i128>()
            > most
        {
            let largest = self.entities.iter().map(Entity::bytes).max();
            let Some(entity) = self.entities.iter_mut().find(|entity| Some(entity.bytes()) == largest) else {
                return;
            };
            entity.evict(self.newest);
        }
    }

    /// Erases a key: nothing of it is known any more, nor will be of what came until now.
    pub fn erase(&mut self, entity: usize, key: KeyHash) {
        self.entities[entity].erase(key.0, self.newest);
    }

    /// A transaction's features before it is folded, and whether each is approximate.
    pub fn row(&self, t: &Transaction) -> Vec<(Value, bool)> {
        let beyond = self.comes(t) == Comes::Beyond;
        let value = |feature: &Feature| match (feature.op.as_str(), feature.entity) {
            ("amount", _) => exact(t.amount.map(|amount| amount.0 as f64 / 100.0)),
            ("number", _) => exact(
                feature
                    .number
                    .map(|slot| t.numbers[slot])
                    .filter(|number| !number.is_nan()),
            ),
            (_, Some(entity)) => match t.entities[entity] {
                Some(key) if !beyond => self.entities[entity].aggregate(feature, key, t, self.complete_since),
                _ => exact(None),
            },
            _ => exact(None),
        };
        self.plan.features.iter().map(value).collect()
    }
}

impl Feature {
    pub(crate) fn counts(&self, kind: Kind) -> bool {
        let kinds = self.filter.as_ref().map(|filter| &filter.kinds);
        kinds.is_some_and(|kinds| kinds.iter().any(|name| Kind::parse(name) == Some(kind)))
    }
}

pub(crate) fn given(value: Option<f64>) -> Value {
    value.map_or(Value::Missing, |value| Value::Is(value as f32))
}

fn exact(value: Option<f64>) -> (Value, bool) {
    (given(value), false)
}
