//! A segment: a header of 96 bytes in the clear, then chunks, of which the first states the programs.
//!
//! | bytes | header |
//! |---|---|
//! | 8 | `FGJOURNL` |
//! | 4 | format: 1 |
//! | 8 | epoch |
//! | 8 | the segment's number: also names its key |
//! | 8 | the sequence of the first input that may stand in it |
//! | 8 | when it was opened, microseconds since 1970 |
//! | 8, 8, 32 | the segment before: its number (0: none), where it ends, its digest through there |
//! | 4 | CRC32C of the bytes before |
//!
//! The digest of a segment is a chain: BLAKE3 of its header, then of that and the first chunk, and so on. So the digest at
//! every chunk is at hand, and where the segment after says that this one ends is checked to the byte.

use std::sync::Arc;

use super::{
    chunk::{Seal, Unsealable},
    header::{self, part},
    rewritten::{self, LONG_HEADER, Rewritten},
};

/// Bytes of a header.
pub const HEADER: usize = 96;
/// The format that this engine writes and reads.
pub const FORMAT: u32 = 1;
const MAGIC: &[u8; 8] = b"FGJOURNL";

/// Where a segment ends, as the one after says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The segment's number.
    pub segment: u64,
    /// The offset behind its last chunk.
    pub offset: u64,
    /// Its digest through there.
    pub digest: [u8; 32],
}

/// What a header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which life of the scorer wrote it.
    pub epoch: u64,
    /// Its number, from 1; no number comes twice.
    pub segment: u64,
    /// The sequence of the first input that may stand in it.
    pub first: u64,
    /// When it was opened, microseconds since 1970.
    pub opened_at_us: i64,
    /// The segment before.
    pub previous: Option<End>,
}

/// Why bytes are no header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHeader {
    /// Nothing was written yet.
    Blank,
    /// It is not whole, or not as it was written.
    Damaged,
    /// A later engine wrote it, in this format.
    Format(u32),
}

impl Header {
    /// The header's bytes.
    pub fn write(&self) -> [u8; HEADER] {
        self.write_as(MAGIC)
    }

    /// The bytes of one that begins so.
    pub(super) fn write_as(&self, magic: &[u8; 8]) -> [u8; HEADER] {
        let previous = self.previous.unwrap_or(End {
            segment: 0,
            offset: 0,
            digest: [0; 32],
        });
        let fields = [
            &magic[..],
            &FORMAT.to_le_bytes(),
            &self.epoch.to_le_bytes(),
            &self.segment.to_le_bytes(),
            &self.first.to_le_bytes(),
            &self.opened_at_us.to_le_bytes(),
            &previous.segment.to_le_bytes(),
            &previous.offset.to_le_bytes(),
            &previous.digest,
        ];
        header::written(&fields)
    }

    /// Reads a header: one as it was written, or the beginning of a rewritten segment's.
    pub fn read(bytes: &[u8]) -> Result<Header, NoHeader> {
        let Some(bytes) = bytes.first_chunk::<HEADER>() else {
            return Err(NoHeader::Damaged);
        };
        if bytes.iter().all(|&byte| byte == 0) {
            return Err(NoHeader::Blank);
        }
        let format = u32::from_le_bytes(part(bytes, 8));
        if ![Some(MAGIC), Some(rewritten::MAGIC)].contains(&bytes.first_chunk()) || !header::is_whole(bytes) {
            return Err(NoHeader::Damaged);
        }
        if format != FORMAT {
            return Err(NoHeader::Format(format));
        }
        let number = |at| u64::from_le_bytes(part(bytes, at));
        let previous = End {
            segment: number(44),
            offset: number(52),
            digest: part(bytes, 60),
        };
        Ok(Header {
            epoch: number(12),
            segment: number(20),
            first: number(28),
            opened_at_us: i64::from_le_bytes(part(bytes, 36)),
            previous: (previous.segment != 0).then_some(previous),
        })
    }
}

/// The digest of a segment so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chain(pub [u8; 32]);

impl Chain {
    /// That of a segment of which only the header stands.
    pub fn begin(header: &[u8; HEADER]) -> Chain {
        Chain::of(header)
    }

