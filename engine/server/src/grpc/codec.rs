//! Messages in: length-prefixed bytes, within the cap. Messages out: prost's, encoded straight into the frame.

use std::marker::PhantomData;

use bytes::{Buf, Bytes};
use fraudgate_core::refusal::Refusal;
use hyper::body::Incoming;
use prost::Message;
use tonic::{
    Code, Status, Streaming,
    codec::{BufferSettings, DecodeBuf, Decoder, EncodeBuf, Encoder},
};

/// Room for one call's messages, in bytes: a message of usual size fits; larger ones make it grow.
const BUFFER: usize = 1 << 10;
/// What is ready is sent as soon as it is this much, in bytes: two TLS records.
const ENOUGH: usize = 32 << 10;

/// The messages of a request, undecoded.
pub struct Messages {
    frames: Streaming<Bytes>,
    cap: usize,
}

/// The messages of a request, each of at most `cap` bytes.
pub fn messages(body: Incoming, cap: usize) -> Messages {
    Messages {
        frames: Streaming::new_request(Raw, body, None, Some(cap)),
        cap,
    }
}

/// The one message of a request that is no stream.
pub async fn only_message(body: Incoming, cap: usize) -> Result<Bytes, Refusal> {
    let mut messages = messages(body, cap);
    match std::future::poll_fn(|cx| messages.poll_next(cx)).await {
        Some(message) => message,
        None => Err(Refusal::invalid("message", "is missing")),
    }
}

impl Messages {
    /// The next message, or nothing at the end. After an error nothing more can be read.
    pub fn poll_next(&mut self, cx: &mut std::task::Context<'_>) -> std::task::Poll<Option<Result<Bytes, Refusal>>> {
        use futures_core::Stream;
        let next = std::pin::Pin::new(&mut self.frames).poll_next(cx);
        next.map(|next| next.map(|message| message.map_err(|status| unreadable(&status, self.cap))))
    }
}

/// Tonic's frames fail in two ways: over the cap (OUT_OF_RANGE), and bytes that are no frames.
fn unreadable(status: &Status, cap: usize) -> Refusal {
    match status.code() {
        Code::OutOfRange => Refusal::TooLarge { cap },
        _ => Refusal::invalid(
            "message",
            "is no uncompressed gRPC message of the length that its prefix states",
        ),
    }
}

struct Raw;

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, frame: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(frame.copy_to_bytes(frame.remaining())))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, ENOUGH)
    }
}

/// Encodes messages of one type.
pub struct Encode<M>(pub PhantomData<M>);

impl<M: Message> Encoder for Encode<M> {
    type Item = M;
    type Error = Status;

    fn encode(&mut self, message: M, frame: &mut EncodeBuf<'_>) -> Result<(), Status> {
        message
            .encode(frame)
            .map_err(|error| Status::internal(error.to_string()))
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(BUFFER, ENOUGH)
    }
}
