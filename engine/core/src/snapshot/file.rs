//! A snapshot's file: a header of 92 bytes in the clear, then its pieces as chunks under a key of its own, sealed as those
//! of a segment are ([`crate::journal::chunk`]); each says the sequence of the cut as its first, and how many things it
//! holds. The last piece is the end, and nothing stands behind it.
//!
//! | bytes | header |
//! |---|---|
//! | 8 | `FGSNAPSH` |
//! | 4 | format: 1 |
//! | 8 | the snapshot's number, among those of segments: also names its key |
//! | 8 | epoch |
//! | 8 | the sequence of the newest input that is in it |
//! | 8, 8, 32 | where the journal ends there: segment (0: there was none), offset, digest |
//! | 4 | 0 |
//! | 4 | CRC32C of the bytes before |

use crate::journal::{
    chunk::{self, Seal, Unsealable},
    header::{self, part},
    segment::End,
};

/// Bytes of a header.
pub const HEADER: usize = 92;
/// The format that this engine writes and reads.
pub const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"FGSNAPSH";

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The snapshot's number.
    pub number: u64,
    /// Which life of the scorer wrote it.
    pub epoch: u64,
    /// The sequence of the newest input that is in it.
    pub sequence: u64,
    /// Where the journal ends there; `None` when it is of an engine that had none.
    pub place: Option<End>,
}

/// Why a snapshot is not believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoSnapshot {
    /// It is not as it was written.
    Damaged(&'static str),
    /// A later engine wrote it, in this format.
    Format(u32),
}

impl std::fmt::Display for NoSnapshot {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            NoSnapshot::Damaged(what) => f.write_str(what),
            NoSnapshot::Format(format) => write!(f, "it has format {format}; this engine reads {FORMAT}"),
        }
    }
}

impl Header {
    /// The header's bytes.
    pub fn write(&self) -> [u8; HEADER] {
        let place = self.place.unwrap_or(End {
            segment: 0,
            offset: 0,
            digest: [0; 32],
        });
        let fields = [
            &MAGIC[..],
            &FORMAT.to_le_bytes(),
            &self.number.to_le_bytes(),
            &self.epoch.to_le_bytes(),
            &self.sequence.to_le_bytes(),
            &place.segment.to_le_bytes(),
            &place.offset.to_le_bytes(),
            &place.digest,
            &[0; 4],
        ];
        header::written(&fields)
    }

    /// Reads a header.
    pub fn read(bytes: &[u8]) -> Result<Header, NoSnapshot> {
        const DAMAGED: NoSnapshot = NoSnapshot::Damaged("its header is not as it was written");
        let bytes = bytes.first_chunk::<HEADER>().ok_or(DAMAGED)?;
        if bytes.first_chunk() != Some(MAGIC) || !header::is_whole(bytes) {
            return Err(DAMAGED);
        }
        let format = u32::from_le_bytes(part(bytes, 8));
        if format != FORMAT {
            return Err(NoSnapshot::Format(format));
        }
        let number = |at| u64::from_le_bytes(part(bytes, at));
        let place = End {
            segment: number(36),
            offset: number(44),
            digest: part(bytes, 52),
        };
        Ok(Header {
            number: number(12),
            epoch: number(20),
            sequence: number(28),
            place: (place.segment != 0).then_some(place),
        })
    }

    /// The seal of its pieces: they belong to no other snapshot.
    pub fn seal(&self, key: &[u8; 32]) -> Result<Seal, Unsealable> {
        Seal::new(key, *blake3::hash(&self.write()).as_bytes())
    }
}

/// Opens the pieces of a snapshot, one after the other.
pub struct Opened {
    header: Header,
    seal: Seal,
    number: u32,
}

impl Opened {
    /// Those of a snapshot whose key this is.
    pub fn new(header: Header, key: &[u8; 32]) -> Result<Opened, NoSnapshot> {
        let seal = header
            .seal(key)
            .map_err(|_| NoSnapshot::Damaged("its key cannot be used"))?;
        Ok(Opened {
            header,
            seal,
            number: 0,
        })
    }

    /// Opens the piece at the beginning of `bytes`, in place. Gives how many of them it is, and what it holds; nothing when
    /// it goes on behind them.
    pub fn open<'a>(&mut self, bytes: &'a mut [u8]) -> Result<Option<(usize, &'a [u8])>, NoSnapshot> {
        let Some(head) = chunk::Header::read(bytes) else {
            return Ok(None);
        };
        let length = chunk::HEADER.saturating_add(usize::try_from(head.length).unwrap_or(usize::MAX));
        if !(chunk::TAG..=chunk::LONGEST).contains(&(length - chunk::HEADER)) {
            return Err(NoSnapshot::Damaged("a piece is not as it was written"));
        }
        if length > bytes.len() {
            return Ok(None);
        }
        if head.whole(bytes).is_none() {
            return Err(NoSnapshot::Damaged("a piece is not as it was written"));
        }
        if (head.number, head.first) != (self.number, self.header.sequence) {
            return Err(NoSnapshot::Damaged("a piece is missing or stands in another's place"));
        }
        self.number += 1;
        let body = self.seal.open(&head, &mut bytes[..length]);
        let body = body.map_err(|_| NoSnapshot::Damaged("a piece was not sealed with this snapshot's key"))?;
        Ok(Some((length, body)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_as_it_was_written_and_any_flipped_bit_shows() {
        let place = End {
            segment: 8,
            offset: 4_096,
            digest: [5; 32],
        };
        for place in [None, Some(place)] {
            let header = Header {
                number: 9,
                epoch: 3,
                sequence: 77,
                place,
            };
            let bytes = header.write();
            // Made by hand from the table above, by another CRC32C.
            let made = "4647534e4150534801000000090000000000000003000000000000004d0000000000000008000000000000000010000000000000050505050505050505050505050505050505050505050505050505050505050500000000e1d8a3f9";
            assert!(place.is_none() || crate::model::hex(&bytes) == made);
            assert_eq!(Header::read(&bytes), Ok(header));
            for bit in 0..HEADER * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert!(
                    matches!(Header::read(&flipped), Err(NoSnapshot::Damaged(_))),
                    "bit {bit}"
                );
            }
        }
    }
}
