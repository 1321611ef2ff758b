use std::{
    fmt,
    pin::pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use tokio::{sync::Notify, task};
use tracing::trace;

use crate::{
    attendance::{Attendee, Tracks},
    close::{CloseCode, CloseReason},
    extensions::SessionExtensions,
    frame::Frame,
    grant::Lease,
    heartbeat::Pulse,
    id::SessionId,
    journal::{JournalEntry, JournalEvent},
    live::Live,
    message::EncodeError,
    node::Node,
    outbox::{Outbox, Refused},
    renewals::Renewals,
    session_info::SessionInfo,
    subscriptions::{SubscribeError, Subscriptions},
    topic::{Topic, TopicError},
    user::UserId,
};

/// A cheap handle to one connected client, and to the value that authentication returned for it. Clones share the
/// session; a handle kept after the end is harmless and answers that it is closed.
///
/// It is an extractor in the handler under a `LiveLayer`, and the first argument of every hook.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// # use axum_live::{Session, SendError};
/// # struct User { name: String }
/// async fn welcome(session: Session<User>) {
///     match session.send("welcome", &session.value().name) {
///         Ok(()) => {}
///         Err(SendError::Closed | SendError::QueueFull) => return,
///         Err(error) => tracing::error!(%error, "no welcome"),
///     }
/// }
/// ```
pub struct Session<V> {
    pub(crate) shared: Arc<Shared<V>>,
}

pub(crate) struct Shared<V> {
    value: V,
    user: Option<UserId>,
    pub(crate) lease: Lease,
    pub(crate) info: SessionInfo,
    pub(crate) outbox: Arc<Outbox>,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) pulse: Pulse,
    pub(crate) node: Arc<Node<V>>,
    /// The session's task, from open on.
    pub(crate) task: OnceLock<task::Id>,
    /// When it was made, in the node's seconds.
    pub(crate) born: u32,
    /// It is out of everything.
    left: AtomicBool,
    /// Made by the first who asks for it.
    rare: OnceLock<Box<Rare<V>>>,
}

/// What most sessions have no need of.
pub(crate) struct Rare<V> {
    pub(crate) renewals: OnceLock<Box<Renewals<V>>>,
    pub(crate) tracks: Tracks,
    extensions: SessionExtensions,
    /// Told when the session is out of everything.
    end: Notify,
}

/// A frame was not queued.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The session is closed, or was by the time of the call.
    #[error("the session is closed")]
    Closed,
    /// The client reads too slowly: its queue was full, and the session is closed with 4008.
    #[error("the queue is full")]
    QueueFull,
    /// The name is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The data could not be encoded.
    #[error("the data could not be encoded")]
    Encode(#[from] EncodeError),
    /// The frame is over the [`send_limit`](crate::Builder::send_limit).
    #[error("the frame is over the send limit")]
    TooLarge,
}

impl<V> Session<V> {
    /// What tells this session from all others.
    pub fn id(&self) -> &SessionId {
        self.shared.outbox.id()
    }

    /// What authentication returned, or the last [`renew`](Self::renew) since.
    pub fn value(&self) -> &V {
        let renewals = self.shared.rare.get().and_then(|rare| rare.renewals.get());
        renewals.and_then(|renewals| renewals.newest()).unwrap_or(&self.shared.value)
    }

    /// Closes with 4501, which tells the client not to come back: what is queued is written first.
    pub fn revoke(&self) {
        self.end(CloseReason::Revoked);
    }

    /// Whose session it is, where [`Builder::user`](crate::Builder::user) tells.
    pub fn user(&self) -> Option<&UserId> {
        self.shared.user.as_ref()
    }

    /// Whether the session is closed, or closing: sends are refused, and what was queued is on its way.
    pub fn is_closed(&self) -> bool {
        self.shared.outbox.is_closed()
    }

