//! Reads a few inputs ahead of the one that is taken in, so that what they touch is asked for before any of it is needed:
//! a replay is bound by cache misses as a drain is, and a journal of lone calls has nothing to overlap them with.

use super::{Place, Replay, ReplayError};
use crate::journal::{
    gap::Gap,
    record::{Record, Records},
};

/// How many inputs are announced together.
const ANNOUNCED: usize = 16;

/// A replay that reads ahead. What comes out is the same.
pub struct Ahead<'e> {
    replay: Replay<'e>,
    /// Inputs that are read and not taken in yet, and behind them places for others.
    coming: Vec<Record<'static>>,
    /// How many are read.
    read: usize,
}

impl<'e> Ahead<'e> {
    /// Reads ahead of a replay.
    pub fn new(replay: Replay<'e>) -> Ahead<'e> {
        Ahead {
            replay,
            coming: (0..ANNOUNCED).map(|_| Record::place()).collect(),
            read: 0,
        }
    }

    /// See [`Replay::segment`].
    pub fn segment(&mut self, epoch: u64, first: u64) -> Result<(), ReplayError> {
        self.catch_up()?;
        self.replay.segment(epoch, first)
    }

    /// See [`Replay::gap`].
    pub fn gap(&mut self, gap: &Gap) -> Result<(), ReplayError> {
        self.catch_up()?;
        self.replay.gap(gap)
    }

    /// The next drain: the sequence of its first input, and its records. What cannot be read of them ends it; whoever hands
    /// them over asks whether they are whole.
    pub fn drain(&mut self, first: u64, records: &mut Records) -> Result<(), ReplayError> {
        self.expect(first)?;
        loop {
            if self.replay.holds_next() {
                // None before it waits here: it is held as well.
                let Some(Ok(record)) = records.next() else {
                    return Ok(());
                };
                self.replay.record(&record)?;
                continue;
            }
            match records.next_to(&mut self.coming[self.read]) {
                None | Some(Err(_)) => return Ok(()),
                Some(Ok(None)) => self.read += 1,
                Some(Ok(Some(stated))) => {
                    self.catch_up()?;
                    self.replay.record(&Record::Program(stated))?;
                }
            }
            if self.read == self.coming.len() {
                self.catch_up()?;
            }
        }
    }

    fn expect(&self, first: u64) -> Result<(), ReplayError> {
        let before = self.read as u64;
        // An error of what is read ahead is told when it is taken in.
        self.replay
            .expect(first.saturating_sub(before))
            .map_err(|gap| match gap {
                ReplayError::Gap { expected, found } => ReplayError::Gap {
                    expected: expected + before,
                    found: found + before,
                },
                other => other,
            })
    }

    /// Takes in what is left, and gives the replay.
    pub fn done(mut self) -> Result<Replay<'e>, ReplayError> {
        self.catch_up()?;
        Ok(self.replay)
    }

    fn catch_up(&mut self) -> Result<(), ReplayError> {
        let coming = &self.coming[..std::mem::take(&mut self.read)];
        announce(&mut self.replay, coming);
        coming.iter().try_for_each(|record| self.replay.record(record))
    }
}

/// Has the memory fetched that inputs will touch. Nothing depends on it.
fn announce(replay: &mut Replay, coming: &[Record]) {
    for record in coming {
        if let Record::Transaction(admitted, _) = record {
            replay.engine.known.announce(admitted.id);
        }
    }
    for (number, place) in replay.stated.iter().enumerate() {
        // What is moved has its keys in other slots: it is taken in without.
        let Some(Place { made_with, moved: None }) = place else {
            continue;
        };
        let program = &mut replay.engine.programs[usize::from(made_with.program)];
        let of_it = coming.iter().filter_map(|record| match record {
            Record::Transaction(admitted, _) if usize::from(admitted.program) == number => Some(&admitted.transaction),
            Record::History(program, transaction) if usize::from(*program) == number => Some(transaction),
            Record::Program(_)
            | Record::Transaction(..)
            | Record::History(..)
            | Record::Label(_)
            | Record::Outcome(_)
            | Record::Rescored(_)
            | Record::Erasure(_)
            | Record::Passed(_)
            | Record::Again(_) => None,
        });
        program.history.announce(&program.plan, of_it);
    }
}
