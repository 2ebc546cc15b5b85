//! What was approved blind lately: the sum of reference amounts over a sliding window of event time, in a fixed size. The
//! window moves in steps of a sixtieth of its length, so an amount counts for the whole window and at most one step more.

use crate::transaction::EventTime;

/// Steps of a window.
const STEPS: usize = 60;
/// A window touches one more.
const TOUCHED: usize = STEPS + 1;

/// The sums of a window's steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exposure {
    step_us: i64,
    /// The number of the newest step that holds anything.
    newest: i64,
    /// By the step's number, modulo their count.
    steps: [i64; TOUCHED],
    sum: i64,
}

impl Exposure {
    /// Nothing yet, over a window of this length in microseconds.
    pub fn over(window_us: i64) -> Exposure {
        Exposure {
            step_us: (window_us + STEPS as i64 - 1) / STEPS as i64,
            newest: i64::MIN / 2,
            steps: [0; TOUCHED],
            sum: 0,
        }
    }

    /// What the window that ends with an event holds. An event that comes late sees what the newest one did: it is
    /// approved now, whenever it happened.
    pub fn at(&self, time: EventTime) -> i64 {
        let step = self.step(time);
        if step <= self.newest {
            return self.sum;
        }
        let since = step.saturating_sub(TOUCHED as i64);
        self.held()
            .filter(|&(number, _)| number > since)
            .fold(0, |all, (_, sum)| all.saturating_add(sum))
    }

    /// Counts what was approved, in minor units, from the event's time on; a late one from the newest.
    pub fn add(&mut self, time: EventTime, minor: i64) {
        if minor <= 0 {
            return;
        }
        let step = self.step(time).max(self.newest);
        if step.saturating_sub(self.newest) >= TOUCHED as i64 {
            self.steps = [0; TOUCHED];
        } else {
            (self.newest..step).for_each(|before| self.steps[place(before + 1)] = 0);
        }
        self.newest = step;
        let sum = &mut self.steps[place(step)];
        *sum = sum.saturating_add(minor);
        self.sum = self.steps.iter().fold(0, |all, &sum| all.saturating_add(sum));
    }

    /// All that is held, oldest first: when a step begins and its sum. Added again in this order to an empty one over the
    /// same window, it makes an equal one.
    pub fn entries(&self) -> impl Iterator<Item = (EventTime, i64)> + '_ {
        self.held()
            .map(|(number, sum)| (EventTime(number.saturating_mul(self.step_us)), sum))
    }

    fn held(&self) -> impl Iterator<Item = (i64, i64)> + '_ {
        (self.newest - STEPS as i64..=self.newest)
            .map(|number| (number, self.steps[place(number)]))
            .filter(|&(_, sum)| sum > 0)
    }

    fn step(&self, time: EventTime) -> i64 {
        time.0.div_euclid(self.step_us)
    }
}

fn place(step: i64) -> usize {
    step.rem_euclid(TOUCHED as i64) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW_US: i64 = 3_600_000_000;
    const STEP_US: i64 = WINDOW_US / STEPS as i64;

    proptest! {
        /// Against a list of all that was added: nothing within the window is left out, nothing older than a step more counts.
        #[test]
        fn it_holds_the_window_and_at_most_a_step_more(
            events in prop::collection::vec((-2 * STEP_US..3 * WINDOW_US / 2, 1..1_000_i64), 1..80),
        ) {
            let mut exposure = Exposure::over(WINDOW_US);
            let mut all: Vec<(i64, i64)> = Vec::new();
            let mut now = 1_700_000_000_000_000_i64;
            let mut newest = i64::MIN;
            for (ahead, minor) in events {
                now += ahead;
                let at = now.max(newest);
                let since = |since: i64| -> i64 { all.iter().filter(|&&(t, _)| t > since).map(|&(_, minor)| minor).sum() };
                let found = exposure.at(EventTime(now));
                prop_assert!(since(at - WINDOW_US) <= found && found <= since(at - WINDOW_US - STEP_US));
                exposure.add(EventTime(now), minor);
                newest = at;
                all.push((at, minor));
                let mut again = Exposure::over(WINDOW_US);
                exposure.entries().for_each(|(time, sum)| again.add(time, sum));
                prop_assert_eq!(&again, &exposure);
            }
        }
    }

    #[test]
    fn the_farthest_times_do_not_overflow() {
        let mut exposure = Exposure::over(1);
        for time in [i64::MIN, 0, i64::MAX, 5, i64::MAX] {
            exposure.at(EventTime(time));
            exposure.add(EventTime(time), 7);
        }
        assert_eq!(exposure.at(EventTime(0)), 21);
    }
}
