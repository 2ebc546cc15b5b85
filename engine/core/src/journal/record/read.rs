//! The way from a chunk's body to its records. What is most of it, scored transactions, is read field by field to where one
//! was; everything else is given by value.

use prost::bytes::Buf;

use super::{ASKED, Again, Flags, LABELS, NoRecord, Passed, Record, STOOD, Scored, Stated, Tag};
use crate::{
    admit::{Admitted, AdmittedErasure, AdmittedLabel, AdmittedOutcome, Mode, Subject},
    assessment::{Assessment, MadeWith, Tier},
    features::{FeatureSet, Lateness},
    history::Bounds,
    journal::draft::SAID,
    ladder::{Admission, Cause},
    model::Scores,
    plan::MAX_FEATURES,
    policy::{Override, Segment, Verdict},
    rescore::{Answered, Rescore, Rescored},
    transaction::{
        AmountMinor, EventTime, KeyHash, Kind, Labelled, MAX_AMOUNT_MINOR, MAX_ENTITIES, MAX_NUMBERS, Transaction,
    },
    wire,
};

/// The next record.
pub(super) fn record<'a>(b: &mut &'a [u8]) -> Result<Record<'a>, NoRecord> {
    let tag = b.try_get_u8()?;
    let program = b.try_get_u16_le()?;
    match tag {
        tag if tag == Tag::Program as u8 => stated(program, b).map(Record::Program),
        tag if tag == Tag::Scored as u8 => {
            let (mut admitted, mut assessment) = (unread(), unsaid());
            let row = scored(program, b, &mut admitted, &mut assessment)?;
            Ok(Record::Transaction(admitted, Some(Scored { assessment, row })))
        }
        tag if tag == Tag::Folded as u8 => {
            let mut admitted = unread();
            fill(program, Mode::Fold, b, &mut admitted)?;
            Ok(Record::Transaction(admitted, None))
        }
        tag if tag == Tag::Label as u8 => label(program, b).map(Record::Label),
        tag if tag == Tag::Outcome as u8 => outcome(program, b).map(Record::Outcome),
        tag if tag == Tag::History as u8 => {
            let mut transaction = unread().transaction;
            fill_transaction(b, &mut transaction)?;
            Ok(Record::History(program, transaction))
        }
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

/// A scored transaction, with its tag, read to where one was. Gives the row that it saw.
pub(super) fn scored_to<'a>(
    b: &mut &'a [u8],
    admitted: &mut Admitted,
    assessment: &mut Assessment,
) -> Result<&'a [u8], NoRecord> {
    let _ = b.try_get_u8()?;
    let program = b.try_get_u16_le()?;
    scored(program, b, admitted, assessment)
}

fn scored<'a>(
    program: u16,
    b: &mut &'a [u8],
    admitted: &mut Admitted,
    assessment: &mut Assessment,
) -> Result<&'a [u8], NoRecord> {
    fill(program, Mode::Score, b, admitted)?;
    let row = said(b, assessment)?;
    admitted.dropped = assessment.dropped;
    admitted.mirror_behind = assessment.mirror_behind;
    admitted.admission = assessment.tier.admission();
    admitted.segment = match assessment.tier {
        Tier::Default(segment, _) => segment,
        Tier::Full(_) | Tier::Reduced(..) => Segment::default(),
    };
    Ok(row)
}

/// A transaction of which nothing was read.
pub(super) fn unread() -> Admitted {
    Admitted {
        program: 0,
        id: KeyHash(0),
        payload: KeyHash(0),
        mode: Mode::Score,
        decide_by: None,
        dropped: 0,
        mirror_behind: false,
        position: None,
        unanswered: None,
        asks: false,
        admission: Admission::Full,
        segment: Segment::default(),
        transaction: Transaction {
            event_time: EventTime(0),
            utc_offset_minutes: 0,
            kind: Kind::Event,
            amount: None,
            entities: [None; MAX_ENTITIES],
            numbers: [f64::NAN; MAX_NUMBERS],
        },
    }
}

