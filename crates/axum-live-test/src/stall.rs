use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// Whether a client takes what is written to it.
#[derive(Debug, Default)]
pub(crate) struct Stall {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    is_stalled: bool,
    writer: Option<Waker>,
}

/// The server's end of a connection whose client may stall.
pub(crate) struct Stallable {
    stream: DuplexStream,
    stall: Arc<Stall>,
}

impl Stall {
    pub(crate) fn set(&self, is_stalled: bool) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.is_stalled = is_stalled;
        if let Some(writer) = state.writer.take() {
            writer.wake();
        }
    }

    fn poll_clear(&self, cx: &Context<'_>) -> Poll<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !state.is_stalled {
            return Poll::Ready(());
        }
        state.writer = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Stallable {
    pub(crate) fn new(stream: DuplexStream, stall: Arc<Stall>) -> Self {
        Self { stream, stall }
    }
}

impl AsyncRead for Stallable {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Stallable {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.stall.poll_clear(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => Pin::new(&mut self.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
