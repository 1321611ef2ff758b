//! Many clients that all lose their server, and all come back (cases 58 and 75): a few hundred of them with every run,
//! and 15,000 with
//! `cargo test --release -p axum-live-e2e --test e2e storm -- --ignored --nocapture`, which takes a limit of 16,000
//! open files (`ulimit -n`).

#![expect(clippy::print_stdout, reason = "the figures are for whoever asked for them")]

use std::{
    collections::BTreeMap,
    hash::{BuildHasher, RandomState},
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use axum_live_test::RawSocket;
use serde_json::json;
use tokio::{sync::Semaphore, task::JoinSet, time};

use crate::child::Child;

/// What all clients are told before the end, so that there is something to lose.
const NUMBERS: u32 = 5;

/// How long all may take to be back.
const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c58_sigterm_under_load_loses_nothing_that_is_queued() {
    drain(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c75_clients_of_a_killed_server_are_all_back_soon() {
    storm(300).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute, and 15,000 descriptors"]
async fn c58_fifteen_thousand_sessions_are_drained_within_ten_seconds() {
    assert!(drain(15_000).await < Duration::from_secs(10));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute, and 15,000 descriptors"]
async fn c75_a_storm_of_fifteen_thousand_is_survived() {
    storm(15_000).await;
}

/// Drains a server with so many sessions, and answers how long that took.
async fn drain(sessions: usize) -> Duration {
    let server = Child::start(&[]).await;
    let (mut sockets, held) = gather(&server, sessions).await;
    for socket in &mut sockets {
        socket.send_json("subscribe", json!({ "topic": "t" })).await.unwrap();
    }
    for socket in &mut sockets {
        socket.expect_json("ack").await.unwrap();
    }
    let mut publisher = RawSocket::open(server.addr, "/ws").await.unwrap();
    for number in 0..NUMBERS {
        publisher.send_json("publish", json!({ "topic": "t", "data": number })).await.unwrap();
    }
    // Whatever is published is handed over when this comes back; it need not have been delivered.
    publisher.send_json("echo", 1).await.unwrap();
    publisher.expect_json("echo").await.unwrap();

    let start = Instant::now();
    let mut clients: JoinSet<_> = sockets.into_iter().map(|socket| leave(socket, NUMBERS, start)).collect();
    clients.spawn(leave(publisher, 0, start));
    let report = server.drain().await;
    let time = start.elapsed();
    let mut seconds = BTreeMap::new();
    while let Some(client) = clients.join_next().await {
        *seconds.entry(client.unwrap()).or_insert(0) += 1;
    }
    let expected = format!("{} sessions closed, 0 cut off, 0 aborted, 0 connections dropped", sessions + 1);
    println!("{report}\nheld at {held} KiB a session; left in each second: {seconds:?}");
    assert!(report.ends_with(&expected), "{report}");
    time
}

/// A client that reads so many numbers to the end; in which second that came.
async fn leave(mut socket: RawSocket, numbers: u32, start: Instant) -> u64 {
    socket = socket.patience(SOON);
    for number in 0..numbers {
        assert_eq!(socket.expect_json("t").await.unwrap(), number);
    }
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1001));
    let second = start.elapsed().as_secs();
    socket.close(1001, "").await.unwrap();
    socket.expect_eof().await.unwrap();
    second
}

/// Kills a server with so many sessions, and waits until all clients are back at its successor.
async fn storm(sessions: usize) {
    let server = Child::start(&[]).await;
    let addr = server.addr;
    let (sockets, held) = gather(&server, sessions).await;
    let mut clients: JoinSet<_> = sockets.into_iter().map(|socket| come_back(socket, addr)).collect();
    drop(server);
    let server = Child::start(&["--port", &addr.port().to_string()]).await;
    let start = Instant::now();
    let (mut sockets, mut tenths) = (Vec::with_capacity(sessions), BTreeMap::new());
    let mut peak_memory = 0;
    while let Some(client) = clients.join_next().await {
        let (socket, back) = client.unwrap();
        sockets.push(socket);
        let tenth = back.saturating_duration_since(start).as_millis() / 100;
        *tenths.entry(tenth).or_insert(0_u32) += 1;
        if sockets.len() % 500 == 0 {
            peak_memory = peak_memory.max(server.memory());
        }
    }
    let time = start.elapsed();
    let mut seconds = BTreeMap::new();
    for (tenth, count) in &tenths {
        *seconds.entry(tenth / 10).or_insert(0) += count;
    }
    println!(
        "{sessions} back after {:.1} s; peak {} in 100 ms, {} in a second: {seconds:?}; memory {peak_memory} KiB, \
         held at {held} KiB a session before",
        time.as_secs_f64(),
        tenths.values().max().unwrap(),
        seconds.values().max().unwrap(),
    );
    assert!(time < SOON, "{time:?}");
    for socket in sockets.iter_mut().step_by(sessions / 100) {
        socket.send_json("echo", 1).await.unwrap();
        assert_eq!(socket.expect_json("echo").await.unwrap(), 1);
    }
}

/// Opens so many sessions; also what each takes of the server's memory, in KiB.
async fn gather(server: &Child, sessions: usize) -> (Vec<RawSocket>, f64) {
    let (addr, before) = (server.addr, server.memory());
    // The kernel's queue of who waits to be let in is finite.
    let turns = Arc::new(Semaphore::new(200));
    let mut opening = JoinSet::new();
    for _ in 0..sessions {
        let turn = Arc::clone(&turns).acquire_owned().await.unwrap();
        opening.spawn(async move {
            let socket = RawSocket::open(addr, "/ws").await.unwrap();
            drop(turn);
            socket
        });
    }
    let sockets = opening.join_all().await;
    let held = (server.memory() - before) as f64 / sessions as f64;
    (sockets, (held * 100.0).round() / 100.0)
}

/// Waits for the end, and comes back as the browser client does: with full jitter, from a quarter of a second on, up to 10
/// seconds.
async fn come_back(mut socket: RawSocket, addr: SocketAddr) -> (RawSocket, Instant) {
    const BASE: f64 = 0.25;
    const MOST: f64 = 10.0;

    socket = socket.patience(SOON);
    assert!(socket.frame().await.is_err(), "its server is killed");
    drop(socket);
    for failures in 0.. {
        let chance = RandomState::new().hash_one(failures) as f64 / u64::MAX as f64;
        time::sleep(Duration::from_secs_f64(chance * MOST.min(BASE * 2_f64.powi(failures)))).await;
        if let Ok(socket) = RawSocket::open(addr, "/ws").await {
            return (socket, Instant::now());
        }
    }
    unreachable!("it does not give up");
}
