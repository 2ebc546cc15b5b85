//! Asks the cloud's full model while a caller waits, on a thread of its own: the engine's thread hands a question over
//! and goes on. What may go wrong there costs the caller nothing but the second opinion: only so many questions are under
//! way, none outlives its time, and behind a `breaker` a cloud that fails is left alone for a while.

mod breaker;
mod connection;
mod credentials;

use std::{
    cell::{Cell, RefCell},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use fraudgate_core::{transaction::Clock, wire};
use prost::Message;
use serde::Deserialize;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use breaker::{Breaker, State, Trial};
pub use connection::{Link, LinkError};
use credentials::Renewals;
pub use credentials::TlsPaths;

use crate::transport::count;

/// How the cloud is asked, as JSON from the configuration. Every member is stated; none has a default here.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Its address and port.
    pub address: String,
    /// This PoP's own name.
    pub pop: String,
    /// The longest that an answer is held for the cloud's, in milliseconds.
    pub within_ms: u64,
    /// What is left of a caller's time for the answer's way back, in milliseconds.
    pub spare_ms: u64,
    /// Most questions under way.
    pub in_flight: usize,
    /// So many failures one after the other, and the cloud is left alone ...
    pub failures: u32,
    /// ... for so long at first, in milliseconds.
    pub pause_ms: u64,
}

/// A question on its way to the thread that asks.
#[derive(Debug)]
pub struct Asking {
    /// The message.
    pub message: Bytes,
    /// Where the answer is waited for; nobody waits any more when it is closed. Dropped where there is none.
    pub reply: oneshot::Sender<Bytes>,
}

/// The cloud as the engine's thread knows it.
pub struct Cloud {
    settings: Settings,
    asks: mpsc::Sender<Asking>,
    breaker: RefCell<Breaker>,
    in_flight: Cell<usize>,
    renewals: Arc<Renewals>,
    counts: Counts,
}

/// What was counted.
#[derive(Debug, Default)]
struct Counts {
    /// Questions handed over.
    asked: Cell<u64>,
    /// Answered in time.
    answered: Cell<u64>,
    /// Not answered in time.
    late: Cell<u64>,
    /// Refused, broken off, or answered with what is no answer.
    failed: Cell<u64>,
    /// Not asked, because the caller's time left no room for it.
    hurried: Cell<u64>,
    /// Not asked, because enough questions were under way.
    excess: Cell<u64>,
}

impl Cloud {
    /// Asks through a link that was made with these settings.
    pub fn new(link: Link) -> Cloud {
        let Link {
            settings,
            asks,
            renewals,
        } = link;
        let pause = Duration::from_millis(settings.pause_ms);
        Cloud {
            breaker: RefCell::new(Breaker::new(settings.failures, pause)),
            asks,
            in_flight: Cell::new(0),
            renewals,
            counts: Counts::default(),
            settings,
        }
    }

    /// Whether a question may be asked about now: the cloud is not left alone, and not too much is under way.
    pub fn may_be_asked(&self) -> bool {
        self.breaker.borrow().state(Instant::now()) != State::Open && self.in_flight.get() < self.settings.in_flight
    }

    /// When an answer must be on its way back to a caller that waits until `by`.
    pub fn leave_by(&self, by: Option<Clock>) -> Option<Clock> {
        let spare_us = i64::try_from(self.settings.spare_ms.saturating_mul(1_000)).unwrap_or(i64::MAX);
        by.map(|by| Clock(by.0.saturating_sub(spare_us)))
    }

    /// Asks, and waits for the answer for as long as there is room before `by`; `now` is the clock. None where the cloud is
    /// late, away or not asked.
    pub async fn ask(
        &self,
        mut question: wire::RescoreRequest,
        now: Clock,
        by: Option<Clock>,
    ) -> Option<wire::RescoredDecisions> {
        let within = self.within(now, by)?;
        if self.in_flight.get() >= self.settings.in_flight {
            count(&self.counts.excess, 1);
            return None;
        }
        let trial = self.breaker.borrow_mut().ask(Instant::now())?;
        let mut under_way = UnderWay::new(self, trial);
        question.pop.clone_from(&self.settings.pop);
        let (reply, answer) = oneshot::channel();
        let message = question.encode_to_vec().into();
        if self.asks.try_send(Asking { message, reply }).is_err() {
            count(&self.counts.failed, 1);
            under_way.answered = Some(false);
            return None;
        }
        count(&self.counts.asked, 1);
        let (counted, said) = match timeout(within, answer).await {
            Err(_) => (&self.counts.late, None),
            Ok(Err(_)) => (&self.counts.failed, None),
            Ok(Ok(message)) => match read(message, &question) {
                None => (&self.counts.failed, None),
                said => (&self.counts.answered, said),
            },
        };
        count(counted, 1);
        under_way.answered = Some(said.is_some());
        said
    }

    /// Counters by name.
    pub fn stats(&self) -> [(&'static str, u64); 11] {
        let breaker = self.breaker.borrow();
        let state = match breaker.state(Instant::now()) {
            State::Closed => 0,
            State::HalfOpen => 1,
            State::Open => 2,
        };
        [
            ("hybrid_asked", self.counts.asked.get()),
            ("hybrid_answered", self.counts.answered.get()),
            ("hybrid_late", self.counts.late.get()),
            ("hybrid_failed", self.counts.failed.get()),
            ("hybrid_hurried", self.counts.hurried.get()),
            ("hybrid_excess", self.counts.excess.get()),
            ("hybrid_in_flight", self.in_flight.get() as u64),
            ("hybrid_breaker", state),
            ("hybrid_breaker_opened", breaker.opened()),
            ("hybrid_certificates_renewed", self.renewals.renewed()),
            ("hybrid_certificates_unusable", self.renewals.are_unusable().into()),
        ]
    }

    /// How long may be waited; none where that is nothing.
    fn within(&self, now: Clock, by: Option<Clock>) -> Option<Duration> {
        let most = Duration::from_millis(self.settings.within_ms);
        let Some(by) = by else { return Some(most) };
        let room = u64::try_from(by.0.saturating_sub(now.0))
            .ok()
            .filter(|&room_us| room_us > 0);
        if room.is_none() {
            count(&self.counts.hurried, 1);
        }
        room.map(|room_us| Duration::from_micros(room_us).min(most))
    }
}

/// A question under way. However it ends, also with a caller that goes away, the breaker is told.
struct UnderWay<'a> {
    cloud: &'a Cloud,
    trial: Trial,
    answered: Option<bool>,
}

impl<'a> UnderWay<'a> {
    fn new(cloud: &'a Cloud, trial: Trial) -> UnderWay<'a> {
        cloud.in_flight.set(cloud.in_flight.get() + 1);
        UnderWay {
            cloud,
            trial,
            answered: None,
        }
    }
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.cloud.in_flight.set(self.cloud.in_flight.get().saturating_sub(1));
        let mut breaker = self.cloud.breaker.borrow_mut();
        breaker.ended(self.trial, self.answered, Instant::now());
    }
}

/// The answer to a question; none where it is to another one.
fn read(message: Bytes, question: &wire::RescoreRequest) -> Option<wire::RescoredDecisions> {
    let said = wire::RescoredDecisions::decode(message).ok()?;
    let same = said.program == question.program
        && said.policy_digest == question.policy_digest
        && said.epoch == question.epoch
        && said.sequence == question.sequence
        && said.transaction == question.transaction;
    same.then_some(said)
}