    /// Why the session ended, from the moment it began to.
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.shared.outbox.reason()
    }

    /// A place for what else belongs to the session: filled by the handler under the layer, or by hooks.
    pub fn extensions(&self) -> &SessionExtensions {
        &self.shared.rare().extensions
    }

    /// Closes with 1000: what is queued is written, then the close frame; the client has
    /// [`close_timeout`](crate::Builder::close_timeout) in all to take and answer them. The first close wins.
    pub fn close(&self) {
        self.close_with(CloseCode::NORMAL, "");
    }

    /// Closes as [`close`](Self::close) does, with a code and words for the client. Of the words up to 123 bytes go
    /// over the wire.
    pub fn close_with(&self, code: CloseCode, text: impl Into<String>) {
        self.end(CloseReason::Application { code, text: text.into().into() });
    }

    /// The topics the session is subscribed to; after the end, those it was subscribed to at that moment.
    pub fn topics(&self) -> Vec<Topic> {
        self.shared.subscriptions.topics()
    }

    /// Whether the session is subscribed to a topic now.
    pub fn is_subscribed(&self, topic: impl TryInto<Topic, Error: Into<TopicError>>) -> bool {
        topic.try_into().is_ok_and(|topic| self.shared.subscriptions.contain(&topic))
    }

    /// Subscribes to a topic; a second time changes nothing.
    ///
    /// # Errors
    ///
    /// [`Closed`](SubscribeError::Closed) after the end, [`Topic`](SubscribeError::Topic) when the name is none, and
    /// [`Limit`](SubscribeError::Limit) past [`subscription_limit`](crate::Builder::subscription_limit).
    pub fn subscribe(&self, topic: impl TryInto<Topic, Error: Into<TopicError>>) -> Result<(), SubscribeError> {
        let topic = topic.try_into().map_err(Into::into)?;
        let Shared { node, outbox, .. } = &*self.shared;
        self.shared.subscriptions.subscribe(&node.hub, outbox, &topic, node.settings.limits.subscription_limit)
    }

    /// Unsubscribes from a topic; answers whether the session was subscribed to it. Nothing that is published to the
    /// topic after the return reaches the session.
    pub fn unsubscribe(&self, topic: impl TryInto<Topic, Error: Into<TopicError>>) -> bool {
        topic.try_into().is_ok_and(|topic| {
            self.shared.subscriptions.unsubscribe(&self.shared.node.hub, &self.shared.outbox, &topic)
        })
    }

    /// Queues a message for the client, and never waits. Before the upgrade it is kept and written first.
    ///
    /// # Errors
    ///
    /// See [`SendError`]; all but [`QueueFull`](SendError::QueueFull) leave the session as it was.
    pub fn send<T: Serialize + ?Sized>(
        &self,
        topic: impl TryInto<Topic, Error: Into<TopicError>>,
        data: &T,
    ) -> Result<(), SendError> {
        let topic: Topic = topic.try_into().map_err(Into::into)?;
        self.send_frame(Frame::message(&topic, data)?)
    }

    /// Queues a frame as it is: text or binary of a protocol of your own, or an envelope made once for many.
    ///
    /// # Errors
    ///
    /// [`Closed`](SendError::Closed), [`QueueFull`](SendError::QueueFull) or [`TooLarge`](SendError::TooLarge).
    pub fn send_frame(&self, frame: Frame) -> Result<(), SendError> {
        if frame.payload().len() > self.shared.node.settings.send_limit {
            return Err(SendError::TooLarge);
        }
        trace!(target: "axum_live", session_id = %self.id(), bytes = frame.payload().len(), "sent");
        let Shared { node, outbox, .. } = &*self.shared;
        let excerpt = node.journals.as_ref().map(|journals| journals.excerpt(&frame));
        outbox.send(frame).map_err(|refused| match refused {
            Refused::Closed => SendError::Closed,
            Refused::Full => SendError::QueueFull,
        })?;
        if let Some(excerpt) = excerpt {
            outbox.note(|| JournalEvent::Sent(excerpt));
        }
        Ok(())
    }

    /// What happened in it of late, the oldest first, where [`Builder::journal`](crate::Builder::journal) has it kept;
    /// nothing once its end has begun: see [`Live::recently_closed`].
    pub fn journal(&self) -> Vec<JournalEntry> {
        self.shared.node.journals.as_ref().map(|journals| journals.of(self.id())).unwrap_or_default()
    }

    /// Waits until the session has ended and left its topics: what bounds a task of your own that works for it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    ///
    /// # Examples
    ///
    /// ```
    /// # extern crate axum_live_core as axum_live;
    /// # use std::time::Duration;
    /// # use axum_live::Session;
    /// async fn on_connect(session: Session<()>) {
    ///     tokio::spawn(async move {
    ///         let mut ticks = tokio::time::interval(Duration::from_secs(1));
    ///         loop {
    ///             tokio::select! {
    ///                 _ = ticks.tick() => { session.send("tick", &()).ok(); }
    ///                 () = session.closed() => break,
    ///             }
    ///         }
    ///     });
    /// }
    /// ```
    pub async fn closed(&self) {
        let mut told = pin!(self.shared.rare().end.notified());
        told.as_mut().enable();
        if !self.shared.left.load(SeqCst) {
            told.await;
        }
    }

    /// Ends the session, unless something has before. It leaves its topics first: what counts it as a receiver is on its
    /// way by then, and goes out before the close frame.
    pub(crate) fn end(&self, reason: CloseReason) -> bool {
        self.shared.subscriptions.leave(&self.shared.node.hub, &self.shared.outbox);
        self.shared.outbox.close(reason)
    }

    /// Whether its upgrade took place, be it that it has ended since.
    pub(crate) fn has_opened(&self) -> bool {
        self.shared.task.get().is_some()
    }

    /// The node that the session lives on.
    pub fn live(&self) -> Live<V> {
        Live { node: Arc::clone(&self.shared.node) }
    }

    pub(crate) fn new(
        id: SessionId,
        grant: (V, Lease),
        user: Option<UserId>,
        info: SessionInfo,
        node: Arc<Node<V>>,
    ) -> Self {
        let (value, lease) = grant;
        let shared = Shared {
            value,
            user,
            lease,
            info,
            outbox: Arc::new(Outbox::new(id, Arc::clone(node.fanout.lane(&id)))),
            subscriptions: Subscriptions::default(),
            pulse: Pulse::default(),
            born: node.seconds(),
            node,
            task: OnceLock::new(),
            left: AtomicBool::new(false),
            rare: OnceLock::new(),
        };
        Self { shared: Arc::new(shared) }
    }
}

