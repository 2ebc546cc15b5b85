//! Many rows at once.

use super::{Inserted, Ring};
use crate::{features::Event, plan::EntityLayout};

impl Ring {
    /// Puts rows behind all others, for those of the events that the layout counts, which are in order of time and not before
    /// the newest. Column by column: each is one running sum. There must be one at least.
    pub fn append(&mut self, layout: &EntityLayout, events: &[Event]) -> Inserted {
        let stride = self.stride();
        let moved = match self.cells.len() >= (self.last() + 1 + events.len()) * stride {
            true => 0,
            false => self.make_room_for(events.len()),
        };
        let first = self.last() + 1;
        let events = || events.iter().filter(|event| layout.kinds.contains(event.kind));
        let (rows, room) = self.cells.split_at_mut(first * stride);
        let before = &rows[rows.len() - stride..];
        let mut appended = 0;
        for (row, event) in room.chunks_exact_mut(stride).zip(events()) {
            row[0] = event.event_time.0;
            appended += 1;
        }
        for (column, (&measure, &sum)) in (1..).zip(layout.measures.iter().zip(&before[1..])) {
            let mut sum = sum;
            for (row, event) in room.chunks_exact_mut(stride).zip(events()) {
                sum = sum.wrapping_add(measure.of(event.kind, event.amount));
                row[column] = sum;
            }
        }
        self.last += appended;
        Inserted { row: first, moved }
    }
}
