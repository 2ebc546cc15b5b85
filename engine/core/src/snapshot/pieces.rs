//! What is written of a snapshot, cut into pieces of bounded size: each is sealed for itself, and says by itself what it
//! holds. Whoever changes state writes into the open piece; whoever seals takes those that are done.

use std::collections::VecDeque;

use crate::journal::chunk;

/// A piece is done when it holds this many bytes: small enough to be written again and again into the same few buffers.
const FULL: usize = 1 << 16;
/// What the last thing of a piece may add, as a rule, without another buffer.
const ROOM: usize = 1 << 12;
/// Buffers that are kept to be used again.
const SPARE: usize = 4;

/// A piece that is done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Room for a chunk's header, then what is to be sealed.
    pub bytes: Vec<u8>,
    /// How many things it holds.
    pub count: u32,
}

/// Pieces of one kind.
#[derive(Clone, Debug)]
pub struct Pieces {
    /// What each begins with.
    head: Vec<u8>,
    open: Piece,
    done: VecDeque<Piece>,
    spare: Vec<Vec<u8>>,
}

impl Pieces {
    /// No piece yet; each will begin with `head`.
    pub fn new(head: Vec<u8>) -> Pieces {
        Pieces {
            head,
            open: Piece::default(),
            done: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Writes one thing into the open piece. Gives how many bytes it was.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let Piece { bytes, count } = &mut self.open;
        if bytes.is_empty() {
            *bytes = self.spare.pop().unwrap_or_default();
            bytes.reserve(FULL + ROOM);
            bytes.resize(chunk::HEADER, 0);
            bytes.extend_from_slice(&self.head);
        }
        let before = bytes.len();
        write(bytes);
        *count += 1;
        let wrote = bytes.len() - before;
        if bytes.len() >= FULL {
            self.close();
        }
        wrote
    }

    /// The open piece is done, if it holds anything.
    pub fn close(&mut self) {
        if self.open.count > 0 {
            self.done.push_back(std::mem::take(&mut self.open));
        }
    }

    /// The oldest piece that is done.
    pub fn take(&mut self) -> Option<Piece> {
        self.done.pop_front()
    }

    /// Takes the buffer of a piece that was sealed, or gives it back when there are enough.
    pub fn reuse(&mut self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        if self.spare.len() >= SPARE || bytes.capacity() > 2 * FULL {
            return Some(bytes);
        }
        bytes.clear();
        self.spare.push(bytes);
        None
    }
}
