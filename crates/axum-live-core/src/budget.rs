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
