//! A deadline against the measured queue: how long an input takes on each rung of the ladder, and so on which rung a
//! transaction can be answered in time.

use fraudgate_core::ladder::{Admission, Cause};

/// What an input costs in a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// A full answer.
    Full,
    /// One of the reduced model.
    Reduced,
    /// One without a model; a fold, a label or an outcome.
    Bare,
}

impl Cost {
    const ALL: [Cost; 3] = [Cost::Full, Cost::Reduced, Cost::Bare];
}

/// How many inputs of each cost a drain held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held([u64; Cost::ALL.len()]);

impl Held {
    /// One more.
    pub fn count(&mut self, cost: Cost) {
        self.0[cost as usize] += 1;
    }

    /// All of them.
    pub fn inputs(&self) -> u64 {
        self.0.iter().sum()
    }
}

/// How long inputs take. An estimate rises faster than it falls, so it lies above the mean: a deadline is to be kept more
/// often than every other time. A rung that was out of reach is not measured; its estimate halves every half second, so
/// that it is tried again, and it is in reach again only with room to spare, so that it is not tried at every turn.
#[derive(Clone, Debug, Default)]
pub struct Estimates {
    /// Nanoseconds, by cost; nothing is known as long as they are zero.
    ns: [f64; Cost::ALL.len()],
    /// Whether the last transaction that wanted a cost could not afford it.
    refused: [bool; Cost::ALL.len()],
    /// When an estimate was last measured or relaxed, in nanoseconds.
    seen_ns: [u64; Cost::ALL.len()],
}

/// What costs are taken to be to each other before they are measured.
const PRIOR: [f64; Cost::ALL.len()] = [4.0, 3.0, 2.0];
/// The share of a surprise that an estimate takes over: when it was too low, and when it was too high.
const RISE: f64 = 0.25;
const FALL: f64 = 1.0 / 16.0;
/// After which an estimate that is not measured has halved.
const HALF_LIFE_NS: f64 = 5e8;
/// How much room a cost needs that was refused.
const MARGIN: f64 = 1.5;

/// The models at hand for a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtHand {
    /// The full one.
    pub full: bool,
    /// The reduced one.
    pub reduced: bool,
}

impl Estimates {
    /// How long an input takes, in nanoseconds.
    pub fn ns(&self, cost: Cost) -> f64 {
        self.ns[cost as usize]
    }

    /// The highest rung on which a transaction is answered within `room_ns` (`None`: whenever), and what that costs.
    pub fn admit(&mut self, room_ns: Option<f64>, at_hand: AtHand) -> (Admission, Cost) {
        if at_hand.full && self.affords(Cost::Full, room_ns) {
            return (Admission::Full, Cost::Full);
        }
        if at_hand.reduced && self.affords(Cost::Reduced, room_ns) {
            let admission = match at_hand.full {
                true => Admission::Reduced(Cause::Deadline),
                false => Admission::Full,
            };
            return (admission, Cost::Reduced);
        }
        match at_hand.full || at_hand.reduced {
            true => (Admission::Default(Cause::Deadline), Cost::Bare),
            // No deadline keeps it from a model that is not there.
            false => (Admission::Full, Cost::Bare),
        }
    }

    fn affords(&mut self, cost: Cost, room_ns: Option<f64>) -> bool {
        let Some(room_ns) = room_ns else { return true };
        let refused = &mut self.refused[cost as usize];
        let margin = if *refused { MARGIN } else { 1.0 };
        let affords = self.ns[cost as usize] * margin <= room_ns;
        *refused = !affords;
        affords
    }

