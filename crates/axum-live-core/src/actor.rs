use std::{
    mem,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    task,
    time::{self, Sleep},
};
use tracing::{Span, debug, debug_span, error, trace, warn};

use crate::{
    allowance::{Allowance, Pace},
    close::{CloseCode, CloseReason},
    frame::{Decoder, Event, Frame},
    hooks::{Inbound, Panicked, Running},
    journal::JournalEvent,
    message::Message,
    outbox::Haste,
    scratch::Scratch,
    session::Session,
    stream::{Link, Stream},
};

/// Messages in a row that cannot be decoded, before the session is closed.
const MAX_STRIKES: u8 = 16;

/// Messages and reads of one session before what they caused is written and other tasks have their turn.
const QUOTA: u32 = 32;

/// Bytes that are read at once of a client that was slowed down, and may be held until it may go on.
const SIP: usize = 4 << 10;

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

/// What has come and has to wait until a hook returns.
#[derive(Default)]
struct Held {
    /// The message that follows the one a hook is at.
    message: Option<Frame>,
    /// Read, and not decoded yet.
    rest: BytesMut,
}

/// What is made of what the client sends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ear {
    Listening,
    /// The client's last word, or its last sensible one, has been said; the rest is read and dropped.
    Draining,
    /// The stream has ended.
    Ended,
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

/// What a session needs on its way out only.
struct Closing {
    deadline: Pin<Box<Sleep>>,
    /// It has passed.
    late: bool,
    /// We have said that nothing more comes.
    shut: bool,
}

