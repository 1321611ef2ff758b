use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tracing::debug;

use super::{Actor, Slot};
use crate::{
    allowance::Pace,
    close::{CloseCode, CloseReason},
    frame::{Event, Frame},
    scratch::Scratch,
};

/// Bytes that are read at once of a client that was slowed down, and may be held until it may go on.
const SIP: usize = 4 << 10;

/// What is made of what the client sends.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Ear {
    Listening,
    /// The client's last word, or its last sensible one, has been said; the rest is read and dropped.
    Draining,
    /// The stream has ended.
    Ended,
}

/// What has come and has to wait until a hook returns.
#[derive(Default)]
pub(super) struct Held {
    /// The message that follows the one a hook is at.
    pub(super) message: Option<Frame>,
    /// Read, and not decoded yet.
    pub(super) rest: BytesMut,
}

impl<V: Send + Sync + 'static> Actor<V> {
    /// Reads and decodes until a message waits, the client has to, or nothing is there.
    pub(super) fn read(&mut self, cx: &mut Context<'_>) {
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
                Poll::Pending => break,
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
}
