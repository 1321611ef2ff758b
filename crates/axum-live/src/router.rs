mod error;
mod extract;
mod handler;
mod params;

use std::{pin::Pin, sync::Arc};

use axum_live_core::{Message, Session, Topic};

use serde::Deserialize;

use crate::{pattern::Patterns, policy::SubscriptionPolicy};

pub use self::{
    error::ClientError,
    extract::{Data, FromMessage, MessageParts},
    handler::{HandlerResult, MessageHandler},
    params::Params,
};

/// Brings each message to the handler of its topic: axum's router, for messages.
///
/// Handlers are async functions of up to eight extractors: [`Session`], [`Live`](crate::Live), [`Data`], [`Params`],
/// [`Message`], [`Topic`](crate::Topic), axum's [`State`](axum::extract::State), and `Option` or `Result` of them. What
/// a handler returns as an error, and what an extractor cannot find, goes to the client as a message with the topic
/// `error` and the data `{"topic": …, "code": …, "message": …}`.
///
/// Patterns are topics whose segments, between colons, may be parameters: `room:{room}:message`. `{*rest}` at the end
/// takes all that is left, and so does `*`, of which nothing is asked. A topic that is written out goes before a
/// parameter.
///
/// # Examples
///
/// ```
/// use axum::extract::State;
/// use axum_live::{ClientError, Data, Live, MessageRouter, Params, Session};
/// use serde::Deserialize;
///
/// struct User {
///     name: String,
/// }
///
/// #[derive(Clone)]
/// struct Rooms;
/// # impl Rooms { fn admits(&self, room: &str, name: &str) -> bool { true } }
///
/// #[derive(Deserialize)]
/// struct Room {
///     room: String,
/// }
///
/// async fn join(session: Session<User>, State(rooms): State<Rooms>, Data(Room { room }): Data<Room>) -> Result<(), ClientError> {
///     if !rooms.admits(&room, &session.value().name) {
///         return Err(ClientError::new("forbidden", format!("{room} is not for you")));
///     }
///     session.subscribe(format!("room:{room}"))?;
///     Ok(())
/// }
///
/// async fn say(live: Live<User>, Params(Room { room }): Params<Room>, Data(text): Data<String>) -> Result<(), ClientError> {
///     live.publish(format!("room:{room}"), &text)?;
///     Ok(())
/// }
///
/// let router = MessageRouter::new().on("join_room", join).on("room:{room}:message", say).with_state(Rooms);
/// let live = Live::<User>::builder().on_message(router.into_hook()).build();
/// ```
#[must_use = "a router does nothing until `into_hook`"]
pub struct MessageRouter<V, S = ()> {
    routes: Patterns<Route<V, S>>,
    fallback: Option<Route<V, S>>,
}

type Route<V, S> = Arc<dyn Fn(MessageParts<V>, S) -> HookFuture + Send + Sync>;

type HookFuture = Pin<Box<dyn Future<Output = ()> + Send>>;

impl<V, S> MessageRouter<V, S>
where
    V: Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
{
    /// A router without routes, which answers every message with the error `unknown_topic`.
    pub fn new() -> Self {
        Self { routes: Patterns::new(), fallback: None }
    }

    /// Brings the messages of a topic, or of all that match a pattern, to a handler.
    ///
    /// # Panics
    ///
    /// When the pattern is malformed, or another that is there already matches the same topics.
    pub fn on<T, H>(mut self, pattern: &str, handler: H) -> Self
    where
        H: MessageHandler<T, V, S, Output: HandlerResult>,
    {
        self.routes.insert(pattern.to_owned(), route(handler));
        self
    }

    /// Brings the messages that no pattern matches to a handler.
    pub fn fallback<T, H>(self, handler: H) -> Self
    where
        H: MessageHandler<T, V, S, Output: HandlerResult>,
    {
        Self { fallback: Some(route(handler)), ..self }
    }

    /// Takes another router's routes, each with `prefix` and a colon before it. Its fallback is not taken.
    ///
    /// # Panics
    ///
    /// As [`on`](Self::on).
    pub fn nest(mut self, prefix: &str, router: Self) -> Self {
        for (pattern, route) in router.routes.into_entries() {
            self.routes.insert(format!("{prefix}:{pattern}"), route);
        }
        self
    }

    /// Lets clients subscribe and unsubscribe by themselves, to what the policy allows: by messages with the topic
    /// `subscribe` or `unsubscribe` and the data `{"topic": …}`. What is refused is the error `forbidden`, `bad_topic` or
    /// `subscription_limit`, with the topic that was asked for as its topic.
    ///
    /// # Panics
    ///
    /// As [`on`](Self::on).
    pub fn subscriptions(self, policy: impl Into<Arc<SubscriptionPolicy<V>>>) -> Self {
        #[derive(Deserialize)]
        struct Ask {
            topic: String,
        }

        let policy = policy.into();
        self.on("subscribe", async move |session: Session<V>, Data(ask): Data<Ask>| {
            policy.subscribe(&session, &ask.topic).await
        })
        .on("unsubscribe", async |session: Session<V>, Data(ask): Data<Ask>| -> Result<(), ClientError> {
            let topic = Topic::try_from(&ask.topic).map_err(|error| ClientError::from(error).about(ask.topic))?;
            session.unsubscribe(topic);
            Ok(())
        })
    }

    /// Gives the handlers the state that their [`State`](axum::extract::State) extractors take theirs from.
    pub fn with_state(self, state: S) -> MessageRouter<V> {
        let bound = |route: Route<V, S>| -> Route<V, ()> {
            let state = state.clone();
            Arc::new(move |parts, ()| route(parts, state.clone()))
        };
        MessageRouter { fallback: self.fallback.map(&bound), routes: self.routes.map(bound) }
    }
}

impl<V: Send + Sync + 'static> MessageRouter<V> {
    /// What [`Builder::on_message`](crate::Builder::on_message) takes.
    pub fn into_hook(self) -> impl FnOnce(Session<V>, Message) -> HookFuture + Clone + Send + Sync + 'static {
        let router = Arc::new(self);
        move |session, message| router.dispatch(session, message)
    }

    fn dispatch(&self, session: Session<V>, message: Message) -> HookFuture {
        let found = self.routes.find(message.topic());
        let (route, captures) = match found {
            Some((route, captures)) => (Some(route), captures),
            None => (self.fallback.as_ref(), Vec::new()),
        };
        let parts = MessageParts::new(session, message, captures);
        match route {
            Some(route) => route(parts, ()),
            None => {
                parts.refuse(&ClientError::new("unknown_topic", "nothing answers to this topic"));
                Box::pin(std::future::ready(()))
            }
        }
    }
}

impl<V, S> Default for MessageRouter<V, S>
where
    V: Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<V, S> std::fmt::Debug for MessageRouter<V, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.routes.fmt(f)
    }
}

fn route<T, V, S, H>(handler: H) -> Route<V, S>
where
    V: Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
    H: MessageHandler<T, V, S, Output: HandlerResult>,
{
    Arc::new(move |parts, state| {
        let handler = handler.clone();
        Box::pin(async move {
            let result = handler.call(&parts, &state).await.and_then(HandlerResult::into_result);
            if let Err(error) = result {
                parts.refuse(&error);
            }
        })
    })
}
