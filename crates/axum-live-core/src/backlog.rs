use tokio::sync::Notify;

use crate::sync::Mutex;

/// How much of what was published is not delivered yet, on a node, and how much may be.
pub(crate) struct Backlog {
    limit: Load,
    /// Under one lock, so that a publication is refused for what has been taken on, and never for another that is being
    /// refused too: of that one's end nobody tells those who wait for room.
    held: Mutex<Load>,
    relieved: Notify,
}

/// A weight that a [`Backlog`] bears.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) deliveries: usize,
    pub(crate) bytes: usize,
}

/// The backlog cannot take a publication on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overloaded;

impl Backlog {
    pub(crate) fn new(limit: Load) -> Self {
        Self { limit, held: Mutex::default(), relieved: Notify::new() }
    }

    /// Takes a publication on, if there is room; an empty backlog takes any.
    pub(crate) fn admit(&self, load: Load) -> Result<(), Overloaded> {
        let mut held = self.held.lock();
        let has_room = |held: usize, own: usize, limit: usize| held == 0 || held.saturating_add(own) <= limit;
        if !has_room(held.deliveries, load.deliveries, self.limit.deliveries)
            || !has_room(held.bytes, load.bytes, self.limit.bytes)
        {
            return Err(Overloaded);
        }
        held.add(load);
        Ok(())
    }

    /// Takes on what must not be refused.
    pub(crate) fn force(&self, load: Load) {
        self.held.lock().add(load);
    }

    pub(crate) fn release(&self, load: Load) {
        self.held.lock().subtract(load);
        self.relieved.notify_waiters();
    }

    /// Told whenever there is more room.
    pub(crate) fn relieved(&self) -> &Notify {
        &self.relieved
    }

    /// What it bears now.
    pub(crate) fn load(&self) -> Load {
        *self.held.lock()
    }
}

impl Load {
    fn add(&mut self, other: Self) {
        self.deliveries += other.deliveries;
        self.bytes += other.bytes;
    }

    fn subtract(&mut self, other: Self) {
        self.deliveries -= other.deliveries;
        self.bytes -= other.bytes;
    }
}
