use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{self, Instant, Sleep};

use crate::{close::CloseReason, frame::Frame, message::Message, session::Session, user::UserId};

type HookFuture = Pin<Box<Timed<dyn Future<Output = ()> + Send>>>;

/// A hook under way; `None` when it panicked before it was.
pub(crate) struct Running(Option<HookFuture>);

pin_project! {
    /// A hook's future, when it was first polled and when it has to have ended: beside it, so that a session without a
    /// hook has no room for that.
    struct Timed<F: ?Sized> {
        since: Option<Instant>,
        // Of a hook that waits and has a deadline.
        deadline: Option<Pin<Box<Sleep>>>,
        #[pin]
        future: F,
    }
}

/// A hook panicked; the panic has been told of by the panic hook of the process.
#[derive(Debug)]
pub(crate) struct Panicked;

/// Tells whose a value is.
type Identify<V> = Box<dyn Fn(&V) -> Option<UserId> + Send + Sync>;

/// The user's hooks, erased: the future's type stays out of the session's task.
pub(crate) struct Hooks<V> {
    pub(crate) identify: Option<Identify<V>>,
    connect: Option<Hook<(Session<V>,)>>,
    pub(crate) inbound: Inbound<V>,
    close: Option<Hook<(Session<V>, CloseReason)>>,
}

/// What becomes of the clients' data messages.
pub(crate) enum Inbound<V> {
    /// They are read, decoded and dropped.
    Dropped,
    Decoded(Hook<(Session<V>, Message)>),
    Raw(Hook<(Session<V>, Frame)>),
}

/// One hook, which clones itself for each call.
pub(crate) struct Hook<A>(Box<dyn Fn(A) -> HookFuture + Send + Sync>);

impl<A: 'static> Hook<A> {
    pub(crate) fn new<F, Fut>(hook: F) -> Self
    where
        F: FnOnce(A) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        Self(Box::new(move |arguments| {
            Box::pin(Timed { since: None, deadline: None, future: hook.clone()(arguments) })
        }))
    }

    pub(crate) fn start(&self, arguments: A) -> Running {
        Running(caught(|| (self.0)(arguments)).ok())
    }
}

impl<V: Send + Sync + 'static> Hooks<V> {
    pub(crate) fn on_connect(&mut self, hook: Hook<(Session<V>,)>) {
        self.connect = Some(hook);
    }

    pub(crate) fn on_close(&mut self, hook: Hook<(Session<V>, CloseReason)>) {
        self.close = Some(hook);
    }

    pub(crate) fn connect(&self, session: &Session<V>) -> Option<Running> {
        self.connect.as_ref().map(|hook| hook.start((session.clone(),)))
    }

    pub(crate) fn close(&self, session: &Session<V>, reason: CloseReason) -> Option<Running> {
        self.close.as_ref().map(|hook| hook.start((session.clone(), reason)))
    }
}

impl<V> Hooks<V> {
    pub(crate) fn user_of(&self, value: &V) -> Option<UserId> {
        self.identify.as_ref().and_then(|identify| identify(value))
    }
}

impl<V> Default for Hooks<V> {
    fn default() -> Self {
        Self { identify: None, connect: None, inbound: Inbound::Dropped, close: None }
    }
}

impl Running {
    pub(crate) fn poll<V>(&mut self, cx: &mut Context<'_>, session: &Session<V>) -> Poll<Result<(), Panicked>> {
        let Some(hook) = &mut self.0 else { return Poll::Ready(Err(Panicked)) };
        let now = Instant::now();
        let hook = hook.as_mut().project();
        let since = *hook.since.get_or_insert(now);
        let result = match caught(|| hook.future.poll(cx)) {
            Ok(poll) => poll.map(Ok),
            Err(panicked) => Poll::Ready(Err(panicked)),
        };
        let (then, stopwatch) = (Instant::now(), &session.shared.node.stopwatch);
        stopwatch.polled(session.id(), then - now);
        if result.is_ready() {
            stopwatch.ended(session.id(), then - since);
        }
        result
    }

    /// Whether a hook that waits has for longer than it may; the task of `cx` is woken when it has.
    pub(crate) fn is_late(&mut self, cx: &mut Context<'_>, timeout: Duration) -> bool {
        let Some(hook) = self.0.as_mut().map(|hook| hook.as_mut().project()) else { return false };
        let Some(since) = *hook.since else { return false };
        let deadline =
            hook.deadline.get_or_insert_with(|| Box::pin(time::sleep(timeout.saturating_sub(since.elapsed()))));
        deadline.as_mut().poll(cx).is_ready()
    }

    /// Drops the hook where it is. What it holds is the user's too.
    pub(crate) fn cancel<V>(self, session: &Session<V>) -> Result<(), Panicked> {
        if let Some(since) = self.0.as_ref().and_then(|hook| hook.since) {
            session.shared.node.stopwatch.ended(session.id(), since.elapsed());
        }
        caught(|| drop(self))
    }
}

/// What a panic leaves behind is dropped with the hook, and a session's own state is locked only by code of ours.
fn caught<T>(call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| Panicked)
}