    /// The same, of a header of any length.
    pub(super) fn of(header: &[u8]) -> Chain {
        Chain(*blake3::hash(header).as_bytes())
    }

    /// Takes in the next chunk.
    #[must_use]
    pub fn then(&self, chunk: &[u8]) -> Chain {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.0).update(chunk);
        Chain(*hasher.finalize().as_bytes())
    }
}

/// A segment that is being written: seals drains one after the other and knows where it stands.
pub struct Open {
    seal: Arc<Seal>,
    chain: Chain,
    segment: u64,
    offset: u64,
    number: u32,
}

impl Open {
    /// A segment of which only the header is written.
    pub fn new(header: &Header, key: &[u8; 32]) -> Result<Open, Unsealable> {
        let chain = Chain::begin(&header.write());
        Ok(Open {
            seal: Arc::new(Seal::new(key, chain.0)?),
            chain,
            segment: header.segment,
            offset: HEADER as u64,
            number: 0,
        })
    }

    /// A rewritten segment of which only the header is written.
    pub fn rewritten(header: &Header, rewritten: &Rewritten, key: &[u8; 32]) -> Result<Open, Unsealable> {
        let chain = Chain::of(&rewritten.write(header));
        Ok(Open {
            seal: Arc::new(Seal::new(key, chain.0)?),
            chain,
            segment: header.segment,
            offset: LONG_HEADER as u64,
            number: 0,
        })
    }

    /// Seals the next chunk in place; see [`Seal::seal`]. Gives the offset at which it belongs.
    pub fn seal(&mut self, bytes: &mut Vec<u8>, first: u64, synced: u64, count: u32) -> Result<u64, Unsealable> {
        let at = self.seal_unlinked(bytes, first, synced, count)?;
        self.link(bytes, self.offset);
        Ok(at)
    }

    /// The same without its digest: to be taken by [`Open::link`], of all such chunks in their order, before
    /// [`Open::end`] is asked.
    pub fn seal_unlinked(
        &mut self,
        bytes: &mut Vec<u8>,
        first: u64,
        synced: u64,
        count: u32,
    ) -> Result<u64, Unsealable> {
        let next = self.number.checked_add(1).ok_or(Unsealable)?;
        self.seal.seal(bytes, self.number, first, synced, count)?;
        let at = self.offset;
        self.number = next;
        self.offset += bytes.len() as u64;
        Ok(at)
    }

    /// Takes the digest of the next chunk that has none, which ends at `offset`. Gives where the segment ends with it.
    pub fn link(&mut self, chunk: &[u8], offset: u64) -> End {
        self.chain = self.chain.then(chunk);
        End {
            segment: self.segment,
            offset,
            digest: self.chain.0,
        }
    }

    /// The offset at which the next chunk belongs.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Where it ends by now.
    pub fn end(&self) -> End {
        End {
            segment: self.segment,
            offset: self.offset,
            digest: self.chain.0,
        }
    }

    /// Its seal, to open again what was sealed.
    pub fn seal_of(&self) -> Arc<Seal> {
        self.seal.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_as_it_was_written_and_any_flipped_bit_shows() {
        let previous = End {
            segment: 8,
            offset: 4_096,
            digest: [5; 32],
        };
        for previous in [None, Some(previous)] {
            let header = Header {
                epoch: 3,
                segment: 9,
                first: 77,
                opened_at_us: 1_700_000_000_000_000,
                previous,
            };
            let bytes = header.write();
            // Made by hand from the table above, by another CRC32C.
            let made = "46474a4f55524e4c01000000030000000000000009000000000000004d0000000000000000401e18240a0600080000000000000000100000000000000505050505050505050505050505050505050505050505050505050505050505dad28f94";
            assert!(previous.is_none() || crate::model::hex(&bytes) == made);
            assert_eq!(Header::read(&bytes), Ok(header));
            for bit in 0..HEADER * 8 {
                let mut flipped = bytes;
                flipped[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Header::read(&flipped), Err(NoHeader::Damaged), "bit {bit}");
            }
        }
        assert_eq!(Header::read(&[0; HEADER]), Err(NoHeader::Blank));
        assert_eq!(Header::read(&[0; HEADER - 1]), Err(NoHeader::Damaged));
    }
}
