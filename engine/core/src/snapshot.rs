//! The state at one sequence, written while inputs go on, and taken in again. A cut is made between two drains; what has to
//! be written as of it is swept in slices between later ones, and a key's first change after the cut writes it before.
//!
//! Pieces come in any order but for the first, which holds all that is small, and the last, which counts the others.
//! What is written of state is what its digest covers; `history/sweep.rs` writes keys, `known.rs` ids.

pub mod file;
mod load;
mod pieces;
mod write;

pub use load::{Load, Loaded, Unloadable};
pub use pieces::{Buffers, Piece, Pieces};
pub use write::end;

/// What a piece holds: its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Tag {
    /// Sequence, lives, programs, and how many keys and ids will come.
    State = 1,
    /// Keys of an entity: the program's number and the entity's slot, then the keys.
    Keys = 2,
    /// Known ids with their answers, by sequence.
    Ids = 3,
    /// All was written.
    End = 4,
}

impl Tag {
    const ALL: [Tag; 4] = [Tag::State, Tag::Keys, Tag::Ids, Tag::End];
}

/// Bytes are not what this engine writes. They passed the seal, so another one wrote them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

/// Takes a number off the beginning of what is read.
pub(crate) fn number<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Unreadable> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Unreadable)?;
    *bytes = rest;
    Ok(*number)
}

/// Writes bytes with their length before them.
pub(crate) fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    // Configured by the operator and read from files: far below 4 GiB.
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Takes off the beginning what [`put`] wrote.
pub(crate) fn long<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], Unreadable> {
    let length = usize::try_from(u32::from_le_bytes(number(bytes)?)).map_err(|_| Unreadable)?;
    let (taken, rest) = bytes.split_at_checked(length).ok_or(Unreadable)?;
    *bytes = rest;
    Ok(taken)
}
