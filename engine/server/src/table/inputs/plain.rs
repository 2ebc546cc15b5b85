//! Rows of a mapped batch that pass the gate as they stand, told column by column, and what it would make of them; without
//! a message for each.

use std::borrow::Cow;

use arrow_array::Array;
use fraudgate_core::{
    admit::{Gate, plain},
    currency::Currency,
    plan::Plan,
    transaction::{KeyHash, Transaction},
};

use super::{
    super::{
        cell::{Cell, Cells},
        keys::Id,
        numbered::{NO_KEY, Numbered},
    },
    Inputs, Subjects, Told,
};

/// The keys of the entity in a slot by number, and what the gate makes of each.
pub(in super::super) struct EntityKeys {
    slot: usize,
    numbered: Numbered,
    gated: Vec<Gated>,
}

/// A key at the gate.
struct Gated {
    hash: KeyHash,
    passes: bool,
}

impl EntityKeys {
    pub fn new(slot: usize, has_texts: bool) -> EntityKeys {
        EntityKeys {
            slot,
            numbered: Numbered::new(has_texts),
            gated: Vec::new(),
        }
    }

    /// The number of a cell's key.
    #[inline]
    pub fn number(&mut self, gate: &Gate, cell: Cell) -> u32 {
        let number = self.found(cell);
        // Numbers are given in their order.
        if number as usize == self.gated.len() {
            let key = text(cell);
            self.gated.push(Gated {
                hash: gate.entity(self.slot, &key),
                passes: gate.is_key(&key),
            });
        }
        number
    }

    /// The hash of a key by its number; of none where there is no key.
    #[inline]
    pub fn hash(&self, number: u32) -> Option<KeyHash> {
        self.gated.get(number as usize).map(|key| key.hash)
    }

    #[inline]
    fn found(&mut self, cell: Cell) -> u32 {
        match cell {
            Cell::Text("") => NO_KEY,
            Cell::Text(text) => self.numbered.number(Some(Id::Text(text))),
            Cell::Whole(number) => match i64::try_from(number) {
                Ok(number) => self.numbered.number(Some(Id::Number(number))),
                Err(_) => self.numbered.number(Some(Id::Text(&number.to_string()))),
            },
            // No mapped column of ids holds the others.
            Cell::Null | Cell::Boolean(_) | Cell::Real(_) | Cell::Decimal(..) | Cell::Moment { .. } => NO_KEY,
        }
    }

    /// Whether the gate lets a key pass; a row may have none.
    #[inline]
    fn passes(&self, number: u32) -> bool {
        self.gated.get(number as usize).is_none_or(|key| key.passes)
    }
}

