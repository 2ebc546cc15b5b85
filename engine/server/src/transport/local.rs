//! Where the transport's tasks run: on this thread's local runtime. A task that panics must not die unseen, so the first
//! panic is kept as the server's failure.

use std::{
    any::Any,
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use super::signal::Signal;

/// The first panic of any task.
#[derive(Default)]
pub struct Failure {
    message: RefCell<Option<String>>,
    /// Raised with it.
    pub happened: Rc<Signal>,
}

impl Failure {
    /// What the panic said.
    pub fn message(&self) -> Option<String> {
        self.message.borrow().clone()
    }

    fn keep(&self, panic: &(dyn Any + Send)) {
        self.message.borrow_mut().get_or_insert_with(|| panic_message(panic));
        self.happened.raise();
    }
}

/// What a panic said.
pub fn panic_message(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    said.or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Runs hyper's tasks, and ours.
#[derive(Clone)]
pub struct Local(pub Rc<Failure>);

impl Local {
    /// Starts a task.
    pub fn spawn<F: Future + 'static>(&self, future: F) {
        tokio::task::spawn_local(Guarded {
            future,
            failure: self.0.clone(),
        });
    }
}

impl<F: Future + 'static> hyper::rt::Executor<F> for Local {
    fn execute(&self, future: F) {
        self.spawn(future);
    }
}

struct Guarded<F> {
    future: F,
    failure: Rc<Failure>,
}

impl<F: Future> Future for Guarded<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // SAFETY: `future` is pinned because `self` is; it is never moved out, and `failure` is never pinned.
        let this = unsafe { self.get_unchecked_mut() };
        let future = unsafe { Pin::new_unchecked(&mut this.future) };
        match catch_unwind(AssertUnwindSafe(|| future.poll(cx))) {
            Ok(polled) => polled.map(drop),
            Err(panic) => {
                this.failure.keep(&*panic);
                Poll::Ready(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn a_task_that_panics_shows_as_the_failure() {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build_local(Default::default())
            .unwrap();
        let failure = Rc::new(Failure::default());
        let local = Local(failure.clone());
        let mut happened = failure.happened.wait();
        runtime.block_on(async move {
            local.spawn(async { panic!("the {} task", "first") });
            local.spawn(async { panic!("the second task") });
            poll_fn(|cx| happened.poll(cx)).await;
        });
        assert_eq!(failure.message().as_deref(), Some("the first task"));
    }
}
