use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A node's figures at one moment: [`Live::stats`](crate::Live::stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    pub(crate) sessions: usize,
    pub(crate) topics: usize,
    pub(crate) users: usize,
    pub(crate) undecodable: u64,
    pub(crate) hook_panics: u64,
    pub(crate) queue_full: u64,
    pub(crate) overloads: u64,
    pub(crate) evictions: u64,
    pub(crate) pending_deliveries: usize,
    pub(crate) waiting_bytes: usize,
}

impl Stats {
    /// Sessions that are pending or open.
    pub fn sessions(&self) -> usize {
        self.sessions
    }

    /// Topics that somebody subscribes to.
    pub fn topics(&self) -> usize {
        self.topics
    }

    /// Users with a session, where [`Builder::user`](crate::Builder::user) tells whose they are.
    pub fn users(&self) -> usize {
        self.users
    }

    /// Deliveries of publications that are under way.
    pub fn pending_deliveries(&self) -> usize {
        self.pending_deliveries
    }

    /// Bytes that wait for clients who do not take them, each frame counted once.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Messages from clients that could not be decoded, since the start.
    pub fn undecodable_messages(&self) -> u64 {
        self.undecodable
    }

    /// Hooks that panicked, since the start.
    pub fn hook_panics(&self) -> u64 {
        self.hook_panics
    }

    /// Sessions that were closed because their queue was full, since the start.
    pub fn queue_full_closes(&self) -> u64 {
        self.queue_full
    }

    /// Publications that were answered [`Overloaded`](crate::PublishError::Overloaded), since the start.
    pub fn overloaded_publications(&self) -> u64 {
        self.overloads
    }

    /// Sessions that ended because the node held too much for all clients together, since the start.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }
}

/// What is only ever added to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) undecodable: Counter,
    pub(crate) hook_panics: Counter,
    pub(crate) queue_full: Counter,
    pub(crate) overloads: Counter,
    pub(crate) evictions: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add_one(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    pub(crate) fn total(&self) -> u64 {
        self.0.load(Relaxed)
    }
}
