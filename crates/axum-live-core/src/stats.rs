use std::collections::BTreeMap;

use crate::{
    close::{CloseCode, CloseReason},
    counters::Close,
    live::Live,
    node::Node,
    refusal::RefusalReason,
    session::Session,
    session_stats::SessionPhase,
};

/// A node's figures at one moment: [`Live::stats`].
///
/// What is counted since the start never falls, and is exact. What is told of the moment is as exact as a moment is:
/// sessions come and go while they are visited.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use axum_live::{CloseReason, Live, RefusalReason};
///
/// let live = Live::<()>::builder().build();
/// let stats = live.stats();
/// println!("{} sessions, {} bytes wait for them", stats.sessions(), stats.queued_bytes());
/// println!("{} read too slowly", stats.closed_for(&CloseReason::QueueFull));
/// println!("{} came from other sites", stats.refused_for(RefusalReason::Origin));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stats {
    pub(crate) census: Census,
    pub(crate) topics: usize,
    pub(crate) users: usize,
    pub(crate) pending_deliveries: usize,
    pub(crate) waiting_bytes: usize,
    pub(crate) opened: u64,
    pub(crate) closed: BTreeMap<Close, u64>,
    pub(crate) refused: BTreeMap<RefusalReason, u64>,
    pub(crate) messages: u64,
    pub(crate) undecodable: u64,
    pub(crate) throttles: u64,
    pub(crate) publications: u64,
    pub(crate) deliveries: u64,
    pub(crate) overloads: u64,
    pub(crate) evictions: u64,
    pub(crate) hook_panics: u64,
    pub(crate) slow_hooks: u64,
    pub(crate) blocking_hooks: u64,
}

/// What a visit to all sessions finds.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Census {
    pub(crate) pending: usize,
    pub(crate) open: usize,
    pub(crate) closing: usize,
    pub(crate) subscriptions: usize,
    pub(crate) queued_messages: usize,
    pub(crate) queued_bytes: usize,
}

impl Stats {
    /// Sessions that are pending or open.
    pub fn sessions(&self) -> usize {
        self.census.pending + self.census.open
    }

    /// Sessions that authentication let through and whose upgrade is to come.
    pub fn pending_sessions(&self) -> usize {
        self.census.pending
    }

    /// Sessions that are open.
    pub fn open_sessions(&self) -> usize {
        self.census.open
    }

    /// Sessions whose end has begun: what was queued for them is on its way, or a hook runs.
    pub fn closing_sessions(&self) -> usize {
        self.census.closing
    }

    /// Topics that somebody subscribes to.
    pub fn topics(&self) -> usize {
        self.topics
    }

    /// Subscriptions of all sessions to all topics.
    pub fn subscriptions(&self) -> usize {
        self.census.subscriptions
    }

    /// Users with a session, where [`Builder::user`](crate::Builder::user) tells whose they are.
    pub fn users(&self) -> usize {
        self.users
    }

    /// Messages that wait in the queues of all sessions. What the kernel has taken does not wait.
    pub fn queued_messages(&self) -> usize {
        self.census.queued_messages
    }

    /// Bytes that wait in the queues of all sessions, a message that waits for many counted for each of them.
    pub fn queued_bytes(&self) -> usize {
        self.census.queued_bytes
    }

    /// Bytes that wait for clients who do not take them, each message counted once: what the
    /// [`memory_budget`](crate::Builder::memory_budget) bounds.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// Deliveries of publications that are under way.
    pub fn pending_deliveries(&self) -> usize {
        self.pending_deliveries
    }

    /// Sessions that opened, since the start.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// Sessions that opened and whose end has begun, since the start.
    pub fn closed(&self) -> u64 {
        self.closed.values().sum()
    }

    /// Of the sessions that closed, those that did for a reason of this kind, whatever its code and words are.
    pub fn closed_for(&self, reason: &CloseReason) -> u64 {
        self.closed.iter().filter(|(close, _)| close.reason == reason.name()).map(|(_, count)| count).sum()
    }

    /// How many sessions closed by which code; `None` where no close frame had one.
    pub fn closed_by_code(&self) -> BTreeMap<Option<CloseCode>, u64> {
        let mut codes = BTreeMap::new();
        for (close, count) in &self.closed {
            *codes.entry(close.code).or_default() += count;
        }
        codes
    }

