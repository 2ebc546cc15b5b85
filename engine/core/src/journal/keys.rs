//! Each segment has a random key of its own, wrapped under one configured key-encryption key. Rotation wraps the same keys
//! anew; no segment is rewritten.

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use serde::{Deserialize, Serialize};

use super::{gap::GapLine, segment::End};
use crate::model::hex;

/// Bytes of a wrapped key: nonce, key, tag.
const WRAPPED: usize = NONCE_LEN + 32 + 16;

/// The key under which segments' keys are wrapped.
pub struct KeyEncryptionKey {
    key: LessSafeKey,
    /// Names it without telling it: the first 8 bytes of a derived hash, in hex.
    pub name: String,
}

/// One segment's key, wrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedKey {
    /// The segment.
    pub segment: u64,
    /// The epoch that opened it.
    pub epoch: u64,
    /// The name of the key-encryption key.
    pub under: String,
    /// The wrapped key, in hex.
    pub key: String,
}

/// A line of the key file, as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// A segment's key.
    Key(KeyLine),
    /// A segment was written to.
    Begun(BegunLine),
    /// Where a segment ends.
    End(SyncedEnd),
    /// Inputs that are lost.
    Gap(GapLine),
}

/// A wrapped key as a line of the key file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLine {
    segment: u64,
    epoch: u64,
    under: String,
    key: String,
    /// CRC32C of the segment, the epoch and both texts: a rotten line says so, whoever needs its key and whenever.
    crc: u32,
}

impl KeyLine {
    /// The line that says so.
    pub fn new(wrapped: &WrappedKey) -> KeyLine {
        let WrappedKey {
            segment,
            epoch,
            under,
            key,
        } = wrapped.clone();
        KeyLine {
            crc: crc([
                &segment.to_le_bytes(),
                &epoch.to_le_bytes(),
                under.as_bytes(),
                key.as_bytes(),
            ]),
            segment,
            epoch,
            under,
            key,
        }
    }

    /// What it says; `None` when it is not as it was written.
    pub fn read(self) -> Option<WrappedKey> {
        let wrapped = WrappedKey {
            segment: self.segment,
            epoch: self.epoch,
            under: self.under,
            key: self.key,
        };
        (KeyLine::new(&wrapped).crc == self.crc).then_some(wrapped)
    }
}

/// Says that a segment was written to and synced: from then on it is missed where it is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BegunLine {
    begun: u64,
    /// The room that was made for it.
    bytes: u64,
    /// CRC32C of both numbers.
    crc: u32,
}

/// A segment that was written to, and the room that was made for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The segment.
    pub segment: u64,
    /// Bytes that it was made with.
    pub bytes: u64,
}

impl BegunLine {
    /// The line that says so.
    pub fn new(begun: Begun) -> BegunLine {
        BegunLine {
            begun: begun.segment,
            bytes: begun.bytes,
            crc: crc([&begun.segment.to_le_bytes(), &begun.bytes.to_le_bytes()]),
        }
    }

    /// What it says; `None` when it is not as it was written.
    pub fn read(self) -> Option<Begun> {
        let begun = Begun {
            segment: self.begun,
            bytes: self.bytes,
        };
        (BegunLine::new(begun) == self).then_some(begun)
    }
}

/// Says, away from the segments themselves, that one is synced and where it ends: whatever of it is missing later is damage,
/// and never a write that was under way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncedEnd {
    segment: u64,
    /// The offset behind its last chunk.
    end: u64,
    /// Its digest through there, in hex.
    digest: String,
    /// CRC32C of the segment, the end and the digest's bytes.
    crc: u32,
}

impl SyncedEnd {
    /// The line that says so.
    pub fn new(end: &End) -> SyncedEnd {
        SyncedEnd {
            segment: end.segment,
            end: end.offset,
            digest: hex(&end.digest),
            crc: checksum(end),
        }
    }

    /// What it says; `None` when it is not as it was written.
    pub fn read(&self) -> Option<End> {
        let end = End {
            segment: self.segment,
            offset: self.end,
            digest: unhex(&self.digest)?,
        };
        (checksum(&end) == self.crc).then_some(end)
    }
}

fn checksum(end: &End) -> u32 {
    crc([&end.segment.to_le_bytes(), &end.offset.to_le_bytes(), &end.digest])
}

/// CRC32C of parts, one after the other.
fn crc<const N: usize>(parts: [&[u8]; N]) -> u32 {
    parts.into_iter().fold(0, crc32c::crc32c_append)
}

/// Why a key cannot be unwrapped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// It was wrapped under another key-encryption key.
    Other {
        /// The segment.
        segment: u64,
        /// The name of the key that it was wrapped under.
        under: String,
        /// The name of the key that was given.
        given: String,
    },
    /// The line is not as it was written.
    Damaged {
        /// The segment.
        segment: u64,
    },
}

impl std::fmt::Display for KeyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            KeyError::Other { segment, under, given } => write!(
                f,
                "the key of segment {segment} is wrapped under key-encryption key {under}; the one given is {given}"
            ),
            KeyError::Damaged { segment } => write!(f, "the key of segment {segment} is damaged in the key file"),
        }
    }
}

