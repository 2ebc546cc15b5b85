//! Messages in: each a flag, its length in four bytes, and that many bytes.
//!
//! What arrives in one piece is not copied, and a length is believed only as its bytes arrive: memory is bounded by what a
//! peer has sent, not by what it says it will send.

use std::{
    future::poll_fn,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use fraudgate_core::refusal::Refusal;
use http_body::Body;

/// Bytes before a message: its flag and its length.
pub(super) const PREFIX: usize = 5;

/// The messages of a request, undecoded, each of at most `cap` bytes.
pub struct Messages<B = hyper::body::Incoming> {
    body: B,
    cap: usize,
    /// What arrived last and is not taken yet.
    rest: Bytes,
    /// A message that arrives in pieces, and what came with its last one.
    pieces: BytesMut,
}

impl<B: Body<Data = Bytes> + Unpin> Messages<B> {
    /// The messages of `body`.
    pub fn new(body: B, cap: usize) -> Messages<B> {
        Messages {
            body,
            cap,
            rest: Bytes::new(),
            pieces: BytesMut::new(),
        }
    }

    /// The next message, or nothing at the end. After an error nothing more can be read.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Refusal>>> {
        loop {
            if let Some(message) = self.take().transpose() {
                return Poll::Ready(Some(message));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                // What follows the messages of a request (trailers) says nothing to us.
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                None if self.pieces.is_empty() => return Poll::Ready(None),
                // Ended within a message, or broken; in the latter case nobody is left to hear it.
                None | Some(Err(_)) => {
                    let why = "ends before the length that its prefix states";
                    return Poll::Ready(Some(Err(Refusal::invalid("message", why))));
                }
            }
        }
    }

    /// The next message of what has arrived, if that is all of it.
    fn take(&mut self) -> Result<Option<Bytes>, Refusal> {
        if self.pieces.is_empty()
            && let Some(end) = end(&self.rest, self.cap)?
        {
            return Ok(Some(self.rest.split_to(end).slice(PREFIX..)));
        }
        self.pieces.extend_from_slice(&std::mem::take(&mut self.rest));
        let end = end(&self.pieces, self.cap)?;
        Ok(end.map(|end| self.pieces.split_to(end).freeze().slice(PREFIX..)))
    }
}

/// Where the first message ends, if it is all there.
fn end(bytes: &[u8], cap: usize) -> Result<Option<usize>, Refusal> {
    let Some(&[compressed, a, b, c, d]) = bytes.first_chunk::<PREFIX>() else {
        return Ok(None);
    };
    if compressed != 0 {
        return Err(Refusal::invalid(
            "message",
            "is marked as compressed, without a grpc-encoding",
        ));
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > cap {
        return Err(Refusal::TooLarge { cap });
    }
    let end = PREFIX + length;
    Ok((bytes.len() >= end).then_some(end))
}

/// The one message of a request that is no stream.
pub async fn only_message(body: hyper::body::Incoming, cap: usize) -> Result<Bytes, Refusal> {
    let mut messages = Messages::new(body, cap);
    let message = poll_fn(|cx| messages.poll_next(cx)).await;
    message.unwrap_or_else(|| Err(Refusal::invalid("message", "is missing")))
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, convert::Infallible, task::Waker};

    use http_body::Frame;

    use super::*;

    struct Pieces(VecDeque<Bytes>);

    impl Body for Pieces {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
        }
    }

    fn read(bytes: &[u8], size: usize, cap: usize) -> Vec<Result<Bytes, Refusal>> {
        let pieces = bytes.chunks(size).map(Bytes::copy_from_slice).collect();
        let mut messages = Messages::new(Pieces(pieces), cap);
        let mut cx = Context::from_waker(Waker::noop());
        let mut read = Vec::new();
        while let Poll::Ready(Some(message)) = messages.poll_next(&mut cx) {
            let failed = message.is_err();
            read.push(message);
            if failed {
                break;
            }
        }
        read
    }

    #[test]
    fn messages_are_the_same_however_they_are_cut() {
        let sent: Vec<Vec<u8>> = [0, 1, 7, 300, 0, 2]
            .iter()
            .map(|&length| vec![length as u8; length])
            .collect();
        let mut bytes = Vec::new();
        for message in &sent {
            bytes.push(0);
            bytes.extend_from_slice(&(message.len() as u32).to_be_bytes());
            bytes.extend_from_slice(message);
        }
        for size in 1..=bytes.len() {
            let read = read(&bytes, size, 300);
            assert_eq!(read.len(), sent.len(), "pieces of {size}");
            assert!(
                read.iter()
                    .zip(&sent)
                    .all(|(read, sent)| read.as_ref().is_ok_and(|read| read == sent))
            );
        }
    }

    #[test]
    fn a_prefix_over_the_cap_is_refused_before_its_bytes_come() {
        let lie = [0, 0xff, 0xff, 0xff, 0xff, 1, 2, 3];
        for size in 1..=lie.len() {
            assert_eq!(read(&lie, size, 300), [Err(Refusal::TooLarge { cap: 300 })]);
        }
        assert_eq!(read(&[0, 0, 0, 1, 45], 5, 300), [Err(Refusal::TooLarge { cap: 300 })]);
    }

    #[test]
    fn what_ends_within_a_message_or_is_marked_as_compressed_is_refused_as_the_message() {
        for bytes in [
            &[0, 0, 0, 0, 2, 1][..],
            &[0, 0][..],
            &[1, 0, 0, 0, 1, 1][..],
            &[9; 20][..],
        ] {
            let read = read(bytes, bytes.len(), 300);
            assert!(
                matches!(&read[..], [Err(Refusal::Invalid(violation))] if violation.field == "message"),
                "{bytes:?}"
            );
        }
        assert!(read(&[], 1, 300).is_empty());
    }
}
