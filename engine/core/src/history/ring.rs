//! One key's events in order of event time, each with running sums of everything that windows ask for.
//!
//! A row is its event time and the running sums through it, so a window is two rows and a subtraction. Rows stand in one
//! buffer whose live part moves toward the end; the row before the first live one is the base that differences start from.
//! Sums wrap: differences of what is live stay exact (at most 2^16 amounts of at most 10^14).

mod append;
mod bytes;
mod room;
mod search;

use super::prefetch::prefetch;
use room::room;

/// Positions that a ring remembers.
pub(super) const HINTS: usize = 5;

/// A time-ordered list with running sums.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    cells: Box<[i64]>,
    /// The base row: dead, and the newest that was evicted.
    base: u32,
    /// The newest row; equal to `base` when nothing is live.
    last: u32,
    /// The bucket of event time in which something of its key dies next, cut to 32 bits: kept here, so that all that leads
    /// to a key is one cache line. A cache.
    pub due: u32,
    /// Cells a row.
    stride: u16,
    /// Where the ends of windows were found last. A cache: saturated, and right by chance.
    pub hints: [u16; HINTS],
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
            cells: Box::default(),
            base: 0,
            last: 0,
            due: 0,
            // At most a few columns for each of 256 features.
            stride: 1 + sums as u16,
            hints: [0; HINTS],
        }
    }

    /// How many rows are live.
    pub fn len(&self) -> usize {
        (self.last - self.base) as usize
    }

    /// The event time of the newest row that there ever was.
    pub fn newest(&self) -> i64 {
        match self.cells.is_empty() {
            true => i64::MIN,
            false => self.time(self.last()),
        }
    }

    fn stride(&self) -> usize {
        usize::from(self.stride)
    }

    /// The event time of the oldest live row. There must be one.
    pub fn oldest(&self) -> i64 {
        self.time(self.base() + 1)
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
        self.cells[row * self.stride()]
    }

    /// A running sum through a row.
    pub fn sum(&self, row: usize, column: usize) -> i64 {
        self.cells[row * self.stride() + 1 + column]
    }

    /// What the rows after `begin` through `end` add up to.
    pub fn between(&self, begin: usize, end: usize, column: usize) -> i64 {
        self.sum(end, column).wrapping_sub(self.sum(begin, column))
    }

    /// What one row added. Not for the base.
    pub fn own(&self, row: usize, column: usize) -> i64 {
        self.between(row - 1, row, column)
    }

    /// Puts a row after all whose event time is at most `time`, and adds it to the sums of those behind it.
    pub fn insert(&mut self, time: i64, added: &[i64]) -> Inserted {
        let moved = match self.cells.len() >= (self.last() + 2) * self.stride() {
            true => 0,
            false => self.make_room(),
        };
        let stride = self.stride();
        let end = (self.last() + 1) * stride;
        let (rows, room) = self.cells.split_at_mut(end);
        let before = &rows[end - stride..];
        room[0] = time;
        for (column, &value) in added.iter().enumerate() {
            room[1 + column] = before[1 + column].wrapping_add(value);
        }
        let is_newest = self.base == self.last || before[0] <= time;
        let row = match is_newest {
            true => self.last() + 1,
            false => self.position(time, self.last()) + 1,
        };
        self.last += 1;
        if row < self.last() {
            self.sink(row * stride, added);
        }
        Inserted { row, moved }
    }

    /// Moves the row that stands last to where it belongs, and takes what it added into the sums of those behind it.
    fn sink(&mut self, start: usize, added: &[i64]) {
        let (stride, end) = (self.stride(), (self.last() + 1) * self.stride());
        self.cells[start..end].rotate_right(stride);
        for (column, &value) in added.iter().enumerate() {
            let column = 1 + column;
            self.cells[start + column] = self.cells[start - stride + column].wrapping_add(value);
            for later in (start + stride..end).step_by(stride) {
                self.cells[later + column] = self.cells[later + column].wrapping_add(value);
            }
        }
    }

    /// Takes a live row out, and out of the sums of those behind it.
    pub fn remove(&mut self, row: usize) {
        let (stride, end) = (self.stride(), (self.last() + 1) * self.stride());
        let start = row * stride;
        for column in 1..stride {
            let value = self.cells[start + column].wrapping_sub(self.cells[start - stride + column]);
            for later in (start..end).step_by(stride) {
                self.cells[later + column] = self.cells[later + column].wrapping_sub(value);
            }
        }
        self.cells.copy_within(start + stride..end, start);
        self.last -= 1;
    }

    /// Asks for a row and those that a search goes on to first.
    pub fn prefetch(&self, row: usize) {
        let stride = self.stride();
        prefetch(&self.cells, row * stride);
        prefetch(&self.cells, (row + 2) * stride);
    }

    /// Whether the oldest live row's event time is at most `through`.
    pub fn is_due(&self, through: i64) -> bool {
        !self.is_empty() && self.time(self.base() + 1) <= through
    }

    /// How many sums a row has.
    pub fn sums(&self) -> usize {
        self.stride() - 1
    }

    /// Evicts all rows of an event time of at most `through`.
    pub fn evict_through(&mut self, through: i64) {
        if self.is_due(through) {
            self.base = self.position(through, self.base()) as u32;
        }
    }

    /// Makes the oldest live row the base.
    pub fn evict(&mut self) {
        self.base += 1;
    }

    /// The row from which on rows are later than `through`: those before it are dead, whether or not they were evicted.
    fn live_after(&self, through: i64) -> usize {
        match self.is_due(through) {
            true => self.position(through, self.base()),
            false => self.base(),
        }
    }

    /// The rows of an event time of at most `through` that were not evicted.
    pub fn dead(&self, through: i64) -> std::ops::RangeInclusive<usize> {
        self.base() + 1..=self.live_after(through)
    }

    /// The event times of the rows, in order.
    pub fn times(&self) -> impl Iterator<Item = i64> + '_ {
        (self.base() + 1..=self.last()).map(|row| self.time(row))
    }

    /// Of an empty ring: the event time of the newest row that there ever was.
    pub fn begin_after(&mut self, newest: i64) {
        if self.cells.is_empty() {
            self.cells = room(2 * self.stride());
        }
        self.cells[self.base as usize * self.stride()] = newest;
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
                    let before = ring.position(bound - 7, 0);
                    prop_assert_eq!(ring.forward(bound, before), row);
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
