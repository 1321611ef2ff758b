use std::{fmt, sync::Arc};

use axum_core::response::{IntoResponse, Response};
use http::{StatusCode, header::RETRY_AFTER};
use serde::Serialize;
use tracing::debug;

use crate::{
    builder::Builder,
    close::{CloseCode, CloseReason},
    frame::Frame,
    grant::Grant,
    id::SessionId,
    journal::ClosedSession,
    message::{EncodeError, Payload},
    node::Node,
    pending::Pending,
    presence::Presence,
    refusal::RefusalReason,
    session::Session,
    session_info::SessionInfo,
    subscriptions::SubscribeError,
    topic::{Topic, TopicError},
    user::UserId,
    user_sessions::UserSessions,
};

/// A cheap handle to this node's engine: its sessions, its topics, and the way from one to the other.
///
/// Make one with [`builder`](Self::builder), mount it with a `LiveLayer`, and keep clones wherever something is
/// published: handlers, background tasks, hooks (there as [`session.live()`](Session::live)).
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use axum_live::{Live, PublishError};
///
/// let live = Live::<()>::builder().build();
/// let receivers = live.publish("news", &"hello")?;
/// assert_eq!(receivers, 0);
/// # Ok::<(), PublishError>(())
/// ```
pub struct Live<V> {
    pub(crate) node: Arc<Node<V>>,
}

/// A publication reached nobody.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The name is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The data could not be encoded.
    #[error("the data could not be encoded")]
    Encode(#[from] EncodeError),
    /// The message is over the [`send_limit`](Builder::send_limit).
    #[error("the message is over the send limit")]
    TooLarge,
    /// So many deliveries are under way on the node that this publication cannot be taken on: see
    /// [`backlog_deliveries`](Builder::backlog_deliveries) and [`publish_wait`](Live::publish_wait). Nobody gets it.
    #[error("too many publications are under way")]
    Overloaded,
}

/// A session was not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// The node is shutting down.
    #[error("the server is shutting down")]
    ShuttingDown,
    /// Too much waits for the clients that are here.
    #[error("the server is short of memory")]
    Overloaded,
    /// The user has as many sessions as [`Builder::sessions_per_user`] lets one have.
    #[error("too many sessions of this user")]
    SessionLimit,
    /// The generator of ids made none that is not in use.
    #[error("no session id is free")]
    NoId,
}

