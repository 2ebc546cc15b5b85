//! What the journal holds of each input, read back. [`super::draft`] writes it; the two files are one format, whose version
//! stands in the segment's header. All numbers are little-endian.
//!
//! A chunk's body is the clock of its drain (8 bytes) and then records, each beginning with its tag (1) and its program's
//! number (2). Numbers of programs hold within a segment, whose first chunk states each of them.

use std::borrow::Cow;

use prost::bytes::{Buf, TryGetError};

use super::draft::SAID;
use crate::{
    admit::{Admitted, AdmittedErasure, AdmittedLabel, AdmittedOutcome, Mode, Subject},
    assessment::{Assessment, MadeWith, Tier},
    features::{FeatureSet, Lateness},
    history::Bounds,
    ladder::Admission,
    model::Scores,
    plan::MAX_FEATURES,
    policy::{Override, Segment, Verdict},
    rescore::{Answered, Rescore, Rescored},
    transaction::{
        AmountMinor, Clock, EventTime, KeyHash, Kind, Labelled, MAX_AMOUNT_MINOR, MAX_ENTITIES, MAX_NUMBERS,
        Transaction,
    },
    wire,
};

/// What a record is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Tag {
    Program = 1,
    Scored = 2,
    Folded = 3,
    Label = 4,
    Outcome = 5,
    History = 6,
    Rescored = 7,
    Erasure = 8,
    Passed = 9,
    Again = 10,
}

/// What is said of a scored row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Flags(pub u8);

impl Flags {
    pub const LATE: Flags = Flags(1);
    pub const BEYOND: Flags = Flags(2);
    pub const DROPPED: Flags = Flags(4);
    pub const MISSING: Flags = Flags(8);
    pub const INCOMPLETE: Flags = Flags(16);
    pub const APPROXIMATE: Flags = Flags(32);
    pub const MIRROR_BEHIND: Flags = Flags(64);

    pub fn set(&mut self, flag: Flags, when: bool) {
        self.0 |= if when { flag.0 } else { 0 };
    }

    fn has(self, flag: Flags) -> bool {
        self.0 & flag.0 != 0
    }
}

/// What is said of what the cloud said: that it labels, that it answers a caller's door.
pub(super) const LABELS: u8 = 1;
pub(super) const ASKED: u8 = 2;

/// Above an erasure's entity: where it stood follows.
pub(super) const STOOD: u8 = 0x80;

/// One record.
#[derive(Clone, Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "one is read at a time: a box would be an allocation for each"
)]
pub enum Record<'a> {
    /// A program as it stands from here on; takes no sequence.
    Program(Stated<'a>),
    /// A transaction, with its answer when an assessment was asked.
    Transaction(Admitted, Option<Scored<'a>>),
    /// A transaction of a history that was folded in before the program was served: the program's number, and what
    /// features see.
    History(u16, Transaction),
    /// A label.
    Label(AdmittedLabel),
    /// An outcome.
    Outcome(AdmittedOutcome),
    /// What the cloud said of a transaction.
    Rescored(Rescored),
    /// An erasure: of what came before, nothing of its key is held.
    Erasure(AdmittedErasure),
    /// A record of a stream that is no input: it was refused, and nobody waited for an answer.
    Passed(Passed<'a>),
    /// A record of a stream that repeats a transaction.
    Again(Again<'a>),
}

/// A record of a stream that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passed<'a> {
    /// Where it stood.
    pub position: Cow<'a, [u8]>,
    /// Why, as a google.rpc.Code.
    pub code: u8,
    /// Why, for a person; holds nothing of what was sent.
    pub reason: &'a str,
    /// SHA-256 of its bytes.
    pub digest: [u8; 32],
}

/// A record of a stream that repeats a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again<'a> {
    /// The hash of its id.
    pub id: KeyHash,
    /// Where it stood.
    pub position: Cow<'a, [u8]>,
    /// The first answer, as `Decision`; empty when only a fold was asked.
    pub decision: &'a [u8],
}

impl Record<'_> {
    /// Where it stood, in the form of the door that read it.
    pub fn position(&self) -> Option<&[u8]> {
        match self {
            Record::Program(_) | Record::History(..) => None,
            Record::Transaction(admitted, _) => admitted.position.as_deref(),
            Record::Label(admitted) => admitted.position.as_deref(),
            Record::Outcome(admitted) => admitted.position.as_deref(),
            Record::Rescored(rescored) => rescored.position.as_deref(),
            Record::Erasure(admitted) => admitted.position.as_deref(),
            Record::Passed(passed) => Some(&passed.position),
            Record::Again(again) => Some(&again.position),
        }
    }
}

