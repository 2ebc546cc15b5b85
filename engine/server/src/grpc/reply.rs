//! The body of an answer: one message, a stream of them, or nothing but a status.

use std::{
    marker::PhantomData,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_core::Stream;
use http::{HeaderValue, Response, header::CONTENT_TYPE};
use http_body::{Body, Frame};
use prost::Message;
use tonic::{
    Status,
    codec::{EncodeBody, SingleMessageCompressionOverride},
};

use super::codec::Encode;

/// The body.
#[derive(Default)]
pub struct Reply(Option<Pin<Box<dyn Body<Data = Bytes, Error = Status>>>>);

impl Reply {
    /// One message.
    pub fn message<M: Message + 'static>(message: M) -> Response<Reply> {
        Reply::stream(tokio_stream::once(Ok(message)))
    }

    /// Messages as they become ready, those that are ready together in one piece; then the status.
    pub fn stream<M: Message + 'static>(messages: impl Stream<Item = Result<M, Status>> + 'static) -> Response<Reply> {
        let plain = SingleMessageCompressionOverride::default();
        let body = EncodeBody::new_server(Encode(PhantomData), messages, None, plain, None);
        let mut response = Response::new(Reply(Some(Box::pin(body))));
        response
            .headers_mut()
            .insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        response
    }

    /// A status alone.
    pub fn status(status: Status) -> Response<Reply> {
        status.into_http()
    }
}

impl Body for Reply {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        match &mut self.0 {
            Some(body) => body.as_mut().poll_frame(cx),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|body| body.is_end_stream())
    }
}
