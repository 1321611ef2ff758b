use std::time::Duration;

use tokio::{
    task,
    time::{self, Instant},
};

use crate::{close::CloseReason, drain::Drain, live::Live, outbox::Haste, session::Session};

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    closed: usize,
    aborted: usize,
    cut_off: usize,
    time: Duration,
}

impl<V: Send + Sync + 'static> Live<V> {
    /// Ends the node: new and pending sessions are refused (503), all others closed (1001) with what is queued for
    /// them written first. Waits until every `on_close` has run. Hooks that run after
    /// [`shutdown_timeout`](crate::Builder::shutdown_timeout) are dropped, and `on_close` follows; what runs another
    /// [`close_timeout`](crate::Builder::close_timeout) later is dropped as well.
    ///
    /// All are closed at once, and all come back at once; where they are many, see [`drain`](Self::drain).
    ///
    /// It may be awaited more than once, and from hooks: those do not wait for their own sessions, nor for each other.
    pub async fn shutdown(&self) -> ShutdownReport {
        self.drain(Drain::at_once()).await
    }

    /// Ends the node as [`shutdown`](Self::shutdown) does, and closes the sessions at a pace, so that their clients do
    /// not come back all at once. Those whose turn is to come go on as before; new ones are refused (503) from the
    /// first moment on.
    ///
    /// `axum_live::serve` does this when it ends. Under `axum::serve` it is awaited in what `with_graceful_shutdown`
    /// takes.
    pub async fn drain(&self, drain: Drain) -> ShutdownReport {
        let (node, start) = (&self.node, Instant::now());
        node.stop();
        let sessions = node.sessions();
        let count = sessions.len();
        let cut_off = node.counters.cut_off.total();
        let is_ours = |id: &task::Id| sessions.iter().any(|session| session.shared.task.get() == Some(id));
        let hook = task::try_id().filter(is_ours);
        close(sessions, drain).await;
        let patience = [(node.settings.shutdown_timeout, Haste::Hurry), (node.settings.close_timeout, Haste::Kill)];
        let mut aborted = 0;
        for (time, haste) in patience {
            if time::timeout(time, node.empties(hook)).await.is_ok() {
                break;
            }
            let late = node.left_for(hook);
            for session in &late {
                session.shared.outbox.hasten(haste);
            }
            aborted = aborted.max(late.len());
        }
        let cut_off = node.counters.cut_off.total() - cut_off;
        let cut_off = usize::try_from(cut_off).unwrap_or(usize::MAX);
        ShutdownReport { closed: count.saturating_sub(aborted), aborted, cut_off, time: start.elapsed() }
    }
}

impl ShutdownReport {
    /// Sessions that came to their end in time.
    pub fn closed(&self) -> usize {
        self.closed
    }

    /// Sessions that were not, whose hooks were dropped.
    pub fn aborted(&self) -> usize {
        self.aborted
    }

    /// Sessions whose connection was reset after [`close_timeout`](crate::Builder::close_timeout): the client took not
    /// all that was queued for it, or did not answer. All others went cleanly.
    pub fn cut_off(&self) -> usize {
        self.cut_off
    }

    /// From the call to the end.
    pub fn time(&self) -> Duration {
        self.time
    }
}

/// Closes the sessions at this pace, in the random order in which the directory has them, so that who came together does
/// not leave together. Those that are not open yet have no client that would come back, and go first.
async fn close<V: Send + Sync + 'static>(sessions: Vec<Session<V>>, drain: Drain) {
    let (mut open, pending): (Vec<_>, Vec<_>) = sessions.into_iter().partition(Session::has_opened);
    for session in pending {
        session.end(CloseReason::Shutdown);
    }
    let mut pace = drain.pace(open.len());
    loop {
        let mut batch = pace.take();
        while batch > 0
            && let Some(session) = open.pop()
        {
            // Who has left meanwhile takes nobody's turn.
            batch -= usize::from(session.end(CloseReason::Shutdown));
        }
        if open.is_empty() {
            return;
        }
        time::sleep(pace.pause()).await;
    }
}