impl<'a> Record<'a> {
    /// An input by itself, without the row that it saw and what was said of it in words; a program's statement as it is.
    pub fn detached(self) -> Result<Record<'static>, Stated<'a>> {
        Ok(match self {
            Record::Program(stated) => return Err(stated),
            Record::Transaction(admitted, scored) => {
                let scored = scored.map(|Scored { assessment, .. }| Scored { assessment, row: &[] });
                Record::Transaction(admitted, scored)
            }
            Record::History(program, transaction) => Record::History(program, transaction),
            Record::Label(label) => Record::Label(label),
            Record::Outcome(outcome) => Record::Outcome(outcome),
            Record::Rescored(rescored) => Record::Rescored(rescored),
            Record::Erasure(admitted) => Record::Erasure(admitted),
            Record::Passed(passed) => Record::Passed(Passed {
                position: Cow::Owned(passed.position.into_owned()),
                reason: "",
                ..passed
            }),
            Record::Again(again) => Record::Again(Again {
                position: Cow::Owned(again.position.into_owned()),
                decision: &[],
                ..again
            }),
        })
    }
}

/// A program as it stands at a place of the journal.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated<'a> {
    /// Its number in this segment.
    pub program: u16,
    /// Its name.
    pub name: &'a str,
    /// Since when its state is complete.
    pub complete_since: EventTime,
    /// The newest event time that it had folded.
    pub watermark: EventTime,
    /// What bounds its state.
    pub bounds: Bounds,
    /// The plan, as bytes.
    pub plan: &'a [u8],
    /// The policy, as bytes.
    pub policy: &'a [u8],
    /// SHA-256 of the model's manifest; empty without a model.
    pub model_digest: &'a [u8],
}

/// What a transaction saw and was answered.
#[derive(Clone, Debug)]
pub struct Scored<'a> {
    /// The answer; what it was made with is the program as last stated.
    pub assessment: Assessment,
    row: &'a [u8],
}

impl Scored<'_> {
    /// The features that were scored, in plan order.
    pub fn row(&self) -> impl Iterator<Item = f32> + '_ {
        self.row.as_chunks().0.iter().map(|value| f32::from_le_bytes(*value))
    }
}

/// Bytes are no record. They passed the seal, so an engine that writes another format wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRecord;

impl From<TryGetError> for NoRecord {
    fn from(_: TryGetError) -> NoRecord {
        NoRecord
    }
}

/// The records of a chunk's body.
#[derive(Clone, Debug)]
pub struct Records<'a> {
    /// The clock of the drain.
    pub clock: Clock,
    rest: &'a [u8],
    whole: bool,
}

impl<'a> Records<'a> {
    /// The records of `body`.
    pub fn new(mut body: &'a [u8]) -> Result<Records<'a>, NoRecord> {
        Ok(Records {
            clock: Clock(body.try_get_i64_le()?),
            rest: body,
            whole: true,
        })
    }

    /// Reads what is left, and says whether all of the body were records.
    pub fn are_whole(&mut self) -> bool {
        self.by_ref().for_each(drop);
        self.whole
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, NoRecord>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let read = record(&mut self.rest);
        if read.is_err() {
            (self.rest, self.whole) = (&[], false);
        }
        Some(read)
    }
}

fn record<'a>(b: &mut &'a [u8]) -> Result<Record<'a>, NoRecord> {
    let tag = b.try_get_u8()?;
    let program = b.try_get_u16_le()?;
    match tag {
        tag if tag == Tag::Program as u8 => stated(program, b).map(Record::Program),
        tag if tag == Tag::Scored as u8 => {
            let mut admitted = admitted(program, Mode::Score, b)?;
            let scored = scored(b)?;
            admitted.dropped = scored.assessment.dropped;
            admitted.mirror_behind = scored.assessment.mirror_behind;
            admitted.admission = scored.assessment.tier.admission();
            if let Tier::Default(segment, _) = scored.assessment.tier {
                admitted.segment = segment;
            }
            Ok(Record::Transaction(admitted, Some(scored)))
        }
        tag if tag == Tag::Folded as u8 => Ok(Record::Transaction(admitted(program, Mode::Fold, b)?, None)),
        tag if tag == Tag::Label as u8 => label(program, b).map(Record::Label),
        tag if tag == Tag::Outcome as u8 => outcome(program, b).map(Record::Outcome),
        tag if tag == Tag::History as u8 => Ok(Record::History(program, transaction(b)?)),
        tag if tag == Tag::Rescored as u8 => rescored(program, b).map(Record::Rescored),
        tag if tag == Tag::Erasure as u8 => erasure(program, b).map(Record::Erasure),
        tag if tag == Tag::Passed as u8 => passed(b).map(Record::Passed),
        tag if tag == Tag::Again as u8 => Ok(Record::Again(Again {
            id: KeyHash(b.try_get_u128_le()?),
            position: short(b)?.into(),
            decision: long(b)?,
        })),
        _ => Err(NoRecord),
    }
}

