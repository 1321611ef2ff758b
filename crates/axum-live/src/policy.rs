use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use axum_live_core::{CloseCode, Message, Payload, Session, SubscribeError, Topic};

use crate::{
    pattern::Patterns,
    router::{ClientError, MessageHandler, MessageParts},
};

/// Subscriptions over the limit that are refused in a row, before the client that insists is closed.
const PATIENCE: u32 = 16;

/// Who may subscribe to what, by patterns of topics. What no pattern matches, nobody may.
///
/// [`MessageRouter::subscriptions`](crate::MessageRouter::subscriptions) lets clients subscribe under it; handlers of
/// your own ask [`subscribe`](Self::subscribe). What the server subscribes a session to by
/// [`Session::subscribe`](crate::Session::subscribe) is its own affair.
///
/// Rules are async functions of the extractors of a [`MessageRouter`](crate::MessageRouter): the
/// [`Session`](crate::Session), the [`Params`](crate::Params) of the pattern, the [`Topic`](crate::Topic) that is asked
/// for, [`State`](axum::extract::State).
///
/// # Examples
///
/// ```
/// use axum::extract::State;
/// use axum_live::{Live, MessageRouter, Params, Session, SubscriptionPolicy};
///
/// struct User {
///     id: u64,
///     is_admin: bool,
/// }
///
/// #[derive(Clone)]
/// struct Teams;
/// # impl Teams { async fn has(&self, team: &str, user: u64) -> bool { true } }
///
/// async fn own(session: Session<User>, Params(id): Params<u64>) -> bool {
///     session.value().id == id
/// }
///
/// async fn member(session: Session<User>, Params(team): Params<String>, State(teams): State<Teams>) -> bool {
///     teams.has(&team, session.value().id).await
/// }
///
/// async fn admin(session: Session<User>) -> bool {
///     session.value().is_admin
/// }
///
/// let policy = SubscriptionPolicy::new()
///     .allow("news")
///     .allow_if("user:{id}", own)
///     .allow_if("team:{team}", member)
///     .allow_if("admin:*", admin)
///     .with_state(Teams);
/// let messages = MessageRouter::new().subscriptions(policy);
/// let live = Live::<User>::builder().on_message(messages.into_hook()).build();
/// ```
#[must_use = "a policy does nothing until a router or a handler asks it"]
pub struct SubscriptionPolicy<V, S = ()> {
    rules: Patterns<Rule<V, S>>,
}

/// What a rule may return: whether a client may subscribe, and where it likes why not.
#[diagnostic::on_unimplemented(
    message = "a rule of a subscription policy cannot return `{Self}`",
    note = "it returns `bool`, or `Result<(), E>` with `E: Into<ClientError>`: the reason that the client is told"
)]
pub trait Verdict {
    /// The error that the client is told of; `forbidden` where the rule gives none.
    ///
    /// # Errors
    ///
    /// When it may not.
    fn into_result(self) -> Result<(), ClientError>;
}

/// Subscriptions over the limit that one session was refused since the last that was granted.
#[derive(Default)]
struct Insistence(AtomicU32);

type Rule<V, S> = Arc<dyn Fn(MessageParts<V>, S) -> RuleFuture + Send + Sync>;

type RuleFuture = Pin<Box<dyn Future<Output = Result<(), ClientError>> + Send>>;

impl<V, S> SubscriptionPolicy<V, S>
where
    V: Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
{
    /// A policy that allows nothing.
    pub fn new() -> Self {
        Self { rules: Patterns::new() }
    }

    /// Lets everybody subscribe to a topic, or to all that match a pattern.
    ///
    /// # Panics
    ///
    /// When the pattern is malformed, or another that is there already matches the same topics.
    pub fn allow(self, pattern: &str) -> Self {
        self.allow_if(pattern, async || true)
    }

    /// Lets those subscribe whom the rule lets.
    ///
    /// # Panics
    ///
    /// As [`allow`](Self::allow).
    pub fn allow_if<T, R>(mut self, pattern: &str, rule: R) -> Self
    where
        R: MessageHandler<T, V, S, Output: Verdict>,
    {
        let rule: Rule<V, S> = Arc::new(move |parts, state| {
            let rule = rule.clone();
            Box::pin(async move { rule.call(&parts, &state).await?.into_result() })
        });
        self.rules.insert(pattern.to_owned(), rule);
        self
    }

    /// Gives the rules the state that their [`State`](axum::extract::State) extractors take theirs from.
    pub fn with_state(self, state: S) -> SubscriptionPolicy<V> {
        let rules = self.rules.map(|rule| -> Rule<V, ()> {
            let state = state.clone();
            Arc::new(move |parts, ()| rule(parts, state.clone()))
        });
        SubscriptionPolicy { rules }
    }
}

impl<V: Send + Sync + 'static> SubscriptionPolicy<V> {
    /// Whether a session may subscribe to a topic.
    ///
    /// # Errors
    ///
    /// The reason why it may not: `bad_topic`, `forbidden`, or the rule's own. Its topic is the one asked for.
    pub async fn check(&self, session: &Session<V>, topic: &str) -> Result<Topic, ClientError> {
        self.judge(session, topic).await.map_err(|error| error.about(topic))
    }

    /// Subscribes a session to a topic, if it may.
    ///
    /// # Errors
    ///
    /// As [`check`](Self::check), and `subscription_limit` past
    /// [`subscription_limit`](crate::Builder::subscription_limit). A client that goes on after 16 of these in a row is
    /// closed with 4505.
    pub async fn subscribe(&self, session: &Session<V>, topic: &str) -> Result<(), ClientError> {
        let result = session.subscribe(self.check(session, topic).await?);
        let extensions = session.extensions();
        if result != Err(SubscribeError::Limit) {
            extensions.remove::<Insistence>();
        } else if extensions.get_or_insert_with(Insistence::default).0.fetch_add(1, Relaxed) + 1 >= PATIENCE {
            session.close_with(CloseCode::SUBSCRIPTION_LIMIT, "too many subscriptions");
        }
        result.map_err(|error| ClientError::from(error).about(topic))
    }

    async fn judge(&self, session: &Session<V>, topic: &str) -> Result<Topic, ClientError> {
        let asked = Topic::try_from(topic)?;
        let (rule, captures) = self.rules.find(topic).ok_or_else(forbidden)?;
        let message = Message::new(topic, &Payload::default());
        rule(MessageParts::new(session.clone(), message, captures), ()).await?;
        Ok(asked)
    }
}

impl Verdict for bool {
    fn into_result(self) -> Result<(), ClientError> {
        if self { Ok(()) } else { Err(forbidden()) }
    }
}

impl<E: Into<ClientError>> Verdict for Result<(), E> {
    fn into_result(self) -> Result<(), ClientError> {
        self.map_err(Into::into)
    }
}

impl<V, S> Default for SubscriptionPolicy<V, S>
where
    V: Send + Sync + 'static,
    S: Clone + Send + Sync + 'static,
{
    fn default() -> Self {
        Self::new()
    }
}

impl<V, S> fmt::Debug for SubscriptionPolicy<V, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rules.fmt(f)
    }
}

fn forbidden() -> ClientError {
    ClientError::new("forbidden", "you may not subscribe to this topic")
}
