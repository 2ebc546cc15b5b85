//! Ids become keyed 128-bit hashes at the door, so that state, journal and logs never hold a card number.
//!
//! BLAKE3 in keyed mode, cut to 128 bits, under a key derived for each program and entity: the same card in two programs,
//! or as instrument and as account, has unrelated hashes. Source: BLAKE3 (O'Connor et al. 2020), sections 2.3 and 6.

use crate::transaction::KeyHash;

/// The secret under which a deployment hashes ids, with its version: a new key makes all keys new.
#[derive(Clone)]
pub struct HashKey {
    /// Distinguishes keys over time.
    pub version: u8,
    /// 256 secret bits.
    pub secret: [u8; 32],
}

/// The key of one namespace: one entity of one program, its transaction ids, or its payloads.
#[derive(Clone)]
pub struct Namespace([u8; 32]);

impl HashKey {
    /// The key for `what` in `program`.
    pub fn namespace(&self, program: &str, what: &str) -> Namespace {
        // Lengths in front, so that no two pairs of names can be read as each other.
        let mut context = vec![self.version];
        for part in [program, what] {
            context.extend_from_slice(&(part.len() as u64).to_le_bytes());
            context.extend_from_slice(part.as_bytes());
        }
        Namespace(*blake3::keyed_hash(&self.secret, &context).as_bytes())
    }
}

impl Namespace {
    /// The hash of one id or payload.
    pub fn hash(&self, value: &[u8]) -> KeyHash {
        let full = blake3::keyed_hash(&self.0, value);
        let mut half = [0; 16];
        half.copy_from_slice(&full.as_bytes()[..16]);
        KeyHash(u128::from_le_bytes(half))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_entities_versions_and_secrets_keep_apart() {
        let key = |version, byte| HashKey {
            version,
            secret: [byte; 32],
        };
        let hashes = [
            key(1, 7).namespace("a", "card").hash(b"x"),
            key(1, 7).namespace("a", "account").hash(b"x"),
            key(1, 7).namespace("ac", "ard").hash(b"x"),
            key(1, 7).namespace("b", "card").hash(b"x"),
            key(2, 7).namespace("a", "card").hash(b"x"),
            key(1, 8).namespace("a", "card").hash(b"x"),
            key(1, 7).namespace("a", "card").hash(b"y"),
        ];
        for (i, one) in hashes.iter().enumerate() {
            assert!(hashes[..i].iter().all(|other| other != one));
        }
        assert_eq!(hashes[0], key(1, 7).namespace("a", "card").hash(b"x"));
    }
}
