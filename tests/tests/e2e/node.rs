//! A node at work, seen from both ends: its clients' sockets and its own sessions.

use std::{
    env, fs,
    net::SocketAddr,
    process,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use axum::Router;
use axum_live::{Builder, CloseReason, Live, LiveLayer, Session, accept};
use axum_live_test::{RawSocket, Request};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{UnixListener, UnixStream},
    sync::mpsc::{self, UnboundedReceiver},
};

use crate::app::{serve, serve_on, settles, soon};

pub(crate) struct Node {
    pub(crate) addr: SocketAddr,
    pub(crate) live: Live<()>,
    opened: UnboundedReceiver<Session<()>>,
    closed: UnboundedReceiver<(Session<()>, CloseReason)>,
}

impl Node {
    /// Serves at `/ws`. The builder's `on_connect` and `on_close` are the node's own.
    pub(crate) async fn start(builder: Builder<()>) -> Self {
        let (opens, opened) = mpsc::unbounded_channel();
        let (closes, closed) = mpsc::unbounded_channel();
        let live = builder
            .on_connect(async move |session: Session<()>| {
                opens.send(session).ok();
            })
            .on_close(async move |session: Session<()>, reason: CloseReason| {
                closes.send((session, reason)).ok();
            })
            .build();
        Self { addr: serve_live(&live).await, live, opened, closed }
    }

    /// A client, and its session.
    pub(crate) async fn open(&mut self) -> (RawSocket, Session<()>) {
        let socket = RawSocket::open(self.addr, "/ws").await.unwrap();
        (socket, self.opened().await)
    }

    /// A client of whom the server feels early that it does not read.
    pub(crate) async fn open_slow(&mut self) -> (RawSocket, Session<()>) {
        let mut socket = RawSocket::connect_with_receive_buffer(self.addr, 128 << 10).await.unwrap();
        socket.upgrade(&Request::new("/ws")).await.unwrap();
        (socket, self.opened().await)
    }

    /// Clients that are subscribed to `t`.
    pub(crate) async fn open_subscribed(&mut self, count: usize) -> Vec<RawSocket> {
        let mut sockets = Vec::new();
        for _ in 0..count {
            let (socket, session) = self.open().await;
            session.subscribe("t").unwrap();
            sockets.push(socket);
        }
        sockets
    }

    /// The next session to open.
    pub(crate) async fn opened(&mut self) -> Session<()> {
        soon("on_connect", self.opened.recv()).await.unwrap()
    }

    /// The next session to close, and why it did.
    pub(crate) async fn closed(&mut self) -> (Session<()>, CloseReason) {
        soon("on_close", self.closed.recv()).await.unwrap()
    }

    /// Asserts that no hook ran of which the test does not know.
    pub(crate) fn assert_quiet(&mut self) {
        assert!(self.opened.try_recv().is_err(), "a session opened");
        assert!(self.closed.try_recv().is_err(), "a session closed");
    }

    /// Waits until neither a session nor a topic is left.
    pub(crate) async fn empties(&self) {
        settles("an empty node", || self.live.is_empty() && self.live.stats().topics() == 0).await;
        assert!(self.live.sessions().is_empty());
    }
}

/// Serves a node at `/ws`, for everybody.
pub(crate) async fn serve_live(live: &Live<()>) -> SocketAddr {
    serve(router(live)).await
}

/// Opens on a Unix socket: as TLS and HTTP/2, a stream that the session's task alone may write to.
pub(crate) async fn open_unix(live: &Live<()>) -> RawSocket<UnixStream> {
    static NEXT: AtomicUsize = AtomicUsize::new(0);

    let name = format!("axum-live-node-{}-{}.sock", process::id(), NEXT.fetch_add(1, Relaxed));
    let path = env::temp_dir().join(name);
    let listener = UnixListener::bind(&path).unwrap();
    serve_on(listener, router(live));
    let mut socket = RawSocket::over(UnixStream::connect(&path).await.unwrap());
    fs::remove_file(&path).unwrap();
    socket.upgrade(&Request::new("/ws")).await.unwrap();
    socket
}

/// Asserts that the next frame closes with this code, and says why.
pub(crate) async fn assert_closes<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut RawSocket<S>, code: u16) {
    let (got, reason) = socket.expect_close().await.unwrap();
    assert_eq!(got, Some(code), "{reason}");
    assert!(!reason.is_empty(), "{code} without a reason");
}

/// Answers the close frame that came, and asserts that this is the end.
pub(crate) async fn answer_close<S: AsyncRead + AsyncWrite + Unpin>(mut socket: RawSocket<S>, code: u16) {
    socket.close(code, "").await.unwrap();
    socket.expect_eof().await.unwrap();
}

fn router(live: &Live<()>) -> Router {
    Router::new().route("/ws", LiveLayer::anonymous(live).handler(accept))
}
