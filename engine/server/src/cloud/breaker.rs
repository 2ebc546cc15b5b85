//! A circuit breaker: after some failures one after the other nothing is asked for a while; then one question is the trial,
//! and its answer closes the breaker again, or its failure opens it for twice as long. Time comes in as an argument.

use std::time::Duration;

use tokio::time::Instant;

/// The longest that it stays open.
const LONGEST: Duration = Duration::from_secs(60);

/// How it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All is asked.
    Closed,
    /// One question may be asked, or is under way.
    HalfOpen,
    /// Nothing is asked.
    Open,
}

/// Whether a question is the one that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It was asked while the breaker was closed.
    No,
    /// It decides whether it closes again.
    Yes,
}

/// The breaker.
#[derive(Debug)]
pub struct Breaker {
    most: u32,
    pause: Duration,
    at: At,
    opened: u64,
}

#[derive(Debug)]
enum At {
    /// With so many failures since the last answer.
    Closed(u32),
    /// Until then; it was opened for so long.
    Open(Instant, Duration),
    /// The trial is under way; it was open for so long.
    Trying(Duration),
}

impl Breaker {
    /// Opens after `most` failures one after the other, for `pause` at first.
    pub fn new(most: u32, pause: Duration) -> Breaker {
        Breaker {
            most,
            pause,
            at: At::Closed(0),
            opened: 0,
        }
    }

    /// How it stands now.
    pub fn state(&self, now: Instant) -> State {
        match self.at {
            At::Closed(_) => State::Closed,
            At::Open(until, _) if now < until => State::Open,
            At::Open(..) => State::HalfOpen,
            At::Trying(_) => State::HalfOpen,
        }
    }

    /// How often it has opened.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Whether a question may be asked now, and whether it is the trial.
    pub fn ask(&mut self, now: Instant) -> Option<Trial> {
        match self.at {
            At::Closed(_) => Some(Trial::No),
            At::Open(until, pause) if now >= until => {
                self.at = At::Trying(pause);
                Some(Trial::Yes)
            }
            At::Open(..) | At::Trying(_) => None,
        }
    }

    /// A question ended: answered or not; or, without a word, because nobody waited for it any more. What was asked before it
    /// opened says nothing of now.
    pub fn ended(&mut self, trial: Trial, answered: Option<bool>, now: Instant) {
        self.at = match (&self.at, trial, answered) {
            (At::Closed(_), _, Some(true)) | (At::Trying(_), Trial::Yes, Some(true)) => At::Closed(0),
            (&At::Closed(failures), _, Some(false)) if failures + 1 < self.most => At::Closed(failures + 1),
            (At::Closed(_), _, Some(false)) => self.open(now, self.pause),
            (&At::Trying(pause), Trial::Yes, Some(false)) => self.open(now, (2 * pause).min(LONGEST)),
            // The next one is the trial.
            (&At::Trying(pause), Trial::Yes, None) => At::Open(now, pause),
            (At::Closed(_), _, None) | (At::Trying(_), Trial::No, _) | (At::Open(..), _, _) => return,
        };
    }

    fn open(&mut self, now: Instant, pause: Duration) -> At {
        self.opened += 1;
        At::Open(now + pause, pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAUSE: Duration = Duration::from_secs(1);

    fn failed(breaker: &mut Breaker, now: Instant) {
        let trial = breaker.ask(now).unwrap();
        breaker.ended(trial, Some(false), now);
    }

    #[test]
    fn failures_one_after_the_other_open_it_and_others_do_not() {
        let (mut breaker, now) = (Breaker::new(3, PAUSE), Instant::now());
        for answered in [false, false, true, false, false] {
            let trial = breaker.ask(now).unwrap();
            breaker.ended(trial, Some(answered), now);
        }
        assert_eq!((breaker.state(now), breaker.opened()), (State::Closed, 0));
        failed(&mut breaker, now);
        assert_eq!((breaker.state(now), breaker.opened()), (State::Open, 1));
        assert_eq!(breaker.ask(now), None);
        assert_eq!(breaker.ask(now + PAUSE - Duration::from_nanos(1)), None);
    }

    #[test]
    fn after_the_pause_one_question_decides_and_each_failure_doubles_the_pause_up_to_the_longest() {
        let (mut breaker, mut now) = (Breaker::new(1, PAUSE), Instant::now());
        failed(&mut breaker, now);
        for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
            assert_eq!(
                breaker.ask(now + Duration::from_secs(pause) - Duration::from_nanos(1)),
                None,
                "{pause}"
            );
            now += Duration::from_secs(pause);
            assert_eq!(breaker.state(now), State::HalfOpen);
            failed(&mut breaker, now);
        }
        now += LONGEST;
        assert_eq!(breaker.ask(now), Some(Trial::Yes));
        assert_eq!(breaker.ask(now), None, "a second one, beside the trial");
        breaker.ended(Trial::Yes, Some(true), now);
        assert_eq!(breaker.ask(now), Some(Trial::No));
        // And then it opens for the first pause again.
        breaker.ended(Trial::No, Some(false), now);
        assert_eq!(breaker.state(now + PAUSE), State::HalfOpen);
    }

    #[test]
    fn what_was_asked_before_it_opened_decides_nothing_and_an_abandoned_trial_is_made_by_the_next() {
        let (mut breaker, now) = (Breaker::new(1, PAUSE), Instant::now());
        let early = [breaker.ask(now).unwrap(), breaker.ask(now).unwrap()];
        failed(&mut breaker, now);
        breaker.ended(early[0], Some(true), now);
        assert_eq!(breaker.state(now), State::Open);
        let later = now + PAUSE;
        let trial = breaker.ask(later).unwrap();
        breaker.ended(early[1], Some(false), later);
        assert_eq!((breaker.state(later), breaker.opened()), (State::HalfOpen, 1));
        breaker.ended(trial, None, later);
        assert_eq!(breaker.ask(later), Some(Trial::Yes));
    }
}
