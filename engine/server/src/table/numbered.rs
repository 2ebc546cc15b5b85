//! The keys of an entity by number, where nothing of them outlives the table: no hash is needed then.

use hashbrown::HashMap;

use super::{column::Ids, keys::Id};

/// The number of a row without a key.
pub(super) const NO_KEY: u32 = u32::MAX;

/// How the ids of some columns become numbers, 0 and up.
pub(super) enum Numbered {
    /// Whole numbers that lie close together: by what they exceed the least of them.
    Near { least: i64, count: u32 },
    /// Others: in the order in which they were met.
    Far(HashMap<i64, u32>),
    /// Ids of which some are texts. A number is the same id as its decimal digits.
    Texts(HashMap<String, u32>),
}

impl Numbered {
    /// For columns of so many rows together.
    pub fn of<'a>(columns: impl Iterator<Item = &'a Ids>, rows: usize) -> Numbered {
        let (mut least, mut most) = (i64::MAX, i64::MIN);
        for ids in columns {
            match ids {
                Ids::Numbers(numbers) => {
                    least = numbers.iter().flatten().fold(least, i64::min);
                    most = numbers.iter().flatten().fold(most, i64::max);
                }
                Ids::Text(_) | Ids::LargeText(_) => return Numbered::Texts(HashMap::new()),
            }
        }
        match most.checked_sub(least).and_then(|span| u32::try_from(span).ok()) {
            Some(span) if (span as usize) < rows => Numbered::Near { least, count: span + 1 },
            // No id at all, or ids too far apart for a list.
            Some(_) | None => Numbered::Far(HashMap::new()),
        }
    }

    /// The number of an id. There are fewer than 2^32 rows.
    #[inline]
    pub fn number(&mut self, id: Option<Id>) -> u32 {
        let Some(id) = id else { return NO_KEY };
        match (self, id) {
            (Numbered::Near { least, .. }, Id::Number(number)) => (number - *least) as u32,
            (Numbered::Far(numbers), Id::Number(number)) => {
                let next = numbers.len() as u32;
                *numbers.entry(number).or_insert(next)
            }
            (Numbered::Texts(texts), Id::Text(text)) => number_of(texts, text),
            (Numbered::Texts(texts), Id::Number(number)) => number_of(texts, &number.to_string()),
            // `of` has seen that there are no texts.
            (Numbered::Near { .. } | Numbered::Far(_), Id::Text(_)) => NO_KEY,
        }
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        match self {
            Numbered::Near { count, .. } => *count as usize,
            Numbered::Far(numbers) => numbers.len(),
            Numbered::Texts(texts) => texts.len(),
        }
    }
}

fn number_of(texts: &mut HashMap<String, u32>, text: &str) -> u32 {
    let next = texts.len() as u32;
    *texts.entry_ref(text).or_insert(next)
}
