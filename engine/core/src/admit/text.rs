//! Texts: how long they may be, and which characters they may hold.

use crate::refusal::Refusal;

/// The bounds of a text, in bytes of UTF-8.
pub struct Text {
    pub shortest: usize,
    pub longest: usize,
}

/// An id, or a key of an entity.
pub const ID: Text = Text {
    shortest: 1,
    longest: 128,
};

/// An attribute.
pub const ATTRIBUTE: Text = Text {
    shortest: 1,
    longest: 256,
};

impl Text {
    /// Checks a text's length and that it holds no control characters.
    pub fn check(&self, field: &str, text: &str) -> Result<(), Refusal> {
        if text.len() < self.shortest {
            return Err(Refusal::invalid(field, "is required"));
        }
        if text.len() > self.longest {
            return Err(Refusal::invalid(
                field,
                format!("is longer than {} bytes", self.longest),
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(Refusal::invalid(field, "holds a control character"));
        }
        Ok(())
    }
}
