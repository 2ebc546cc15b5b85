//! A flag that is raised once and wakes all who wait for it, on one thread.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    task::{Context, Poll, Waker},
};

use slab::Slab;

/// The flag.
#[derive(Default)]
pub struct Signal {
    raised: Cell<bool>,
    wakers: RefCell<Slab<Waker>>,
}

impl Signal {
    /// Raises it; a second time does nothing.
    pub fn raise(&self) {
        if !self.raised.replace(true) {
            for (_, waker) in &*self.wakers.borrow() {
                waker.wake_by_ref();
            }
        }
    }

    /// Whether it was raised.
    pub fn is_raised(&self) -> bool {
        self.raised.get()
    }

    /// One who waits. Poll it from one task only.
    pub fn wait(self: &Rc<Self>) -> Waiting {
        Waiting {
            signal: self.clone(),
            place: None,
        }
    }
}

/// One who waits for a [`Signal`]: it is woken once, and takes its place back when dropped.
pub struct Waiting {
    signal: Rc<Signal>,
    place: Option<usize>,
}

impl Waiting {
    /// Ready once the signal is raised.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.signal.is_raised() {
            return Poll::Ready(());
        }
        let mut wakers = self.signal.wakers.borrow_mut();
        match self.place {
            Some(place) => wakers[place].clone_from(cx.waker()),
            None => self.place = Some(wakers.insert(cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.signal.wakers.borrow_mut().remove(place);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_wakes_and_those_who_left_hold_no_place() {
        let signal = Rc::new(Signal::default());
        let mut cx = Context::from_waker(Waker::noop());
        let mut stays = signal.wait();
        let mut leaves = signal.wait();
        assert!(stays.poll(&mut cx).is_pending() && leaves.poll(&mut cx).is_pending());
        assert!(stays.poll(&mut cx).is_pending());
        drop(leaves);
        assert_eq!(signal.wakers.borrow().len(), 1);
        signal.raise();
        assert!(stays.poll(&mut cx).is_ready());
    }
}
