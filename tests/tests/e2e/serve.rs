//! `axum_live::serve`: what it asks of connections, and of how many (cases 10, 14, 16, 70 and 72).

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use axum::{Router, routing::get};
use axum_live::{Connections, Heartbeat, Live, LiveLayer, Serve, Session, accept};
use axum_live_test::{Frame, RawSocket, RawSocketError, Reply, Request};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time,
};

use crate::{
    app::{assert_echoes, echo, open_from, settles, soon},
    child::Child,
    node::{answer_close, assert_closes},
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A node at `/ws`, and `hello` at `/`.
fn app(live: &Live<()>) -> Router {
    Router::new().route("/", get(async || "hello")).route("/ws", LiveLayer::anonymous(live).handler(accept))
}

async fn start(
    live: &Live<()>,
    set: impl FnOnce(Serve<TcpListener>) -> Serve<TcpListener>,
) -> (SocketAddr, Connections) {
    serve(app(live), set).await
}

/// Serves until the test's runtime ends.
pub(crate) async fn serve(
    app: Router,
    set: impl FnOnce(Serve<TcpListener>) -> Serve<TcpListener>,
) -> (SocketAddr, Connections) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = set(axum_live::serve(listener, app));
    let (addr, connections) = (server.local_addr().unwrap(), server.connections());
    tokio::spawn(server.into_future());
    (addr, connections)
}

async fn ask(addr: SocketAddr, request: &Request) -> Reply {
    RawSocket::connect(addr).await.unwrap().request(request).await.unwrap()
}

#[tokio::test]
async fn sessions_are_served_and_know_the_clients_address() {
    let live = echo();
    let (addr, connections) = start(&live, |server| server).await;
    let tcp = TcpStream::connect(addr).await.unwrap();
    let client = tcp.local_addr().unwrap();
    let mut socket = RawSocket::over(tcp);
    socket.upgrade(&Request::new("/ws")).await.unwrap();
    assert_echoes(&mut socket).await;
    assert_eq!(live.sessions()[0].peer_addr(), Some(client));
    assert_eq!(ask(addr, &Request::plain("/")).await.text(), "hello");
    assert_eq!((connections.accepted(), connections.refused()), (2, 0));
}

/// A stream that is not plain TCP is written to by its session's task alone, which has no turn here.
#[tokio::test]
async fn a_session_has_the_plain_socket() {
    const COUNT: u32 = 1000;

    let live = Live::<()>::builder()
        .queue_size(4)
        .on_connect(async |session: Session<()>| {
            (0..COUNT).for_each(|number| session.send("t", &number).unwrap());
        })
        .build();
    let (addr, _) = start(&live, |server| server).await;
    let mut socket = RawSocket::open(addr, "/ws").await.unwrap();
    for number in 0..COUNT {
        assert_eq!(socket.expect_json("t").await.unwrap(), number);
    }
}

#[tokio::test]
async fn c10_a_head_that_is_too_large_is_431_or_414() {
    let (addr, _) = start(&echo(), |server| server).await;
    let many = |count: u32| (0..count).fold(Request::new("/ws"), |request, n| request.header(&format!("x-{n}"), "x"));
    let long = |bytes: usize| Request::new("/ws").header("x-long", "x".repeat(bytes));
    let address = |bytes: usize| Request::plain(&format!("/?{}", "x".repeat(bytes)));
    assert_eq!(ask(addr, &many(90)).await.status(), 101);
    assert_eq!(ask(addr, &many(101)).await.status(), 431);
    assert_eq!(ask(addr, &long(15 << 10)).await.status(), 101);
    let refused = ask(addr, &long(16 << 10)).await;
    assert_eq!((refused.status(), refused.header("connection")), (431, Some("close")));
    assert_eq!(ask(addr, &address(16_000)).await.text(), "hello");
    assert_eq!(ask(addr, &address(17 << 10)).await.status(), 414);
    assert_eq!(ask(addr, &address(70 << 10)).await.status(), 414);
}

#[tokio::test]
async fn c10_a_head_without_end_is_431_when_a_bound_is_reached() {
    let (addr, _) = start(&echo(), |server| server.header_timeout(millis(1_000_000))).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.write("GET / HTTP/1.1\r\nx-long: ").await.unwrap();
    let mut written = 0;
    while written < 1 << 20 && socket.write([b'x'; 1024]).await.is_ok() {
        written += 1024;
    }
    // The end may be a reset, for we write on; that it ends is the point.
    match socket.reply().await {
        Ok(reply) => assert_eq!(reply.status(), 431),
        Err(error) => assert!(!matches!(error, RawSocketError::TimedOut { .. }), "{error}"),
    }
}

