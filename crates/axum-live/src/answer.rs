use std::{
    convert::Infallible,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// The body of the answer that opens a session: it is empty, and tells whether the answer was sent.
///
/// A layer outside may put another answer in its place. hyper completes the upgrade nevertheless, once that answer's
/// connection ends: the request asked for one. But it has not looked at this body then, as it does at each that it
/// sends.
pub(crate) struct AnswerBody {
    sent: Sent,
}

/// What the body tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sent(Arc<AtomicBool>);

impl AnswerBody {
    pub(crate) fn new() -> (Self, Sent) {
        let sent = Sent::default();
        (Self { sent: sent.clone() }, sent)
    }
}

impl Sent {
    pub(crate) fn is_true(&self) -> bool {
        self.0.load(Relaxed)
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Infallible;

    /// Asked by a layer that reads the body in order to pass it on.
    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.sent.0.store(true, Relaxed);
        Poll::Ready(None)
    }

    /// Asked by hyper, when it writes the answer's head.
    fn is_end_stream(&self) -> bool {
        self.sent.0.store(true, Relaxed);
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}
