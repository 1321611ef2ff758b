use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::sync::Notify;

/// The memory of what waits for clients on a node, each frame counted once however many wait for it.
pub(crate) struct Budget {
    limit: usize,
    held: AtomicUsize,
    exceeded: Notify,
}

/// A frame's share of a [`Budget`], given back when the last who holds the frame lets go of it.
pub(crate) struct Charge {
    budget: Arc<Budget>,
    bytes: usize,
    since: Instant,
}

impl Budget {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, held: AtomicUsize::new(0), exceeded: Notify::new() }
    }

    pub(crate) fn charge(self: &Arc<Self>, bytes: usize) -> Charge {
        self.held.fetch_add(bytes, Relaxed);
        if self.is_exceeded() {
            self.exceeded.notify_one();
        }
        Charge { budget: Arc::clone(self), bytes, since: Instant::now() }
    }

    pub(crate) fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    pub(crate) fn is_exceeded(&self) -> bool {
        self.held() > self.limit
    }

    /// Told when something must go.
    pub(crate) fn exceeded(&self) -> &Notify {
        &self.exceeded
    }
}

impl Charge {
    /// From when on the frame has waited.
    pub(crate) fn since(&self) -> Instant {
        self.since
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.held.fetch_sub(self.bytes, Relaxed);
    }
}

impl fmt::Debug for Charge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Charge").field(&self.bytes).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    #[test]
    fn a_budget_is_exceeded_by_the_first_byte_past_it_until_that_is_given_back() {
        let budget = Arc::new(Budget::new(10));
        let mut exceeded = pin!(budget.exceeded().notified());
        let cx = &mut Context::from_waker(Waker::noop());
        let all = budget.charge(10);
        assert_eq!((budget.held(), budget.is_exceeded()), (10, false));
        assert!(exceeded.as_mut().poll(cx).is_pending());

        let one_more = budget.charge(1);
        assert_eq!((budget.held(), budget.is_exceeded()), (11, true));
        assert!(exceeded.as_mut().poll(cx).is_ready());

        drop(one_more);
        assert!(!budget.is_exceeded());
        drop(all);
        assert_eq!(budget.held(), 0);
    }
}
