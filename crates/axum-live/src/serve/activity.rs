use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::sync::Notify;

/// The requests of one connection that are under way, from their heads to the ends of their answers.
#[derive(Debug, Default)]
pub(super) struct Activity {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    under_way: AtomicUsize,
    has_begun: AtomicBool,
    /// Told when a request comes to its end.
    ceased: Notify,
}

/// A request is under way until this is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    shared: Arc<Shared>,
}

/// An answer's body, with which its request comes to its end.
pub(super) struct Tracked {
    body: Body,
    _under_way: Arc<UnderWay>,
}

impl Activity {
    pub(super) fn begin(&self) -> UnderWay {
        self.shared.under_way.fetch_add(1, SeqCst);
        self.shared.has_begun.store(true, SeqCst);
        UnderWay { shared: Arc::clone(&self.shared) }
    }

    /// Whether there has been a request.
    pub(super) fn has_begun(&self) -> bool {
        self.shared.has_begun.load(SeqCst)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.shared.under_way.load(SeqCst) == 0
    }

    /// Waits until a request comes to its end, which may have been since this was last asked.
    pub(super) async fn ceased(&self) {
        self.shared.ceased.notified().await;
    }
}

impl UnderWay {
    /// It never comes to its end.
    pub(super) fn for_good(&self) {
        self.shared.under_way.fetch_add(1, SeqCst);
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        // First, so that nobody finds the connection idle and has not been told.
        self.shared.ceased.notify_one();
        self.shared.under_way.fetch_sub(1, SeqCst);
    }
}

impl Tracked {
    pub(super) fn new(body: Body, under_way: Arc<UnderWay>) -> Self {
        Self { body, _under_way: under_way }
    }
}

impl http_body::Body for Tracked {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
