use std::sync::Arc;

use tokio::sync::Notify;

use crate::sync::Mutex;

/// How much of what was published is not delivered yet, on a node, and how much may be.
pub(crate) struct Backlog {
    limit: Load,
    /// Under one lock, so that a publication is refused for what has been taken on, and never for another that is being
    /// refused too: of that one's end nobody tells those who wait for room.
    held: Mutex<Held>,
    relieved: Notify,
}

#[derive(Debug, Default)]
struct Held {
    load: Load,
    handed_over: HandedOver,
}

/// What has been taken on since the start.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct HandedOver {
    pub(crate) publications: u64,
    pub(crate) deliveries: u64,
}

/// A weight that a [`Backlog`] bears.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    pub(crate) deliveries: usize,
    pub(crate) bytes: usize,
}

/// A publication's weight on a [`Backlog`], given back when the last who carries it lets go of it.
pub(crate) struct Burden {
    backlog: Arc<Backlog>,
    load: Load,
}

/// The backlog cannot take a publication on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Overloaded;

impl Backlog {
    pub(crate) fn new(limit: Load) -> Self {
        Self { limit, held: Mutex::default(), relieved: Notify::new() }
    }

    /// Takes a publication on, if there is room; an empty backlog takes any.
    pub(crate) fn admit(self: &Arc<Self>, load: Load) -> Result<Burden, Overloaded> {
        let mut held = self.held.lock();
        let has_room = |held: usize, own: usize, limit: usize| held == 0 || held.saturating_add(own) <= limit;
        if !has_room(held.load.deliveries, load.deliveries, self.limit.deliveries)
            || !has_room(held.load.bytes, load.bytes, self.limit.bytes)
        {
            return Err(Overloaded);
        }
        held.take_on(load);
        Ok(self.burden(load))
    }

    /// Takes on what must not be refused.
    pub(crate) fn force(self: &Arc<Self>, load: Load) -> Burden {
        self.held.lock().take_on(load);
        self.burden(load)
    }

    /// Told whenever there is more room.
    pub(crate) fn relieved(&self) -> &Notify {
        &self.relieved
    }

    /// What it bears now.
    pub(crate) fn load(&self) -> Load {
        self.held.lock().load
    }

    pub(crate) fn handed_over(&self) -> HandedOver {
        self.held.lock().handed_over
    }

    fn burden(self: &Arc<Self>, load: Load) -> Burden {
        Burden { backlog: Arc::clone(self), load }
    }
}

impl Held {
    fn take_on(&mut self, load: Load) {
        self.load.add(load);
        self.handed_over.publications += 1;
        self.handed_over.deliveries += load.deliveries as u64;
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

impl Drop for Burden {
    fn drop(&mut self) {
        self.backlog.held.lock().load.subtract(self.load);
        self.backlog.relieved.notify_waiters();
    }
}