impl std::error::Error for KeyError {}

impl KeyEncryptionKey {
    /// The key-encryption key of 256 secret bits.
    pub fn new(secret: &[u8; 32]) -> Option<KeyEncryptionKey> {
        let name = blake3::derive_key("fraudgate 2026 name of a journal key-encryption key", secret);
        Some(KeyEncryptionKey {
            key: LessSafeKey::new(UnboundKey::new(&AES_256_GCM, secret).ok()?),
            name: hex(&name[..8]),
        })
    }

    /// Wraps a segment's key. `nonce` is 96 random bits.
    pub fn wrap(&self, segment: u64, epoch: u64, key: &[u8; 32], nonce: [u8; NONCE_LEN]) -> Option<WrappedKey> {
        let mut sealed = *key;
        let tag = self
            .key
            .seal_in_place_separate_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(bound(segment, epoch)),
                &mut sealed,
            )
            .ok()?;
        let wrapped: Vec<u8> = [&nonce[..], &sealed, tag.as_ref()].concat();
        Some(WrappedKey {
            segment,
            epoch,
            under: self.name.clone(),
            key: hex(&wrapped),
        })
    }

    /// The key that was wrapped.
    pub fn unwrap(&self, wrapped: &WrappedKey) -> Result<[u8; 32], KeyError> {
        let segment = wrapped.segment;
        if wrapped.under != self.name {
            return Err(KeyError::Other {
                segment,
                under: wrapped.under.clone(),
                given: self.name.clone(),
            });
        }
        let damaged = KeyError::Damaged { segment };
        let mut bytes = unhex::<WRAPPED>(&wrapped.key).ok_or_else(|| damaged.clone())?;
        let (nonce, sealed) = bytes.split_at_mut(NONCE_LEN);
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| damaged.clone())?;
        let opened = self
            .key
            .open_in_place(nonce, Aad::from(bound(segment, wrapped.epoch)), sealed)
            .map_err(|_| damaged.clone())?;
        <[u8; 32]>::try_from(&*opened).map_err(|_| damaged)
    }
}

fn bound(segment: u64, epoch: u64) -> [u8; 16] {
    let mut bound = [0; 16];
    bound[..8].copy_from_slice(&segment.to_le_bytes());
    bound[8..].copy_from_slice(&epoch.to_le_bytes());
    bound
}

/// `N` bytes of hexadecimal digits.
pub fn unhex<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = u8::try_from(digit(pair[0])? << 4 | digit(pair[1])?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_reads_as_it_was_written_and_no_other_line_passes_for_it() {
        let end = End {
            segment: 7,
            offset: 4_123,
            digest: [9; 32],
        };
        let line = serde_json::to_string(&Line::End(SyncedEnd::new(&end))).unwrap();
        let read = |line: &[u8]| match serde_json::from_slice(line) {
            Ok(Line::End(said)) => said.read(),
            Ok(Line::Key(_) | Line::Begun(_) | Line::Gap(_)) | Err(_) => None,
        };
        assert_eq!(read(line.as_bytes()), Some(end));
        for bit in 0..line.len() * 8 {
            let mut flipped = line.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            // A letter's case says nothing in hexadecimal digits.
            assert!(read(&flipped).is_none_or(|said| said == end), "bit {bit}");
        }
    }

    #[test]
    fn a_key_reads_as_it_was_written_and_no_flipped_bit_passes() {
        let kek = KeyEncryptionKey::new(&[1; 32]).unwrap();
        let wrapped = kek.wrap(4, 2, &[9; 32], [3; 12]).unwrap();
        let line = serde_json::to_string(&Line::Key(KeyLine::new(&wrapped))).unwrap();
        let read = |line: &[u8]| match serde_json::from_slice(line) {
            Ok(Line::Key(said)) => said.read(),
            Ok(Line::Begun(_) | Line::End(_) | Line::Gap(_)) | Err(_) => None,
        };
        assert_eq!(read(line.as_bytes()), Some(wrapped));
        for bit in 0..line.len() * 8 {
            let mut flipped = line.clone().into_bytes();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&flipped), None, "bit {bit}");
        }
    }

    #[test]
    fn a_wrapped_key_unwraps_under_its_own_key_alone() {
        let kek = KeyEncryptionKey::new(&[1; 32]).unwrap();
        let wrapped = kek.wrap(4, 2, &[9; 32], [3; 12]).unwrap();
        assert_eq!(kek.unwrap(&wrapped), Ok([9; 32]));
        let other = KeyEncryptionKey::new(&[2; 32]).unwrap();
        let error = other.unwrap(&wrapped).unwrap_err();
        assert!(error.to_string().contains(&kek.name) && error.to_string().contains(&other.name));
        let moved = WrappedKey {
            segment: 5,
            ..wrapped.clone()
        };
        assert_eq!(kek.unwrap(&moved), Err(KeyError::Damaged { segment: 5 }));
        let cut = WrappedKey {
            key: wrapped.key[2..].to_owned(),
            ..wrapped
        };
        assert_eq!(kek.unwrap(&cut), Err(KeyError::Damaged { segment: 4 }));
    }
}
