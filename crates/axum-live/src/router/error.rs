use std::borrow::Cow;

use axum_live_core::{EncodeError, PresenceError, PublishError, SendError, SubscribeError, TopicError};

/// What a client is told when its message failed: a word for programs, and a sentence for people.
///
/// # Examples
///
/// ```
/// use axum_live::ClientError;
///
/// let error = ClientError::new("forbidden", "only admins may enter");
/// assert_eq!(error.code(), "forbidden");
/// ```
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ClientError {
    topic: Option<Box<str>>,
    code: Cow<'static, str>,
    message: String,
}

impl ClientError {
    /// An error of the application's own.
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { topic: None, code: code.into(), message: message.into() }
    }

    /// Says what topic it is about, where that is not the message's own.
    #[must_use]
    pub fn about(self, topic: impl Into<Box<str>>) -> Self {
        Self { topic: Some(topic.into()), ..self }
    }

    /// The topic it is about, where that is not the message's own.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// The word for programs.
    pub fn code(&self) -> &str {
        &self.code
    }
}

impl From<TopicError> for ClientError {
    fn from(error: TopicError) -> Self {
        Self::new("bad_topic", error.to_string())
    }
}

impl From<SubscribeError> for ClientError {
    fn from(error: SubscribeError) -> Self {
        match error {
            SubscribeError::Topic(error) => error.into(),
            SubscribeError::Limit => Self::new("subscription_limit", error.to_string()),
            _ => Self::new("not_subscribed", error.to_string()),
        }
    }
}

impl From<PublishError> for ClientError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Topic(error) => error.into(),
            PublishError::TooLarge => Self::new("too_large", error.to_string()),
            PublishError::Overloaded => Self::new("overloaded", error.to_string()),
            _ => Self::new("not_published", error.to_string()),
        }
    }
}

impl From<SendError> for ClientError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Topic(error) => error.into(),
            SendError::TooLarge => Self::new("too_large", error.to_string()),
            _ => Self::new("not_sent", error.to_string()),
        }
    }
}

impl From<PresenceError> for ClientError {
    fn from(error: PresenceError) -> Self {
        match error {
            PresenceError::Topic(error) => error.into(),
            PresenceError::Limit => Self::new("subscription_limit", error.to_string()),
            PresenceError::TooLarge => Self::new("too_large", error.to_string()),
            _ => Self::new("not_present", error.to_string()),
        }
    }
}

impl From<EncodeError> for ClientError {
    fn from(error: EncodeError) -> Self {
        Self::new("not_encoded", error.to_string())
    }
}

impl From<serde_json::Error> for ClientError {
    fn from(error: serde_json::Error) -> Self {
        Self::new("bad_data", error.to_string())
    }
}
