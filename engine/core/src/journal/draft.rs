//! What a drain leaves for the journal, written while it is under way: a record is written where its input is taken, with
//! room for what only the model and the policy will say, so that nothing is kept or copied for it.

use prost::bytes::BufMut;

use super::{
    chunk,
    record::{ASKED, Again, Flags, LABELS, Passed, STOOD, Stated, Tag},
};
use crate::{
    admit::{Admitted, AdmittedErasure, AdmittedLabel, AdmittedOutcome},
    assessment::{Assessment, TIER_BYTES},
    features::{FeatureSet, Lateness, Seen},
    history::Bounds,
    rescore::Rescored,
    transaction::{AmountMinor, Clock, KeyHash, MAX_ENTITIES, Transaction},
};

/// Bytes of what the model and the policy say.
pub(super) const SAID: usize = 3 + TIER_BYTES;

/// Where a record belongs to no program.
const NO_PROGRAM: u16 = u16::MAX;

/// The room that a record keeps for what the model and the policy will say.
#[derive(Clone, Copy, Debug)]
pub struct Unsaid(usize);

/// The records of one drain.
#[derive(Debug, Default)]
pub struct Draft {
    /// Room for a chunk's header, the clock, then the records.
    pub bytes: Vec<u8>,
    /// The sequence of the first input.
    pub first: u64,
    /// How many inputs it holds.
    pub count: u32,
}

impl Draft {
    /// Begins a drain at `clock`; `first` will be the sequence of its first input.
    pub fn begin(&mut self, clock: Clock, first: u64) {
        self.bytes.clear();
        self.bytes.resize(chunk::HEADER, 0);
        self.bytes.put_i64_le(clock.0);
        self.first = first;
        self.count = 0;
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.bytes.len() <= chunk::HEADER + 8
    }

    /// A program as it stands from here on. Takes no sequence.
    pub fn program(&mut self, stated: &Stated) {
        self.bytes.put_u8(Tag::Program as u8);
        self.bytes.put_u16_le(stated.program);
        self.bytes.put_i64_le(stated.complete_since.0);
        self.bytes.put_i64_le(stated.watermark.0);
        let Bounds {
            bytes,
            rows_a_key,
            tiles_a_key,
        } = stated.bounds;
        for bound in [bytes, rows_a_key as u64, tiles_a_key as u64] {
            self.bytes.put_u64_le(bound);
        }
        for part in [stated.name.as_bytes(), stated.plan, stated.policy, stated.model_digest] {
            self.long(part);
        }
    }

    /// A transaction of which only a fold was asked.
    pub fn folded(&mut self, admitted: &Admitted) {
        self.input(Tag::Folded, admitted.program);
        self.id(admitted);
        self.transaction(&admitted.transaction);
        self.position(admitted.position.as_deref());
    }

    /// A transaction of a history that is folded in before a program is served.
    pub fn history(&mut self, program: u16, transaction: &Transaction) {
        self.input(Tag::History, program);
        self.transaction(transaction);
    }

    /// A transaction that was read, with the row that is scored.
    pub fn scored(&mut self, admitted: &Admitted, seen: &Seen, row: &[f32]) -> Unsaid {
        self.input(Tag::Scored, admitted.program);
        self.id(admitted);
        self.transaction(&admitted.transaction);
        self.position(admitted.position.as_deref());
        let bytes = &mut self.bytes;
        let mut flags = match seen.lateness {
            Lateness::InOrder => Flags(0),
            Lateness::Late => Flags::LATE,
            Lateness::Beyond => Flags::BEYOND,
        };
        flags.set(Flags::DROPPED, admitted.dropped != 0);
        flags.set(Flags::MIRROR_BEHIND, admitted.mirror_behind);
        flags.set(Flags::MISSING, !seen.missing.is_empty());
        flags.set(Flags::INCOMPLETE, !seen.incomplete.is_empty());
        flags.set(Flags::APPROXIMATE, !seen.approximate.is_empty());
        bytes.put_u8(flags.0);
        // At most 256 features.
        bytes.put_u16_le(row.len() as u16);
        if admitted.dropped != 0 {
            bytes.put_u16_le(admitted.dropped);
        }
        for set in [&seen.missing, &seen.incomplete, &seen.approximate] {
            features(bytes, set, row.len());
        }
        for value in row {
            bytes.put_f32_le(*value);
        }
        let unsaid = Unsaid(bytes.len());
        bytes.put_bytes(0, SAID);
        unsaid
    }

    /// Fills in what the model and the policy said.
    pub fn say(&mut self, unsaid: Unsaid, assessment: &Assessment) {
        let verdicts = [
            assessment.verdict as u8,
            assessment.policy_verdict as u8,
            assessment.overridden.map_or(0, |overridden| overridden as u8) | assessment.rescore.write() << 4,
        ];
        if let Some(said) = self.bytes.get_mut(unsaid.0..unsaid.0 + SAID) {
            said[..3].copy_from_slice(&verdicts);
            said[3..].copy_from_slice(&assessment.tier.write());
        }
    }

    /// A label.
    pub fn label(&mut self, admitted: &AdmittedLabel) {
        self.input(Tag::Label, admitted.program);
        let label = &admitted.label;
        self.bytes.put_u8(u8::from(admitted.folds));
        self.bytes.put_u8(match label.fraud {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        });
        self.bytes.put_u8(admitted.class as i32 as u8);
        self.bytes.put_u8(admitted.source as i32 as u8);
        self.subject(label.transaction, label.event_time.0, label.kind as u8, &label.entities);
        self.position(admitted.position.as_deref());
    }

