use tokio::{task, time};

use crate::{close::CloseReason, live::Live, outbox::Haste};

/// How a shutdown went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShutdownReport {
    closed: usize,
    aborted: usize,
}

impl<V: Send + Sync + 'static> Live<V> {
    /// Ends the node: new and pending sessions are refused (503), all others closed (1001) with what is queued for
    /// them written first. Waits until every `on_close` has run. Hooks that run after
    /// [`shutdown_timeout`](crate::Builder::shutdown_timeout) are dropped, and `on_close` follows; what runs another
    /// [`close_timeout`](crate::Builder::close_timeout) later is dropped as well.
    ///
    /// It may be awaited more than once, and from hooks: those do not wait for their own sessions, nor for each other.
    pub async fn shutdown(&self) -> ShutdownReport {
        let node = &self.node;
        node.stop();
        let sessions = node.sessions();
        for session in &sessions {
            session.end(CloseReason::Shutdown);
        }
        let is_ours = |id: &task::Id| sessions.iter().any(|session| session.shared.task.get() == Some(id));
        let hook = task::try_id().filter(is_ours);
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
        ShutdownReport { closed: sessions.len().saturating_sub(aborted), aborted }
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
}
