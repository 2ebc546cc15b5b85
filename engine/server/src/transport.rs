//! What stands between a socket and a call, in the order in which a connection passes it: `accept` a socket within the
//! caps, `tls` 1.3 with a client certificate as `shown` now, the `identity` in that certificate, then `connection`: HTTP/2 whose calls
//! go to a [`Service`]. Nothing here knows what is served.

mod accept;
mod connection;
mod identity;
mod local;
mod shown;
mod signal;
mod tls;

use std::{cell::Cell, rc::Rc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::{Body, Incoming};

pub use identity::{Allowed, Identities, IdentityError};
pub use local::{Failure, Local, panic_message};
pub use shown::{Credentials, Shown};
pub use signal::{Signal, Waiting};
pub use tls::{TlsError, TlsFiles, connector};

/// Any error, as hyper takes them.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What a transport carries calls to. All of it runs on one thread, so nothing needs to be `Send`.
pub trait Service: 'static {
    /// The body of an answer.
    type Body: Body<Data = Bytes, Error: Into<BoxError>> + 'static;

    /// Answers one call. The future is dropped when the caller goes away.
    fn call(
        &self,
        caller: Rc<Caller>,
        request: Request<Incoming>,
    ) -> impl Future<Output = Response<Self::Body>> + use<Self>;
}

/// One connection as its calls see it. A call that is under way holds it.
pub struct Caller {
    /// What the identity of the client's certificate may call.
    pub allowed: Allowed,
    /// Raised when the connection takes no more calls: what is unbounded (a stream, a watch) ends itself.
    pub leaving: Rc<Signal>,
    calls: Cell<u64>,
}

/// Where connections come in. Lives on one thread, inside a local runtime.
pub struct Transport {
    /// What handshakes are done with.
    pub shown: Shown,
    /// Who may call what.
    pub identities: Identities,
    /// What is allowed to everyone.
    pub limits: Limits,
    /// What is counted.
    pub traffic: Rc<Traffic>,
    /// To be raised to stop: no socket is taken any more, every connection is told to go away, and [`Traffic::open`]
    /// falls to zero as they finish.
    pub leaving: Rc<Signal>,
    /// Where a panic shows.
    pub failure: Rc<Failure>,
}

/// What a transport allows.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Most connections; further ones are closed at once. As many again may be in their TLS handshake.
    pub connections: usize,
    /// Most calls under way on one connection (SETTINGS_MAX_CONCURRENT_STREAMS).
    pub streams: u32,
    /// Time for the TLS handshake.
    pub handshake: Duration,
    /// A connection without calls is told to go away after this long, or up to twice as long.
    pub idle: Duration,
    /// A connection is told to go away at this age (less up to a tenth, so that not all of them leave at once): a
    /// certificate that has expired meanwhile does not live on for ever, and clients spread anew.
    pub age: Duration,
    /// What is under way on a connection that was told to go away is cut after this long.
    pub grace: Duration,
}

/// What a transport counts.
#[derive(Debug, Default)]
pub struct Traffic {
    /// Connections now open.
    pub open: Cell<u64>,
    /// Connections now in their TLS handshake.
    pub shaking: Cell<u64>,
    /// Connections that were opened.
    pub accepted: Cell<u64>,
    /// Connections that were closed at once because of a cap.
    pub excess: Cell<u64>,
    /// How often what handshakes are done with was renewed.
    pub renewed: Cell<u64>,
    /// Handshakes that failed or timed out.
    pub unshaken: Cell<u64>,
    /// Calls that were begun.
    pub calls: Cell<u64>,
}

/// Adds to a counter.
pub fn count(counter: &Cell<u64>, more: u64) {
    counter.set(counter.get().wrapping_add(more));
}
