//! A chunk: the records of one drain, sealed. On disk a header of 32 bytes and then the sealed body.
//!
//! | bytes | header |
//! |---|---|
//! | 4 | length of the sealed body, its tag included |
//! | 4 | the chunk's number in its segment, from 0: the nonce |
//! | 8 | the sequence of its first input; that of the next input when it holds none |
//! | 8 | the offset through which its segment, and all before it, was synced when it was written; 0: not known |
//! | 4 | how many inputs it holds |
//! | 4 | CRC32C of the 28 bytes before and of the sealed body |
//!
//! The CRC tells damage without any key and costs 12 ns a record; the seal tells tampering. Sealing a drain at once rather
//! than each record costs a fifth (25 ns a record instead of 130).

use crate::broken::{self, Broken};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

/// Bytes of a header.
pub const HEADER: usize = 32;
/// Bytes that sealing adds to a body.
pub const TAG: usize = 16;
/// The longest sealed body that is believed.
pub const LONGEST: usize = 1 << 26;
/// What the CRC stands over, of the header.
const CHECKED: usize = HEADER - 4;

/// What a header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Length of the sealed body.
    pub length: u32,
    /// The chunk's number in its segment.
    pub number: u32,
    /// The sequence of its first input.
    pub first: u64,
    /// The offset through which its segment was synced when it was written; 0 when that is not known.
    pub synced: u64,
    /// How many inputs it holds.
    pub count: u32,
    crc: u32,
}

/// Seals and opens the chunks of one segment.
pub struct Seal {
    key: LessSafeKey,
    /// The digest of the segment's header: a chunk belongs to no other segment.
    segment: [u8; 32],
}

/// A chunk could not be sealed or opened under this key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unsealable;

impl Header {
    /// Reads a header; `None` when there are too few bytes.
    pub fn read(bytes: &[u8]) -> Option<Header> {
        let (length, rest) = bytes.split_first_chunk()?;
        let (number, rest) = rest.split_first_chunk()?;
        let (first, rest) = rest.split_first_chunk()?;
        let (synced, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (crc, _) = rest.split_first_chunk()?;
        Some(Header {
            length: u32::from_le_bytes(*length),
            number: u32::from_le_bytes(*number),
            first: u64::from_le_bytes(*first),
            synced: u64::from_le_bytes(*synced),
            count: u32::from_le_bytes(*count),
            crc: u32::from_le_bytes(*crc),
        })
    }

    /// The chunk's bytes at the beginning of `bytes`, when they are whole and as they were written.
    pub fn whole<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        let length = usize::try_from(self.length).ok()?;
        if !(TAG..=LONGEST).contains(&length) {
            return None;
        }
        let chunk = bytes.get(..HEADER + length)?;
        (checksum(chunk) == self.crc || broken::is(Broken::SkipCrc)).then_some(chunk)
    }

    fn write(&self, bytes: &mut [u8]) {
        let fields = [
            &self.length.to_le_bytes()[..],
            &self.number.to_le_bytes(),
            &self.first.to_le_bytes(),
            &self.synced.to_le_bytes(),
            &self.count.to_le_bytes(),
        ];
        let mut at = 0;
        for field in fields {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
    }
}

impl Seal {
    /// The seal of the segment whose header has this digest.
    pub fn new(key: &[u8; 32], segment: [u8; 32]) -> Result<Seal, Unsealable> {
        let key = UnboundKey::new(&AES_256_GCM, key).map_err(|_| Unsealable)?;
        Ok(Seal {
            key: LessSafeKey::new(key),
            segment,
        })
    }

    /// Makes a chunk, in place, of [`HEADER`] bytes of room and a body behind them. `number` must never come twice.
    pub fn seal(
        &self,
        bytes: &mut Vec<u8>,
        number: u32,
        first: u64,
        synced: u64,
        count: u32,
    ) -> Result<(), Unsealable> {
        let length = bytes.len().checked_sub(HEADER).map(|body| body + TAG);
        let length = length.filter(|&length| length <= LONGEST).ok_or(Unsealable)?;
        let header = Header {
            length: u32::try_from(length).map_err(|_| Unsealable)?,
            number,
            first,
            synced,
            count,
            crc: 0,
        };
        let (head, body) = bytes.split_at_mut(HEADER);
        header.write(head);
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(number), Aad::from(self.bound(head)), body)
            .map_err(|_| Unsealable)?;
        bytes.extend_from_slice(tag.as_ref());
        let crc = checksum(bytes);
        bytes[CHECKED..HEADER].copy_from_slice(&crc.to_le_bytes());
        Ok(())
    }

    /// Opens a chunk in place, and gives its body.
    pub fn open<'a>(&self, header: &Header, chunk: &'a mut [u8]) -> Result<&'a mut [u8], Unsealable> {
        let (head, body) = chunk.split_at_mut_checked(HEADER).ok_or(Unsealable)?;
        self.key
            .open_in_place(nonce(header.number), Aad::from(self.bound(head)), body)
            .map_err(|_| Unsealable)
    }

    /// What a seal vouches for beside the body.
    fn bound(&self, head: &[u8]) -> [u8; CHECKED + 32] {
        let mut bound = [0; CHECKED + 32];
        bound[..CHECKED].copy_from_slice(&head[..CHECKED]);
        bound[CHECKED..].copy_from_slice(&self.segment);
        bound
    }
}

/// A key seals one segment, and a segment's chunks are numbered: no nonce comes twice.
fn nonce(number: u32) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    Nonce::assume_unique_for_key(nonce)
}

fn checksum(chunk: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&chunk[..CHECKED]), &chunk[HEADER..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_opens_under_its_key_in_its_segment_and_nowhere_else() {
        let seal = Seal::new(&[7; 32], [1; 32]).unwrap();
        let mut bytes = vec![0; HEADER];
        bytes.extend_from_slice(b"what was said");
        seal.seal(&mut bytes, 3, 41, 4_000, 1).unwrap();
        let header = Header::read(&bytes).unwrap();
        assert_eq!(
            (header.number, header.first, header.synced, header.count),
            (3, 41, 4_000, 1)
        );
        assert_eq!(header.whole(&bytes).unwrap().len(), bytes.len());
        assert_eq!(seal.open(&header, &mut bytes.clone()).unwrap(), b"what was said");
        for other in [
            Seal::new(&[8; 32], [1; 32]).unwrap(),
            Seal::new(&[7; 32], [2; 32]).unwrap(),
        ] {
            assert_eq!(other.open(&header, &mut bytes.clone()), Err(Unsealable));
        }
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let header = Header::read(&flipped).unwrap();
            assert_eq!(header.whole(&flipped), None, "bit {bit}");
            // Neither does the seal alone believe it, but for the CRC's own bits.
            if !(CHECKED * 8..HEADER * 8).contains(&bit) && header.length == bytes.len() as u32 - 32 {
                assert_eq!(seal.open(&header, &mut flipped), Err(Unsealable), "bit {bit}");
            }
        }
    }
}
