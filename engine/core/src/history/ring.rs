//! One key's events in order of event time, each with running sums of everything that windows ask for.
//!
//! A row is its event time and the running sums through it, so a window is two rows and a subtraction. Rows stand in one
//! buffer whose live part moves toward the end; the row before the first live one is the base that differences start from.
//! Sums wrap: differences of what is live stay exact (at most 2^16 amounts of at most 10^14).

use super::prefetch::prefetch;
use crate::snapshot::{Unreadable, number};

/// A time-ordered list with running sums.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    cells: Vec<i64>,
    /// Cells a row.
    stride: u32,
    /// The base row: dead, and the newest that was evicted.
    base: u32,
    /// The newest row; equal to `base` when nothing is live.
    last: u32,
}

/// What an insertion did to the rows that were there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Inserted {
    /// Where the new row stands.
    pub row: usize,
    /// By how many rows all others moved toward the front of the buffer.
    pub moved: usize,
}

impl Ring {
    /// An empty list with this many sums. Allocates nothing.
    pub fn new(sums: usize) -> Ring {
        Ring {
            cells: Vec::new(),
            stride: 1 + sums as u32,
            base: 0,
            last: 0,
        }
    }

    /// Whether no row is live.
    pub fn is_empty(&self) -> bool {
        self.base == self.last
    }

    /// The row before the first live one.
    pub fn base(&self) -> usize {
        self.base as usize
    }

    /// The newest row; the base when nothing is live.
    pub fn last(&self) -> usize {
        self.last as usize
    }

    /// The event time of a row.
    pub fn time(&self, row: usize) -> i64 {
        self.cells[row * self.stride as usize]
    }

    /// A running sum through a row.
    pub fn sum(&self, row: usize, column: usize) -> i64 {
        self.cells[row * self.stride as usize + 1 + column]
    }

    /// What the rows after `begin` through `end` add up to.
    pub fn between(&self, begin: usize, end: usize, column: usize) -> i64 {
        self.sum(end, column).wrapping_sub(self.sum(begin, column))
    }

    /// What one row added. Not for the base.
    pub fn own(&self, row: usize, column: usize) -> i64 {
        self.between(row - 1, row, column)
    }

