//! The end of a server under load, and the return of its clients (cases 58 and 75).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use axum_live::{Drain, DrainReport, Live, LiveLayer, Message, Serve, Session, accept};
use axum_live_test::{RawSocket, Request};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::oneshot,
    task::{JoinHandle, JoinSet},
};

use crate::{
    app::{settles, soon},
    door_http2,
    node::{answer_close, assert_closes},
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A server that ends when it is told to.
struct Server {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    ended: JoinHandle<DrainReport>,
}

impl Server {
    async fn start(app: Router, set: impl FnOnce(Serve<TcpListener>) -> Serve<TcpListener>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = set(axum_live::serve(listener, app)).with_graceful_shutdown(async { stopped.await.unwrap() });
        let ended = tokio::spawn(async { server.await.unwrap() });
        Self { addr, stop, ended }
    }

    /// Tells it to end, and answers what becomes of that.
    fn stop(self) -> JoinHandle<DrainReport> {
        self.stop.send(()).unwrap();
        self.ended
    }
}

fn app(live: &Live<()>) -> Router {
    Router::new().route("/ws", LiveLayer::anonymous(live).handler(accept))
}

/// A node whose sessions are subscribed to `t`.
fn subscribed() -> Live<()> {
    Live::builder().on_connect(async |session: Session<()>| session.subscribe("t").unwrap()).build()
}

async fn open(live: &Live<()>, addr: SocketAddr, count: usize) -> Vec<RawSocket> {
    let mut sockets = Vec::new();
    for _ in 0..count {
        sockets.push(RawSocket::open(addr, "/ws").await.unwrap());
    }
    settles("all subscriptions", || live.subscriber_count("t") == count).await;
    sockets
}

/// Reads numbers until the close frame, which it answers; how long the server took to send that.
async fn see_off<S>(mut socket: RawSocket<S>, numbers: u32, start: Instant) -> Duration
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    for number in 0..numbers {
        assert_eq!(socket.expect_json("t").await.unwrap(), number);
    }
    assert_closes(&mut socket, 1001).await;
    let closed = start.elapsed();
    answer_close(socket, 1001).await;
    closed
}

#[tokio::test]
async fn c58_on_the_signal_queues_are_flushed_and_sessions_closed_in_batches() {
    const SESSIONS: usize = 300;
    const NUMBERS: u32 = 50;

    let live = subscribed();
    let pace = Drain::default().rate(500);
    let server = Server::start(app(&live), |server| server.drain(&live).pace(pace)).await;
    let sockets = open(&live, server.addr, SESSIONS).await;
    for number in 0..NUMBERS {
        assert_eq!(live.publish("t", &number).unwrap(), SESSIONS);
    }
    let (addr, start) = (server.addr, Instant::now());
    let ended = server.stop();
    let mut clients: JoinSet<_> = sockets.into_iter().map(|socket| see_off(socket, NUMBERS, start)).collect();
    let mut times = Vec::new();
    while let Some(time) = clients.join_next().await {
        times.push(time.unwrap());
    }
    let report = soon("the end", ended).await.unwrap();
    assert_eq!((report.closed(), report.cut_off(), report.aborted()), (SESSIONS, 0, 0));
    assert_eq!(report.dropped_connections(), 0);
    times.sort_unstable();
    // 26 go at once, the others within 0.55 seconds.
    assert!(times[SESSIONS / 2] > millis(150) && times[SESSIONS - 1] > millis(400), "{times:?}");
    let again = RawSocket::connect(addr).await;
    assert!(again.is_err(), "nobody listens");
    assert!(live.is_empty());
}

#[tokio::test]
async fn c58_an_upgrade_under_way_is_503_with_retry_after() {
    let live = subscribed();
    let server = Server::start(app(&live), |server| server.drain(&live)).await;
    let sockets = open(&live, server.addr, 1).await;
    let mut late = RawSocket::connect(server.addr).await.unwrap();
    let request = Request::new("/ws").to_bytes();
    let (first, rest) = request.split_at(30);
    late.write(first).await.unwrap();
    // That it has come to the server is told by a request that comes after it.
    RawSocket::connect(server.addr).await.unwrap().request(&Request::plain("/")).await.unwrap();
    let addr = server.addr;
    let ended = server.stop();
    for mut socket in sockets {
        assert_closes(&mut socket, 1001).await;
        assert!(RawSocket::connect(addr).await.is_err(), "nobody listens any more");
        late.write(rest).await.unwrap();
        let reply = late.reply().await.unwrap();
        assert_eq!((reply.status(), reply.header("retry-after")), (503, Some("1")));
        answer_close(socket, 1001).await;
    }
    assert_eq!(soon("the end", ended).await.unwrap().closed(), 1);
}

