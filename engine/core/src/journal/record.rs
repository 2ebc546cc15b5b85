//! What the journal holds of each input, read back. [`super::draft`] writes it and `read.rs` reads it; the two are one format,
//! whose version stands in the segment's header. All numbers are little-endian.
//!
//! A chunk's body is the clock of its drain (8 bytes) and then records, each beginning with its tag (1) and its program's
//! number (2). Numbers of programs hold within a segment, whose first chunk states each of them.

mod read;

use std::borrow::Cow;

use prost::bytes::{Buf, TryGetError};

use crate::{
    admit::{Admitted, AdmittedErasure, AdmittedLabel, AdmittedOutcome},
    assessment::Assessment,
    history::Bounds,
    rescore::Rescored,
    transaction::{Clock, EventTime, KeyHash, Transaction},
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

impl Record<'static> {
    /// A place that a scored transaction can be read to; see [`Records::next_to`].
    pub fn place() -> Record<'static> {
        let assessment = read::unsaid();
        Record::Transaction(read::unread(), Some(Scored { assessment, row: &[] }))
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

    /// Reads the next record where one was that is done with, detached from the body; a program's statement is given instead.
    /// Transactions are most of what is journaled, and large: read so, one is copied nowhere.
    pub fn next_to(&mut self, place: &mut Record<'static>) -> Option<Result<Option<Stated<'a>>, NoRecord>> {
        let tag = *self.rest.first()?;
        let read = match place {
            Record::Transaction(admitted, Some(scored)) if tag == Tag::Scored as u8 => {
                read::scored_to(&mut self.rest, admitted, &mut scored.assessment).map(|_| None)
            }
            place => read::record(&mut self.rest).map(|record| match record.detached() {
                Ok(input) => {
                    *place = input;
                    None
                }
                Err(stated) => Some(stated),
            }),
        };
        if read.is_err() {
            (self.rest, self.whole) = (&[], false);
        }
        Some(read)
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
        let read = read::record(&mut self.rest);
        if read.is_err() {
            (self.rest, self.whole) = (&[], false);
        }
        Some(read)
    }
}