fn stated<'a>(program: u16, b: &mut &'a [u8]) -> Result<Stated<'a>, NoRecord> {
    Ok(Stated {
        program,
        complete_since: EventTime(b.try_get_i64_le()?),
        watermark: EventTime(b.try_get_i64_le()?),
        bounds: Bounds {
            bytes: b.try_get_u64_le()?,
            rows_a_key: size(b)?,
            tiles_a_key: size(b)?,
        },
        name: str::from_utf8(long(b)?).map_err(|_| NoRecord)?,
        plan: long(b)?,
        policy: long(b)?,
        model_digest: long(b)?,
    })
}

fn admitted(program: u16, mode: Mode, b: &mut &[u8]) -> Result<Admitted, NoRecord> {
    let id = KeyHash(b.try_get_u128_le()?);
    let payload = KeyHash(b.try_get_u128_le()?);
    let transaction = transaction(b)?;
    Ok(Admitted {
        program,
        id,
        payload,
        mode,
        decide_by: None,
        dropped: 0,
        mirror_behind: false,
        position: position(b)?,
        unanswered: None,
        asks: false,
        admission: Admission::Full,
        segment: Segment::default(),
        transaction,
    })
}

fn transaction(b: &mut &[u8]) -> Result<Transaction, NoRecord> {
    let event_time = EventTime(b.try_get_i64_le()?);
    let utc_offset_minutes = b.try_get_i16_le()?;
    let kind = kind(b)?;
    let amount = amount(b)?;
    let entities = entities(b)?;
    let slots = b.try_get_u32_le()?;
    let mut numbers = [f64::NAN; MAX_NUMBERS];
    for slot in (0..MAX_NUMBERS).filter(|slot| slots >> slot & 1 != 0) {
        numbers[slot] = b.try_get_f64_le()?;
    }
    Ok(Transaction {
        event_time,
        utc_offset_minutes,
        kind,
        amount,
        entities,
        numbers,
    })
}

fn scored<'a>(b: &mut &'a [u8]) -> Result<Scored<'a>, NoRecord> {
    let flags = Flags(b.try_get_u8()?);
    let features = usize::from(b.try_get_u16_le()?);
    if features > MAX_FEATURES {
        return Err(NoRecord);
    }
    let dropped = if flags.has(Flags::DROPPED) {
        b.try_get_u16_le()?
    } else {
        0
    };
    let mut set = |flag| -> Result<FeatureSet, NoRecord> {
        let mut bits = [0; MAX_FEATURES / 8];
        if flags.has(flag) {
            let given = take(b, features.div_ceil(8))?;
            bits[..given.len()].copy_from_slice(given);
        }
        Ok(FeatureSet::of_bits(&bits))
    };
    let (missing, incomplete) = (set(Flags::MISSING)?, set(Flags::INCOMPLETE)?);
    let approximate = set(Flags::APPROXIMATE)?;
    let row = take(b, 4 * features)?;
    let mut said = take(b, SAID)?;
    let (verdict, policy_verdict) = (verdict(&mut said)?, self::verdict(&mut said)?);
    let beside = said.try_get_u8()?;
    let rescore = Rescore::read(beside >> 4).ok_or(NoRecord)?;
    let overridden = match beside & 0xf {
        0 => None,
        1 => Some(Override::Observe),
        _ => return Err(NoRecord),
    };
    let tier = said.first_chunk().and_then(Tier::read).ok_or(NoRecord)?;
    Ok(Scored {
        assessment: Assessment {
            verdict,
            policy_verdict,
            overridden,
            tier,
            lateness: if flags.has(Flags::BEYOND) {
                Lateness::Beyond
            } else if flags.has(Flags::LATE) {
                Lateness::Late
            } else {
                Lateness::InOrder
            },
            missing,
            incomplete,
            approximate,
            dropped,
            mirror_behind: flags.has(Flags::MIRROR_BEHIND) && tier.scores().is_some(),
            rescore,
            made_with: MadeWith { program: 0, version: 0 },
        },
        row,
    })
}

fn label(program: u16, b: &mut &[u8]) -> Result<AdmittedLabel, NoRecord> {
    let folds = b.try_get_u8()? != 0;
    let fraud = match b.try_get_u8()? {
        0 => None,
        1 => Some(false),
        2 => Some(true),
        _ => return Err(NoRecord),
    };
    let class = wire::LabelClass::try_from(i32::from(b.try_get_u8()?)).map_err(|_| NoRecord)?;
    let source = wire::LabelSource::try_from(i32::from(b.try_get_u8()?)).map_err(|_| NoRecord)?;
    let subject = subject(b)?;
    Ok(AdmittedLabel {
        program,
        folds,
        class,
        source,
        position: position(b)?,
        unanswered: None,
        label: Labelled {
            transaction: subject.transaction,
            event_time: subject.event_time,
            kind: subject.kind,
            entities: subject.entities,
            fraud,
        },
    })
}

