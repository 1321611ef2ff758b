//! Servers for tests, and waiting for what happens in them.

use std::{
    fmt::Debug,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum::{Router, serve::Listener};
use axum_live::{Live, Message, Session};
use axum_live_test::{RawSocket, Request};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpSocket},
    sync::watch,
    task, time,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Serves on a free port until the test's runtime ends.
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    serve_on(listener, router);
    addr
}

/// Serves on any listener until the test's runtime ends.
pub(crate) fn serve_on<L: Listener<Addr: Debug>>(listener: L, router: Router) {
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
}

/// Opens a WebSocket from another address of this machine.
pub(crate) async fn open_from(address: &str, server: SocketAddr, request: &Request) -> RawSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
    let mut socket = RawSocket::over(socket.connect(server).await.unwrap());
    socket.upgrade(request).await.unwrap();
    socket
}

/// A node that sends each message back as it came.
pub(crate) fn echo() -> Live<()> {
    Live::builder()
        .on_message(async |session: Session<()>, message: Message| {
            let data: Value = message.json().unwrap();
            session.send(message.topic(), &data).unwrap();
        })
        .build()
}

/// Asserts that a socket, already upgraded, leads to an [`echo`].
pub(crate) async fn assert_echoes<S: AsyncRead + AsyncWrite + Unpin>(socket: &mut RawSocket<S>) {
    socket.send_json("echo", "hello").await.unwrap();
    assert_eq!(socket.expect_json("echo").await.unwrap(), "hello");
}

/// Asserts that a socket, already upgraded, leads to an [`echo`], and that it closes as it should.
pub(crate) async fn assert_echoes_and_closes<S: AsyncRead + AsyncWrite + Unpin>(mut socket: RawSocket<S>) {
    assert_echoes(&mut socket).await;
    socket.close(1000, "").await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    socket.expect_eof().await.unwrap();
}

/// Waits for an event, which must come soon.
pub(crate) async fn soon<T>(event: &str, coming: impl Future<Output = T>) -> T {
    time::timeout(PATIENCE, coming).await.unwrap_or_else(|_| panic!("{event} did not come"))
}

/// Waits until a figure, of which no event tells, is as it should be. By the wall's clock: a paused one stands still
/// while anything is tried.
pub(crate) async fn settles(condition: &str, holds: impl Fn() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{condition} did not come");
        task::yield_now().await;
    }
}

/// Writes down what the application saw, in order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Witness {
    seen: Arc<watch::Sender<Vec<&'static str>>>,
}

impl Witness {
    pub(crate) fn saw(&self, what: &'static str) {
        self.seen.send_modify(|seen| seen.push(what));
    }

    pub(crate) fn seen(&self) -> Vec<&'static str> {
        self.seen.borrow().clone()
    }

    pub(crate) fn times(&self, what: &str) -> usize {
        self.seen.borrow().iter().filter(|&&seen| seen == what).count()
    }

    /// Waits until it has seen this, be it in the past.
    pub(crate) async fn sees(&self, what: &'static str) {
        let mut watch = self.seen.subscribe();
        soon(what, watch.wait_for(|seen| seen.contains(&what))).await.unwrap();
    }
}
