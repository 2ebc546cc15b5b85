//! An entity's keys as they stood at a cut, written while inputs go on: swept in the order of their numbers, and each at
//! the latest before its first change after the cut. And their way back.
//!
//! What is written of a key is everything that [`EntityHistory::write_canonical`] covers of it, and no cache. Whatever
//! changes a key (a fold, a label, an eviction, its removal) must call [`EntityHistory::before_change`] first, and whatever
//! gives a number to a key [`EntityHistory::numbered`]. What an entity has beside its keys is in [`EntityHistory::marks`]:
//! it is small, so it is written whole at the cut.

use super::{
    entity::{EntityHistory, Evicted, KeyNumber},
    erased::Erased,
    ring::Ring,
};
use crate::{
    plan::EntityLayout,
    snapshot::{Piece, Pieces, Unreadable, number},
    transaction::{EventTime, KeyHash},
};

/// What finding a key costs, in bytes that could be written meanwhile: it lies somewhere else than the last one.
const KEY_COST: usize = 512;

/// A sweep under way.
#[derive(Clone, Debug)]
pub(super) struct Sweep {
    /// The next number whose turn it is.
    next: KeyNumber,
    /// Numbers from this one on had no key at the cut.
    until: KeyNumber,
    /// One bit a number: written already, or without a key at the cut.
    done: Vec<u64>,
    pieces: Pieces,
}

impl Sweep {
    /// Whether a number is still to be written; it is not any more from now on.
    fn claim(&mut self, number: KeyNumber) -> bool {
        if number >= self.until {
            return false;
        }
        let (word, bit) = (&mut self.done[number as usize / 64], 1 << (number % 64));
        let is_due = *word & bit == 0;
        *word |= bit;
        is_due
    }
}

impl EntityHistory {
    /// Begins a sweep of the keys as they stand now; each piece will begin with `head`. Gives how many keys there are.
    pub fn cut(&mut self, head: Vec<u8>) -> u64 {
        let until = self.keys.len() as KeyNumber;
        self.sweep = Some(Box::new(Sweep {
            next: 0,
            until,
            // Zeroed memory is not touched before it is used.
            done: vec![0; (until as usize).div_ceil(64)],
            pieces: Pieces::new(head),
        }));
        for place in 0..self.free.len() {
            self.numbered(self.free[place]);
        }
        self.numbers.len() as u64
    }

    /// Writes further keys, until about `bytes` were written. Gives how many of those are left; some when all are written.
    pub fn sweep(&mut self, layout: &EntityLayout, bytes: usize) -> usize {
        let Some(mut sweep) = self.sweep.take() else {
            return bytes;
        };
        let mut left = bytes;
        while left > 0 && sweep.next < sweep.until {
            let number = sweep.next;
            sweep.next += 1;
            if sweep.claim(number) {
                let wrote = sweep.pieces.write(|out| self.write_key(layout, number, out));
                left = left.saturating_sub(wrote + KEY_COST);
            } else {
                left -= 1;
            }
        }
        if sweep.next >= sweep.until {
            sweep.pieces.close();
        }
        self.sweep = Some(sweep);
        left
    }

    /// A piece of the sweep that is done.
    pub fn take_piece(&mut self) -> Option<Piece> {
        self.sweep.as_mut().and_then(|sweep| sweep.pieces.take())
    }

    /// Takes the buffer of a piece that was sealed, or gives it back when nothing is swept any more.
    pub fn reuse(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        match &mut self.sweep {
            Some(sweep) if sweep.next < sweep.until => sweep.pieces.reuse(bytes),
            Some(_) | None => Some(bytes),
        }
    }

    /// Ends the sweep, whether or not all was written.
    pub fn end_sweep(&mut self) {
        self.sweep = None;
    }

    /// A key is about to change: writes it as it stands, if a sweep has not.
    pub(super) fn before_change(&mut self, layout: &EntityLayout, number: KeyNumber) {
        if self.sweep.is_none() {
            return;
        }
        let Some(mut sweep) = self.sweep.take() else { return };
        if sweep.claim(number) {
            sweep.pieces.write(|out| self.write_key(layout, number, out));
        }
        self.sweep = Some(sweep);
    }

