//! Messages out: the body of an answer is one message, a stream of them, or nothing but a status.

use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{BufMut, Bytes, BytesMut};
use futures_core::Stream;
use http::{HeaderMap, HeaderName, HeaderValue, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use prost::Message;
use tonic::Status;

use super::messages::PREFIX;

const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const OK: HeaderValue = HeaderValue::from_static("0");
/// What is ready is sent once it is this much, in bytes: two TLS records.
const ENOUGH: usize = 32 << 10;

/// The body.
#[derive(Default)]
pub struct Reply(State);

#[derive(Default)]
enum State {
    One(Bytes),
    Many(Box<dyn Pieces>),
    Status(HeaderMap),
    #[default]
    Ended,
}

impl Reply {
    /// One message.
    pub fn message(message: &impl Message) -> Response<Reply> {
        let mut framed = BytesMut::with_capacity(PREFIX + message.encoded_len());
        frame(message, &mut framed);
        respond(State::One(framed.freeze()))
    }

    /// Messages as they become ready, those that are ready together in one piece; then the status.
    pub fn stream<M: Message + 'static>(
        messages: impl Stream<Item = Result<M, Status>> + Unpin + 'static,
    ) -> Response<Reply> {
        respond(State::Many(Box::new(Framed {
            messages,
            framed: BytesMut::new(),
            last: 0,
            end: None,
        })))
    }

    /// A status alone.
    pub fn status(status: &Status) -> Response<Reply> {
        let mut response = respond(State::Ended);
        response.headers_mut().extend(trailers(status));
        response
    }
}

fn respond(state: State) -> Response<Reply> {
    let mut response = Response::new(Reply(state));
    response.headers_mut().insert(CONTENT_TYPE, GRPC);
    response
}

/// Writes a message behind its prefix. A `BytesMut` grows, and no message of ours comes near four gigabytes.
fn frame(message: &impl Message, into: &mut BytesMut) {
    let length = message.encoded_len();
    into.reserve(PREFIX + length);
    into.put_u8(0);
    into.put_u32(length as u32);
    message.encode_raw(into);
}

fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(3);
    // What does not fit into headers is left out; the code always fits.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert(STATUS, HeaderValue::from(status.code() as i32));
    }
    trailers
}

/// What a stream has ready.
trait Pieces {
    /// The next piece; at the end, the status.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, HeaderMap>>;
}

struct Framed<S> {
    messages: S,
    framed: BytesMut,
    /// The size of the last piece: the next one will be about as large.
    last: usize,
    end: Option<HeaderMap>,
}

impl<M: Message, S: Stream<Item = Result<M, Status>> + Unpin> Pieces for Framed<S> {
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, HeaderMap>> {
        self.framed.reserve(self.last);
        while self.end.is_none() && self.framed.len() < ENOUGH {
            match Pin::new(&mut self.messages).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => frame(&message, &mut self.framed),
                Poll::Ready(Some(Err(status))) => self.end = Some(trailers(&status)),
                Poll::Ready(None) => self.end = Some(HeaderMap::from_iter([(STATUS, OK)])),
                Poll::Pending => break,
            }
        }
        match self.end.take_if(|_| self.framed.is_empty()) {
            Some(end) => Poll::Ready(Err(end)),
            None if self.framed.is_empty() => Poll::Pending,
            None => {
                self.last = self.framed.len();
                Poll::Ready(Ok(self.framed.split().freeze()))
            }
        }
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match std::mem::take(&mut self.0) {
            State::One(message) => {
                self.0 = State::Status(HeaderMap::from_iter([(STATUS, OK)]));
                Frame::data(message)
            }
            State::Many(mut pieces) => {
                let polled = pieces.poll_piece(cx);
                if !matches!(polled, Poll::Ready(Err(_))) {
                    self.0 = State::Many(pieces);
                }
                ready!(polled).map_or_else(Frame::trailers, Frame::data)
            }
            State::Status(status) => Frame::trailers(status),
            State::Ended => return Poll::Ready(None),
        };
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, State::Ended)
    }
}
