mod error;
mod extract;
mod handler;

use std::{pin::Pin, sync::Arc};

use axum_live_core::{Message, Session};

pub use self::{
    error::ClientError,
    extract::{Data, FromMessage, MessageParts, Params},
    handler::{HandlerResult, MessageHandler},
};

/// Brings each message to the handler of its topic: axum's router, for messages.
///
/// Handlers are async functions of up to eight extractors: [`Session`], [`Live`](crate::Live), [`Data`], [`Params`],
/// [`Message`], [`Topic`](crate::Topic), axum's [`State`](axum::extract::State), and `Option` or `Result` of them. What
/// a handler returns as an error, and what an extractor cannot find, goes to the client as a message with the topic
/// `error` and the data `{"topic": …, "code": …, "message": …}`.
///
/// Patterns are topics whose segments, between colons, may be parameters: `room:{room}:message`. `{*rest}` at the end
/// takes all that is left. A topic that is written out goes before a parameter.
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
    routes: Vec<(String, Route<V, S>)>,
    /// From a pattern to its place among the routes.
    paths: matchit::Router<usize>,
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
        Self { routes: Vec::new(), paths: matchit::Router::new(), fallback: None }
    }

    /// Brings the messages of a topic, or of all that match a pattern, to a handler.
    ///
    /// # Panics
    ///
    /// When the pattern is malformed, or another that is there already matches the same topics.
    pub fn on<T, H: MessageHandler<T, V, S>>(self, pattern: &str, handler: H) -> Self {
        self.route(pattern.to_owned(), route(handler))
    }

    /// Brings the messages that no pattern matches to a handler.
    pub fn fallback<T, H: MessageHandler<T, V, S>>(self, handler: H) -> Self {
        Self { fallback: Some(route(handler)), ..self }
    }

    /// Takes another router's routes, each with `prefix` and a colon before it. Its fallback is not taken.
    ///
    /// # Panics
    ///
    /// As [`on`](Self::on).
    pub fn nest(self, prefix: &str, router: Self) -> Self {
        router.routes.into_iter().fold(self, |all, (pattern, route)| all.route(format!("{prefix}:{pattern}"), route))
    }

    /// Gives the handlers the state that their [`State`](axum::extract::State) extractors take theirs from.
    pub fn with_state(self, state: S) -> MessageRouter<V> {
        let bound = |route: Route<V, S>| -> Route<V, ()> {
            let state = state.clone();
            Arc::new(move |parts, ()| route(parts, state.clone()))
        };
        MessageRouter {
            routes: self.routes.into_iter().map(|(pattern, route)| (pattern, bound(route))).collect(),
            paths: self.paths,
            fallback: self.fallback.map(bound),
        }
    }

    fn route(mut self, pattern: String, route: Route<V, S>) -> Self {
        if let Err(error) = self.paths.insert(swap_separators(&pattern), self.routes.len()) {
            panic!("{pattern:?} cannot be routed: {error}");
        }
        self.routes.push((pattern, route));
        self
    }
}

impl<V: Send + Sync + 'static> MessageRouter<V> {
    /// What [`Builder::on_message`](crate::Builder::on_message) takes.
    pub fn into_hook(self) -> impl FnOnce(Session<V>, Message) -> HookFuture + Clone + Send + Sync + 'static {
        let router = Arc::new(self);
        move |session, message| router.dispatch(session, message)
    }

    fn dispatch(&self, session: Session<V>, message: Message) -> HookFuture {
        let topic = swap_separators(message.topic());
        let found = self.paths.at(&topic).ok();
        let params = found.iter().flat_map(|found| found.params.iter());
        let params = params.map(|(name, value)| (name.to_owned(), swap_separators(value))).collect();
        let route = found.map(|found| &self.routes[*found.value].1).or(self.fallback.as_ref());
        let parts = MessageParts::new(session, message, params);
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
        f.debug_list().entries(self.routes.iter().map(|(pattern, _)| pattern)).finish()
    }
}

fn route<T, V, S, H: MessageHandler<T, V, S>>(handler: H) -> Route<V, S> {
    Arc::new(move |parts, state| Box::pin(handler.clone().handle(parts, state)))
}

/// matchit's segments end at slashes, ours at colons; where one stands for the other, a slash in a topic is no more
/// than a letter.
fn swap_separators(topic: &str) -> String {
    topic
        .chars()
        .map(|letter| match letter {
            ':' => '/',
            '/' => ':',
            other => other,
        })
        .collect()
}
