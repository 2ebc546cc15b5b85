//! A gap: inputs that were taken and are lost, as a person found and accepted. Without one, a journal in which something is
//! damaged is not taken in.

use serde::{Deserialize, Serialize};

use super::{keys::unhex, segment::End};
use crate::model::hex;

/// What is lost, and where the journal goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// The segment behind which it lies.
    pub segment: u64,
    /// Where that one ends now.
    end: u64,
    /// Its digest through there, in hex.
    digest: String,
    /// The segment with which the journal goes on; nothing when it is the next that will be opened.
    pub resumes: Option<u64>,
    /// The sequence of the first input that is lost.
    pub first: u64,
    /// That of the last one; before `first` when none is.
    pub last: u64,
    /// No event of what is lost is later than this, as far as is known, microseconds since 1970. What resumes states it anew.
    pub through_us: i64,
}

impl Gap {
    /// One behind `after`.
    pub fn new(after: &End, resumes: Option<u64>, (first, last): (u64, u64), through_us: i64) -> Gap {
        Gap {
            segment: after.segment,
            end: after.offset,
            digest: hex(&after.digest),
            resumes,
            first,
            last,
            through_us,
        }
    }

    /// Where what stands before it ends; `None` when the digest is none.
    pub fn after(&self) -> Option<End> {
        Some(End {
            segment: self.segment,
            offset: self.end,
            digest: unhex(&self.digest)?,
        })
    }

    /// Whether a segment lies in it as a whole.
    pub fn holds(&self, segment: u64) -> bool {
        segment > self.segment && self.resumes.is_none_or(|resumes| segment < resumes)
    }

    /// How many inputs are lost, at most.
    pub fn inputs(&self) -> u64 {
        (self.last + 1).saturating_sub(self.first)
    }
}

/// A gap as a line of the key file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GapLine {
    gap: Gap,
    /// CRC32C of the gap, as JSON.
    crc: u32,
}

impl GapLine {
    /// The line that says so.
    pub fn new(gap: &Gap) -> GapLine {
        GapLine {
            crc: checksum(gap),
            gap: gap.clone(),
        }
    }

    /// What it says; `None` when it is not as it was written.
    pub fn read(self) -> Option<Gap> {
        (checksum(&self.gap) == self.crc && self.gap.after().is_some()).then_some(self.gap)
    }
}

fn checksum(gap: &Gap) -> u32 {
    // Numbers and text: it cannot fail, and if it did, no line would be believed.
    serde_json::to_vec(gap).map_or(0, |json| crc32c::crc32c(&json))
}
