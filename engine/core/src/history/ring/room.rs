//! The buffer of a ring: it grows modestly, by sizes that allocators keep, and dead rows go when there are enough of them.

use super::{HINTS, Ring};

impl Ring {
    /// Makes room for one more row that does not fit, by moving the live rows to the front when an eighth of the buffer is dead, else by
    /// growing it: modestly, as there is one for every card. Returns by how many rows it moved them.
    pub(super) fn make_room(&mut self) -> usize {
        let (stride, rows) = (self.stride(), self.last() + 1);
        if self.cells.is_empty() {
            self.cells = room(2 * stride);
            self.cells[0] = i64::MIN;
            return 0;
        }
        let dead = self.base();
        if dead * 8 >= rows {
            self.cells.copy_within(dead * stride..rows * stride, 0);
            self.move_to_front();
            return dead;
        }
        // A small ring would grow with every row.
        let more = if rows < 8 { 2 } else { 1 };
        self.refit(0, (rows + more) * stride);
        0
    }

    /// Makes room for so many more rows that do not fit, likewise. Returns by how many rows it moved the live ones.
    pub(super) fn make_room_for(&mut self, more: usize) -> usize {
        let (stride, rows, dead) = (self.stride(), self.last() + 1, self.base());
        let fit = (self.len() + 1 + more) * stride;
        if self.cells.is_empty() {
            self.cells = room(fit);
            self.cells[0] = i64::MIN;
        } else if dead * 8 >= rows && fit <= self.cells.len() {
            self.cells.copy_within(dead * stride..rows * stride, 0);
        } else {
            self.refit(dead, fit + fit / 8);
        }
        self.move_to_front();
        dead
    }

    /// Holds nothing any more, nor ever did, and has room for so many rows.
    pub fn begin_anew(&mut self, rows: usize) {
        let cells = (rows + 1) * self.stride();
        if self.cells.len() < cells {
            self.cells = room(cells);
        }
        self.cells[..self.stride as usize].fill(0);
        self.cells[0] = i64::MIN;
        (self.base, self.last, self.due) = (0, 0, 0);
        self.hints = [0; HINTS];
    }

    /// Gives back what dead rows hold. Returns by how many rows the live ones moved toward the front.
    pub fn tidy(&mut self) -> usize {
        let (stride, rows, dead) = (self.stride(), self.last() + 1, self.base());
        let fit = capacity((self.len() + 2) * stride);
        if self.cells.len() > fit + fit / 4 {
            self.refit(dead, fit);
        } else if dead * 8 >= rows {
            self.cells.copy_within(dead * stride..rows * stride, 0);
        } else {
            return 0;
        }
        self.move_to_front();
        dead
    }

    fn refit(&mut self, from: usize, cells: usize) {
        let rows = from * self.stride()..(self.last() + 1) * self.stride();
        let mut fitting = room(cells);
        fitting[..rows.len()].copy_from_slice(&self.cells[rows]);
        self.cells = fitting;
    }

    fn move_to_front(&mut self) {
        let dead = self.base;
        self.base = 0;
        self.last -= dead;
        for hint in &mut self.hints {
            *hint = hint.saturating_sub(u16::try_from(dead).unwrap_or(u16::MAX));
        }
    }
}

/// A buffer for so many cells.
pub(super) fn room(cells: usize) -> Box<[i64]> {
    vec![0; capacity(cells)].into()
}

/// The next of four sizes that an octave has: those that allocators keep, so that little is lost to them.
fn capacity(cells: usize) -> usize {
    let octave = cells.max(4).ilog2();
    let step = 1_usize << (octave - 2);
    cells.next_multiple_of(step)
}
