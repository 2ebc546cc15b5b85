//! The degradation ladder: on which rung a transaction may be answered, why not on a higher one, and when a model that
//! failed is tried again. An [`Admission`] is decided before a transaction is scored and journaled with its answer, so
//! that the answer is a function of inputs and admissions, bit for bit.
//!
//! The rungs from the top: full, reduced (a second, tiny student), default (what the program declares). Rules will stand
//! between the last two, as TIER_RULES_ONLY.

use crate::{transaction::Clock, wire};

/// Why an answer stands on a lower rung; see `Cause` in decision.proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Cause {
    /// The deadline left no time for more.
    Deadline = 1,
    /// The model failed or is missing.
    Model = 2,
    /// State is still being recovered.
    Recovering = 3,
    /// A feature that the program requires was not available.
    Feature = 4,
    /// Memory ran short.
    Memory = 5,
}

impl Cause {
    /// Every cause, in the order of their numbers.
    pub const ALL: [Cause; 5] = [
        Cause::Deadline,
        Cause::Model,
        Cause::Recovering,
        Cause::Feature,
        Cause::Memory,
    ];

    /// The cause of a number, as it is stored.
    pub fn numbered(number: u8) -> Option<Cause> {
        Cause::ALL.into_iter().find(|&cause| cause as u8 == number)
    }

    /// As it goes on the wire.
    pub fn to_wire(self) -> wire::Cause {
        match self {
            Cause::Deadline => wire::Cause::Deadline,
            Cause::Model => wire::Cause::Model,
            Cause::Recovering => wire::Cause::Recovering,
            Cause::Feature => wire::Cause::Feature,
            Cause::Memory => wire::Cause::Memory,
        }
    }
}

/// The highest rung on which a transaction may be answered, and what holds it there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// The full model.
    Full,
    /// The reduced model.
    Reduced(Cause),
    /// The declared default.
    Default(Cause),
}

impl Admission {
    /// The lower of the two; of equals the first, whose cause came first.
    #[must_use]
    pub fn or_lower(self, other: Admission) -> Admission {
        if other.rung() > self.rung() { other } else { self }
    }

    fn rung(self) -> u8 {
        match self {
            Admission::Full => 0,
            Admission::Reduced(_) => 1,
            Admission::Default(_) => 2,
        }
    }
}

/// When a model that failed is tried again: after a time that doubles with each failure up to a bound, by the clock of
/// the drains. A failure that comes long after the last one begins at the least time again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Trial(Option<Failed>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Failed {
    at: Clock,
    rest_us: i64,
}

impl Trial {
    /// The least time that a model rests after a failure: one second.
    pub const LEAST_US: i64 = 1_000_000;
    /// The most: one minute.
    pub const MOST_US: i64 = 60_000_000;

    /// Whether the model may run now.
    pub fn may(&self, now: Clock) -> bool {
        // A clock that was set back must not keep the model resting.
        self.0
            .is_none_or(|failed| now < failed.at || now.0.saturating_sub(failed.at.0) >= failed.rest_us)
    }

    /// It failed.
    pub fn failed(&mut self, now: Clock) {
        let rest_us = match self.0 {
            // It failed again before it had run as long as it had rested.
            Some(before) if now.0.saturating_sub(before.at.0) < 2 * before.rest_us => {
                (2 * before.rest_us).min(Trial::MOST_US)
            }
            Some(_) | None => Trial::LEAST_US,
        };
        self.0 = Some(Failed { at: now, rest_us });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failing_model_rests_twice_as_long_each_time_up_to_a_minute_and_is_trusted_again_after_running_well() {
        let mut trial = Trial::default();
        let mut now = Clock(1_700_000_000_000_000);
        assert!(trial.may(now));
        for rest_s in [1, 2, 4, 8, 16, 32, 60, 60] {
            trial.failed(now);
            let rest_us = rest_s * 1_000_000;
            assert!(!trial.may(now) && !trial.may(Clock(now.0 + rest_us - 1)), "{rest_s}");
            now.0 += rest_us;
            assert!(trial.may(now), "{rest_s}");
        }
        now.0 += Trial::MOST_US;
        trial.failed(now);
        assert!(trial.may(Clock(now.0 + Trial::LEAST_US)));
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_keep_a_model_resting() {
        let mut trial = Trial::default();
        trial.failed(Clock(1_700_000_000_000_000));
        assert!(trial.may(Clock(1_600_000_000_000_000)));
    }

    #[test]
    fn the_lower_admission_holds_and_of_equals_the_first() {
        let (deadline, model) = (Admission::Reduced(Cause::Deadline), Admission::Default(Cause::Model));
        assert_eq!(Admission::Full.or_lower(deadline), deadline);
        assert_eq!(deadline.or_lower(Admission::Full), deadline);
        assert_eq!(deadline.or_lower(model), model);
        assert_eq!(deadline.or_lower(Admission::Reduced(Cause::Model)), deadline);
    }
}
