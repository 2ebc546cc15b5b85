//! What a program answers where no model can, and how much of that it approves: within the cap, counted in the order of
//! the inputs.

use super::Whose;
use crate::{
    policy::{Declared, Exposure, Policy, Segment, Verdict},
    transaction::{AmountMinor, EventTime},
};

/// A declared default, with what was approved by it.
pub struct Blind {
    /// What is declared; where nothing is, everything is challenged.
    pub declared: Declared,
    /// What was approved blind of inputs that were taken: state, made again by a replay. None without a cap.
    pub(crate) exposure: Option<Exposure>,
    /// And of those that were not. They have a count of their own, because what is journaled must follow from what is
    /// journaled alone: while a journal takes nothing, as much as the cap again may be approved, and no more.
    untaken: Option<Exposure>,
    /// All that was approved blind since the start, in minor units.
    approved_minor: u64,
}

impl Blind {
    /// What a policy declares; nothing is approved yet.
    pub fn new(policy: &Policy) -> Blind {
        let declared = policy.declared.clone().unwrap_or_else(Declared::nothing);
        let exposure = declared.cap.map(|cap| Exposure::over(cap.window_us));
        Blind {
            declared,
            untaken: exposure.clone(),
            exposure,
            approved_minor: 0,
        }
    }

    /// The verdict on a transaction of a segment, and its count where it is approved. An amount that is not known cannot
    /// be counted, so it is never within the cap.
    pub(super) fn verdict(
        &mut self,
        whose: Whose,
        segment: Segment,
        time: EventTime,
        exposed: Option<AmountMinor>,
    ) -> Verdict {
        let verdict = self.declared.verdict(segment);
        let (Verdict::Approve, Some(cap)) = (verdict, self.declared.cap) else {
            return verdict;
        };
        let Some(AmountMinor(minor)) = exposed else {
            return cap.beyond;
        };
        let held = |exposure: &Option<Exposure>| exposure.as_ref().map_or(0, |exposure| exposure.at(time));
        let (before, counts) = match whose {
            Whose::Taken(_) => (held(&self.exposure), &mut self.exposure),
            Whose::Read(_) => (
                held(&self.exposure).saturating_add(held(&self.untaken)),
                &mut self.untaken,
            ),
        };
        if before.saturating_add(minor) > cap.minor {
            return cap.beyond;
        }
        if let Some(exposure) = counts {
            exposure.add(time, minor);
        }
        self.approved_minor = self.approved_minor.saturating_add(minor.unsigned_abs());
        verdict
    }

    /// Counts again what the journal says was approved blind.
    pub(crate) fn count_again(&mut self, time: EventTime, minor: i64) {
        if let Some(exposure) = &mut self.exposure {
            exposure.add(time, minor);
        }
    }

    /// What was approved blind and taken: the beginnings of steps of event time with their sums in minor units, oldest
    /// first. [`Blind::restore`] makes it again of them.
    pub fn exposure(&self) -> impl Iterator<Item = (EventTime, i64)> + '_ {
        self.exposure.iter().flat_map(Exposure::entries)
    }

    /// In the place of what was approved: what stood in another engine's [`Blind::exposure`].
    pub fn restore(&mut self, entries: impl IntoIterator<Item = (EventTime, i64)>) {
        self.exposure = self.declared.cap.map(|cap| Exposure::over(cap.window_us));
        entries
            .into_iter()
            .for_each(|(time, minor)| self.count_again(time, minor));
    }

    /// What the window that ends with the newest approval holds, in minor units.
    pub fn exposed_minor(&self) -> i64 {
        self.exposure().fold(0, |all, (_, minor)| all.saturating_add(minor))
    }

    /// As if nothing had been answered that was not taken.
    pub(crate) fn forget_untaken(&mut self) {
        self.untaken = self.declared.cap.map(|cap| Exposure::over(cap.window_us));
    }

    /// Goes on counting where another stopped that answered for it and took nothing.
    pub(crate) fn take_over(&mut self, stood_in: &Blind) {
        self.untaken.clone_from(&stood_in.untaken);
        self.approved_minor = self.approved_minor.saturating_add(stood_in.approved_minor);
    }

    /// All that was approved blind since the start, in minor units.
    pub fn approved_minor(&self) -> u64 {
        self.approved_minor
    }
}
