use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tokio::sync::Notify;

/// How much of what was published is not delivered yet, on a node, and how much may be.
pub(crate) struct Backlog {
    limit: Load,
    deliveries: AtomicUsize,
    bytes: AtomicUsize,
    relieved: Notify,
}

/// A weight that a [`Backlog`] bears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) deliveries: usize,
    pub(crate) bytes: usize,
}

/// The backlog cannot take a publication on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overloaded;

impl Backlog {
    pub(crate) fn new(limit: Load) -> Self {
        Self { limit, deliveries: AtomicUsize::new(0), bytes: AtomicUsize::new(0), relieved: Notify::new() }
    }

    /// Takes a publication on, if there is room; an empty backlog takes any.
    pub(crate) fn admit(&self, load: Load) -> Result<(), Overloaded> {
        self.force(load);
        let is_over = |held: usize, own: usize, limit: usize| held > own && held > limit;
        if is_over(self.deliveries.load(Relaxed), load.deliveries, self.limit.deliveries)
            || is_over(self.bytes.load(Relaxed), load.bytes, self.limit.bytes)
        {
            self.subtract(load);
            return Err(Overloaded);
        }
        Ok(())
    }

    /// Takes on what must not be refused.
    pub(crate) fn force(&self, load: Load) {
        self.deliveries.fetch_add(load.deliveries, Relaxed);
        self.bytes.fetch_add(load.bytes, Relaxed);
    }

    pub(crate) fn release(&self, load: Load) {
        self.subtract(load);
        self.relieved.notify_waiters();
    }

    fn subtract(&self, load: Load) {
        self.deliveries.fetch_sub(load.deliveries, Relaxed);
        self.bytes.fetch_sub(load.bytes, Relaxed);
    }

    /// Told whenever there is more room.
    pub(crate) fn relieved(&self) -> &Notify {
        &self.relieved
    }

    /// What it bears now.
    pub(crate) fn load(&self) -> Load {
        Load { deliveries: self.deliveries.load(Relaxed), bytes: self.bytes.load(Relaxed) }
    }
}