#[tokio::test]
async fn c16_who_says_nothing_or_half_a_head_is_closed() {
    let (addr, connections) = start(&echo(), |server| server.header_timeout(millis(100))).await;
    for said in ["", "PRI * HT", "GET /ws HTTP/1.1\r\nHost: a\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let start = Instant::now();
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        tcp.write_all(said.as_bytes()).await.unwrap();
        let mut rest = Vec::new();
        // What HTTP/2 begins with may come, and the end may be a reset.
        soon("the end", tcp.read_to_end(&mut rest)).await.ok();
        assert!(start.elapsed() >= millis(100), "{said:?}");
    }
    assert_eq!(connections.timed_out(), 4);
    settles("no connection", || connections.open() == 0).await;
}

#[tokio::test]
async fn c16_a_line_now_and_then_buys_no_time() {
    let (addr, connections) = start(&echo(), |server| server.header_timeout(millis(200))).await;
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(b"GET /ws HTTP/1.1\r\n").await.unwrap();
    let mut lines = 0;
    let mut ticks = time::interval(millis(20));
    let ended = async {
        let mut byte = [0];
        loop {
            tokio::select! {
                read = tcp.read(&mut byte) => return read.unwrap_or(0),
                _ = ticks.tick() => {
                    tcp.write_all(b"x-slow: 1\r\n").await.ok();
                    lines += 1;
                }
            }
        }
    };
    assert_eq!(soon("the end", ended).await, 0);
    assert!(lines >= 5, "{lines}");
    assert_eq!(connections.timed_out(), 1);
}

#[tokio::test(start_paused = true)]
async fn c16_by_default_the_first_request_has_ten_seconds_and_the_next_seventy_five() {
    let (addr, connections) = start(&echo(), |server| server).await;
    let start = time::Instant::now();
    let mut socket = RawSocket::connect(addr).await.unwrap().patience(millis(1_000_000));
    socket.expect_eof().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 10);

    let mut socket = RawSocket::connect(addr).await.unwrap().patience(millis(1_000_000));
    let start = time::Instant::now();
    socket.request(&Request::plain("/").header("Connection", "keep-alive")).await.unwrap();
    socket.expect_eof().await.unwrap();
    assert_eq!(start.elapsed().as_secs(), 75);
    assert_eq!(connections.timed_out(), 1);
}

#[tokio::test]
async fn neither_a_session_nor_a_long_answer_is_idle() {
    let beat = Heartbeat::every(millis(40)).timeout(millis(5000));
    let live = Live::<()>::builder().heartbeat(beat).build();
    let set = |server: Serve<TcpListener>| server.header_timeout(millis(60)).idle_timeout(millis(60));
    let (release, released) = watch::channel(());
    let slow = get(async move || {
        released.clone().changed().await.unwrap();
        "at last"
    });
    let (addr, connections) = serve(app(&live).route("/slow", slow), set).await;
    let socket = RawSocket::open(addr, "/ws").await.unwrap();
    // Each ping tells that two thirds of either have passed.
    let pings = answer_pings(socket, 6);
    let mut slow = RawSocket::connect(addr).await.unwrap();
    slow.write(Request::plain("/slow").to_bytes()).await.unwrap();
    let _socket = pings.await;
    release.send(()).unwrap();
    assert_eq!(slow.reply().await.unwrap().text(), "at last");
    assert_eq!((live.len(), connections.timed_out()), (1, 0));
}

#[tokio::test]
async fn c70_past_the_cap_a_connection_is_503_and_a_sessions_place_is_free_when_it_ends() {
    let live = echo();
    let (addr, connections) = start(&live, |server| server.max_connections(3)).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(RawSocket::open(addr, "/ws").await.unwrap());
    }
    for refused in 1..=5 {
        let reply = ask(addr, &Request::new("/ws")).await;
        assert_eq!((reply.status(), reply.header("retry-after")), (503, Some("5")));
        assert_eq!(connections.refused(), refused);
    }
    assert_eq!(connections.open(), 3);
    let mut first = sockets.remove(0);
    first.close(1000, "").await.unwrap();
    first.expect_close().await.unwrap();
    drop(first);
    settles("a free place", || connections.open() == 2).await;
    let mut socket = RawSocket::open(addr, "/ws").await.unwrap();
    assert_echoes(&mut socket).await;
    for socket in &mut sockets {
        assert_echoes(socket).await;
    }
}

