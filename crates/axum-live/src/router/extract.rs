use std::convert::Infallible;

use axum::extract::{FromRef, State};
use axum_live_core::{Live, Message, Session, Topic};
use serde::{Serialize, de::DeserializeOwned};

use super::ClientError;
use crate::pattern::Captures;

/// What extractors take theirs from: one message and the session it came by.
pub struct MessageParts<V> {
    session: Session<V>,
    message: Message,
    captures: Captures,
}

/// What can be an argument of a message handler.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be taken from a message",
    label = "no extractor for messages of sessions with values of type `{V}`, with a state of type `{S}`"
)]
pub trait FromMessage<V, S>: Sized {
    /// What the client is told when there is none.
    type Rejection: Into<ClientError> + Send;

    /// Takes the value.
    ///
    /// # Errors
    ///
    /// When the message has none.
    fn from_message(parts: &MessageParts<V>, state: &S) -> Result<Self, Self::Rejection>;
}

/// A message's data, parsed. Data of another shape is the error `bad_data`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Data<T>(pub T);

impl<V> MessageParts<V> {
    /// The session that the message came by.
    pub fn session(&self) -> &Session<V> {
        &self.session
    }

    /// The message.
    pub fn message(&self) -> &Message {
        &self.message
    }

    /// The parameters of the pattern, by name, in their order.
    pub fn params(&self) -> impl Iterator<Item = (&str, &str)> {
        self.captures.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    pub(crate) fn new(session: Session<V>, message: Message, captures: Captures) -> Self {
        Self { session, message, captures }
    }

    pub(super) fn captures(&self) -> &Captures {
        &self.captures
    }

    /// Tells the client what went wrong.
    pub(super) fn refuse(&self, error: &ClientError) {
        #[derive(Serialize)]
        struct Refusal<'a> {
            topic: &'a str,
            code: &'a str,
            message: String,
        }

        let topic = error.topic().unwrap_or(self.message.topic());
        let refusal = Refusal { topic, code: error.code(), message: error.to_string() };
        // A client that cannot be told any more has gone.
        self.session.send("error", &refusal).ok();
    }
}

impl<V, S> FromMessage<V, S> for Session<V> {
    type Rejection = ClientError;

    fn from_message(parts: &MessageParts<V>, _: &S) -> Result<Self, ClientError> {
        Ok(parts.session.clone())
    }
}

impl<V, S> FromMessage<V, S> for Live<V> {
    type Rejection = ClientError;

    fn from_message(parts: &MessageParts<V>, _: &S) -> Result<Self, ClientError> {
        Ok(parts.session.live())
    }
}

impl<V, S> FromMessage<V, S> for Message {
    type Rejection = ClientError;

    fn from_message(parts: &MessageParts<V>, _: &S) -> Result<Self, ClientError> {
        Ok(parts.message.clone())
    }
}

impl<V, S> FromMessage<V, S> for Topic {
    type Rejection = ClientError;

    fn from_message(parts: &MessageParts<V>, _: &S) -> Result<Self, ClientError> {
        Ok(Topic::try_from(parts.message.topic())?)
    }
}

impl<V, S, T: FromRef<S>> FromMessage<V, S> for State<T> {
    type Rejection = ClientError;

    fn from_message(_: &MessageParts<V>, state: &S) -> Result<Self, ClientError> {
        Ok(State(T::from_ref(state)))
    }
}

impl<V, S, T: DeserializeOwned> FromMessage<V, S> for Data<T> {
    type Rejection = ClientError;

    fn from_message(parts: &MessageParts<V>, _: &S) -> Result<Self, ClientError> {
        Ok(Data(parts.message.json()?))
    }
}

/// `None` where it cannot be taken.
impl<V, S, T: FromMessage<V, S>> FromMessage<V, S> for Option<T> {
    type Rejection = ClientError;

    fn from_message(parts: &MessageParts<V>, state: &S) -> Result<Self, ClientError> {
        Ok(T::from_message(parts, state).ok())
    }
}

/// The rejection where it cannot be taken, for the handler to look at.
impl<V, S, T: FromMessage<V, S>> FromMessage<V, S> for Result<T, T::Rejection> {
    type Rejection = ClientError;

    fn from_message(parts: &MessageParts<V>, state: &S) -> Result<Self, ClientError> {
        Ok(T::from_message(parts, state))
    }
}

impl From<Infallible> for ClientError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}
