//! What tells a retransmission from another payload: the bytes whose keyed digest is compared.

use crate::transaction::KeyHash;

/// The canonical bytes of a payload: fields in a fixed order, each of a length that its own bytes tell.
#[derive(Default)]
pub(super) struct Payload(Vec<u8>);

impl Payload {
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn number(&mut self, number: i64) {
        self.0.extend_from_slice(&number.to_le_bytes());
    }

    pub(super) fn optional(&mut self, number: Option<i64>) {
        // No amount is negative.
        self.number(number.unwrap_or(-1));
    }

    pub(super) fn hash(&mut self, key: Option<KeyHash>) {
        self.0.push(u8::from(key.is_some()));
        self.0.extend_from_slice(&key.unwrap_or(KeyHash(0)).0.to_le_bytes());
    }

    pub(super) fn text(&mut self, text: &str) {
        self.0.extend_from_slice(&(text.len() as u64).to_le_bytes());
        self.0.extend_from_slice(text.as_bytes());
    }
}
