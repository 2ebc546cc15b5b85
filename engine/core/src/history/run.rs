//! A run: events of one key in order of event time, none before anything that the key holds, taken in all at once. Each
//! sees what it would have seen in its turn, for a window ends at a row, and what is later lies behind that.

use super::{
    entity::{self, EntityHistory, due, refresh},
    ledger::Live,
    reading::Reading,
    ring::Ring,
};
use crate::{
    features::Event,
    plan::{EntityLayout, WindowFeature},
    transaction::KeyHash,
};

/// What a run's events see.
pub(crate) struct Run<'a> {
    events: &'a [Event],
    /// Of each event the rows at the layout's offsets.
    rows: &'a [usize],
    offsets: usize,
    /// What the first sees, but for its rows.
    first: Reading<'a>,
}

impl<'a> Run<'a> {
    /// The events.
    pub fn events(&self) -> &'a [Event] {
        self.events
    }

    /// The events from one on, and what the key's history says at each.
    #[inline(always)]
    pub fn readings(&self, from: usize) -> impl Iterator<Item = (Event, Reading<'a>)> {
        let rows = self.rows[from * self.offsets..].chunks_exact(self.offsets);
        let events = self.events[from..].iter().zip(rows);
        events.map(|(&event, rows)| (event, self.first.moved(event.event_time, rows)))
    }

    /// The first event at which nothing in a window may be unknown.
    pub fn first_known(&self, window: &WindowFeature) -> usize {
        let readings = self.readings(0);
        readings
            .take_while(|(_, reading)| reading.is_incomplete(window))
            .count()
    }
}

impl EntityHistory {
    /// Takes in as many of these events of a key, which are in order of event time, as can be at once, and gives what they
    /// see; `None` where the first has to be taken alone. `rows` takes places for the offsets of each.
    pub fn run<'a>(
        &'a mut self,
        layout: &'a EntityLayout,
        key: KeyHash,
        events: &'a [Event],
        rows: &'a mut Vec<usize>,
    ) -> Option<Run<'a>> {
        // What is without an amount is told apart beside the rows, where a window would find what is later.
        let is_given = |event: &&Event| !layout.blanks || event.amount.is_some();
        let events = &events[..events.iter().take_while(is_given).count()];
        let first = events.first()?.event_time;
        let mut folded = events.iter().filter(|event| layout.kinds.contains(event.kind));
        let begins = folded.next()?.event_time.0;
        if first.0 <= self.evicted_through {
            return None;
        }
        let number = self.find_or_add(layout, key, begins);
        self.trim_if_due(layout, number);
        let head = self.keys.at_mut(number);
        let suits = head.events.newest() <= first.0
            && head.events.len() + events.len() <= self.bounds.rows_a_key
            && !head.side.as_ref().is_some_and(|side| side.is_tiled());
        if !suits {
            return None;
        }
        let (before, is_new) = (head.newest_or(begins), head.events.is_empty());
        rows.clear();
        rows.resize(events.len() * layout.offsets.len(), 0);
        let inserted = head.events.append(layout, events);
        if is_new {
            head.events.due = due(&self.ledger, head);
        }
        if !layout.extremes.is_empty() {
            refresh(layout, head, if inserted.moved > 0 { 0 } else { inserted.row });
        }
        find_rows(layout, &mut head.events, events, inserted.row, rows);
        let after = head.newest();
        for event in events.iter().filter(|event| layout.kinds.contains(event.kind)) {
            let one = Live {
                events: 1,
                ..Live::default()
            };
            self.ledger.add(event.event_time.0, one);
        }
        self.ledger.move_key(before, after);
        let (since, evicted_through) = (self.since.0.max(self.evicted_through), self.evicted_through);
        let head = self.keys.at(number);
        let first = Reading::new(layout, first, since, evicted_through, &[], Some(head));
        Some(Run {
            events,
            rows,
            offsets: layout.offsets.len(),
            first,
        })
    }
}

/// Finds the rows at which windows of a run begin and end, whose own rows begin at `first`. They only go forward.
fn find_rows(layout: &EntityLayout, ring: &mut Ring, events: &[Event], first: usize, rows: &mut [usize]) {
    let offsets = layout.offsets.len();
    let Some(begins) = events.first() else { return };
    entity::find_rows(layout, ring, begins.event_time, &mut rows[..offsets]);
    let (mut before, mut next) = rows.split_at_mut(offsets);
    for event in &events[1..] {
        let (now, later) = next.split_at_mut(offsets);
        for ((&offset, &from), row) in layout.offsets.iter().zip(&*before).zip(&mut *now) {
            if offset != 0 {
                *row = ring.forward(event.event_time.0.saturating_sub(offset), from);
            }
        }
        (before, next) = (now, later);
    }
    let ends = layout.offsets.iter().zip(&*before).filter(|&(&offset, _)| offset != 0);
    for (hint, (_, &row)) in ring.hints.iter_mut().zip(ends) {
        *hint = row.min(usize::from(u16::MAX)) as u16;
    }
    // What ends now ends before the event itself.
    if let Some(place) = layout.offsets.iter().position(|&offset| offset == 0) {
        let mut last = first - 1;
        for (row, event) in rows.iter_mut().skip(place).step_by(offsets).zip(events) {
            *row = last;
            last += usize::from(layout.kinds.contains(event.kind));
        }
    }
}
