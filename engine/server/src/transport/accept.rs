//! Takes sockets within the caps and sees each through its TLS handshake, in bounded time.

use std::{cell::Cell, future::poll_fn, io::ErrorKind, rc::Rc, task::Poll, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{Allowed, Local, Service, Traffic, Transport, connection, count, tls::ALPN};

/// How long to wait when the system has no more sockets to give.
const EXHAUSTED: Duration = Duration::from_millis(20);

impl Transport {
    /// Takes connections until `leaving` is raised.
    pub async fn serve<S: Service>(self: Rc<Self>, listener: TcpListener, service: Rc<S>) {
        let local = Local(self.failure.clone());
        let mut leaving = self.leaving.wait();
        loop {
            let accepted = poll_fn(|cx| match leaving.poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => listener.poll_accept(cx).map(Some),
            });
            match accepted.await {
                None => return,
                Some(Ok((socket, _))) if self.has_room() => local.spawn(self.clone().carry(socket, service.clone())),
                Some(Ok(_)) => count(&self.traffic.excess, 1),
                Some(Err(error)) if error.kind() == ErrorKind::ConnectionAborted => {}
                Some(Err(_)) => sleep(EXHAUSTED).await,
            }
        }
    }

    fn has_room(&self) -> bool {
        let cap = self.limits.connections as u64;
        self.traffic.open.get() < cap && self.traffic.shaking.get() < cap
    }

    /// Sees one socket through its life.
    async fn carry<S: Service>(self: Rc<Self>, socket: TcpStream, service: Rc<S>) {
        let shaking = Held::new(&self.traffic, |traffic| &traffic.shaking);
        let (tls, passed) = self.shown.now();
        let shaken = timeout(self.limits.handshake, handshake(tls, socket))
            .await
            .ok()
            .flatten();
        drop(shaking);
        let Some(stream) = shaken else {
            return count(&self.traffic.unshaken, 1);
        };
        if self.leaving.is_raised() {
            return;
        }
        if !self.has_room() {
            return count(&self.traffic.excess, 1);
        }
        count(&self.traffic.accepted, 1);
        let _open = Held::new(&self.traffic, |traffic| &traffic.open);
        let allowed = self.allowed(&stream);
        connection::serve(&self, stream, allowed, passed, service).await;
    }

    fn allowed(&self, stream: &TlsStream<TcpStream>) -> Allowed {
        let leaf = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        leaf.map(|leaf| self.identities.of(leaf)).unwrap_or_default()
    }
}

/// The TLS stream, or nothing when the peer did not prove itself: TLS tells it why, by an alert.
async fn handshake(tls: TlsAcceptor, socket: TcpStream) -> Option<TlsStream<TcpStream>> {
    socket.set_nodelay(true).ok()?;
    let stream = tls.accept(socket).await.ok()?;
    (stream.get_ref().1.alpn_protocol() == Some(ALPN)).then_some(stream)
}

/// One more in a gauge for as long as it lives, however that ends.
struct Held<'a> {
    gauge: &'a Cell<u64>,
}

impl<'a> Held<'a> {
    fn new(traffic: &'a Traffic, gauge: fn(&Traffic) -> &Cell<u64>) -> Held<'a> {
        let gauge = gauge(traffic);
        gauge.set(gauge.get() + 1);
        Held { gauge }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.gauge.set(self.gauge.get() - 1);
    }
}
