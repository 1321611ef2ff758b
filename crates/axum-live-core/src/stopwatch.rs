use std::time::Duration;

use tracing::warn;

use crate::{counters::Counter, id::SessionId};

/// A hook that holds its thread for this long does so to all sessions of the thread. To be asked back within 100
/// microseconds is what tokio is made for; this is far beyond.
const BLOCKING: Duration = Duration::from_millis(100);

/// Takes note of hooks that take too long. Two looks at the clock for each poll of a hook, 20 nanoseconds each, are all
/// that it takes.
pub(crate) struct Stopwatch {
    slow: Duration,
    pub(crate) slow_hooks: Counter,
    pub(crate) blocking_hooks: Counter,
}

impl Stopwatch {
    /// From this duration on a hook is slow.
    pub(crate) fn new(slow: Duration) -> Self {
        Self { slow, slow_hooks: Counter::default(), blocking_hooks: Counter::default() }
    }

    /// A hook held its thread for this long.
    pub(crate) fn polled(&self, session_id: &SessionId, time: Duration) {
        if time >= BLOCKING {
            warn!(target: "axum_live", %session_id, ?time, "a hook blocks its thread");
            self.blocking_hooks.add_one();
        }
    }

    /// A hook has come to its end, this long after its beginning.
    pub(crate) fn ended(&self, session_id: &SessionId, time: Duration) {
        if time >= self.slow {
            warn!(target: "axum_live", %session_id, ?time, "a hook is slow");
            self.slow_hooks.add_one();
        }
    }
}
