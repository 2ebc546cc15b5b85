//! The state at one sequence, written while inputs go on, and taken in again. A cut is made between two drains; what has to
//! be written as of it is swept in slices between later ones, and a key's first change after the cut writes it before.
//!
//! What is written of state is what its digest covers; `history/sweep.rs` writes keys.

mod pieces;

pub use pieces::{Piece, Pieces};

/// What was written of state cannot be read: another engine wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Takes a number off the beginning of what is read.
pub(crate) fn number<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Unreadable> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Unreadable)?;
    *bytes = rest;
    Ok(*number)
}
