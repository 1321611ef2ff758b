mod closing;
mod ear;

use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::task;
use tracing::{Span, debug, debug_span, error, trace};

use self::{
    closing::Closing,
    ear::{Ear, Held},
};
use crate::{
    allowance::Allowance,
    close::CloseReason,
    frame::{Decoder, Frame},
    hooks::{Inbound, Panicked, Running},
    journal::JournalEvent,
    message::Message,
    session::Session,
    stream::{Link, Stream},
};

/// Messages in a row that cannot be decoded, before the session is closed.
const MAX_STRIKES: u8 = 16;

/// Messages and reads of one session before what they caused is written and other tasks have their turn.
const QUOTA: u32 = 32;

/// One session's task: one socket, one hook at a time, polled side by side, so that a slow hook delays neither pings
/// nor deliveries.
pub(crate) struct Actor<V: Send + Sync + 'static> {
    session: Session<V>,
    link: Link,
    decoder: Decoder,
    held: Option<Box<Held>>,
    hook: Slot,
    closing: Option<Closing>,
    /// `None` while nobody records it.
    span: Option<Box<Span>>,
    /// What is left of this turn's [`QUOTA`].
    quota: u32,
    /// Undecodable messages since the last good one.
    strikes: u8,
    ear: Ear,
    allowance: Allowance,
}

/// Where the hooks are.
enum Slot {
    /// `on_connect` is to come.
    New,
    Idle,
    Busy(Running),
    /// `on_close` runs.
    Last(Running),
    Done,
}

