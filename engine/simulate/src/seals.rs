//! Watches what is written for one nonce that seals two things. It reads the keys as they are made, and the chunks as they
//! are written: a key and a chunk's number may stand before one sequence of bytes alone.

use std::collections::HashMap;

use fraudgate_core::journal::{
    chunk,
    keys::{KeyEncryptionKey, KeyLine},
    rewritten, segment,
};

/// All that was ever sealed.
pub struct Seals {
    secret: [u8; 32],
    keys: HashMap<u64, [u8; 32]>,
    sealed: HashMap<([u8; 32], u32), [u8; 32]>,
    /// The first nonce that came twice, named.
    pub twice: Option<String>,
}

impl Seals {
    /// Nothing yet. `secret` is the key-encryption key.
    pub fn new(secret: &[u8; 32]) -> Seals {
        Seals {
            secret: *secret,
            keys: HashMap::new(),
            sealed: HashMap::new(),
            twice: None,
        }
    }

    /// A line of the key file.
    pub fn learn(&mut self, line: &[u8]) {
        let wrapped = serde_json::from_slice::<KeyLine>(line.trim_ascii())
            .ok()
            .and_then(KeyLine::read);
        let kek = KeyEncryptionKey::new(&self.secret);
        if let (Some(wrapped), Some(kek)) = (wrapped, kek)
            && let Ok(key) = kek.unwrap(&wrapped)
        {
            self.keys.insert(wrapped.segment, key);
        }
    }

    /// What is written to a segment.
    pub fn see(&mut self, number: u64, bytes: &[u8], offset: usize) {
        let mut rest = if offset == 0 {
            let begins = rewritten::begins(bytes).map_or(segment::HEADER, |(_, at)| at);
            bytes.get(begins..).unwrap_or_default()
        } else {
            bytes
        };
        while let Some(header) = chunk::Header::read(rest) {
            let Some((whole, behind)) = rest.split_at_checked(chunk::HEADER + header.length as usize) else {
                break;
            };
            let Some(&key) = self.keys.get(&number) else {
                self.twice = Some(format!("segment {number} is written to and its key was never kept"));
                break;
            };
            let digest = *blake3::hash(whole).as_bytes();
            let before = self.sealed.insert((key, header.number), digest);
            if before.is_some_and(|before| before != digest) {
                self.twice = Some(format!(
                    "chunk {} of segment {number} is sealed under a nonce that sealed something else",
                    header.number
                ));
            }
            rest = behind;
        }
    }
}
