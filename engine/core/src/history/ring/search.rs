//! Finds a row by its event time, from where one was found last, or by how many came before it.

use super::Ring;

impl Ring {
    /// The last row whose event time is at most `bound`; the base when there is none. The search begins at `hint`, any
    /// number: it decides how long the search takes and never what it finds.
    #[inline]
    pub fn position(&self, bound: i64, hint: usize) -> usize {
        let (base, last) = (self.base(), self.last());
        let hint = hint.clamp(base, last);
        // Where most are: at the hint, or a row further.
        if hint == base || self.time(hint) <= bound {
            if hint == last || bound < self.time(hint + 1) {
                return hint;
            }
            if hint + 1 == last || bound < self.time(hint + 2) {
                return hint + 1;
            }
        }
        self.search(bound, hint)
    }

    /// The last row whose event time is at most `bound`, from one of which that is so, or the base. It is a few rows further,
    /// and how many is anybody's guess: so a few are compared without a branch.
    #[inline(always)]
    pub fn forward(&self, bound: i64, from: usize) -> usize {
        const FEW: usize = 4;
        let (last, stride) = (self.last(), self.stride());
        let mut row = from;
        while row + FEW <= last {
            let times = &self.cells[(row + 1) * stride..=(row + FEW) * stride];
            let passed = (0..FEW).filter(|&few| times[few * stride] <= bound).count();
            row += passed;
            if passed < FEW {
                return row;
            }
        }
        while row < last && self.time(row + 1) <= bound {
            row += 1;
        }
        row
    }

    fn search(&self, bound: i64, hint: usize) -> usize {
        let (base, last) = (self.base(), self.last());
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
}
