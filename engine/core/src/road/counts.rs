//! What an engine has done since it began, in numbers that only rise.

use crate::{
    assessment::Tier,
    ladder::Cause,
    rescore::{Rescore, Why},
};

/// What an engine has done since it began.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    /// Transactions taken.
    pub transactions: u64,
    /// Retransmissions answered.
    pub replayed: u64,
    /// Labels taken.
    pub labels: u64,
    /// Outcomes taken.
    pub outcomes: u64,
    /// Erasures taken.
    pub erasures: u64,
    /// Transactions read and not taken, because the journal was full.
    pub unfolded: u64,
    /// Inputs refused on the road.
    pub refused: u64,
    /// Records of streams refused, for whose answer nobody waited; they are among those.
    pub passed: u64,
    /// First answers by tier and cause.
    pub answers: Answers,
    /// Runs of a model that failed.
    pub model_failures: u64,
    /// What is to be scored again.
    pub rescores: Rescores,
}

/// How many answers are to be scored again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rescores {
    /// In the spool, by [`Why::ALL`].
    pub queued: [u64; Why::ALL.len()],
    /// Not taken, because the spool was at its bound.
    pub full: u64,
}

impl Rescores {
    pub(super) fn count(&mut self, rescore: Rescore) {
        match rescore {
            Rescore::Not => {}
            Rescore::Queued(why) => self.queued[why as usize - 1] += 1,
            Rescore::Full(_) => self.full += 1,
        }
    }
}

/// How many answers stood on each rung of the ladder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// In full.
    pub full: u64,
    /// By the reduced model, by [`Cause::ALL`].
    pub reduced: [u64; Cause::ALL.len()],
    /// By the declared default, likewise.
    pub default: [u64; Cause::ALL.len()],
}

impl Answers {
    pub(super) fn add(&mut self, others: &Answers) {
        self.full += others.full;
        let counts = self.reduced.iter_mut().chain(&mut self.default);
        let others = others.reduced.iter().chain(&others.default);
        counts.zip(others).for_each(|(count, other)| *count += other);
    }

    pub(super) fn count(&mut self, tier: &Tier) {
        let of = |cause: Cause| cause as usize - 1;
        *match *tier {
            Tier::Full(_) => &mut self.full,
            Tier::Reduced(_, cause) => &mut self.reduced[of(cause)],
            Tier::Default(_, cause) => &mut self.default[of(cause)],
        } += 1;
    }
}
