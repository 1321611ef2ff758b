use std::time::Duration;

use crate::{outbox::Bounds, session::Session};

/// A session's figures at one moment: [`Session::stats`].
#[derive(Debug, Clone, Copy)]
pub struct SessionStats {
    phase: SessionPhase,
    queued: Bounds,
    fullness: f64,
    waiting: Duration,
    subscriptions: usize,
    age: Duration,
    silence: Duration,
}

/// Where a session stands in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionPhase {
    /// Authentication let it through, and the upgrade is to come.
    Pending,
    /// It is open.
    Open,
    /// Its end has begun: what was queued is on its way, and a hook may run.
    Closing,
}

impl SessionStats {
    /// Where it stands in its life.
    pub fn phase(&self) -> SessionPhase {
        self.phase
    }

    /// Messages that wait for the client. What the kernel has taken does not wait.
    pub fn queued_messages(&self) -> usize {
        self.queued.messages
    }

    /// Bytes that wait for the client.
    pub fn queued_bytes(&self) -> usize {
        self.queued.bytes
    }

    /// How full the queue is, from 0 to 1: of [`queue_size`](crate::Builder::queue_size) or
    /// [`queue_bytes`](crate::Builder::queue_bytes), whichever is nearer. A message larger than the queue makes it more.
    pub fn queue_fullness(&self) -> f64 {
        self.fullness
    }

    /// For how long the first message in the queue has waited: what tells a slow client from a busy moment.
    pub fn waiting(&self) -> Duration {
        self.waiting
    }

    /// How many topics it is subscribed to.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions
    }

    /// How long ago authentication let it through, to the second.
    pub fn age(&self) -> Duration {
        self.age
    }

    /// For how long nothing came from the client, pongs included, nor was any of what waits for it taken: to within a
    /// second, or an eighth of the heartbeat's times where that is less. While a hook keeps us from reading it counts
    /// from the last ping.
    pub fn silence(&self) -> Duration {
        self.silence
    }
}

impl<V> Session<V> {
    /// The figures of this moment. It takes locks of the session's own for a few nanoseconds each: to ask all sessions
    /// of a node once a second is nothing to them.
    pub fn stats(&self) -> SessionStats {
        let shared = &*self.shared;
        let (queued, bounds) = (shared.outbox.queued(), shared.outbox.lane().bounds());
        let share = |queued: usize, bound: usize| queued as f64 / bound.max(1) as f64;
        SessionStats {
            phase: self.phase(),
            queued,
            fullness: share(queued.messages, bounds.messages).max(share(queued.bytes, bounds.bytes)),
            waiting: shared.outbox.waits_since().map_or(Duration::ZERO, |since| since.elapsed()),
            subscriptions: shared.subscriptions.len(),
            age: Duration::from_secs(shared.node.seconds().saturating_sub(shared.born).into()),
            silence: shared.node.rhythm.tick.saturating_mul(shared.pulse.silent_ticks()),
        }
    }

    pub(crate) fn phase(&self) -> SessionPhase {
        match self.has_opened() {
            _ if self.is_closed() => SessionPhase::Closing,
            true => SessionPhase::Open,
            false => SessionPhase::Pending,
        }
    }
}
