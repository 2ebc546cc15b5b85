//! One call that waits for answers, as the queue and its handler see it.

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use fraudgate_core::{road::Answer, wire};

/// The handler holds it; the queue knows it weakly, and so notices when the caller has gone away.
#[derive(Default)]
pub struct Call {
    answers: RefCell<VecDeque<Answer>>,
    question: Cell<Option<Box<wire::RescoreRequest>>>,
    waker: Cell<Option<Waker>>,
}

impl Call {
    /// A call that nothing was asked in yet.
    pub fn new() -> Rc<Call> {
        Rc::default()
    }

    /// Brings the next answer: answers come in the order in which the call asked.
    pub fn answer(&self, answer: Answer) {
        self.answers.borrow_mut().push_back(answer);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Brings what the cloud may be asked of the next answer: to a call that asked for no more than one.
    pub fn may_ask(&self, question: wire::RescoreRequest) {
        self.question.set(Some(Box::new(question)));
    }

    /// What the cloud may be asked of the answer that came; given once.
    pub fn question(&self) -> Option<Box<wire::RescoreRequest>> {
        self.question.take()
    }

    /// The next answer, once it is there.
    pub fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Answer> {
        match self.answers.borrow_mut().pop_front() {
            Some(answer) => Poll::Ready(answer),
            None => {
                self.waker.set(Some(cx.waker().clone()));
                Poll::Pending
            }
        }
    }

    /// Waits for the next answer.
    pub async fn next(&self) -> Answer {
        poll_fn(|cx| self.poll_next(cx)).await
    }
}