impl<V: Send + Sync + 'static> Actor<V> {
    pub(crate) fn new(session: Session<V>, stream: Stream, leftover: Bytes) -> Self {
        let settings = &session.shared.node.settings;
        let decoder = Decoder::new(settings.limits.read_limit, settings.limits.fragment_limit);
        let link = Link::new(stream);
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

    /// Reads and decodes until a message waits, the client has to, or nothing is there.
    fn read(&mut self, cx: &mut Context<'_>) {
        while !self.holds_message() && self.ear != Ear::Ended && !self.is_throttled(cx) {
            if let Some(held) = self.held.take() {
                let mut rest = held.rest;
                let taken = self.listen(cx, &mut rest);
                rest.advance(taken);
                self.hold(rest);
                continue;
            }
            if self.quota == 0 {
                break;
            }
            self.quota -= 1;
            let mut scratch = Scratch::borrow();
            let most = if self.allowance.is_throttled() { SIP } else { scratch.len() };
            match self.link.poll_read(cx, &mut scratch[..most]) {
                Poll::Pending => {
                    self.allowance.rest();
                    break;
                }
                Poll::Ready(Ok(0)) => {
                    self.ear = Ear::Ended;
                    self.session.shared.outbox.close(CloseReason::Lost);
                }
                Poll::Ready(Err(error)) => {
                    self.ear = Ear::Ended;
                    self.session.shared.outbox.close(CloseReason::Io(error.kind()));
                }
                Poll::Ready(Ok(count)) => {
                    let node = &self.session.shared.node;
                    self.session.shared.pulse.heard();
                    self.allowance.charge_bytes(count, node.millis(), &node.settings.limits);
                    let taken = self.listen(cx, &mut scratch[..count]);
                    self.hold(scratch[taken..count].into());
                }
            }
        }
        self.session.shared.pulse.set_deaf(self.holds_message() || self.allowance.is_paused());
    }

    /// Whether the client has to wait until what it sent is within its rates. A session that closes reads on, for the
    /// client's last word.
    fn is_throttled(&mut self, cx: &mut Context<'_>) -> bool {
        if self.closing.is_some() || self.ear != Ear::Listening {
            self.allowance.rest();
            return false;
        }
        let (node, was_throttled) = (&self.session.shared.node, self.allowance.is_throttled());
        match self.allowance.poll_pace(cx, &node.settings.limits, || node.millis()) {
            Pace::Go => false,
            Pace::Pause => {
                if !was_throttled {
                    debug!(target: "axum_live", "slowed down");
                    node.counters.throttles.add_one();
                }
                true
            }
            Pace::Over => {
                self.ear = Ear::Draining;
                self.session.shared.outbox.close(CloseReason::RateLimited);
                false
            }
        }
    }

    fn is_spent(&self) -> bool {
        self.closing.is_none() && self.allowance.is_spent(&self.session.shared.node.settings.limits)
    }

    fn holds_message(&self) -> bool {
        self.held.as_ref().is_some_and(|held| held.message.is_some())
    }

    /// Keeps what could not be decoded yet.
    fn hold(&mut self, rest: BytesMut) {
        if !rest.is_empty() {
            self.held.get_or_insert_default().rest = rest;
        }
    }

    /// Decodes up to the message that has to wait, or after which the client has to; answers how many bytes that took.
    fn listen(&mut self, cx: &mut Context<'_>, input: &mut [u8]) -> usize {
        let mut taken = 0;
        while self.ear == Ear::Listening {
            match self.decoder.decode(&mut input[taken..]) {
                Err(violation) => {
                    debug!(target: "axum_live", %violation, "refused");
                    self.ear = Ear::Draining;
                    self.session.shared.outbox.close(violation.into());
                }
                Ok((count, event)) => {
                    taken += count;
                    let Some(event) = event else {
                        if !self.decoder.is_idle() {
                            self.session.shared.pulse.unfinished();
                        }
                        return taken;
                    };
                    if self.decoder.is_idle() {
                        self.session.shared.pulse.finished();
                    }
                    self.hear(cx, event);
                    if self.holds_message() || self.is_spent() {
                        return taken;
                    }
                }
            }
        }
        input.len()
    }

    fn hear(&mut self, cx: &mut Context<'_>, event: Event) {
        match event {
            Event::Message(_) => self.allowance.charge_message(),
            Event::Ping(_) | Event::Pong => self.allowance.charge_control(),
            Event::Close(_) => {}
        }
        match event {
            Event::Message(frame) if !self.session.is_closed() => {
                if matches!(self.hook, Slot::Idle) && self.quota > 0 {
                    self.handle(frame);
                    self.run_hook(cx);
                } else {
                    self.held.get_or_insert_default().message = Some(frame);
                }
            }
            Event::Message(_) | Event::Pong => {}
            Event::Ping(payload) => self.session.shared.outbox.push_control(Frame::pong(&payload)),
            Event::Close(said) => {
                self.ear = Ear::Draining;
                let (code, text) = said.unzip();
                let code = code.and_then(|code| CloseCode::try_from(code).ok());
                let text = text.unwrap_or_default().into();
                self.session.shared.outbox.close(CloseReason::Client { code, text });
            }
        }
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

    fn begin_to_close(&mut self) {
        let shared = &self.session.shared;
        let deadline = Box::pin(time::sleep(shared.node.settings.close_timeout));
        self.closing = Some(Closing { deadline, late: false, shut: false });
        if let Some(held) = &mut self.held {
            held.message = None;
        }
        shared.node.leaves(&self.session);
        let reason = shared.outbox.reason().unwrap_or(CloseReason::Aborted);
        if matches!(reason, CloseReason::QueueFull | CloseReason::WriteTimeout) {
            warn!(target: "axum_live", session_id = %self.session.id(), reason = reason.name(), "slow client");
        }
        let code = reason.code().map(u16::from);
        debug!(target: "axum_live", reason = reason.name(), code, "close");
        if matches!(reason, CloseReason::Lost | CloseReason::Io(_)) {
            self.let_go();
        }
    }

    /// Drops a hook that takes too long; answers whether it did.
    fn end_hook(&mut self, cx: &mut Context<'_>, haste: Haste) -> bool {
        let Some(closing) = &mut self.closing else { return false };
        closing.late = closing.late || closing.deadline.as_mut().poll(cx).is_ready();
        let is_late = closing.late && !self.session.shared.node.is_stopping() || haste >= Haste::Hurry;
        let next = match self.hook {
            Slot::Busy(_) | Slot::Last(_) if haste == Haste::Kill => Slot::Done,
            Slot::Busy(_) if is_late => Slot::Idle,
            _ => return false,
        };
        self.drop_hook(next);
        true
    }

    /// Ends the stream once all is said on both sides, or it is too late for that; answers whether it is let go.
    fn end_link(&mut self, cx: &mut Context<'_>, all_sent: bool) -> bool {
        let Some(closing) = &mut self.closing else { return false };
        if self.link.is_gone() {
            return false;
        }
        if closing.late {
            self.link.reset();
            // Who has answered, and merely does not hang up, has lost nothing.
            if !closing.shut {
                self.session.shared.node.counters.cut_off.add_one();
            }
            self.let_go();
            return true;
        }
        if all_sent && self.ear != Ear::Listening && !closing.shut {
            // What cannot be shut is at its end as well.
            closing.shut = self.link.poll_shutdown(cx).is_ready();
        }
        let is_over = closing.shut && self.ear == Ear::Ended;
        if is_over {
            self.let_go();
        }
        is_over
    }

    /// Lets go of the stream, wherever it is held.
    fn let_go(&mut self) {
        self.link = Link::Gone;
        self.ear = Ear::Ended;
        self.session.shared.outbox.detach();
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