#[tokio::test]
async fn c58_the_report_tells_who_did_not_go_cleanly() {
    let live = Live::<()>::builder()
        .close_timeout(millis(300))
        .shutdown_timeout(millis(900))
        .on_connect(async |session: Session<()>| session.subscribe("t").unwrap())
        .on_message(async |_: Session<()>, _: Message| std::future::pending().await)
        .build();
    let server = Server::start(app(&live), |server| server.drain(&live)).await;
    let mut silent = open(&live, server.addr, 4).await;
    let (mut hangs, clean) = (silent.remove(0), silent.remove(0));
    hangs.send_json("hang", 1).await.unwrap();
    settles("the message", || live.stats().messages() == 1).await;
    let ended = server.stop();
    see_off(clean, 0, Instant::now()).await;
    assert_closes(&mut hangs, 1001).await;
    answer_close(hangs, 1001).await;
    let report = soon("the end", ended).await.unwrap();
    assert_eq!((report.closed(), report.cut_off(), report.aborted()), (3, 2, 1));
    assert!(report.to_string().ends_with(": 3 sessions closed, 2 cut off, 1 aborted, 0 connections dropped"));
    drop(silent);
}

#[tokio::test]
async fn c58_all_nodes_of_a_server_are_drained() {
    let (one, two) = (subscribed(), subscribed());
    let app = app(&one).route("/two", LiveLayer::anonymous(&two).handler(accept));
    let server = Server::start(app, |server| server.drain(&one).drain(&two)).await;
    let first = RawSocket::open(server.addr, "/ws").await.unwrap();
    let second = RawSocket::open(server.addr, "/two").await.unwrap();
    let ended = server.stop();
    tokio::join!(see_off(first, 0, Instant::now()), see_off(second, 0, Instant::now()));
    assert_eq!(soon("the end", ended).await.unwrap().closed(), 2);
}

#[tokio::test]
async fn c58_a_session_on_http2_has_as_much_time_as_any() {
    let live = subscribed();
    let server = Server::start(app(&live), |server| server.drain(&live).request_grace(millis(0))).await;
    let mut client = door_http2::connect(server.addr).await;
    let socket = door_http2::open(&mut client).await;
    settles("the subscription", || live.subscriber_count("t") == 1).await;
    live.publish("t", &0).unwrap();
    let ended = server.stop();
    see_off(socket, 1, Instant::now()).await;
    let report = soon("the end", ended).await.unwrap();
    assert_eq!((report.closed(), report.cut_off(), report.aborted()), (1, 0, 0));
}

#[tokio::test]
async fn requests_under_way_are_answered_and_dropped_where_they_take_too_long() {
    let (begins, mut begun) = tokio::sync::mpsc::unbounded_channel();
    let (release, released) = tokio::sync::watch::channel(());
    let begins_too = begins.clone();
    let app = Router::new()
        .route(
            "/slow",
            get(async move || {
                begins.send(()).unwrap();
                released.clone().changed().await.unwrap();
                "done"
            }),
        )
        .route(
            "/never",
            get(async move || {
                begins_too.send(()).unwrap();
                std::future::pending::<()>().await;
            }),
        );
    let server = Server::start(app, |server| server.request_grace(millis(500))).await;
    let mut slow = RawSocket::connect(server.addr).await.unwrap();
    let mut never = RawSocket::connect(server.addr).await.unwrap();
    let idle = RawSocket::connect(server.addr).await.unwrap();
    slow.write(Request::plain("/slow").to_bytes()).await.unwrap();
    never.write(Request::plain("/never").to_bytes()).await.unwrap();
    for _ in 0..2 {
        soon("both requests", begun.recv()).await.unwrap();
    }
    let ended = server.stop();
    release.send(()).unwrap();
    assert_eq!(slow.reply().await.unwrap().text(), "done");
    never.expect_eof().await.unwrap();
    let report = soon("the end", ended).await.unwrap();
    assert_eq!(report.dropped_connections(), 1);
    assert!(report.time() >= millis(500));
    drop(idle);
}

#[tokio::test]
async fn c58_under_axums_own_serve_a_drain_keeps_its_pace_and_loses_nothing() {
    const SESSIONS: usize = 100;

    let live = subscribed();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel();
    let node = live.clone();
    let server = axum::serve(listener, app(&live)).with_graceful_shutdown(async move {
        stopped.await.unwrap();
        let report = node.drain(Drain::default().rate(200)).await;
        assert_eq!((report.closed(), report.cut_off(), report.aborted()), (SESSIONS, 0, 0));
    });
    let server = tokio::spawn(server.into_future());
    let sockets = open(&live, addr, SESSIONS).await;
    live.publish("t", &0).unwrap();
    let start = Instant::now();
    stop.send(()).unwrap();
    let mut clients: JoinSet<_> = sockets.into_iter().map(|socket| see_off(socket, 1, start)).collect();
    // It listens until all are gone, and says that it takes no sessions.
    let reply = RawSocket::connect(addr).await.unwrap().request(&Request::new("/ws")).await.unwrap();
    assert_eq!((reply.status(), reply.header("retry-after")), (503, Some("1")));
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
    assert!(start.elapsed() > millis(300), "{:?}", start.elapsed());
    soon("the end", server).await.unwrap().unwrap();
}