    /// A number was given to a key: that key was not there at the cut.
    pub(super) fn numbered(&mut self, number: KeyNumber) {
        if let Some(sweep) = &mut self.sweep {
            sweep.claim(number);
        }
    }

    /// What the entity has beside its keys.
    pub fn marks(&self) -> EventTime {
        self.since
    }

    /// Takes back what [`EntityHistory::marks`] gave, and makes room for so many keys.
    pub fn restore(&mut self, marks: EventTime, keys: usize) {
        self.since = marks;
        self.numbers.reserve(keys);
        self.keys.reserve(keys);
        self.events.reserve(keys);
    }

    /// Writes a key: its hash, its live events and frauds, what was evicted.
    fn write_key(&self, layout: &EntityLayout, number: KeyNumber, out: &mut Vec<u8>) {
        let number = number as usize;
        out.extend_from_slice(&self.keys[number].0.to_le_bytes());
        self.events[number].write(out);
        if let Some(frauds) = self.frauds.get(number) {
            frauds.write(out);
        }
        for evicted in &self.evicted[number * layout.evicted.len()..][..layout.evicted.len()] {
            out.push(u8::from(evicted.is_some()));
            if let Some(evicted) = evicted {
                out.extend_from_slice(&evicted.oldest.to_le_bytes());
                out.extend_from_slice(&evicted.newest.to_le_bytes());
            }
        }
    }

    /// Takes a key in that [`EntityHistory::write_key`] wrote, off the beginning of `bytes`. It must not be there.
    pub fn read_key(&mut self, layout: &EntityLayout, bytes: &mut &[u8]) -> Result<(), Unreadable> {
        let key = KeyHash(u128::from_le_bytes(number(bytes)?));
        if self.find(key).is_some() {
            return Err(Unreadable);
        }
        let place = self.find_or_add(layout, key) as usize;
        let ring = Ring::read(layout.measures.len(), bytes)?;
        let first = place * layout.extremes.len();
        for (blocks, &amounts) in self.blocks[first..].iter_mut().zip(&layout.extremes) {
            blocks.refresh(&ring, amounts, 0);
        }
        self.events[place] = ring;
        if let Some(frauds) = self.frauds.get_mut(place) {
            *frauds = Ring::read(1 + layout.frauds.len(), bytes)?;
        }
        let first = place * layout.evicted.len();
        for evicted in &mut self.evicted[first..first + layout.evicted.len()] {
            *evicted = match u8::from_le_bytes(number(bytes)?) {
                0 => None,
                1 => Some(Evicted {
                    oldest: i64::from_le_bytes(number(bytes)?),
                    newest: i64::from_le_bytes(number(bytes)?),
                }),
                _ => return Err(Unreadable),
            };
        }
        Ok(())
    }
}

