//! `grpc.health.v1`: serving from when state is there until the server leaves. Its messages are two fields, so they stand here.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use fraudgate_core::refusal::Refusal;
use futures_core::Stream;
use tonic::Status;

use super::Shared;
use crate::{
    grpc::to_grpc,
    transport::{Caller, Signal, Waiting},
};

/// HealthCheckRequest.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Asked {
    /// The service's full name; empty asks for the server as a whole.
    #[prost(string, tag = "1")]
    pub service: String,
}

/// HealthCheckResponse.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Health {
    /// How it is.
    #[prost(enumeration = "ServingStatus", tag = "1")]
    pub status: i32,
}

/// HealthCheckResponse.ServingStatus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, prost::Enumeration)]
#[repr(i32)]
pub enum ServingStatus {
    /// Never sent.
    Unknown = 0,
    /// It answers.
    Serving = 1,
    /// It is leaving, or recovers its state still.
    NotServing = 2,
    /// There is no such service; to watchers only.
    ServiceUnknown = 3,
}

/// How a service is; nothing when there is none of that name.
pub fn check(service: &str, ready: &Signal, leaving: &Signal) -> Option<Health> {
    let known = matches!(
        service,
        "" | "fraudgate.v1.Scoring" | "fraudgate.v1.Feedback" | "fraudgate.v1.Operation" | "grpc.health.v1.Health"
    );
    let status = if leaving.is_raised() || !ready.is_raised() {
        ServingStatus::NotServing
    } else {
        ServingStatus::Serving
    };
    known.then_some(Health { status: status as i32 })
}

/// Tells how a service is, and then when that changes. Ends with the connection's term.
pub struct Watch {
    service: String,
    server_ready: Rc<Signal>,
    server_leaving: Rc<Signal>,
    ready: Waiting,
    leaving: Waiting,
    told: Option<Health>,
    ended: bool,
    /// Held while the watch lives: its connection is not idle.
    _caller: Rc<Caller>,
}

impl Watch {
    /// Watches `service`.
    pub fn new(service: String, shared: &Shared, caller: Rc<Caller>) -> Watch {
        Watch {
            service,
            server_ready: shared.ready.clone(),
            server_leaving: shared.leaving.clone(),
            ready: shared.ready.wait(),
            leaving: caller.leaving.wait(),
            told: None,
            ended: false,
            _caller: caller,
        }
    }
}

impl Stream for Watch {
    type Item = Result<Health, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let unknown = Health {
            status: ServingStatus::ServiceUnknown as i32,
        };
        let now = check(&self.service, &self.server_ready, &self.server_leaving).unwrap_or(unknown);
        if self.told.as_ref() != Some(&now) {
            self.told = Some(now);
            return Poll::Ready(Some(Ok(now)));
        }
        // That only wakes it again: what it is then was read above.
        let _ = self.ready.poll(cx);
        std::task::ready!(self.leaving.poll(cx));
        self.ended = true;
        Poll::Ready(Some(Err(to_grpc(&Refusal::Draining))))
    }
}