    /// Learns from a drain that ended at `now_ns`: the least mean squares rule, each cost by its part in the surprise.
    pub fn measure(&mut self, now_ns: u64, took_ns: u64, held: Held) {
        let counts = held.0.map(|count| count as f64);
        let over = |ns: &[f64]| -> f64 { counts.iter().zip(ns).map(|(count, ns)| count * ns).sum() };
        let took = took_ns as f64;
        if self.ns == [0.0; Cost::ALL.len()] {
            let scale = took / over(&PRIOR).max(1.0);
            self.ns = PRIOR.map(|prior| prior * scale);
        }
        let surprise = took - over(&self.ns);
        let share = if surprise > 0.0 { RISE } else { FALL };
        let squares = over(&counts).max(1.0);
        for cost in Cost::ALL.map(|cost| cost as usize) {
            if counts[cost] > 0.0 {
                self.ns[cost] = (self.ns[cost] + share * surprise * counts[cost] / squares).max(0.0);
                self.seen_ns[cost] = now_ns;
            } else if self.refused[cost] {
                let unseen = now_ns.saturating_sub(self.seen_ns[cost]) as f64;
                self.ns[cost] *= (-unseen / HALF_LIFE_NS).exp2();
                self.seen_ns[cost] = now_ns;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: AtHand = AtHand {
        full: true,
        reduced: true,
    };

    fn held(full: u64, reduced: u64, bare: u64) -> Held {
        Held([full, reduced, bare])
    }

    #[test]
    fn estimates_go_to_what_inputs_take_also_where_drains_are_mixed() {
        let mut estimates = Estimates::default();
        let truth = [5_000.0, 3_000.0, 2_000.0];
        for (n, mixed) in [(64, 0, 0), (10, 20, 3), (1, 0, 30), (0, 12, 1), (0, 0, 9)]
            .into_iter()
            .cycle()
            .take(3_000)
            .enumerate()
        {
            let (full, reduced, bare) = mixed;
            let took = truth[0] * full as f64 + truth[1] * reduced as f64 + truth[2] * bare as f64;
            estimates.measure(n as u64, took as u64, held(full, reduced, bare));
        }
        for cost in Cost::ALL {
            let (found, expected) = (estimates.ns(cost), truth[cost as usize]);
            assert!((found / expected - 1.0).abs() < 0.02, "{cost:?}: {found}");
        }
    }

    #[test]
    fn a_transaction_gets_the_highest_rung_that_its_room_affords() {
        let mut estimates = Estimates {
            ns: [400.0, 200.0, 100.0],
            ..Estimates::default()
        };
        for (room, expected) in [
            (None, Admission::Full),
            (Some(400.0), Admission::Full),
            (Some(399.0), Admission::Reduced(Cause::Deadline)),
            (Some(199.0), Admission::Default(Cause::Deadline)),
            (Some(-1e9), Admission::Default(Cause::Deadline)),
            // What was out of reach is in reach again with room to spare.
            (Some(450.0), Admission::Reduced(Cause::Deadline)),
            (Some(600.0), Admission::Full),
            (Some(450.0), Admission::Full),
        ] {
            assert_eq!(estimates.admit(room, BOTH).0, expected, "{room:?}");
        }
        let none = AtHand {
            full: false,
            reduced: false,
        };
        assert_eq!(estimates.admit(Some(0.0), none), (Admission::Full, Cost::Bare));
    }

    /// A caller with 5 ms, a model that takes 12 ms for a while: a clock of a script, 1,000 transactions a second.
    #[test]
    fn the_ladder_is_climbed_again_by_itself_and_without_flapping() {
        let mut estimates = Estimates::default();
        let mut now_ns = 0;
        let mut run = |seconds: u64, full_us: u64| -> Vec<Admission> {
            (0..seconds * 1_000)
                .map(|_| {
                    let (admission, cost) = estimates.admit(Some(5e6), BOTH);
                    let mut of = Held::default();
                    of.count(cost);
                    let took_ns = match cost {
                        Cost::Full => full_us * 1_000,
                        Cost::Reduced => 30_000,
                        Cost::Bare => 20_000,
                    };
                    now_ns += took_ns.max(1_000_000);
                    estimates.measure(now_ns, took_ns, of);
                    admission
                })
                .collect()
        };
        let full = |admissions: &[Admission]| admissions.iter().filter(|&&one| one == Admission::Full).count();
        assert_eq!(full(&run(1, 50)), 1_000);
        // It is tried a few times a second, and all else is answered in time by the reduced model.
        let slow = run(10, 12_000);
        assert!((5..=50).contains(&full(&slow)), "{}", full(&slow));
        assert!(!slow.contains(&Admission::Default(Cause::Deadline)));
        let again = run(10, 50);
        let climbed = again.iter().position(|&one| one == Admission::Full).unwrap();
        assert!(climbed < 1_000, "{climbed}");
        assert_eq!(full(&again[climbed..]), again.len() - climbed);
    }

    #[test]
    fn one_long_pause_holds_callers_down_for_about_a_second() {
        let mut estimates = Estimates::default();
        let mut now_ns = 1_000_000;
        estimates.measure(now_ns, 12_000_000, held(1, 0, 0));
        while estimates.admit(Some(1e6), BOTH).0 != Admission::Full {
            now_ns += 1_000_000;
            estimates.measure(now_ns, 20_000, held(0, 0, 1));
        }
        assert!(now_ns < 2_500_000_000, "{now_ns}");
    }
}