impl super::History {
    /// Begins a sweep of every entity as it stands now; `head` gives what the pieces of one begin with. Writes how many keys
    /// each has, and what else there is.
    pub fn cut(&mut self, head: impl Fn(usize) -> Vec<u8>, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.watermark.0.to_le_bytes());
        out.push(self.entities.len() as u8);
        for (slot, (entity, erased)) in self.entities.iter_mut().zip(&self.erased).enumerate() {
            out.extend_from_slice(&entity.marks().0.to_le_bytes());
            out.extend_from_slice(&entity.cut(head(slot)).to_le_bytes());
            erased.write(&mut |part: &[u8]| out.extend_from_slice(part));
        }
        self.erased
            .iter()
            .for_each(|erased| erased.write(&mut |part| out.extend_from_slice(part)));
    }

    /// Writes further keys, about as many bytes. Gives how many of those are left; some when all are written.
    pub fn sweep(&mut self, plan: &crate::plan::Plan, bytes: usize) -> usize {
        let entities = plan.layouts.iter().zip(&mut self.entities);
        entities.fold(bytes, |left, (layout, entity)| match left {
            0 => 0,
            left => entity.sweep(layout, left),
        })
    }

    /// A piece of the sweep that is done.
    pub fn take_piece(&mut self) -> Option<Piece> {
        self.entities.iter_mut().find_map(EntityHistory::take_piece)
    }

    /// Takes the buffer of a piece that was sealed, or gives it back when nothing is swept any more.
    pub fn reuse(&mut self, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let mut entities = self.entities.iter_mut();
        entities.try_fold(bytes, |bytes, entity| entity.reuse(bytes))
    }

    /// Ends the sweep, whether or not all was written.
    pub fn end_sweep(&mut self) {
        self.entities.iter_mut().for_each(EntityHistory::end_sweep);
    }

    /// Takes back what [`super::History::cut`] wrote, off the beginning of `bytes`, in a history that holds nothing. Gives
    /// how many keys each entity has, which have to come.
    pub fn restore(&mut self, bytes: &mut &[u8]) -> Result<Vec<u64>, Unreadable> {
        self.watermark = EventTime(i64::from_le_bytes(number(bytes)?));
        if usize::from(u8::from_le_bytes(number(bytes)?)) != self.entities.len() {
            return Err(Unreadable);
        }
        let mut keys = Vec::with_capacity(self.entities.len());
        for (entity, erased) in self.entities.iter_mut().zip(&mut self.erased) {
            let marks = EventTime(i64::from_le_bytes(number(bytes)?));
            let count = u64::from_le_bytes(number(bytes)?);
            entity.restore(marks, usize::try_from(count).map_err(|_| Unreadable)?);
            *erased = Erased::read(bytes)?;
            keys.push(count);
        }
        for erased in &mut self.erased {
            *erased = super::erased::Erased::read(bytes)?;
        }
        Ok(keys)
    }

    /// Takes in the keys of a piece of an entity. Gives how many.
    pub fn read_keys(&mut self, plan: &crate::plan::Plan, entity: usize, mut bytes: &[u8]) -> Result<u64, Unreadable> {
        let layout = plan.layouts.get(entity).ok_or(Unreadable)?;
        let entity = self.entities.get_mut(entity).ok_or(Unreadable)?;
        let mut keys = 0;
        while !bytes.is_empty() {
            entity.read_key(layout, &mut bytes)?;
            keys += 1;
        }
        Ok(keys)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::History, *};
    use crate::{
        plan::Plan,
        transaction::{AmountMinor, Kind, Labelled, MAX_ENTITIES, MAX_NUMBERS, Transaction},
    };

    fn plan() -> Plan {
        let of = r#""where":{"kinds":["purchase"]}"#;
        let window = r#""delay_us":0,"inclusive":false"#;
        let json = format!(
            r#"{{"format":1,"name":"p","currency":"EUR","entities":["card","shop"],"numbers":[],"texts":[],
            "fraud":["third_party_fraud"],"lateness_us":20,"features":[
            {{"name":"mean","op":"mean","entity":0,"window_us":50,{window},{of}}},
            {{"name":"largest","op":"max","entity":0,"window_us":300,{window},{of}}},
            {{"name":"last","op":"since_last","entity":0,{of}}},
            {{"name":"risk","op":"risk","entity":1,"window_us":60,"delay_us":0,{of}}}]}}"#
        );
        Plan::parse(json.as_bytes()).unwrap()
    }

    /// One step: fold or label (key, time back from the newest), erase a key, or sweep so many bytes.
    #[derive(Clone, Debug)]
    enum Step {
        Fold(u8, i64, i64),
        Label(u8, i64, bool),
        Erase(u8),
        Sweep(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            12 => (0_u8..12, 0_i64..30, 0_i64..1_000).prop_map(|(key, back, amount)| Step::Fold(key, back, amount)),
            3 => (0_u8..12, 0_i64..30, any::<bool>()).prop_map(|(key, back, fraud)| Step::Label(key, back, fraud)),
            1 => (0_u8..12).prop_map(Step::Erase),
            3 => (0_usize..3_000).prop_map(Step::Sweep),
        ];
        prop::collection::vec(step, 1..400)
    }

    fn canonical(history: &History) -> Vec<u8> {
        let mut bytes = Vec::new();
        history.write_canonical(&mut |part| bytes.extend_from_slice(part));
        bytes
    }

    fn play(history: &mut History, plan: &Plan, step: &Step, number: usize) {
        let now = 1_000 + 3 * number as i64;
        let entities = |key: u8| {
            let mut entities = [None; MAX_ENTITIES];
            entities[0] = Some(KeyHash(u128::from(key)));
            entities[1] = Some(KeyHash(u128::from(key % 5)));
            entities
        };
        match *step {
            Step::Fold(key, back, amount) => history.fold(
                plan,
                &Transaction {
                    event_time: EventTime(now - back.min(20)),
                    utc_offset_minutes: 0,
                    kind: Kind::Purchase,
                    amount: Some(AmountMinor(amount)),
                    entities: entities(key),
                    numbers: [f64::NAN; MAX_NUMBERS],
                },
            ),
            Step::Label(key, back, fraud) => history.label(
                plan,
                &Labelled {
                    transaction: KeyHash(u128::from(key)),
                    event_time: EventTime(now - back),
                    kind: Kind::Purchase,
                    entities: entities(key),
                    fraud: Some(fraud),
                },
            ),
            Step::Erase(key) => {
                history.erase(plan, usize::from(key % 2), KeyHash(u128::from(key / 2)));
            }
            Step::Sweep(bytes) => {
                history.sweep(plan, bytes);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_swept_while_inputs_go_on_is_the_state_at_the_cut(steps in steps(), cut in any::<prop::sample::Index>()) {
            let plan = plan();
            let mut history = History::new(&plan, EventTime(7));
            let cut = cut.index(steps.len());
            for (number, step) in steps[..cut].iter().enumerate() {
                play(&mut history, &plan, step, number);
            }
            let expected = canonical(&history);
            let mut head = Vec::new();
            history.cut(|slot| vec![slot as u8], &mut head);
            for (number, step) in steps.iter().enumerate().skip(cut) {
                play(&mut history, &plan, step, number);
            }
            while history.sweep(&plan, 1_000) == 0 {}
            let mut loaded = History::new(&plan, EventTime(i64::MIN));
            let mut keys = loaded.restore(&mut &head[..]).unwrap();
            while let Some(piece) = history.take_piece() {
                let (slot, bytes) = piece.bytes[crate::journal::chunk::HEADER..].split_first().unwrap();
                let count = loaded.read_keys(&plan, usize::from(*slot), bytes).unwrap();
                prop_assert_eq!(count, u64::from(piece.count));
                keys[usize::from(*slot)] -= count;
            }
            prop_assert!(keys.iter().all(|&left| left == 0));
            prop_assert!(canonical(&loaded) == expected);
            // And it goes on as the one it was taken of.
            history.end_sweep();
            let after = canonical(&history);
            for (number, step) in steps.iter().enumerate().skip(cut) {
                play(&mut loaded, &plan, step, number);
            }
            prop_assert!(canonical(&loaded) == after);
        }
    }

    #[test]
    fn a_key_that_was_read_back_is_seen_as_before() {
        let plan = plan();
        let mut history = History::new(&plan, EventTime(i64::MIN));
        for number in 0..400 {
            play(
                &mut history,
                &plan,
                &Step::Fold(1, 0, 997 * number % 1_009),
                number as usize / 7,
            );
        }
        let mut head = Vec::new();
        history.cut(|_| vec![0], &mut head);
        while history.sweep(&plan, 100) == 0 {}
        let mut loaded = History::new(&plan, EventTime(i64::MIN));
        loaded.restore(&mut &head[..]).unwrap();
        for slot in 0..2 {
            let piece = history.take_piece().unwrap();
            let bytes = &piece.bytes[crate::journal::chunk::HEADER + 1..];
            assert_eq!(loaded.read_keys(&plan, slot, bytes), Ok(1));
            assert_eq!(
                loaded.read_keys(&plan, slot, bytes),
                Err(Unreadable),
                "a key came twice"
            );
        }
        let next = Transaction {
            event_time: EventTime(1_171),
            utc_offset_minutes: 0,
            kind: Kind::Purchase,
            amount: Some(AmountMinor(5)),
            entities: [Some(KeyHash(1)); MAX_ENTITIES],
            numbers: [f64::NAN; MAX_NUMBERS],
        };
        let mut rows = [[0.0_f64; 4]; 2];
        for (history, row) in [&mut history, &mut loaded].into_iter().zip(&mut rows) {
            history.see(&plan, &next, row);
        }
        assert_eq!(rows[0].map(f64::to_bits), rows[1].map(f64::to_bits));
    }
}
