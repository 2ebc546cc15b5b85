//! The keys of an entity by number, where nothing of them outlives the table: no hash is needed then.

use arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use hashbrown::HashMap;

use super::{column::Ids, keys::Id};

/// The number of a row without a key.
pub(super) const NO_KEY: u32 = u32::MAX;

/// Whole numbers below this have their numbers in a list.
const SMALL: i64 = 1 << 22;

/// How the ids of some columns become numbers, 0 and up, in the order in which they are met.
pub(super) struct Numbered {
    /// Of whole numbers that are small, by themselves.
    small: Vec<u32>,
    large: HashMap<i64, u32>,
    texts: HashMap<String, u32>,
    /// A whole number is the same id as its decimal digits: it is looked for as a text where there may be texts.
    has_texts: bool,
    count: u32,
}

impl Numbered {
    /// For columns of which some hold texts, or none does.
    pub fn new(has_texts: bool) -> Numbered {
        Numbered {
            small: Vec::new(),
            large: HashMap::new(),
            texts: HashMap::new(),
            has_texts,
            count: 0,
        }
    }

    /// The numbers of a column's ids.
    pub fn extend(&mut self, ids: &Ids, into: &mut Vec<u32>) {
        match ids {
            Ids::Text(texts) => into.extend(texts.iter().map(|text| self.number(text.map(Id::Text)))),
            Ids::LargeText(texts) => into.extend(texts.iter().map(|text| self.number(text.map(Id::Text)))),
            Ids::Numbers(numbers) => self.extend_by(numbers, into),
            Ids::Ints(numbers) => self.extend_by(numbers, into),
            Ids::Shorts(numbers) => self.extend_by(numbers, into),
            Ids::Bytes(numbers) => self.extend_by(numbers, into),
        }
    }

    fn extend_by<T: ArrowPrimitiveType>(&mut self, numbers: &PrimitiveArray<T>, into: &mut Vec<u32>)
    where
        T::Native: Into<i64>,
    {
        let id = |number: T::Native| Id::Number(number.into());
        match numbers.null_count() {
            0 => into.extend(numbers.values().iter().map(|&number| self.number(Some(id(number))))),
            _ => into.extend(numbers.iter().map(|number| self.number(number.map(id)))),
        }
    }

    /// The number of an id. There are fewer than 2^32 - 1 of them.
    #[inline]
    pub fn number(&mut self, id: Option<Id>) -> u32 {
        match id {
            None => NO_KEY,
            Some(Id::Number(number @ 0..SMALL)) if !self.has_texts => {
                let place = number as usize;
                if self.small.len() <= place {
                    self.small.resize((place + 1).next_power_of_two(), NO_KEY);
                }
                if self.small[place] == NO_KEY {
                    self.small[place] = self.count;
                    self.count += 1;
                }
                self.small[place]
            }
            Some(Id::Number(number)) if !self.has_texts => {
                let found = *self.large.entry(number).or_insert(self.count);
                self.met(found)
            }
            Some(Id::Number(number)) => self.text(&number.to_string()),
            Some(Id::Text(text)) => self.text(text),
        }
    }

    fn text(&mut self, text: &str) -> u32 {
        let found = *self.texts.entry_ref(text).or_insert(self.count);
        self.met(found)
    }

    fn met(&mut self, found: u32) -> u32 {
        self.count = self.count.max(found + 1);
        found
    }
}
