//! The thread that asks: one connection to the cloud, over mutual TLS 1.3, made when it is needed and made anew when it
//! broke; many calls on it at a time. A call that nobody waits for any more is broken off.

use std::{
    convert::Infallible,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{Method, Request, StatusCode, Version, header};
use http_body::{Body, Frame};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{net::TcpStream, runtime, select, sync::mpsc, time::timeout};
use tokio_rustls::rustls::pki_types::ServerName;

use super::{
    Asking, Settings,
    credentials::{Credentials, Renewals, TlsPaths},
};
use crate::{grpc::only_message, transport::BoxError};

/// What is asked.
const PATH: &str = "/fraudgate.v1.Rescoring/Rescore";
/// How long a connection may take to be there.
const CONNECT_WITHIN: Duration = Duration::from_secs(1);
/// A cloud that does not answer a PING, sent after this much silence under way, for as long again, is gone.
const PING: Duration = Duration::from_secs(2);
/// Most bytes of an answer: it is one row.
const ANSWER: usize = 64 << 10;

/// A thread that asks the cloud, until the link is dropped.
pub struct Link {
    /// How it is asked.
    pub settings: Settings,
    /// Where questions are handed over.
    pub asks: mpsc::Sender<Asking>,
    /// What became of its certificates since.
    pub renewals: Arc<Renewals>,
}

/// Why there is no link.
#[derive(Debug)]
pub struct LinkError(String);

impl fmt::Display for LinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for LinkError {}

impl Link {
    /// Begins the thread; it connects when the first question comes. `settings` is JSON, see [`Settings`]; the files of
    /// `tls` are read again while it serves, so that certificates can be renewed.
    pub fn new(settings: &[u8], tls: TlsPaths) -> Result<Link, LinkError> {
        let settings: Settings = serde_json::from_slice(settings).map_err(|error| LinkError(error.to_string()))?;
        let limits = [
            ("within_ms", settings.within_ms),
            ("in_flight", settings.in_flight as u64),
            ("failures", settings.failures.into()),
            ("pause_ms", settings.pause_ms),
        ];
        if let Some((name, _)) = limits.iter().find(|(_, limit)| *limit == 0) {
            return Err(LinkError(format!("{name}: must be at least 1")));
        }
        let host = settings.address.rsplit_once(':').map(|(host, _)| host.to_owned());
        let name = host.and_then(|host| ServerName::try_from(host).ok());
        let renewals = Arc::default();
        let place = Place {
            name: name.ok_or_else(|| LinkError("address: must be <host>:<port>".to_owned()))?,
            address: settings.address.clone(),
        };
        let credentials = Credentials::new(tls, Arc::clone(&renewals)).map_err(|error| LinkError(error.to_string()))?;
        let (asks, asked) = mpsc::channel(settings.in_flight);
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| LinkError(error.to_string()))?;
        thread::Builder::new()
            .name("fraudgate-cloud".to_owned())
            .spawn(move || runtime.block_on(ask(&place, credentials, asked)))
            .map_err(|error| LinkError(error.to_string()))?;
        Ok(Link {
            settings,
            asks,
            renewals,
        })
    }
}

/// Where the cloud is.
struct Place {
    address: String,
    name: ServerName<'static>,
}

/// Asks until nobody can hand questions over any more.
async fn ask(place: &Place, mut credentials: Credentials, mut asked: mpsc::Receiver<Asking>) {
    let mut connection: Option<SendRequest<One>> = None;
    while let Some(asking) = asked.recv().await {
        if credentials.have_changed() {
            // What is under way on it ends there.
            connection = None;
        }
        // It may have waited for a connection longer than its caller does.
        if asking.reply.is_closed() {
            continue;
        }
        let sender = match connection.take().filter(|sender| !sender.is_closed()) {
            Some(sender) => sender,
            None => {
                credentials.look();
                match timeout(CONNECT_WITHIN, connect(place, &credentials)).await {
                    Ok(Ok(sender)) => sender,
                    // Dropping the question says that there is no answer.
                    Ok(Err(_)) | Err(_) => continue,
                }
            }
        };
        tokio::spawn(answer(sender.clone(), request(place, &asking.message), asking));
        connection = Some(sender);
    }
}

async fn connect(place: &Place, credentials: &Credentials) -> Result<SendRequest<One>, BoxError> {
    let stream = TcpStream::connect(&*place.address).await?;
    stream.set_nodelay(true)?;
    let stream = credentials.connector().connect(place.name.clone(), stream).await?;
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING)
        .handshake(TokioIo::new(stream))
        .await?;
    // How it ends shows in the calls on it.
    tokio::spawn(async move { drop(connection.await) });
    Ok(sender)
}

fn request(place: &Place, message: &Bytes) -> Request<One> {
    let mut framed = BytesMut::with_capacity(5 + message.len());
    framed.put_u8(0);
    // A question is one row: some kilobytes.
    framed.put_u32(message.len() as u32);
    framed.put_slice(message);
    let mut request = Request::new(One(Some(framed.freeze())));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    if let Ok(uri) = format!("https://{}{PATH}", place.address).parse() {
        *request.uri_mut() = uri;
    }
    let headers = request.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/grpc"),
    );
    headers.insert(header::TE, header::HeaderValue::from_static("trailers"));
    request
}

/// Brings the answer, unless nobody waits for it any more. A refusal is a status without a message, and so is no answer.
async fn answer(mut sender: SendRequest<One>, request: Request<One>, asking: Asking) {
    let Asking { mut reply, .. } = asking;
    let call = async {
        let response = sender.send_request(request).await.ok()?;
        if response.status() != StatusCode::OK {
            return None;
        }
        only_message(response.into_body(), ANSWER).await.ok()
    };
    let message = select! {
        message = call => message,
        () = reply.closed() => None,
    };
    if let Some(message) = message {
        // The caller's time may be up just now.
        let _ = reply.send(message);
    }
}

/// The body of a call: one message.
struct One(Option<Bytes>);

impl Body for One {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|message| Ok(Frame::data(message))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}
