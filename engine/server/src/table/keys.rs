//! Ids of tables become the same keyed hashes that the wire's ids become; a column repeats its ids, so each is hashed once.

use fraudgate_core::{
    key::{HashKey, Namespace},
    plan::Plan,
    transaction::KeyHash,
};
use hashbrown::HashMap;

/// An id as it stands in a table. A number is the same id as its decimal digits.
#[derive(Clone, Copy)]
pub(super) enum Id<'a> {
    Number(i64),
    Text(&'a str),
}

/// Most ids of one entity that are remembered; past it the memory starts anew.
const MOST_REMEMBERED: usize = 1 << 20;

/// Numbers below this are remembered in a list.
const SMALL: i64 = 1 << 20;

/// The namespaces of one program, and the hashes made so far.
pub struct Keys {
    ids: Namespace,
    entities: Vec<Remembered>,
}

struct Remembered {
    namespace: Namespace,
    /// Of the numbers that are small, by the number; 0 where none was made yet.
    small: Vec<KeyHash>,
    large: HashMap<i64, KeyHash>,
    texts: HashMap<String, KeyHash>,
}

impl Keys {
    /// The keys of a program; the same as those of its gate.
    pub fn new(program: &str, plan: &Plan, key: &HashKey) -> Keys {
        let remembered = |entity: &String| Remembered {
            namespace: key.namespace(program, &format!("entity {entity}")),
            small: Vec::new(),
            large: HashMap::new(),
            texts: HashMap::new(),
        };
        Keys {
            ids: key.namespace(program, "transaction id"),
            entities: plan.entities.iter().map(remembered).collect(),
        }
    }

    /// The hash of a transaction's id.
    pub(super) fn transaction(&self, id: Id) -> KeyHash {
        hash(&self.ids, id)
    }

    /// The hash of an entity's key.
    pub(super) fn entity(&mut self, slot: usize, id: Id) -> KeyHash {
        let Remembered {
            namespace,
            small,
            large,
            texts,
        } = &mut self.entities[slot];
        if large.len() + texts.len() >= MOST_REMEMBERED {
            large.clear();
            texts.clear();
        }
        match id {
            Id::Number(number @ 0..SMALL) => {
                let place = number as usize;
                if small.len() <= place {
                    small.resize(place + 1, KeyHash(0));
                }
                if small[place] == KeyHash(0) {
                    small[place] = hash(namespace, id);
                }
                small[place]
            }
            Id::Number(number) => *large.entry(number).or_insert_with(|| hash(namespace, id)),
            Id::Text(text) => *texts.entry_ref(text).or_insert_with(|| hash(namespace, id)),
        }
    }
}

fn hash(namespace: &Namespace, id: Id) -> KeyHash {
    match id {
        Id::Number(number) => namespace.hash(number.to_string().as_bytes()),
        Id::Text(text) => namespace.hash(text.as_bytes()),
    }
}
