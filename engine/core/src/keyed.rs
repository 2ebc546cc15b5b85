//! Maps by [`KeyHash`]: the key is a keyed hash already, so hashing it again would only cost time.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps whose keys are keyed hashes: nobody without the secret can choose where they land.
pub type ByKey = BuildHasherDefault<AlreadyHashed>;

/// Takes the low 64 bits of a key hash as they are.
#[derive(Default)]
pub struct AlreadyHashed(u64);

impl Hasher for AlreadyHashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u128(&mut self, hash: u128) {
        self.0 = hash as u64;
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
}