impl<V: Send + Sync + 'static> Live<V> {
    /// Starts on a new node.
    pub fn builder() -> Builder<V> {
        Builder::new()
    }

    /// Lets a client in that authentication let through; dropping what is returned refuses it. The door's side of the
    /// engine: applications mount a `LiveLayer` instead.
    ///
    /// # Errors
    ///
    /// [`AcceptError`], which is a 503, or a 429 where it is the user who has enough.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn accept(&self, grant: impl Into<Grant<V>>, info: SessionInfo) -> Result<Pending<V>, AcceptError> {
        if self.node.budget.is_exceeded() {
            self.refused(RefusalReason::Overloaded, AcceptError::Overloaded);
            return Err(AcceptError::Overloaded);
        }
        let Some(session) = self.node.enter(grant.into().into_parts(), info) else {
            self.refused(RefusalReason::NoId, AcceptError::NoId);
            return Err(AcceptError::NoId);
        };
        let pending = Pending::new(session);
        if self.node.is_stopping() {
            pending.refuse(RefusalReason::ShuttingDown);
            return Err(AcceptError::ShuttingDown);
        }
        if self.node.join(pending.session()).is_err() {
            pending.refuse(RefusalReason::SessionLimit);
            return Err(AcceptError::SessionLimit);
        }
        self.node.sweeper.start(&self.node);
        self.node.fanout.start();
        Ok(pending)
    }

    /// Counts, and tells at `debug`, that a request became no session; `detail` is for the log, which no secret of the
    /// client's may come to. The door's side of the engine: what [`accept`](Self::accept) and [`Pending`] refuse is
    /// counted already.
    pub fn refused(&self, reason: RefusalReason, detail: impl fmt::Display) {
        debug!(target: "axum_live", %reason, %detail, "refused at the door");
        self.node.counters.refused.add_one(reason);
    }

    /// Publishes to a topic: every session that is subscribed to it at the call gets the message, or ends with a
    /// reason. Never waits, and a slow subscriber delays nobody. Answers the number of receivers.
    ///
    /// Tasks of the runtime carry it from here. As with any task that was woken, one that goes on for long without an
    /// await, after it has published, may hold them up.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; topic and data are checked even when nobody is subscribed.
    pub fn publish<T: Serialize + ?Sized>(
        &self,
        topic: impl TryInto<Topic, Error: Into<TopicError>>,
        data: &T,
    ) -> Result<usize, PublishError> {
        let topic = topic.try_into().map_err(Into::into)?;
        let frame = Frame::message(&topic, data)?;
        self.node.publish(&topic, &frame, None)
    }

    /// Publishes as [`publish`](Self::publish) does, once the node has room for it: for producers that should go at the
    /// pace of delivery, in place of being told [`Overloaded`](PublishError::Overloaded). The receivers are those of the
    /// moment at which there is room.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish), but for `Overloaded`.
    ///
    /// # Cancel safety
    ///
    /// A future that is dropped before it is ready has published nothing.
    pub async fn publish_wait<T: Serialize + ?Sized>(
        &self,
        topic: impl TryInto<Topic, Error: Into<TopicError>>,
        data: &T,
    ) -> Result<usize, PublishError> {
        let topic = topic.try_into().map_err(Into::into)?;
        let frame = Frame::message(&topic, data)?;
        self.node.publish_wait(&topic, &frame).await
    }

    /// Publishes to all subscribers but the one that the message comes from.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn publish_from<T: Serialize + ?Sized>(
        &self,
        session: &Session<V>,
        topic: impl TryInto<Topic, Error: Into<TopicError>>,
        data: &T,
    ) -> Result<usize, PublishError> {
        let topic = topic.try_into().map_err(Into::into)?;
        let frame = Frame::message(&topic, data)?;
        self.node.publish(&topic, &frame, Some(session))
    }

    /// Publishes data that is JSON text already.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish): text that is no JSON is [`PublishError::Encode`].
    pub fn publish_raw(
        &self,
        topic: impl TryInto<Topic, Error: Into<TopicError>>,
        json: impl Into<String>,
    ) -> Result<usize, PublishError> {
        self.publish(topic, &Payload::raw(json)?)
    }

    /// Publishes a frame as it is, for protocols without our envelope.
    ///
    /// # Errors
    ///
    /// [`PublishError::Topic`], [`PublishError::TooLarge`] or [`PublishError::Overloaded`].
    pub fn publish_frame(
        &self,
        topic: impl TryInto<Topic, Error: Into<TopicError>>,
        frame: &Frame,
    ) -> Result<usize, PublishError> {
        let topic = topic.try_into().map_err(Into::into)?;
        self.node.publish(&topic, frame, None)
    }

    /// Sends a message to every open session, whatever it is subscribed to. Answers how many took it.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish).
    pub fn broadcast<T: Serialize + ?Sized>(
        &self,
        topic: impl TryInto<Topic, Error: Into<TopicError>>,
        data: &T,
    ) -> Result<usize, PublishError> {
        let topic = topic.try_into().map_err(Into::into)?;
        let frame = Frame::message(&topic, data)?;
        self.node.broadcast(&frame)
    }

    /// Subscribes a session to a topic: [`Session::subscribe`].
    ///
    /// # Errors
    ///
    /// As [`Session::subscribe`].
    pub fn subscribe(
        &self,
        session: &Session<V>,
        topic: impl TryInto<Topic, Error: Into<TopicError>>,
    ) -> Result<(), SubscribeError> {
        session.subscribe(topic)
    }

    /// Unsubscribes a session from a topic: [`Session::unsubscribe`].
    pub fn unsubscribe(&self, session: &Session<V>, topic: impl TryInto<Topic, Error: Into<TopicError>>) -> bool {
        session.unsubscribe(topic)
    }

    /// The session of this id, unless it has ended.
    pub fn session(&self, id: &SessionId) -> Option<Session<V>> {
        self.node.session(id).filter(|session| !session.is_closed())
    }

    /// All sessions that have not ended, in no order.
    pub fn sessions(&self) -> Vec<Session<V>> {
        let mut sessions = self.node.sessions();
        sessions.retain(|session| !session.is_closed());
        sessions
    }

    /// The sessions that are subscribed to a topic; none when the name is no topic.
    pub fn subscribers(&self, topic: impl TryInto<Topic, Error: Into<TopicError>>) -> Vec<Session<V>> {
        let Ok(topic) = topic.try_into() else { return Vec::new() };
        self.node.hub.subscribers(&topic).iter().filter_map(|outbox| self.session(outbox.id())).collect()
    }

    /// How many sessions are subscribed to a topic, without listing them: whether what would be published is worth making.
    pub fn subscriber_count(&self, topic: impl TryInto<Topic, Error: Into<TopicError>>) -> usize {
        topic.try_into().map_or(0, |topic| self.node.hub.count(&topic))
    }

    /// Every topic that somebody subscribes to, with the number of its subscribers, in no order. Topics that come or go
    /// meanwhile may be among them or not.
    ///
    /// It is for looking, not for the way of each message: it visits all topics, about 100 nanoseconds each.
    pub fn topics(&self) -> Vec<(Topic, usize)> {
        self.node.hub.counts()
    }

    /// The last 128 sessions that closed, the last one first, where [`Builder::journal`] has journals kept; none
    /// otherwise.
    pub fn recently_closed(&self) -> Vec<ClosedSession> {
        self.node.journals.as_ref().map(|journals| journals.closed()).unwrap_or_default()
    }

    /// All sessions of one user, by the id that [`Builder::user`] tells.
    ///
    /// # Panics
    ///
    /// On a node that was built without [`Builder::user`]: nobody would ever be found.
    pub fn user(&self, id: impl fmt::Display) -> UserSessions<V> {
        assert!(self.node.hooks.identify.is_some(), "the node does not know whose its sessions are: set Builder::user");
        UserSessions::new(self.clone(), UserId::new(id))
    }

    /// Who is present in a topic.
    ///
    /// # Errors
    ///
    /// When the name is no topic.
    pub fn presence(&self, topic: impl TryInto<Topic, Error: Into<TopicError>>) -> Result<Presence<V>, TopicError> {
        Ok(Presence::new(self.clone(), topic.try_into().map_err(Into::into)?))
    }

    /// How many sessions have not ended, those still waiting for their upgrade included.
    pub fn len(&self) -> usize {
        self.node.present()
    }

    /// Whether there are no sessions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes the session of this id, as [`Session::close_with`] does; answers whether there was one to close.
    pub fn disconnect(&self, id: &SessionId, code: CloseCode, text: impl Into<String>) -> bool {
        let reason = CloseReason::Application { code, text: text.into().into() };
        self.session(id).is_some_and(|session| session.end(reason))
    }
}

