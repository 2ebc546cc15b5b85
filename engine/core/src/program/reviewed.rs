//! What the cloud said of a program's transactions: through where it was taken in, and what it turned around.

use crate::{
    rescore::{Answered, Rescored},
    snapshot::{Unreadable, number},
};

/// What was taken in so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reviewed {
    /// The last answer that was scored again and taken in: state. They come in the order in which they were given, so what
    /// does not lie behind it was taken already.
    pub through: Answered,
    /// How many were taken in, those that a replay took in again among them.
    pub taken: u64,
    /// Of these, approved here and declined by the cloud; how many, and the sum of their amounts in minor units.
    pub reversed: u64,
    /// See `reversed`.
    pub reversed_minor: u64,
    /// Declined here and approved by the cloud, likewise.
    pub released: u64,
    /// See `released`.
    pub released_minor: u64,
}

impl Reviewed {
    /// Whether this one was taken already.
    pub fn knows(&self, rescored: &Rescored) -> bool {
        !rescored.asked && rescored.answered <= self.through
    }

    /// Takes one in, also again from the journal.
    pub fn take(&mut self, rescored: &Rescored) {
        self.through = self.through.max(rescored.answered);
        self.taken += 1;
        let minor = rescored.amount.map_or(0, |amount| amount.0.unsigned_abs());
        if rescored.reverses() {
            self.reversed += 1;
            self.reversed_minor = self.reversed_minor.saturating_add(minor);
        }
        if rescored.releases() {
            self.released += 1;
            self.released_minor = self.released_minor.saturating_add(minor);
        }
    }

    /// As a snapshot holds it.
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        let counts = [
            self.taken,
            self.reversed,
            self.reversed_minor,
            self.released,
            self.released_minor,
        ];
        for number in [self.through.epoch, self.through.sequence].into_iter().chain(counts) {
            out.extend_from_slice(&number.to_le_bytes());
        }
    }

    /// Takes off the beginning of `bytes` what [`Reviewed::write`] wrote.
    pub(crate) fn read(bytes: &mut &[u8]) -> Result<Reviewed, Unreadable> {
        let mut next = || number(bytes).map(u64::from_le_bytes);
        Ok(Reviewed {
            through: Answered {
                epoch: next()?,
                sequence: next()?,
            },
            taken: next()?,
            reversed: next()?,
            reversed_minor: next()?,
            released: next()?,
            released_minor: next()?,
        })
    }
}
