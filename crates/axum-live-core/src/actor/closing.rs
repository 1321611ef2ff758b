use std::{pin::Pin, task::Context};

use tokio::time::{self, Sleep};
use tracing::{debug, warn};

use super::{Actor, Slot, ear::Ear};
use crate::{close::CloseReason, outbox::Haste, stream::Link};

/// What a session needs on its way out only.
pub(super) struct Closing {
    deadline: Pin<Box<Sleep>>,
    /// It has passed.
    late: bool,
    /// We have said that nothing more comes.
    shut: bool,
}

impl<V: Send + Sync + 'static> Actor<V> {
    pub(super) fn begin_to_close(&mut self) {
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
    pub(super) fn end_hook(&mut self, cx: &mut Context<'_>, haste: Haste) -> bool {
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
    pub(super) fn end_link(&mut self, cx: &mut Context<'_>, all_sent: bool) -> bool {
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
