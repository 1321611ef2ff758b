use std::{
    any::Any,
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::time;

use crate::{actor::Actor, close::CloseReason, refusal::RefusalReason, session::Session, stream::Stream};

/// A session between authentication and upgrade. Dropped before it opened, it is refused: it leaves its topics, every
/// handle answers that it is closed, and no hook runs.
pub struct Pending<V: Send + Sync + 'static> {
    session: Session<V>,
    /// Why it is refused, should it be; `None` once it has opened.
    refusal: Option<RefusalReason>,
    held: Option<Held>,
}

/// What somebody wants to have dropped when a session's task has ended.
type Held = Arc<dyn Any + Send + Sync>;

/// A session's task that keeps something until its end, a type of its own so that others do not pay for it.
struct Holding<V: Send + Sync + 'static> {
    actor: Actor<V>,
    _held: Held,
}

impl<V: Send + Sync + 'static> Pending<V> {
    pub(crate) fn new(session: Session<V>) -> Self {
        Self { session, refusal: Some(RefusalReason::NeverOpened), held: None }
    }

    /// The session, which may already subscribe and be sent to.
    pub fn session(&self) -> &Session<V> {
        &self.session
    }

    /// Refuses the session, and says why.
    pub fn refuse(mut self, reason: RefusalReason) {
        self.refusal = Some(reason);
    }

    /// Keeps something, beside what it keeps already, until the session's task has ended or it is refused: its place
    /// among a server's connections, or among the sessions of its address.
    pub fn hold(&mut self, held: Arc<dyn Any + Send + Sync>) {
        self.held = Some(match self.held.take() {
            None => held,
            Some(others) => Arc::new((others, held)),
        });
    }

    /// Waits, in a task of its own, for the upgrade to yield the stream and what came after the handshake, and opens.
    /// An upgrade that yields nothing, or not within [`open_timeout`](crate::Builder::open_timeout), refuses.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn open_after(self, upgrade: impl Future<Output = Option<(Stream, Bytes)>> + Send + 'static) {
        let open_timeout = self.session.shared.node.settings.open_timeout;
        tokio::spawn(async move {
            match time::timeout(open_timeout, upgrade).await {
                Ok(Some((stream, leftover))) => self.open(stream, leftover),
                Ok(None) | Err(_) => self.refuse(RefusalReason::NeverOpened),
            }
        });
    }

    /// Starts the session's task on a stream that is upgraded; `leftover` is what was read beyond the handshake.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn open(mut self, stream: Stream, leftover: Bytes) {
        self.refusal = None;
        let actor = Actor::new(self.session.clone(), stream, leftover);
        match self.held.take() {
            None => tokio::spawn(actor),
            Some(held) => tokio::spawn(Holding { actor, _held: held }),
        };
    }
}

impl<V: Send + Sync + 'static> Future for Holding<V> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        Pin::new(&mut self.actor).poll(cx)
    }
}

impl<V: Send + Sync + 'static> Drop for Pending<V> {
    fn drop(&mut self) {
        if let Some(reason) = self.refusal {
            self.session.live().refused(reason, format_args!("session {}", self.session.id()));
            self.session.shared.outbox.close(CloseReason::NeverOpened);
            self.session.shared.node.ended(&self.session);
        }
    }
}

impl<V: Send + Sync + 'static> fmt::Debug for Pending<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pending").field(&self.session).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{live::Live, session_info::SessionInfo};

    #[tokio::test]
    async fn all_that_is_held_is_let_go_of_with_the_session_and_not_before() {
        let live = Live::<()>::builder().build();
        let mut pending = live.accept((), SessionInfo::new("/ws")).unwrap();
        let all = [Arc::new(1), Arc::new(2), Arc::new(3)];
        for one in &all {
            pending.hold(Arc::<i32>::clone(one));
        }
        assert!(all.iter().all(|one| Arc::strong_count(one) == 2));
        drop(pending);
        assert!(all.iter().all(|one| Arc::strong_count(one) == 1));
    }
}
