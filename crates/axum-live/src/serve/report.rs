use std::{fmt, time::Duration};

use axum_live_core::ShutdownReport;

/// How a server's end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainReport {
    closed: usize,
    cut_off: usize,
    aborted: usize,
    dropped: usize,
    time: Duration,
}

impl DrainReport {
    pub(super) fn new(nodes: &[ShutdownReport], dropped: usize, time: Duration) -> Self {
        let sum = |count: fn(&ShutdownReport) -> usize| nodes.iter().map(count).sum();
        Self {
            closed: sum(ShutdownReport::closed),
            cut_off: sum(ShutdownReport::cut_off),
            aborted: sum(ShutdownReport::aborted),
            dropped,
            time,
        }
    }

    /// Sessions that came to their end in time, of all nodes.
    pub fn closed(&self) -> usize {
        self.closed
    }

    /// Sessions whose connection was reset: the client took not all that was queued for it, or did not answer. All
    /// others went cleanly.
    pub fn cut_off(&self) -> usize {
        self.cut_off
    }

    /// Sessions whose hooks did not come to their end in time, and were dropped.
    pub fn aborted(&self) -> usize {
        self.aborted
    }

    /// Connections that were closed with a request under way.
    pub fn dropped_connections(&self) -> usize {
        self.dropped
    }

    /// From the signal to the end.
    pub fn time(&self) -> Duration {
        self.time
    }
}

/// On one line, for the log.
impl fmt::Display for DrainReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { closed, cut_off, aborted, dropped, time } = self;
        write!(f, "drained in {:.1} s: {closed} sessions closed, {cut_off} cut off, ", time.as_secs_f64())?;
        write!(f, "{aborted} aborted, {dropped} connections dropped")
    }
}