impl<V: Send + Sync + 'static> Actor<V> {
    pub(crate) fn new(session: Session<V>, stream: Stream, leftover: Bytes) -> Self {
        let settings = &session.shared.node.settings;
        let decoder = Decoder::new(settings.limits.read_limit, settings.limits.fragment_limit);
        let link = Link::new(stream, settings.bounds.bytes);
        session.shared.outbox.open(link.shared());
        let held = (!leftover.is_empty()).then(|| Box::new(Held { message: None, rest: leftover.into() }));
        let span = debug_span!(target: "axum_live", "live.session", session_id = %session.id(), path = session.path());
        let span = (!span.is_disabled()).then(|| Box::new(span));
        Self {
            session,
            link,
            decoder,
            held,
            hook: Slot::New,
            closing: None,
            span,
            quota: 0,
            strikes: 0,
            ear: Ear::Listening,
            allowance: Allowance::default(),
        }
    }

    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.quota = QUOTA;
        loop {
            let hook_moved = self.run_hook(cx);
            self.read(cx);
            // Last, for it sees what the others have caused, and leaves word whom to wake.
            let end_moved = self.write(cx);
            if self.link.is_gone() && matches!(self.hook, Slot::Done) {
                return Poll::Ready(());
            }
            if !hook_moved && !end_moved {
                break;
            }
        }
        if self.quota == 0 {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Moves the hooks on; answers whether one moved.
    fn run_hook(&mut self, cx: &mut Context<'_>) -> bool {
        let hooks = &self.session.shared.node.hooks;
        match &mut self.hook {
            Slot::New => {
                self.session.shared.task.get_or_init(task::id);
                self.session.shared.node.counters.opened.add_one();
                debug!(target: "axum_live", "open");
                self.session.shared.outbox.note(|| JournalEvent::Opened);
                self.hook = hooks.connect(&self.session).map_or(Slot::Idle, Slot::Busy);
            }
            Slot::Idle if self.closing.is_some() => {
                let reason = self.session.close_reason().unwrap_or(CloseReason::Aborted);
                self.hook = hooks.close(&self.session, reason).map_or(Slot::Done, Slot::Last);
            }
            Slot::Idle if self.quota > 0 => match self.held.as_mut().and_then(|held| held.message.take()) {
                Some(frame) => self.handle(frame),
                None => return false,
            },
            Slot::Busy(running) | Slot::Last(running) => {
                let Poll::Ready(result) = running.poll(cx, &self.session) else { return self.end_late_hook(cx) };
                self.hook = if matches!(self.hook, Slot::Last(_)) { Slot::Done } else { Slot::Idle };
                if let Err(Panicked) = result {
                    self.panicked();
                }
            }
            Slot::Idle | Slot::Done => return false,
        }
        true
    }

    /// Drops a hook that has passed its deadline; answers whether it did. A session that closes has another.
    fn end_late_hook(&mut self, cx: &mut Context<'_>) -> bool {
        let timeout = self.session.shared.node.settings.limits.hook_timeout.filter(|_| self.closing.is_none());
        let (Slot::Busy(running), Some(timeout)) = (&mut self.hook, timeout) else { return false };
        if !running.is_late(cx, timeout) {
            return false;
        }
        self.session.shared.outbox.close(CloseReason::HookTimeout);
        self.drop_hook(Slot::Idle);
        true
    }

    fn drop_hook(&mut self, next: Slot) {
        debug!(target: "axum_live", "a hook is dropped");
        if let Slot::Busy(running) | Slot::Last(running) = mem::replace(&mut self.hook, next)
            && let Err(Panicked) = running.cancel(&self.session)
        {
            self.panicked();
        }
    }

    fn panicked(&self) {
        error!(target: "axum_live", session_id = %self.session.id(), "a hook panicked");
        self.session.shared.node.counters.hook_panics.add_one();
        self.session.shared.outbox.close(CloseReason::HookPanicked);
    }

    /// Starts the hook for a message.
    fn handle(&mut self, frame: Frame) {
        self.quota -= 1;
        let session = &self.session;
        session.shared.node.counters.messages.add_one();
        if let Some(journals) = &session.shared.node.journals {
            journals.note(session.id(), JournalEvent::Received(journals.excerpt(&frame)));
        }
        let running = match &session.shared.node.hooks.inbound {
            Inbound::Raw(hook) => {
                trace!(target: "axum_live", bytes = frame.payload().len(), "message");
                Some(hook.start((session.clone(), frame)))
            }
            Inbound::Decoded(hook) => {
                decode(session, &mut self.strikes, frame).map(|message| hook.start((session.clone(), message)))
            }
            Inbound::Dropped => {
                decode(session, &mut self.strikes, frame);
                None
            }
        };
        self.hook = running.map_or(Slot::Idle, Slot::Busy);
    }

    /// Writes what waits, and sees to it that a session whose latch is set comes to its end; answers whether that
    /// moved on.
    fn write(&mut self, cx: &mut Context<'_>) -> bool {
        let outbox = &self.session.shared.outbox;
        let flushed = outbox.flush(cx, |cx, slices| self.link.write(cx, slices));
        let sent = self.link.poll_flush(cx);
        if let Poll::Ready(Err(error)) = &sent {
            outbox.close(CloseReason::Io(error.kind()));
        }
        if !flushed.closed {
            return false;
        }
        if self.closing.is_none() {
            self.begin_to_close();
            return true;
        }
        self.end_hook(cx, flushed.haste) || self.end_link(cx, flushed.empty && sent.is_ready())
    }
}

impl<V: Send + Sync + 'static> Future for Actor<V> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let span = self.span.take();
        let entered = span.as_ref().map(|span| span.enter());
        let poll = self.turn(cx);
        drop(entered);
        self.span = span;
        poll
    }
}

/// Here and not at the end of the task, so that one that is aborted, or panics, leaves nothing behind.
impl<V: Send + Sync + 'static> Drop for Actor<V> {
    fn drop(&mut self) {
        let _entered = self.span.as_ref().map(|span| span.enter());
        self.session.shared.outbox.close(CloseReason::Aborted);
        self.session.shared.node.ended(&self.session);
    }
}

/// The message in a frame; one that cannot be decoded is a strike.
fn decode<V>(session: &Session<V>, strikes: &mut u8, frame: Frame) -> Option<Message> {
    match Message::decode(frame) {
        Ok(message) => {
            trace!(target: "axum_live", topic = message.topic(), "message");
            *strikes = 0;
            Some(message)
        }
        Err(error) => {
            debug!(target: "axum_live", %error, "undecodable message");
            session.shared.node.counters.undecodable.add_one();
            *strikes += 1;
            if *strikes >= MAX_STRIKES {
                session.shared.outbox.close(CloseReason::BadMessages);
            }
            None
        }
    }
}