#[tokio::test]
async fn c70_refusals_are_told_to_a_few_at_a_time_and_hold_no_more_descriptors() {
    let (addr, connections) = start(&echo(), |server| server.max_connections(0)).await;
    // They neither read nor end, so each is told for as long as there is patience.
    let mut silent = Vec::new();
    for _ in 0..64 {
        silent.push(TcpStream::connect(addr).await.unwrap());
    }
    settles("64 refusals", || connections.refused() == 64).await;
    let mut more = TcpStream::connect(addr).await.unwrap();
    let mut said = Vec::new();
    soon("the end", more.read_to_end(&mut said)).await.unwrap();
    assert!(said.is_empty());
}

#[tokio::test]
async fn c70_without_descriptors_the_server_waits_and_goes_on() {
    let server = Child::limited(48, &["--connections", "1000"]).await;
    let mut sockets = Vec::new();
    let (mut last, before, start) = loop {
        let (before, start) = (server.cpu_time(), Instant::now());
        let mut socket = RawSocket::connect(server.addr).await.unwrap().patience(millis(300));
        match socket.upgrade(&Request::new("/ws")).await {
            Ok(_) => sockets.push(socket),
            // It is in the kernel's queue of those who wait to be let in.
            Err(_) => break (socket.patience(millis(10_000)), before, start),
        }
        assert!(sockets.len() < 48);
    };
    assert!(sockets.len() > 20, "it has descriptors left: {} are taken", sockets.len());
    let used = server.cpu_time() - before;
    assert!(used < start.elapsed() / 4, "{used:?} in {:?}", start.elapsed());
    assert_echoes(&mut sockets[0]).await;
    drop(sockets.split_off(1));
    last.reply().await.unwrap();
    assert_echoes(&mut last).await;
    assert_echoes(&mut sockets[0]).await;
}

#[tokio::test]
async fn c70_by_default_the_cap_is_below_what_the_process_may_open() {
    let server = Child::limited(200, &[]).await;
    let mut sockets = Vec::new();
    let refused = loop {
        let mut socket = RawSocket::connect(server.addr).await.unwrap();
        socket.write(Request::new("/ws").to_bytes()).await.unwrap();
        let reply = socket.reply().await.unwrap();
        if reply.status() != 101 {
            break reply;
        }
        sockets.push(socket);
    };
    assert_eq!((refused.status(), sockets.len()), (503, 180));
}

#[tokio::test]
async fn c72_one_address_gets_so_many_connections_and_then_429() {
    let live = echo();
    let (addr, connections) = start(&live, |server| server.max_connections_per_address(2)).await;
    let first = RawSocket::open(addr, "/ws").await.unwrap();
    let mut second = RawSocket::open(addr, "/ws").await.unwrap();
    let reply = ask(addr, &Request::new("/ws")).await;
    assert_eq!((reply.status(), reply.header("retry-after")), (429, Some("5")));
    assert_eq!((connections.refused_by_address(), connections.refused()), (1, 0));

    // Somebody else is let in.
    let mut other = open_from("127.0.0.2", addr, &Request::new("/ws")).await;
    assert_echoes(&mut other).await;

    live.sessions().iter().for_each(|session| session.close());
    for mut socket in [first, other] {
        assert_closes(&mut socket, 1000).await;
        answer_close(socket, 1000).await;
    }
    settles("a free place", || connections.open() == 1).await;
    let mut third = RawSocket::open(addr, "/ws").await.unwrap();
    assert_echoes(&mut third).await;
    assert_closes(&mut second, 1000).await;
}

#[tokio::test]
async fn c74_clients_of_a_server_that_was_stopped_stay() {
    let server = Child::start(&["--heartbeat", "200"]).await;
    let mut sockets = Vec::new();
    for _ in 0..20 {
        sockets.push(RawSocket::open(server.addr, "/ws").await.unwrap());
    }
    server.pause();
    // Ten times what a client has for its pong; nothing happens meanwhile that could be waited for.
    time::sleep(millis(2000)).await;
    server.resume();
    // Two pings, between which a client that says nothing would have been given up.
    let mut clients: JoinSet<_> = sockets.into_iter().map(|socket| answer_pings(socket, 2)).collect();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }
}

async fn answer_pings(mut socket: RawSocket, count: usize) -> RawSocket {
    for _ in 0..count {
        let ping = socket.frame().await.unwrap();
        assert_eq!(ping.opcode(), Frame::PING, "{:?}", ping.as_close());
        socket.send(&Frame::pong(ping.payload())).await.unwrap();
    }
    socket
}
