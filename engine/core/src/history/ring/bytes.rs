//! Rows as a snapshot and a digest have them: each with what it added itself.

use super::{Ring, room::room};
use crate::snapshot::{Unreadable, number};

impl Ring {
    /// Writes the rows later than `through`: how many, then each with what it added itself.
    pub fn write(&self, through: i64, write: &mut impl FnMut(&[u8])) {
        let (stride, base) = (self.stride(), self.live_after(through));
        write(&(self.last - base as u32).to_le_bytes());
        if base == self.last() {
            return;
        }
        let rows = &self.cells[base * stride..(self.last() + 1) * stride];
        let pairs = rows.chunks_exact(stride).zip(rows[stride..].chunks_exact(stride));
        for (before, row) in pairs {
            write(&row[0].to_le_bytes());
            for (sum, before) in row[1..].iter().zip(&before[1..]) {
                write(&sum.wrapping_sub(*before).to_le_bytes());
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
        ring.cells = room(cells.len() + 2 * stride);
        ring.cells[0] = i64::MIN;
        for (place, cell) in cells.iter().enumerate() {
            let own = i64::from_le_bytes(*cell);
            ring.cells[stride + place] = match place % stride {
                0 => own,
                _ => own.wrapping_add(ring.cells[place]),
            };
        }
        ring.last = rows;
        Ok(ring)
    }
}
