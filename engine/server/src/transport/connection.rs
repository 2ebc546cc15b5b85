//! One HTTP/2 connection: its calls go to the service; it is told to go away when the server leaves, when its peer is to prove
//! itself anew, at its age, or when it is idle, and is cut when it then takes too long.

use std::{convert::Infallible, future::poll_fn, pin::pin, rc::Rc, task::Poll, time::Duration};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::{Allowed, Caller, Limits, Local, Service, Signal, Transport, count};

/// A peer that does not answer a PING sent after this much silence ...
const PING_AFTER: Duration = Duration::from_secs(20);
/// ... for this long, is gone.
const PING_WITHIN: Duration = Duration::from_secs(10);
/// What a peer may send on one call before it is read, in bytes.
const CALL_WINDOW: u32 = 256 << 10;
/// What a peer may send on all calls of a connection before it is read, in bytes: bounds the memory that it can claim.
const CONNECTION_WINDOW: u32 = 1 << 20;
/// What may wait on one call for a peer that does not read, in bytes.
const SEND_BUFFER: usize = 64 << 10;
/// Most bytes of a call's headers.
const HEADERS: u32 = 8 << 10;

/// Serves one connection to its end, which is told to go away once `passed` is raised.
pub async fn serve<S: Service>(
    transport: &Transport,
    stream: TlsStream<TcpStream>,
    allowed: Allowed,
    passed: Rc<Signal>,
    service: Rc<S>,
) {
    let caller = Rc::new(Caller {
        allowed,
        leaving: Rc::default(),
        calls: Default::default(),
    });
    // Who holds the caller while no call is under way: this function and the closure below.
    const HOLDERS: usize = 2;
    let calls = {
        let caller = caller.clone();
        service_fn(move |request| {
            caller.calls.set(caller.calls.get() + 1);
            let answer = service.call(caller.clone(), request);
            async move { Ok::<_, Infallible>(answer.await) }
        })
    };
    let mut connection = pin!(
        http2::Builder::new(Local(transport.failure.clone()))
            .timer(TokioTimer::new())
            .max_concurrent_streams(transport.limits.streams)
            .initial_stream_window_size(CALL_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(HEADERS)
            .keep_alive_interval(PING_AFTER)
            .keep_alive_timeout(PING_WITHIN)
            .auto_date_header(false)
            .serve_connection(TokioIo::new(stream), calls)
    );

    let mut term = Term::new(&transport.limits, transport.traffic.accepted.get());
    let mut alarm = pin!(sleep_until(term.next()));
    let (mut server_leaves, mut has_passed) = (transport.leaving.wait(), passed.wait());
    let mut calls_seen = 0;
    poll_fn(|cx| {
        loop {
            // How it ended (closed, reset, broken) changes nothing here: what was asked is answered or dropped.
            if connection.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if !term.is_leaving() && (server_leaves.poll(cx).is_ready() || has_passed.poll(cx).is_ready()) {
                term.leave(Instant::now());
            } else if alarm.as_mut().poll(cx).is_ready() {
                let idle = Rc::strong_count(&caller) == HOLDERS && caller.calls.get() == calls_seen;
                calls_seen = caller.calls.get();
                if term.ring(Instant::now(), idle) {
                    return Poll::Ready(());
                }
            } else {
                return Poll::Pending;
            }
            if term.is_leaving() && !caller.leaving.is_raised() {
                caller.leaving.raise();
                connection.as_mut().graceful_shutdown();
            }
            alarm.as_mut().reset(term.next());
        }
    })
    .await;
    count(&transport.traffic.calls, caller.calls.get());
}

/// When a connection has to end.
struct Term {
    idle: Duration,
    grace: Duration,
    ends: Instant,
    checked: Instant,
    cut: Option<Instant>,
}

impl Term {
    /// The term of the `nth` connection.
    fn new(limits: &Limits, nth: u64) -> Term {
        let now = Instant::now();
        // Spread over a tenth by the golden ratio: any run of consecutive connections leaves evenly.
        let spread = (nth as f64 * 0.618_033_988_749_894_9).fract() / 10.0;
        let ends = now + limits.age.mul_f64(1.0 - spread);
        Term {
            idle: limits.idle,
            grace: limits.grace,
            ends,
            checked: now,
            cut: None,
        }
    }

    fn is_leaving(&self) -> bool {
        self.cut.is_some()
    }

    /// When to ring next.
    fn next(&self) -> Instant {
        self.cut.unwrap_or_else(|| self.ends.min(self.checked + self.idle))
    }

    /// From now on only the grace is left.
    fn leave(&mut self, now: Instant) {
        self.cut.get_or_insert(now + self.grace);
    }

    /// The alarm rang: leaves when it is time to, and says whether the connection is to be cut.
    fn ring(&mut self, now: Instant, idle: bool) -> bool {
        if let Some(cut) = self.cut {
            return now >= cut;
        }
        if now >= self.ends || (idle && now >= self.checked + self.idle) {
            self.leave(now);
        }
        self.checked = now;
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        let second = Duration::from_secs(1);
        let (age, idle, grace) = (100 * second, 10 * second, 5 * second);
        Limits {
            connections: 1,
            streams: 1,
            handshake: second,
            idle,
            age,
            grace,
        }
    }

    #[test]
    fn an_idle_connection_leaves_and_a_busy_one_stays_until_its_age() {
        let mut idle = Term::new(&limits(), 1);
        let checked = idle.next();
        assert!(!idle.ring(checked, true) && idle.is_leaving());
        assert!(!idle.ring(checked + Duration::from_secs(4), true));
        assert!(idle.ring(checked + Duration::from_secs(5), true));

        let mut busy = Term::new(&limits(), 1);
        let born = busy.checked;
        while !busy.is_leaving() {
            let next = busy.next();
            assert!(!busy.ring(next, false));
        }
        let age = busy.checked - born;
        assert!(age > Duration::from_secs(90) && age <= Duration::from_secs(100));
    }
}
