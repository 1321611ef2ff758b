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

#[cfg(test)]
#[cfg(not(axum_live_loom))]
mod tests {
    use std::{
        pin::pin,
        task::{Context, Waker},
    };

    use super::*;

    fn load(deliveries: usize, bytes: usize) -> Load {
        Load { deliveries, bytes }
    }

    #[test]
    fn a_publication_is_taken_on_where_there_is_room_for_its_deliveries_and_its_bytes() {
        let backlog = Arc::new(Backlog::new(load(10, 100)));
        let first = backlog.admit(load(4, 40)).unwrap();
        for refused in [load(7, 0), load(0, 61)] {
            assert_eq!(backlog.admit(refused).err(), Some(Overloaded));
        }
        let second = backlog.admit(load(6, 60)).unwrap();
        assert_eq!(backlog.load(), load(10, 100));
        let certain = backlog.force(load(1, 1));
        assert_eq!(backlog.load(), load(11, 101));
        let HandedOver { publications, deliveries } = backlog.handed_over();
        assert_eq!((publications, deliveries), (3, 11));

        drop((first, certain));
        assert_eq!(backlog.load(), load(6, 60));
        drop(second);
        assert_eq!(backlog.load(), load(0, 0));
        // One past both limits.
        assert!(backlog.admit(load(1000, 1000)).is_ok());
    }

    #[test]
    fn who_waits_for_room_is_told_of_it() {
        let backlog = Arc::new(Backlog::new(load(1, 1)));
        let burden = backlog.admit(load(1, 1)).unwrap();
        let mut relieved = pin!(backlog.relieved().notified());
        let cx = &mut Context::from_waker(Waker::noop());
        assert!(relieved.as_mut().poll(cx).is_pending());
        drop(burden);
        assert!(relieved.as_mut().poll(cx).is_ready());
    }
}