impl Inputs<'_> {
    /// Which rows pass as they stand; `keys` takes for each slot of the plan the numbers of all rows.
    pub fn plain(&self, plan: &Plan, gate: &Gate, known: &mut [EntityKeys], keys: &mut [Vec<u32>]) -> Vec<bool> {
        let subjects = &self.subjects;
        let rows = self.len();
        let mut pass: Vec<bool> = (0..rows)
            .map(|row| plain::event_time(subjects.times.value(row)).is_some())
            .collect();
        let mut only = |passes: &dyn Fn(usize) -> bool| {
            pass.iter_mut().enumerate().for_each(|(row, pass)| *pass &= passes(row));
        };
        only(&|row| match subjects.ids.get(row) {
            Cell::Text(id) => plain::is_id(id),
            Cell::Whole(_) => true,
            _ => false,
        });
        if let Some(offsets) = &self.utc_offsets {
            only(&|row| offsets.is_null(row) || plain::utc_offset(offsets.value(row)).is_some());
        }
        only(&|row| plain::kind(subjects.kinds.value(row)).is_some());
        if let Some(names) = &self.event_names {
            only(&|row| matches!(names.get(row), Cell::Null | Cell::Text("")));
        }
        match &self.amounts {
            Some(amounts) => only(&|row| amounts.is_valid(row) && plain::amount(amounts.value(row)).is_some()),
            None => only(&|_| false),
        }
        if let Some(amounts) = &self.reference_amounts {
            only(&|row| amounts.is_null(row));
        }
        match (self.currency, &self.currencies) {
            (Some(code), _) if Currency::parse(code) == Some(plan.currency) => {}
            (None, Some(codes)) => only(&|row| match codes.get(row) {
                Cell::Text(code) => Currency::parse(code) == Some(plan.currency),
                _ => false,
            }),
            (Some(_) | None, _) => only(&|_| false),
        }
        for (_, numbers) in &self.numbers {
            only(&|row| numbers.is_null(row) || numbers.value(row).is_finite());
        }
        for (_, texts) in &self.texts {
            only(&|row| match texts.get(row) {
                Cell::Null | Cell::Text("") => true,
                cell => plain::is_kept(&text(cell)),
            });
        }
        for ((known, keys), name) in known.iter_mut().zip(keys).zip(&plan.entities) {
            keys.clear();
            let Some(ids) = subjects.ids_of(name) else {
                keys.resize(rows, NO_KEY);
                continue;
            };
            keys.extend(pass.iter_mut().enumerate().map(|(row, pass)| {
                let number = known.number(gate, ids.get(row));
                *pass &= known.passes(number);
                number
            }));
        }
        pass
    }

    /// What features see of a row that passes as it stands, but for its keys.
    pub fn read(&self, plan: &Plan, row: usize, transaction: &mut Transaction) {
        let subjects = &self.subjects;
        if let (Some(time), Some(kind)) = (
            plain::event_time(subjects.times.value(row)),
            plain::kind(subjects.kinds.value(row)),
        ) {
            transaction.event_time = time;
            transaction.kind = kind;
        }
        transaction.utc_offset_minutes = match &self.utc_offsets {
            Some(minutes) if minutes.is_valid(row) => plain::utc_offset(minutes.value(row)).unwrap_or(0),
            _ => 0,
        };
        transaction.amount = self
            .amounts
            .as_ref()
            .and_then(|amounts| plain::amount(amounts.value(row)));
        for (name, numbers) in &self.numbers {
            if let Some(slot) = plan.numbers.iter().position(|number| number == name) {
                transaction.numbers[slot] = match numbers.is_valid(row) {
                    true => numbers.value(row),
                    false => f64::NAN,
                };
            }
        }
    }

    /// The digest of what a row says that passes as it stands; its keys stand in `transaction` already.
    pub fn payload(&self, plan: &Plan, gate: &Gate, row: usize, transaction: &mut Transaction) -> KeyHash {
        self.read(plan, row, transaction);
        let currency = match (self.currency, &self.currencies) {
            (Some(code), _) => Cow::Borrowed(code),
            (None, Some(codes)) => text(codes.get(row)),
            (None, None) => Cow::Borrowed(""),
        };
        let given = |name: &String| {
            let (_, cells) = self.texts.iter().find(|(of, _)| of == name)?;
            Some(text(cells.get(row))).filter(|text| !text.is_empty())
        };
        let texts: Vec<_> = plan.texts.iter().map(given).collect();
        let texts: Vec<_> = texts.iter().map(Option::as_deref).collect();
        gate.plain_payload(plan, transaction, &currency, &texts)
    }

    /// The id of a row.
    pub fn id(&self, row: usize) -> Cell<'_> {
        self.subjects.ids.get(row)
    }

    /// The least and the largest of its ids that are whole numbers.
    pub fn whole_ids(&self) -> Option<(i128, i128)> {
        let whole = (0..self.len()).filter_map(|row| match self.id(row) {
            Cell::Whole(number) => Some((number, number)),
            _ => None,
        });
        whole.reduce(|(least, most), (number, _)| (least.min(number), most.max(number)))
    }

    /// EntityKeys by the plan's entity.
    pub fn subjects(&self) -> &Subjects<'_> {
        &self.subjects
    }
}

impl Told<'_> {
    /// EntityKeys by the plan's entity.
    pub fn subjects(&self) -> &Subjects<'_> {
        &self.subjects
    }
}

impl Subjects<'_> {
    /// Whether keys of an entity may be texts.
    pub fn has_texts(&self, entity: &str) -> bool {
        self.ids_of(entity).is_some_and(Cells::are_texts)
    }

    /// The key of an entity in a row.
    pub fn key(&self, entity: &str, row: usize) -> Cell<'_> {
        self.ids_of(entity).map_or(Cell::Null, |ids| ids.get(row))
    }

    fn ids_of(&self, entity: &str) -> Option<&Cells<'_>> {
        self.entities.iter().find(|(of, _)| *of == entity).map(|(_, ids)| ids)
    }
}

/// An id as a text.
pub(in super::super) fn text(cell: Cell<'_>) -> Cow<'_, str> {
    match cell {
        Cell::Text(text) => Cow::Borrowed(text),
        Cell::Whole(number) => Cow::Owned(number.to_string()),
        // No mapped column of ids or texts holds the others.
        Cell::Null | Cell::Boolean(_) | Cell::Real(_) | Cell::Decimal(..) | Cell::Moment { .. } => Cow::Borrowed(""),
    }
}