    /// The last row whose event time is at most `bound`; the base when there is none. The search begins at `hint`, any
    /// number: it decides how long the search takes and never what it finds.
    pub fn position(&self, bound: i64, hint: usize) -> usize {
        let (base, last) = (self.base(), self.last());
        let hint = hint.clamp(base, last);
        let (mut low, mut high) = (hint, hint);
        let mut step = 1;
        if hint == base || self.time(hint) <= bound {
            loop {
                high = low + step;
                if high > last {
                    high = last + 1;
                    break;
                }
                if self.time(high) > bound {
                    break;
                }
                low = high;
                step *= 2;
            }
        } else {
            loop {
                if high - base <= step {
                    low = base;
                    break;
                }
                low = high - step;
                if self.time(low) <= bound {
                    break;
                }
                high = low;
                step *= 2;
            }
        }
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.time(middle) <= bound {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// The first row at which the running count of `column` since the base reaches `count` (at least 1, and reached).
    pub fn nth(&self, column: usize, count: i64) -> usize {
        let (mut low, mut high) = (self.base(), self.last());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.between(self.base(), middle, column) >= count {
                high = middle;
            } else {
                low = middle;
            }
        }
        high
    }

    /// Puts a row after all whose event time is at most `time`, and adds it to the sums of those behind it.
    pub fn insert(&mut self, time: i64, added: &[i64]) -> Inserted {
        let moved = self.make_room();
        let stride = self.stride as usize;
        let end = self.cells.len();
        self.cells.push(time);
        for (column, &value) in added.iter().enumerate() {
            let before = self.cells[end - stride + 1 + column];
            self.cells.push(before.wrapping_add(value));
        }
        let row = self.position(time, self.last()) + 1;
        self.last += 1;
        if row < self.last() {
            self.sink(row * stride, added);
        }
        Inserted { row, moved }
    }

    /// Moves the row that stands last to where it belongs, and takes what it added into the sums of those behind it.
    fn sink(&mut self, start: usize, added: &[i64]) {
        let stride = self.stride as usize;
        self.cells[start..].rotate_right(stride);
        for (column, &value) in added.iter().enumerate() {
            let column = 1 + column;
            self.cells[start + column] = self.cells[start - stride + column].wrapping_add(value);
            for later in (start + stride..self.cells.len()).step_by(stride) {
                self.cells[later + column] = self.cells[later + column].wrapping_add(value);
            }
        }
    }

    /// Takes a live row out, and out of the sums of those behind it.
    pub fn remove(&mut self, row: usize) {
        let stride = self.stride as usize;
        let start = row * stride;
        for column in 1..stride {
            let value = self.cells[start + column].wrapping_sub(self.cells[start - stride + column]);
            for later in (start..self.cells.len()).step_by(stride) {
                let cell = &mut self.cells[later + column];
                *cell = cell.wrapping_sub(value);
            }
        }
        self.cells.copy_within(start + stride.., start);
        self.cells.truncate(self.cells.len() - stride);
        self.last -= 1;
    }

    /// Asks for a row and those that a search goes on to first.
    pub fn prefetch(&self, row: usize) {
        let stride = self.stride as usize;
        prefetch(&self.cells, row * stride);
        prefetch(&self.cells, (row + 2) * stride);
    }

    /// Whether the oldest live row's event time is at most `through`.
    pub fn is_due(&self, through: i64) -> bool {
        !self.is_empty() && self.time(self.base() + 1) <= through
    }

    /// Makes the oldest live row the base.
    pub fn evict(&mut self) {
        self.base += 1;
    }

    /// Writes the live rows, each with what it added itself.
    pub fn write_canonical(&self, write: &mut impl FnMut(&[u8])) {
        write(&(self.last - self.base).to_le_bytes());
        for row in self.base() + 1..=self.last() {
            write(&self.time(row).to_le_bytes());
            for column in 0..self.stride as usize - 1 {
                write(&self.own(row, column).to_le_bytes());
            }
        }
    }

    /// Writes the live rows for a snapshot: how many, then each as in [`Ring::write_canonical`].
    pub fn write(&self, out: &mut Vec<u8>) {
        let stride = self.stride as usize;
        out.extend_from_slice(&(self.last - self.base).to_le_bytes());
        if self.is_empty() {
            return;
        }
        let rows = &self.cells[self.base() * stride..(self.last() + 1) * stride];
        let pairs = rows.chunks_exact(stride).zip(rows[stride..].chunks_exact(stride));
        for (before, row) in pairs {
            out.extend_from_slice(&row[0].to_le_bytes());
            for (sum, before) in row[1..].iter().zip(&before[1..]) {
                out.extend_from_slice(&sum.wrapping_sub(*before).to_le_bytes());
            }
        }
    }

    /// The rows that [`Ring::write`] wrote, taken off the beginning of `bytes`.
    pub fn read(sums: usize, bytes: &mut &[u8]) -> Result<Ring, Unreadable> {
        let mut ring = Ring::new(sums);
        let rows = u32::from_le_bytes(number(bytes)?);
        if rows == 0 {
            return Ok(ring);
        }
        let stride = 1 + sums;
        let cells = (rows as usize).checked_mul(stride).ok_or(Unreadable)?;
        let (cells, rest) = bytes.as_chunks::<8>().0.split_at_checked(cells).ok_or(Unreadable)?;
        *bytes = &bytes[bytes.len() - 8 * rest.len() - bytes.len() % 8..];
        // As much room to grow as a list that grew row by row has, or less.
        ring.cells.reserve_exact(stride + cells.len() + stride);
        ring.cells.resize(stride, 0);
        ring.cells[0] = i64::MIN;
        for (place, cell) in cells.iter().enumerate() {
            let own = i64::from_le_bytes(*cell);
            ring.cells.push(match place % stride {
                0 => own,
                _ => own.wrapping_add(ring.cells[place]),
            });
        }
        ring.last = rows;
        Ok(ring)
    }

    /// Sees to it that one more row fits, by moving the live rows to the front when a quarter of the buffer is dead, else
    /// by growing it by a quarter: modest, as there is one for every card. Returns by how many rows it moved them.
    fn make_room(&mut self) -> usize {
        let stride = self.stride as usize;
        if self.cells.is_empty() {
            self.cells.reserve_exact(3 * stride);
            self.cells.resize(stride, 0);
            self.cells[0] = i64::MIN;
        }
        if self.cells.capacity() - self.cells.len() >= stride {
            return 0;
        }
        let (dead, rows) = (self.base(), self.last() + 1);
        if dead * 4 >= rows {
            self.cells.drain(..dead * stride);
            self.base = 0;
            self.last -= dead as u32;
            dead
        } else {
            self.cells.reserve_exact((rows / 4).max(2) * stride);
            0
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// One step: insert (time, amount), evict through a time, or remove the row at a share of the live ones.
    #[derive(Clone, Debug)]
    enum Step {
        Insert(i64, i64),
        Evict(i64),
        Remove(prop::sample::Index),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            8 => (0_i64..50, any::<i64>()).prop_map(|(time, amount)| Step::Insert(time, amount)),
            2 => (0_i64..50).prop_map(Step::Evict),
            1 => any::<prop::sample::Index>().prop_map(Step::Remove),
        ];
        prop::collection::vec(step, 0..120)
    }

    proptest! {
        #[test]
        fn a_ring_is_a_sorted_list_with_sums(steps in steps(), hint in any::<prop::sample::Index>()) {
            let mut ring = Ring::new(2);
            let mut list: Vec<(i64, i64)> = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(time, amount) => {
                        let place = list.partition_point(|&(other, _)| other <= time);
                        list.insert(place, (time, amount));
                        let inserted = ring.insert(time, &[amount, 1]);
                        prop_assert_eq!(inserted.row - ring.base() - 1, place);
                    }
                    Step::Evict(through) => {
                        list.retain(|&(time, _)| time > through);
                        while ring.is_due(through) {
                            ring.evict();
                        }
                    }
                    Step::Remove(index) if !list.is_empty() => {
                        let place = index.index(list.len());
                        list.remove(place);
                        ring.remove(ring.base() + 1 + place);
                    }
                    Step::Remove(_) => {}
                }
                prop_assert_eq!(ring.last() - ring.base(), list.len());
                if list.is_empty() { continue; }
                for bound in -1..51 {
                    let row = ring.position(bound, hint.index(2 * ring.last() + 2));
                    let count = list.partition_point(|&(time, _)| time <= bound);
                    prop_assert_eq!(row - ring.base(), count);
                    let sum = list[..count].iter().fold(0_i64, |sum, &(_, amount)| sum.wrapping_add(amount));
                    prop_assert_eq!(ring.between(ring.base(), row, 0), sum);
                    prop_assert_eq!(ring.between(ring.base(), row, 1), count as i64);
                }
                for count in 1..=list.len() {
                    prop_assert_eq!(ring.nth(1, count as i64), ring.base() + count);
                }
            }
        }
    }
}