fn outcome(program: u16, b: &mut &[u8]) -> Result<AdmittedOutcome, NoRecord> {
    Ok(AdmittedOutcome {
        program,
        fate: wire::Fate::try_from(i32::from(b.try_get_u8()?)).map_err(|_| NoRecord)?,
        decider: wire::Decider::try_from(i32::from(b.try_get_u8()?)).map_err(|_| NoRecord)?,
        amount: amount(b)?,
        subject: subject(b)?,
        position: position(b)?,
        unanswered: None,
    })
}

fn rescored(program: u16, b: &mut &[u8]) -> Result<Rescored, NoRecord> {
    let said = b.try_get_u8()?;
    Ok(Rescored {
        program,
        labels: said & LABELS != 0,
        asked: said & ASKED != 0,
        policy_verdict: verdict(b)?,
        rescored_verdict: verdict(b)?,
        answered: Answered {
            epoch: b.try_get_u64_le()?,
            sequence: b.try_get_u64_le()?,
        },
        scores: Scores {
            fraud_probability: b.try_get_f64_le()?,
            risk_score: b.try_get_f64_le()?,
        },
        model_digest: *take(b, 32)?.first_chunk().ok_or(NoRecord)?,
        amount: amount(b)?,
        subject: subject(b)?,
        position: position(b)?,
    })
}

fn erasure(program: u16, b: &mut &[u8]) -> Result<AdmittedErasure, NoRecord> {
    let said = b.try_get_u8()?;
    let entity = said & !STOOD;
    if usize::from(entity) >= MAX_ENTITIES {
        return Err(NoRecord);
    }
    Ok(AdmittedErasure {
        program,
        entity,
        key: KeyHash(b.try_get_u128_le()?),
        position: if said & STOOD != 0 { position(b)? } else { None },
        unanswered: None,
    })
}

fn subject(b: &mut &[u8]) -> Result<Subject, NoRecord> {
    Ok(Subject {
        transaction: KeyHash(b.try_get_u128_le()?),
        event_time: EventTime(b.try_get_i64_le()?),
        kind: kind(b)?,
        entities: entities(b)?,
    })
}

fn kind(b: &mut &[u8]) -> Result<Kind, NoRecord> {
    Kind::numbered(b.try_get_u8()?).ok_or(NoRecord)
}

fn verdict(b: &mut &[u8]) -> Result<Verdict, NoRecord> {
    Verdict::numbered(b.try_get_u8()?).ok_or(NoRecord)
}

fn amount(b: &mut &[u8]) -> Result<Option<AmountMinor>, NoRecord> {
    match b.try_get_i64_le()? {
        -1 => Ok(None),
        minor @ 0..=MAX_AMOUNT_MINOR => Ok(Some(AmountMinor(minor))),
        _ => Err(NoRecord),
    }
}

fn entities(b: &mut &[u8]) -> Result<[Option<KeyHash>; MAX_ENTITIES], NoRecord> {
    let slots = b.try_get_u8()?;
    let mut entities = [None; MAX_ENTITIES];
    for slot in (0..MAX_ENTITIES).filter(|slot| slots >> slot & 1 != 0) {
        entities[slot] = Some(KeyHash(b.try_get_u128_le()?));
    }
    Ok(entities)
}

fn passed<'a>(b: &mut &'a [u8]) -> Result<Passed<'a>, NoRecord> {
    let position = short(b)?.into();
    let code = b.try_get_u8()?;
    let (digest, rest) = b.split_first_chunk().ok_or(NoRecord)?;
    *b = rest;
    Ok(Passed {
        position,
        code,
        reason: str::from_utf8(long(b)?).map_err(|_| NoRecord)?,
        digest: *digest,
    })
}

fn position(b: &mut &[u8]) -> Result<Option<Box<[u8]>>, NoRecord> {
    let position = short(b)?;
    Ok((!position.is_empty()).then(|| position.into()))
}

fn short<'a>(b: &mut &'a [u8]) -> Result<&'a [u8], NoRecord> {
    let length = usize::from(b.try_get_u8()?);
    take(b, length)
}

fn size(b: &mut &[u8]) -> Result<usize, NoRecord> {
    usize::try_from(b.try_get_u64_le()?).map_err(|_| NoRecord)
}

fn long<'a>(b: &mut &'a [u8]) -> Result<&'a [u8], NoRecord> {
    let length = usize::try_from(b.try_get_u32_le()?).map_err(|_| NoRecord)?;
    take(b, length)
}

fn take<'a>(b: &mut &'a [u8], length: usize) -> Result<&'a [u8], NoRecord> {
    let (taken, rest) = b.split_at_checked(length).ok_or(NoRecord)?;
    *b = rest;
    Ok(taken)
}