impl<V: Send + Sync + 'static> Session<V> {
    /// The end has begun: out of everything, and whoever waits for it is told. Answers whether this was the first time.
    pub(crate) fn leave(&self) -> bool {
        let Shared { node, outbox, .. } = &*self.shared;
        self.shared.subscriptions.leave(&node.hub, outbox);
        if self.shared.left.load(SeqCst) {
            return false;
        }
        if let Some(user) = self.user() {
            node.users.unsubscribe(user, outbox);
            for topic in self.shared.rare().tracks.leave() {
                node.lingerer.linger(node, topic, Attendee { user: user.clone(), session: *self.id() });
            }
        }
        self.shared.left.store(true, SeqCst);
        if let Some(rare) = self.shared.rare.get() {
            rare.end.notify_waiters();
        }
        true
    }
}

impl<V> Shared<V> {
    pub(crate) fn rare(&self) -> &Rare<V> {
        self.rare.get_or_init(Box::default)
    }
}

impl<V> Default for Rare<V> {
    fn default() -> Self {
        Self {
            renewals: OnceLock::new(),
            tracks: Tracks::default(),
            extensions: SessionExtensions::default(),
            end: Notify::new(),
        }
    }
}

impl<V> Clone for Session<V> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// Handles are equal when they are of one session.
impl<V> PartialEq for Session<V> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl<V> Eq for Session<V> {}

impl<V> fmt::Debug for Session<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Session").field(self.id()).finish()
    }
}

impl IntoResponse for SendError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Closed => StatusCode::GONE,
            Self::QueueFull => StatusCode::SERVICE_UNAVAILABLE,
            Self::Topic(_) => StatusCode::BAD_REQUEST,
            Self::Encode(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        };
        (status, self.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn session_is_a_handle_whatever_its_value() {
        fn handle<T: Clone + Send + Sync + 'static>() {}
        struct NotClone;
        handle::<Session<NotClone>>();
    }
}