    /// How many sessions closed for which reason, by its [`name`](CloseReason::name).
    pub fn closed_by_reason(&self) -> BTreeMap<&'static str, u64> {
        let mut reasons = BTreeMap::new();
        for (close, count) in &self.closed {
            *reasons.entry(close.reason).or_default() += count;
        }
        reasons
    }

    /// Requests at the door that became no session, since the start.
    pub fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    /// Of the requests that became no session, those that did not for this reason.
    pub fn refused_for(&self, reason: RefusalReason) -> u64 {
        self.refused.get(&reason).copied().unwrap_or(0)
    }

    /// How many requests became no session for which reason.
    pub fn refused_by_reason(&self) -> &BTreeMap<RefusalReason, u64> {
        &self.refused
    }

    /// Messages from clients, those that could not be decoded included, since the start.
    pub fn messages(&self) -> u64 {
        self.messages
    }

    /// Messages from clients that could not be decoded, and were dropped, since the start.
    pub fn undecodable_messages(&self) -> u64 {
        self.undecodable
    }

    /// How many times a client was slowed down because it sent more than its [`Limits`](crate::Limits) allow, since the
    /// start. It counts once until the client has made up for all that it sent.
    pub fn throttles(&self) -> u64 {
        self.throttles
    }

    /// Publications that somebody was to get, since the start: to a topic, to a user, to all, and the notices of presence.
    pub fn publications(&self) -> u64 {
        self.publications
    }

    /// Deliveries of these publications, one for each receiver, since the start. They were handed over: a session that
    /// ends meanwhile does not get them.
    pub fn deliveries(&self) -> u64 {
        self.deliveries
    }

    /// Publications that were answered [`Overloaded`](crate::PublishError::Overloaded), since the start.
    pub fn overloaded_publications(&self) -> u64 {
        self.overloads
    }

    /// Sessions that were closed because their queue was full, since the start.
    pub fn queue_full_closes(&self) -> u64 {
        self.closed_for(&CloseReason::QueueFull)
    }

    /// Sessions that ended because the node held too much for all clients together, since the start.
    pub fn evictions(&self) -> u64 {
        self.evictions
    }

    /// Hooks that panicked, since the start.
    pub fn hook_panics(&self) -> u64 {
        self.hook_panics
    }

    /// Hooks that took longer than [`Builder::slow_hook`](crate::Builder::slow_hook), since the start. One that runs is
    /// counted when it has come to its end.
    pub fn slow_hooks(&self) -> u64 {
        self.slow_hooks
    }

    /// How many times a hook held its thread for 100 milliseconds or more without an await, since the start: the other
    /// sessions of the thread stood still meanwhile. Such work belongs in `tokio::task::spawn_blocking`.
    pub fn blocking_hooks(&self) -> u64 {
        self.blocking_hooks
    }
}

impl Census {
    pub(crate) fn add<V>(&mut self, session: &Session<V>) {
        let phase = match session.phase() {
            SessionPhase::Pending => &mut self.pending,
            SessionPhase::Open => &mut self.open,
            SessionPhase::Closing => &mut self.closing,
        };
        *phase += 1;
        self.subscriptions += session.shared.subscriptions.len();
        let queued = session.shared.outbox.queued();
        self.queued_messages += queued.messages;
        self.queued_bytes += queued.bytes;
    }
}

impl<V: Send + Sync + 'static> Live<V> {
    /// The figures of this moment.
    ///
    /// It visits every session, 30 to 50 nanoseconds each, and holds none of them up for longer: to ask once a second is
    /// nothing to a node of ten thousand, to ask with each message is.
    pub fn stats(&self) -> Stats {
        let Node { counters, stopwatch, fanout, hub, users, budget, .. } = &*self.node;
        let (backlog, handed_over) = (fanout.backlog().load(), fanout.backlog().handed_over());
        Stats {
            census: self.node.census(),
            topics: hub.len(),
            users: users.len(),
            pending_deliveries: backlog.deliveries,
            waiting_bytes: budget.held(),
            opened: counters.opened.total(),
            closed: counters.closed.totals(),
            refused: counters.refused.totals(),
            messages: counters.messages.total(),
            undecodable: counters.undecodable.total(),
            throttles: counters.throttles.total(),
            publications: handed_over.publications,
            deliveries: handed_over.deliveries,
            overloads: counters.overloads.total(),
            evictions: counters.evictions.total(),
            hook_panics: counters.hook_panics.total(),
            slow_hooks: stopwatch.slow_hooks.total(),
            blocking_hooks: stopwatch.blocking_hooks.total(),
        }
    }
}