/// An answer of which nothing was read.
pub(super) fn unsaid() -> Assessment {
    Assessment {
        verdict: Verdict::Approve,
        policy_verdict: Verdict::Approve,
        overridden: None,
        tier: Tier::Default(Segment::default(), Cause::Model),
        lateness: Lateness::InOrder,
        missing: FeatureSet::default(),
        incomplete: FeatureSet::default(),
        approximate: FeatureSet::default(),
        dropped: 0,
        mirror_behind: false,
        rescore: Rescore::Not,
        made_with: MadeWith { program: 0, version: 0 },
    }
}

/// What a transaction is. The rest of `admitted` is as if it came to be folded alone.
fn fill(program: u16, mode: Mode, b: &mut &[u8], admitted: &mut Admitted) -> Result<(), NoRecord> {
    (admitted.program, admitted.mode) = (program, mode);
    admitted.id = KeyHash(b.try_get_u128_le()?);
    admitted.payload = KeyHash(b.try_get_u128_le()?);
    fill_transaction(b, &mut admitted.transaction)?;
    admitted.position = position(b)?;
    Ok(())
}

fn fill_transaction(b: &mut &[u8], transaction: &mut Transaction) -> Result<(), NoRecord> {
    transaction.event_time = EventTime(b.try_get_i64_le()?);
    transaction.utc_offset_minutes = b.try_get_i16_le()?;
    transaction.kind = kind(b)?;
    transaction.amount = amount(b)?;
    transaction.entities = entities(b)?;
    transaction.numbers = [f64::NAN; MAX_NUMBERS];
    for slot in slots(b.try_get_u32_le()?) {
        transaction.numbers[slot] = b.try_get_f64_le()?;
    }
    Ok(())
}

/// What was answered. Gives the row that was seen.
fn said<'a>(b: &mut &'a [u8], assessment: &mut Assessment) -> Result<&'a [u8], NoRecord> {
    let flags = Flags(b.try_get_u8()?);
    let features = usize::from(b.try_get_u16_le()?);
    if features > MAX_FEATURES {
        return Err(NoRecord);
    }
    assessment.dropped = if flags.has(Flags::DROPPED) {
        b.try_get_u16_le()?
    } else {
        0
    };
    let mut set = |flag| -> Result<FeatureSet, NoRecord> {
        if !flags.has(flag) {
            return Ok(FeatureSet::default());
        }
        let mut bits = [0; MAX_FEATURES / 8];
        let given = take(b, features.div_ceil(8))?;
        bits[..given.len()].copy_from_slice(given);
        Ok(FeatureSet::of_bits(&bits))
    };
    assessment.missing = set(Flags::MISSING)?;
    assessment.incomplete = set(Flags::INCOMPLETE)?;
    assessment.approximate = set(Flags::APPROXIMATE)?;
    let row = take(b, 4 * features)?;
    let mut said = take(b, SAID)?;
    assessment.verdict = verdict(&mut said)?;
    assessment.policy_verdict = verdict(&mut said)?;
    let beside = said.try_get_u8()?;
    assessment.rescore = Rescore::read(beside >> 4).ok_or(NoRecord)?;
    assessment.overridden = match beside & 0xf {
        0 => None,
        1 => Some(Override::Observe),
        _ => return Err(NoRecord),
    };
    assessment.tier = said.first_chunk().and_then(Tier::read).ok_or(NoRecord)?;
    assessment.lateness = if flags.has(Flags::BEYOND) {
        Lateness::Beyond
    } else if flags.has(Flags::LATE) {
        Lateness::Late
    } else {
        Lateness::InOrder
    };
    assessment.mirror_behind = flags.has(Flags::MIRROR_BEHIND) && assessment.tier.scores().is_some();
    Ok(row)
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
    let given = b.try_get_u8()?;
    let mut entities = [None; MAX_ENTITIES];
    for slot in slots(u32::from(given)) {
        entities[slot] = Some(KeyHash(b.try_get_u128_le()?));
    }
    Ok(entities)
}

/// The places of a mask's bits.
fn slots(mask: u32) -> impl Iterator<Item = usize> {
    let rest = std::iter::successors(Some(mask), |rest| Some(rest & rest.wrapping_sub(1)));
    rest.take_while(|&rest| rest != 0)
        .map(|rest| rest.trailing_zeros() as usize)
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