    /// An outcome.
    pub fn outcome(&mut self, admitted: &AdmittedOutcome) {
        self.input(Tag::Outcome, admitted.program);
        let subject = &admitted.subject;
        self.bytes.put_u8(admitted.fate as i32 as u8);
        self.bytes.put_u8(admitted.decider as i32 as u8);
        self.amount(admitted.amount);
        self.subject(
            subject.transaction,
            subject.event_time.0,
            subject.kind as u8,
            &subject.entities,
        );
        self.position(admitted.position.as_deref());
    }

    /// What the cloud said of a transaction.
    pub fn rescored(&mut self, rescored: &Rescored) {
        self.input(Tag::Rescored, rescored.program);
        let labels = if rescored.labels { LABELS } else { 0 };
        let asked = if rescored.asked { ASKED } else { 0 };
        self.bytes.put_u8(labels | asked);
        self.bytes.put_u8(rescored.policy_verdict as u8);
        self.bytes.put_u8(rescored.rescored_verdict as u8);
        self.bytes.put_u64_le(rescored.answered.epoch);
        self.bytes.put_u64_le(rescored.answered.sequence);
        self.bytes.put_f64_le(rescored.scores.fraud_probability);
        self.bytes.put_f64_le(rescored.scores.risk_score);
        self.bytes.put_slice(&rescored.model_digest);
        self.amount(rescored.amount);
        let subject = &rescored.subject;
        self.subject(
            subject.transaction,
            subject.event_time.0,
            subject.kind as u8,
            &subject.entities,
        );
        self.position(rescored.position.as_deref());
    }

    /// An erasure.
    pub fn erasure(&mut self, admitted: &AdmittedErasure) {
        self.input(Tag::Erasure, admitted.program);
        let stood = if admitted.position.is_some() { STOOD } else { 0 };
        self.bytes.put_u8(admitted.entity | stood);
        self.bytes.put_u128_le(admitted.key.0);
        if admitted.position.is_some() {
            self.position(admitted.position.as_deref());
        }
    }

    /// A record of a stream that was refused.
    pub fn passed(&mut self, passed: &Passed) {
        self.input(Tag::Passed, NO_PROGRAM);
        self.position(Some(&passed.position));
        self.bytes.put_u8(passed.code);
        self.bytes.put_slice(&passed.digest);
        self.long(passed.reason.as_bytes());
    }

    /// A record of a stream that repeats a transaction.
    pub fn again(&mut self, again: &Again) {
        self.input(Tag::Again, NO_PROGRAM);
        self.bytes.put_u128_le(again.id.0);
        self.position(Some(&again.position));
        self.long(again.decision);
    }

    fn long(&mut self, part: &[u8]) {
        // Reasons and answers, and what is configured by the operator and read from files: far below 4 GiB.
        self.bytes.put_u32_le(part.len() as u32);
        self.bytes.put_slice(part);
    }

    fn input(&mut self, tag: Tag, program: u16) {
        self.count += 1;
        self.bytes.put_u8(tag as u8);
        self.bytes.put_u16_le(program);
    }

    fn id(&mut self, admitted: &Admitted) {
        self.bytes.put_u128_le(admitted.id.0);
        self.bytes.put_u128_le(admitted.payload.0);
    }

    fn transaction(&mut self, t: &Transaction) {
        self.bytes.put_i64_le(t.event_time.0);
        self.bytes.put_i16_le(t.utc_offset_minutes);
        self.bytes.put_u8(t.kind as u8);
        self.amount(t.amount);
        self.entities(&t.entities);
        let given = t.numbers.iter().enumerate().filter(|(_, number)| !number.is_nan());
        let slots = given.clone().fold(0_u32, |slots, (slot, _)| slots | 1 << slot);
        self.bytes.put_u32_le(slots);
        for (_, number) in given {
            self.bytes.put_f64_le(*number);
        }
    }

    fn subject(&mut self, transaction: KeyHash, event_time: i64, kind: u8, entities: &[Option<KeyHash>; MAX_ENTITIES]) {
        self.bytes.put_u128_le(transaction.0);
        self.bytes.put_i64_le(event_time);
        self.bytes.put_u8(kind);
        self.entities(entities);
    }

    fn amount(&mut self, amount: Option<AmountMinor>) {
        // No amount is negative.
        self.bytes.put_i64_le(amount.map_or(-1, |amount| amount.0));
    }

    fn entities(&mut self, entities: &[Option<KeyHash>; MAX_ENTITIES]) {
        let given = entities.iter().enumerate().filter(|(_, key)| key.is_some());
        self.bytes.put_u8(given.fold(0, |slots, (slot, _)| slots | 1 << slot));
        for key in entities.iter().flatten() {
            self.bytes.put_u128_le(key.0);
        }
    }

    fn position(&mut self, position: Option<&[u8]>) {
        let position = position.unwrap_or_default();
        let length = position.len().min(usize::from(u8::MAX));
        self.bytes.put_u8(length as u8);
        self.bytes.put_slice(&position[..length]);
    }
}

fn features(bytes: &mut Vec<u8>, set: &FeatureSet, of: usize) {
    if !set.is_empty() {
        bytes.put_slice(&set.bits()[..of.div_ceil(8)]);
    }
}
