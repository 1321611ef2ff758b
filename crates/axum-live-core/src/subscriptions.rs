use std::{mem, sync::Arc};

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;

use crate::{
    hub::Hub,
    journal::JournalEvent,
    outbox::Outbox,
    sync::Mutex,
    topic::{Topic, TopicError},
};

/// The topics of one session.
///
/// Its lock is taken before the hub's, and subscribing takes both: so a session that has left is in no topic, whatever
/// happens at the same time.
#[derive(Default)]
pub(crate) struct Subscriptions {
    topics: Mutex<Topics>,
}

enum Topics {
    /// In their order, for there are few.
    Held(Vec<Topic>),
    /// The session has closed; these it held then.
    Left(Box<[Topic]>),
}

/// A session was not subscribed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The session is closed.
    #[error("the session is closed")]
    Closed,
    /// The name is no topic.
    #[error(transparent)]
    Topic(#[from] TopicError),
    /// The session holds as many topics as it may.
    #[error("the session holds as many topics as it may")]
    Limit,
}

impl Subscriptions {
    /// Subscribes to a topic, one of so many at most.
    pub(crate) fn subscribe(
        &self,
        hub: &Hub,
        outbox: &Arc<Outbox>,
        topic: &Topic,
        limit: usize,
    ) -> Result<(), SubscribeError> {
        let mut topics = self.topics.lock();
        let Topics::Held(held) = &mut *topics else { return Err(SubscribeError::Closed) };
        if outbox.is_closed() {
            return Err(SubscribeError::Closed);
        }
        let Err(at) = held.binary_search(topic) else { return Ok(()) };
        if held.len() >= limit {
            return Err(SubscribeError::Limit);
        }
        if held.is_empty() {
            held.reserve_exact(1);
        }
        outbox.note(|| JournalEvent::Subscribed(topic.clone()));
        held.insert(at, hub.subscribe(topic, outbox));
        Ok(())
    }

    /// Answers whether the session was subscribed.
    pub(crate) fn unsubscribe(&self, hub: &Hub, outbox: &Arc<Outbox>, topic: &Topic) -> bool {
        let mut topics = self.topics.lock();
        let Topics::Held(held) = &mut *topics else { return false };
        let Ok(at) = held.binary_search(topic) else { return false };
        held.remove(at);
        hub.unsubscribe(topic, outbox);
        outbox.note(|| JournalEvent::Unsubscribed(topic.clone()));
        true
    }

    /// Leaves every topic, for good.
    pub(crate) fn leave(&self, hub: &Hub, outbox: &Arc<Outbox>) {
        let mut topics = self.topics.lock();
        let Topics::Held(held) = &mut *topics else { return };
        let left = mem::take(held).into_boxed_slice();
        for topic in &left {
            hub.unsubscribe(topic, outbox);
        }
        *topics = Topics::Left(left);
    }

    pub(crate) fn contain(&self, topic: &Topic) -> bool {
        matches!(&*self.topics.lock(), Topics::Held(held) if held.binary_search(topic).is_ok())
    }

    /// How many topics are held now.
    pub(crate) fn len(&self) -> usize {
        match &*self.topics.lock() {
            Topics::Held(held) => held.len(),
            Topics::Left(_) => 0,
        }
    }

    /// The topics held now, or at the moment of leaving.
    pub(crate) fn topics(&self) -> Vec<Topic> {
        match &*self.topics.lock() {
            Topics::Held(held) => held.clone(),
            Topics::Left(left) => left.to_vec(),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self::Held(Vec::new())
    }
}

impl IntoResponse for SubscribeError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Closed => StatusCode::GONE,
            Self::Topic(_) => StatusCode::BAD_REQUEST,
            Self::Limit => StatusCode::TOO_MANY_REQUESTS,
        };
        (status, self.to_string()).into_response()
    }
}
