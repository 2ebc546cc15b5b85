//! A segment that was rewritten because of erasures. It has the place of the one that was written: the segment after names
//! that one's end, and this one says in whose stead it stands. Everything that it says is sealed with its chunks, under a key
//! of its own, so whoever has not the key file's key can put nothing else there.
//!
//! | bytes | behind the segment's header, whose first 8 bytes are `FGERASED` |
//! |---|---|
//! | 8 | where it ends: with nothing more, and nothing less |
//! | 8, 32 | where the segment ended that was written, and its digest through there |
//! | 8 | the sequence of the last erasure that it honours |
//! | 8 | the name of its key: a segment may have another one in the key file, of a rewriting that was cut short |
//! | 4 | CRC32C of the bytes before, the segment's header among them |
//!
//! Its chunks are those that were written, one for one, without the keys that were erased.

use super::{
    draft::Draft,
    header::{self, part},
    record::{Record, Records},
    segment::{Chain, End, HEADER, Header, NoHeader},
};
use crate::{
    features::Seen,
    transaction::{KeyHash, MAX_ENTITIES},
};

/// Bytes behind the header.
const BEHIND: usize = 8 + 8 + 32 + 8 + 8 + 4;
/// Bytes of a rewritten segment's header.
pub const LONG_HEADER: usize = HEADER + BEHIND;
pub(super) const MAGIC: &[u8; 8] = b"FGERASED";

/// What a rewritten segment says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rewritten {
    /// Where it ends.
    pub ends: u64,
    /// Where the segment ended in whose stead it stands.
    pub stands_for: End,
    /// The sequence of the last erasure that it honours.
    pub through: u64,
    /// The name of its key.
    pub key: [u8; 8],
}

impl Rewritten {
    /// What the segment in `bytes` says; `None` when it is as it was written.
    pub fn read(bytes: &[u8]) -> Result<Option<Rewritten>, NoHeader> {
        if bytes.first_chunk() != Some(MAGIC) {
            return Ok(None);
        }
        let segment = Header::read(bytes)?.segment;
        let Some(long) = bytes.first_chunk::<LONG_HEADER>() else {
            return Err(NoHeader::Damaged);
        };
        if !header::is_whole(long) {
            return Err(NoHeader::Damaged);
        }
        let number = |at: usize| u64::from_le_bytes(part(long, HEADER + at));
        Ok(Some(Rewritten {
            ends: number(0),
            stands_for: End {
                segment,
                offset: number(8),
                digest: part(long, HEADER + 16),
            },
            through: number(48),
            key: part(long, HEADER + 56),
        }))
    }

    /// The header's bytes, of the segment with this one.
    pub fn write(&self, segment: &Header) -> [u8; LONG_HEADER] {
        let short = segment.write_as(MAGIC);
        let fields = [
            &short[..],
            &self.ends.to_le_bytes(),
            &self.stands_for.offset.to_le_bytes(),
            &self.stands_for.digest,
            &self.through.to_le_bytes(),
            &self.key,
        ];
        header::written(&fields)
    }
}

/// The digest of a segment's header, which its seals vouch for, and where its first chunk stands: of the segment whose file
/// begins with `bytes`.
pub fn begins(bytes: &[u8]) -> Result<(Chain, usize), NoHeader> {
    let length = Rewritten::read(bytes)?.map_or(HEADER, |_| LONG_HEADER);
    let header = bytes.get(..length).ok_or(NoHeader::Damaged)?;
    Ok((Chain::of(header), length))
}

/// Names a segment's key without telling it.
pub fn key_name(key: &[u8; 32]) -> [u8; 8] {
    let name = blake3::derive_key("fraudgate 2026 name of a segment's key", key);
    let mut short = [0; 8];
    short.copy_from_slice(&name[..8]);
    short
}

/// The records of a chunk, drafted anew without the keys that `is_erased` names by sequence, the program's number, slot and
/// key; and how many went.
pub fn without(records: Records, first: u64, is_erased: impl Fn(u64, u16, usize, KeyHash) -> bool) -> (Draft, u64) {
    let mut draft = Draft::default();
    draft.begin(records.clock, first);
    let (mut sequence, mut went) = (first, 0);
    for record in records.flatten() {
        let mut record = record;
        let is_input = !matches!(record, Record::Program(_));
        if let Some((program, entities)) = entities(&mut record) {
            for (slot, key) in entities.iter_mut().enumerate() {
                if key.is_some_and(|key| is_erased(sequence, program, slot, key)) {
                    *key = None;
                    went += 1;
                }
            }
        }
        draft_again(&mut draft, &record);
        sequence += u64::from(is_input);
    }
    (draft, went)
}

/// The keys that a record holds of whom it is about.
fn entities<'r>(record: &'r mut Record) -> Option<(u16, &'r mut [Option<KeyHash>; MAX_ENTITIES])> {
    match record {
        Record::Transaction(admitted, _) => Some((admitted.program, &mut admitted.transaction.entities)),
        Record::History(program, transaction) => Some((*program, &mut transaction.entities)),
        Record::Label(admitted) => Some((admitted.program, &mut admitted.label.entities)),
        Record::Outcome(admitted) => Some((admitted.program, &mut admitted.subject.entities)),
        Record::Rescored(rescored) => Some((rescored.program, &mut rescored.subject.entities)),
        // Its key is what a replay erases by.
        Record::Erasure(_) | Record::Program(_) | Record::Passed(_) | Record::Again(_) => None,
    }
}

/// Writes a record as it was written.
fn draft_again(draft: &mut Draft, record: &Record) {
    match record {
        Record::Program(stated) => draft.program(stated),
        Record::Transaction(admitted, None) => draft.folded(admitted),
        Record::Transaction(admitted, Some(scored)) => {
            let assessment = &scored.assessment;
            let seen = Seen {
                missing: assessment.missing,
                incomplete: assessment.incomplete,
                approximate: assessment.approximate,
                lateness: assessment.lateness,
            };
            let row: Vec<f32> = scored.row().collect();
            let unsaid = draft.scored(admitted, &seen, &row);
            draft.say(unsaid, assessment);
        }
        Record::History(program, transaction) => draft.history(*program, transaction),
        Record::Label(admitted) => draft.label(admitted),
        Record::Outcome(admitted) => draft.outcome(admitted),
        Record::Rescored(rescored) => draft.rescored(rescored),
        Record::Erasure(admitted) => draft.erasure(admitted),
        Record::Passed(passed) => draft.passed(passed),
        Record::Again(again) => draft.again(again),
    }
}