impl<V> Clone for Live<V> {
    fn clone(&self) -> Self {
        Self { node: Arc::clone(&self.node) }
    }
}

impl<V> fmt::Debug for Live<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Live").field("sessions", &self.node.present()).finish_non_exhaustive()
    }
}

impl IntoResponse for PublishError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::Topic(_) => StatusCode::BAD_REQUEST,
            Self::Encode(_) => StatusCode::INTERNAL_SERVER_ERROR,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, self.to_string()).into_response()
    }
}

impl IntoResponse for AcceptError {
    fn into_response(self) -> Response {
        // The least there is: the next server may be there already, and clients have a back-off of their own.
        let after = [(RETRY_AFTER, "1")];
        let status = match self {
            Self::SessionLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::ShuttingDown | Self::Overloaded | Self::NoId => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, after, self.to_string()).into_response()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_is_a_handle_whatever_the_value() {
        fn handle<T: Clone + Send + Sync + 'static>() {}
        struct NotClone;
        handle::<Live<NotClone>>();
    }

    #[test]
    fn node_is_built_without_a_runtime() {
        let live = Live::<()>::builder().build();
        assert_eq!(live.publish("t", &1).unwrap(), 0);
        assert!(matches!(live.publish("t*", &1), Err(PublishError::Topic(TopicError::Character('*')))));
        assert!(matches!(live.publish_raw("t", "{"), Err(PublishError::Encode(_))));
    }
}
