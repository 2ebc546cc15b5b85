//! The engine's part of writing a snapshot: the cut, the slices, the pieces that are done.

use super::{Tag, pieces::Piece, put};
use crate::{assessment::Version, journal::chunk, program::Program, road::Engine};

impl Engine {
    /// Makes a cut: everything that is written from now on of a snapshot is as of here. Gives the first piece, which holds all
    /// that is small. Between two drains alone. A sweep that was under way is given up.
    pub fn cut(&mut self) -> Piece {
        self.end_sweep();
        let mut bytes = vec![0; chunk::HEADER];
        bytes.push(Tag::State as u8);
        bytes.extend_from_slice(&self.sequence.to_le_bytes());
        bytes.extend_from_slice(&(self.epochs.len() as u32).to_le_bytes());
        for (first, epoch) in &self.epochs {
            bytes.extend_from_slice(&first.to_le_bytes());
            bytes.extend_from_slice(&epoch.to_le_bytes());
        }
        self.offsets.write(&mut bytes);
        bytes.extend_from_slice(&self.known.cut(vec![Tag::Ids as u8]).to_le_bytes());
        bytes.extend_from_slice(&(self.programs.len() as u16).to_le_bytes());
        for (number, program) in (0_u16..).zip(&mut self.programs) {
            state(program, &mut bytes);
            let head = |slot: usize| {
                let mut head = vec![Tag::Keys as u8];
                head.extend_from_slice(&number.to_le_bytes());
                head.push(slot as u8);
                head
            };
            program.history.cut(&program.plan, head, &mut bytes);
        }
        self.refill();
        Piece { bytes, count: 1 }
    }

    /// Writes about so many bytes of what was not written of the snapshot yet. Says whether all is: then
    /// [`Engine::take_piece`] gives what is left of it.
    pub fn sweep(&mut self, bytes: usize) -> bool {
        self.refill();
        let left = self.known.sweep(bytes);
        let programs = self.programs.iter_mut();
        let left = programs.fold(left, |left, program| match left {
            0 => 0,
            left => program.history.sweep(&program.plan, left),
        });
        left > 0
    }

    /// A piece that is done, if there is one.
    pub fn take_piece(&mut self) -> Option<Piece> {
        let mut programs = self.programs.iter_mut();
        let of_keys = programs.find_map(|program| program.history.take_piece());
        of_keys.or_else(|| self.known.take_piece())
    }

    /// Takes a buffer for pieces: one that was sealed, or [`Buffers::touched`](super::Buffers::touched).
    pub fn reuse(&mut self, bytes: Vec<u8>) {
        self.buffers.keep(bytes);
    }

    fn refill(&mut self) {
        self.known.refill(&mut self.buffers);
        for program in &mut self.programs {
            program.history.refill(&mut self.buffers);
        }
    }

    /// The snapshot was written, or is given up: nothing more is swept.
    pub fn end_sweep(&mut self) {
        self.known.end_sweep(&mut self.buffers);
        for program in &mut self.programs {
            program.history.end_sweep(&mut self.buffers);
        }
    }

    /// A whole snapshot at once, piece by piece, but for the last, [`end`]; for an engine that takes nothing meanwhile.
    pub fn write_snapshot<E>(&mut self, mut write: impl FnMut(Piece) -> Result<(), E>) -> Result<(), E> {
        /// Bytes that are swept between two looks for pieces.
        const PART: usize = 1 << 16;
        let mut written = write(self.cut());
        let mut done = false;
        while written.is_ok() && !done {
            done = self.sweep(PART);
            while let Some(piece) = written.is_ok().then(|| self.take_piece()).flatten() {
                written = write(piece);
            }
        }
        self.end_sweep();
        written
    }
}

/// The last piece.
pub fn end() -> Piece {
    let mut bytes = vec![0; chunk::HEADER];
    bytes.push(Tag::End as u8);
    Piece { bytes, count: 1 }
}

/// What a program has beside its histories.
fn state(program: &Program, bytes: &mut Vec<u8>) {
    let stated = program.stated();
    bytes.extend_from_slice(&stated.complete_since.0.to_le_bytes());
    for part in [stated.name.as_bytes(), stated.plan, stated.policy] {
        put(bytes, part);
    }
    bytes.extend_from_slice(&(program.versions().len() as u32).to_le_bytes());
    program
        .versions()
        .iter()
        .for_each(|made_with| version(made_with, bytes));
    program.reviewed.write(bytes);
    let approved = bytes.len();
    let mut steps = 0_u32;
    bytes.extend_from_slice(&steps.to_le_bytes());
    for (time, minor) in program.blind.exposure() {
        bytes.extend_from_slice(&time.0.to_le_bytes());
        bytes.extend_from_slice(&minor.to_le_bytes());
        steps += 1;
    }
    bytes[approved..approved + 4].copy_from_slice(&steps.to_le_bytes());
}

fn version(version: &Version, bytes: &mut Vec<u8>) {
    for digest in [&version.model_digest, &version.plan_digest, &version.policy_digest] {
        put(bytes, digest);
    }
    for names in [&version.features, &version.texts] {
        bytes.extend_from_slice(&(names.len() as u32).to_le_bytes());
        names.iter().for_each(|name| put(bytes, name.as_bytes()));
    }
}
