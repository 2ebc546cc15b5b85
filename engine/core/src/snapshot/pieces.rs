//! What is written of a snapshot, cut into pieces of bounded size: each is sealed for itself, and says by itself what it
//! holds. Whoever changes state writes into the open piece; whoever seals takes those that are done.

use std::collections::VecDeque;

use crate::journal::chunk;

/// A piece is done when it holds this many bytes: small enough to be written again and again into the same few buffers.
const FULL: usize = 1 << 16;
/// What the last thing of a piece may add, as a rule, without another buffer.
const ROOM: usize = 1 << 12;
/// Buffers that whoever writes has at hand: the open piece may be done in the middle of a drain.
const AT_HAND: usize = 2;
/// Buffers that are kept: those of all pieces on their way to the disk, open ones, and those at hand.
const KEPT: usize = 32;

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
    at_hand: Vec<Vec<u8>>,
}

/// Buffers that lie ready for pieces, between snapshots too: to ask for memory, to touch it first and to give it back take
/// longer than to write into it.
#[derive(Debug, Default)]
pub struct Buffers(Vec<Vec<u8>>);

impl Buffers {
    /// A buffer whose memory was touched, for who has time for that.
    pub fn touched() -> Vec<u8> {
        let mut bytes = vec![1; FULL + ROOM];
        bytes.clear();
        bytes
    }

    /// Keeps a buffer, unless there are enough.
    pub fn keep(&mut self, mut bytes: Vec<u8>) {
        // One that grew for a long key would be kept for ever.
        let fits = (FULL + ROOM..=2 * FULL).contains(&bytes.capacity());
        if fits && self.0.len() < KEPT {
            bytes.clear();
            self.0.push(bytes);
        }
    }
}

impl Pieces {
    /// No piece yet; each will begin with `head`.
    pub fn new(head: Vec<u8>) -> Pieces {
        Pieces {
            head,
            open: Piece::default(),
            done: VecDeque::new(),
            at_hand: Vec::new(),
        }
    }

    /// Writes one thing into the open piece. Gives how many bytes it was.
    pub fn write(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> usize {
        let Piece { bytes, count } = &mut self.open;
        if bytes.is_empty() {
            *bytes = self.at_hand.pop().unwrap_or_default();
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

    /// Takes buffers that lie ready, as many as should be at hand.
    pub fn refill(&mut self, buffers: &mut Buffers) {
        while self.at_hand.len() < AT_HAND
            && let Some(bytes) = buffers.0.pop()
        {
            self.at_hand.push(bytes);
        }
    }

    /// Gives back all buffers: nothing is written any more.
    pub fn end(self, buffers: &mut Buffers) {
        let pieces = self.done.into_iter().chain([self.open]);
        let written = pieces.map(|piece| piece.bytes);
        self.at_hand
            .into_iter()
            .chain(written)
            .for_each(|bytes| buffers.keep(bytes));
    }
}
