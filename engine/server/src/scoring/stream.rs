//! `Scoring.ScoreStream`: items are taken in order and answered in order. What a drain answered together leaves together.
//!
//! The request is read from where the answers are written, and only while few enough items are unanswered: HTTP/2 asks
//! for answers only while the caller has room for them, so a caller that does not read is not read either.

use std::{
    collections::VecDeque,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use fraudgate_core::{
    admit,
    refusal::Refusal,
    road::{Answer, Asked},
    transaction::Clock,
    wire::{self, score_stream_response},
};
use futures_core::Stream;
use tonic::Status;

use super::{
    Shared,
    call::Call,
    unary::{decision, earlier},
};
use crate::{
    grpc::{Messages, to_grpc},
    transport::{Caller, Waiting},
};

/// The most items of a stream that wait for their answer.
const UNANSWERED: usize = 256;

/// The answers of one stream.
pub struct Answers {
    shared: Rc<Shared>,
    items: Messages,
    by: Option<Clock>,
    call: Rc<Call>,
    unanswered: VecDeque<Item>,
    leaving: Waiting,
    end: Option<Result<(), Refusal>>,
    /// Held while the stream lives: its connection is not idle.
    _caller: Rc<Caller>,
}

/// One item that has no answer yet.
struct Item {
    ordinal: u64,
    /// Why it never came into the queue.
    refused: Option<Refusal>,
}

impl Answers {
    /// Answers `items`.
    pub fn new(shared: Rc<Shared>, caller: Rc<Caller>, items: Messages, by: Option<Clock>) -> Answers {
        Answers {
            shared,
            items,
            by,
            call: Call::new(),
            unanswered: VecDeque::new(),
            leaving: caller.leaving.wait(),
            end: None,
            _caller: caller,
        }
    }

    fn take(&self, message: Bytes) -> Item {
        let mut request = wire::ScoreStreamRequest::default();
        let refused = self.ask(&mut request, message).err();
        Item {
            ordinal: request.ordinal,
            refused,
        }
    }

    fn ask(&self, request: &mut wire::ScoreStreamRequest, message: Bytes) -> Result<(), Refusal> {
        admit::decode_into(request, message, "transaction")?;
        let Some(transaction) = &request.transaction else {
            return Err(Refusal::invalid("transaction", "is required"));
        };
        let admitted = self.shared.engine.borrow().admit(transaction);
        let admitted = admitted.map_err(|refusal| refusal.within("transaction"))?;
        let by = earlier(self.by, admitted.decide_by);
        self.shared
            .queue
            .ask(&self.call, Asked::Transaction(Box::new(admitted)), by)
    }

    /// The answer to the oldest item, once it is there.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<wire::ScoreStreamResponse> {
        let Some(item) = self.unanswered.front_mut() else {
            return Poll::Pending;
        };
        let answer = match item.refused.take() {
            Some(refusal) => Answer::Refused(refusal),
            None => match std::task::ready!(self.call.poll_next(cx)) {
                Answer::Refused(refusal) => Answer::Refused(refusal.within("transaction")),
                answer => answer,
            },
        };
        let ordinal = item.ordinal;
        self.unanswered.pop_front();
        let result = match decision(answer) {
            Ok(decision) => score_stream_response::Result::Decision(decision),
            Err(refusal) => score_stream_response::Result::Status(refusal.status()),
        };
        Poll::Ready(wire::ScoreStreamResponse {
            ordinal,
            result: Some(result),
        })
    }
}

impl Stream for Answers {
    type Item = Result<wire::ScoreStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Poll::Ready(response) = self.poll_answer(cx) {
                return Poll::Ready(Some(Ok(response)));
            }
            if self.end.is_none() && self.unanswered.len() < UNANSWERED {
                match self.items.poll_next(cx) {
                    Poll::Ready(Some(Ok(message))) => {
                        let item = self.take(message);
                        self.unanswered.push_back(item);
                        continue;
                    }
                    Poll::Ready(Some(Err(refusal))) => self.end = Some(Err(refusal)),
                    Poll::Ready(None) => self.end = Some(Ok(())),
                    // What has arrived is answered; the rest is for another scorer.
                    Poll::Pending if self.leaving.poll(cx).is_ready() => self.end = Some(Err(Refusal::Draining)),
                    Poll::Pending => {}
                }
            }
            return match &self.end {
                Some(end) if self.unanswered.is_empty() => {
                    Poll::Ready(end.as_ref().err().map(|refusal| Err(to_grpc(refusal))))
                }
                _ => Poll::Pending,
            };
        }
    }
}
