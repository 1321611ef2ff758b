//! `Live::shutdown` (rule 8).

use std::{
    future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use axum::Router;
use axum_live::{CloseReason, Frame as Payload, Live, LiveLayer, Message, Session};
use axum_live_test::{Frame, RawSocket, RawSocketError, Request};
use tokio::{
    sync::{Barrier, Notify, mpsc},
    task::{self, JoinSet},
};

use crate::{
    app::{Witness, serve, settles, soon},
    node::{Node, answer_close, assert_closes, serve_live},
};

#[tokio::test]
async fn shutdown_closes_all_with_1001_and_waits_for_their_on_close() {
    let witness = Witness::default();
    let closed = witness.clone();
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let live = Live::<()>::builder()
        .on_close(async move |_: Session<()>, reason: CloseReason| {
            assert_eq!(reason, CloseReason::Shutdown);
            closed.saw("close");
            released.notified().await;
            closed.saw("closed");
        })
        .build();
    let addr = serve_live(&live).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(RawSocket::open(addr, "/ws").await.unwrap());
    }
    let shutdown = task::spawn({
        let live = live.clone();
        let witness = witness.clone();
        async move {
            let report = live.shutdown().await;
            witness.saw("shut down");
            report
        }
    });
    for mut socket in sockets {
        assert_closes(&mut socket, 1001).await;
        answer_close(socket, 1001).await;
    }
    settles("three on_close", || witness.times("close") == 3).await;
    assert_eq!(witness.seen(), ["close"; 3]);
    release.notify_waiters();
    let report = soon("the shutdown", shutdown).await.unwrap();
    assert_eq!(witness.seen(), ["close", "close", "close", "closed", "closed", "closed", "shut down"]);
    assert_eq!((report.closed(), report.aborted()), (3, 0));

    // Again, and nothing is left to do.
    let report = live.shutdown().await;
    assert_eq!((report.closed(), report.aborted()), (0, 0));
    assert!(live.is_empty());
}

#[tokio::test]
async fn new_sessions_are_503_before_and_after_the_shutdown_is_done() {
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, _) = node.open().await;
    let shutdown = task::spawn({
        let live = node.live.clone();
        async move { live.shutdown().await }
    });
    assert_closes(&mut socket, 1001).await;
    let refused = async |node: &Node| {
        let reply = RawSocket::connect(node.addr).await.unwrap().request(&Request::new("/ws")).await.unwrap();
        assert_eq!(reply.status(), 503);
        assert!(reply.text().contains("shutting down"), "{}", reply.text());
    };
    refused(&node).await;
    answer_close(socket, 1001).await;
    shutdown.await.unwrap();
    refused(&node).await;
    node.closed().await;
    node.assert_quiet();
}

#[tokio::test]
async fn a_pending_session_is_503_and_its_handles_are_closed() {
    let witness = Witness::default();
    let (opened, closed) = (witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .on_connect(async move |_: Session<()>| opened.saw("open"))
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    let (sessions, mut told) = mpsc::unbounded_channel();
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let handler = async move |session: Session<()>| {
        session.subscribe("t").unwrap();
        sessions.send(session).unwrap();
        released.notified().await;
    };
    let addr = serve(Router::new().route("/ws", LiveLayer::anonymous(&live).handler(handler))).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.write(Request::new("/ws").to_bytes()).await.unwrap();
    let session = soon("the handler", told.recv()).await.unwrap();
    let shutdown = task::spawn({
        let live = live.clone();
        async move { live.shutdown().await }
    });
    settles("the end", || session.is_closed()).await;
    assert!(!shutdown.is_finished(), "the handler still runs");
    release.notify_one();
    assert_eq!(socket.reply().await.unwrap().status(), 503);
    assert_eq!(soon("the shutdown", shutdown).await.unwrap().aborted(), 0);
    assert!(session.is_closed() && live.is_empty());
    assert_eq!(live.stats().topics(), 0);
    assert!(witness.seen().is_empty(), "{:?}", witness.seen());
}

#[tokio::test]
async fn a_hook_gets_shutdown_timeout_and_is_then_dropped_and_reported() {
    struct Dropped(Witness);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.saw("dropped");
        }
    }

    let witness = Witness::default();
    let hook = witness.clone();
    let builder = Live::builder().shutdown_timeout(Duration::from_millis(100)).on_message(
        async move |_: Session<()>, _: Message| {
            let _dropped = Dropped(hook.clone());
            hook.saw("message");
            future::pending::<()>().await;
        },
    );
    let mut node = Node::start(builder).await;
    let (mut socket, stuck) = node.open().await;
    socket.send_json("a", 1).await.unwrap();
    witness.sees("message").await;

    let shutdown = task::spawn({
        let live = node.live.clone();
        async move { live.shutdown().await }
    });
    assert_closes(&mut socket, 1001).await;
    answer_close(socket, 1001).await;
    let report = soon("the shutdown", shutdown).await.unwrap();
    assert_eq!((report.closed(), report.aborted()), (0, 1));
    witness.sees("dropped").await;
    assert_eq!(node.closed().await, (stuck, CloseReason::Shutdown));
    node.empties().await;
}

#[tokio::test]
async fn a_hook_may_take_longer_than_close_timeout_while_the_node_shuts_down() {
    let witness = Witness::default();
    let hook = witness.clone();
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let builder =
        Live::builder().close_timeout(Duration::from_millis(50)).on_message(async move |_: Session<()>, _: Message| {
            hook.saw("message");
            released.notified().await;
            hook.saw("handled");
        });
    let mut node = Node::start(builder).await;
    let (mut socket, _) = node.open().await;
    socket.send_json("a", 1).await.unwrap();
    witness.sees("message").await;
    let shutdown = task::spawn({
        let live = node.live.clone();
        async move { live.shutdown().await }
    });
    assert_closes(&mut socket, 1001).await;
    // Unanswered: the reset tells that close_timeout is over.
    assert!(matches!(socket.frame().await, Err(RawSocketError::Io { .. })));
    assert_eq!(witness.seen(), ["message"]);
    release.notify_one();
    let report = soon("the shutdown", shutdown).await.unwrap();
    assert_eq!((report.closed(), report.aborted()), (1, 0));
    assert_eq!(witness.seen(), ["message", "handled"]);
    assert_eq!(node.closed().await.1, CloseReason::Shutdown);
}

#[tokio::test]
async fn a_shutdown_awaited_from_a_hook_returns_and_does_not_wait_for_that_session() {
    let (reports, mut reported) = mpsc::unbounded_channel();
    let builder = Live::builder().on_message(async move |session: Session<()>, _: Message| {
        reports.send(session.live().shutdown().await).unwrap();
    });
    let mut node = Node::start(builder).await;
    let (mut socket, session) = node.open().await;
    let (mut other, _) = node.open().await;
    socket.send_json("shut", "down").await.unwrap();
    assert_closes(&mut other, 1001).await;
    answer_close(other, 1001).await;
    let report = soon("the shutdown", reported.recv()).await.unwrap();
    assert_eq!(report.aborted(), 0);
    assert_closes(&mut socket, 1001).await;
    answer_close(socket, 1001).await;
    let (one, two) = (node.closed().await, node.closed().await);
    assert!(one.0 == session || two.0 == session);
    assert_eq!((one.1, two.1), (CloseReason::Shutdown, CloseReason::Shutdown));
}

#[tokio::test]
async fn shutdowns_awaited_at_once_from_hooks_and_from_outside_all_return() {
    let (reports, mut reported) = mpsc::unbounded_channel();
    let builder = Live::builder().on_message(async move |session: Session<()>, _: Message| {
        reports.send(session.live().shutdown().await).unwrap();
    });
    let mut node = Node::start(builder).await;
    let (mut socket, _) = node.open().await;
    socket.send_json("shut", "down").await.unwrap();
    assert_closes(&mut socket, 1001).await;
    answer_close(socket, 1001).await;
    let (one, two) = soon("both", async { tokio::join!(node.live.shutdown(), node.live.shutdown()) }).await;
    assert_eq!((one.aborted(), two.aborted()), (0, 0));
    soon("the hook's", reported.recv()).await.unwrap();
}

#[tokio::test]
async fn shutdowns_awaited_from_two_hooks_do_not_wait_for_each_other() {
    let (reports, mut reported) = mpsc::unbounded_channel();
    let both = Arc::new(Barrier::new(2));
    let builder = Live::builder().on_message(async move |session: Session<()>, _: Message| {
        both.wait().await;
        reports.send(session.live().shutdown().await).unwrap();
    });
    let mut node = Node::start(builder).await;
    let mut sockets = [node.open().await.0, node.open().await.0];
    for socket in &mut sockets {
        socket.send_json("shut", "down").await.unwrap();
    }
    for mut socket in sockets {
        assert_closes(&mut socket, 1001).await;
        answer_close(socket, 1001).await;
    }
    for _ in 0..2 {
        assert_eq!(soon("a shutdown", reported.recv()).await.unwrap().aborted(), 0);
    }
    assert_eq!((node.closed().await.1, node.closed().await.1), (CloseReason::Shutdown, CloseReason::Shutdown));
}

#[tokio::test]
async fn what_is_queued_at_a_shutdown_goes_before_the_1001() {
    const FRAMES: u8 = 48;

    let mut node = Node::start(Live::builder().queue_bytes(64 << 20).close_timeout(Duration::from_secs(60))).await;
    let (mut socket, session) = node.open_slow().await;
    for number in 0..FRAMES {
        session.send_frame(Payload::binary(vec![number; 256 << 10])).unwrap();
    }
    let shutdown = task::spawn({
        let live = node.live.clone();
        async move { live.shutdown().await }
    });
    assert_eq!(node.closed().await.1, CloseReason::Shutdown);
    for number in 0..FRAMES {
        let frame = socket.frame().await.unwrap();
        assert!(frame.opcode() == Frame::BINARY && frame.payload() == vec![number; 256 << 10], "frame {number}");
    }
    assert_closes(&mut socket, 1001).await;
    answer_close(socket, 1001).await;
    assert_eq!(shutdown.await.unwrap().closed(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shutdown_under_load_loses_no_queued_message() {
    const CLIENTS: usize = 12;
    const AHEAD: usize = 100;
    const BACKLOG: usize = 500;

    let builder = Live::builder().queue_size(1 << 20).queue_bytes(1 << 30).close_timeout(Duration::from_secs(60));
    let mut node = Node::start(builder.shutdown_timeout(Duration::from_secs(60))).await;
    let received: Arc<Vec<AtomicUsize>> = Arc::new((0..CLIENTS).map(|_| AtomicUsize::new(0)).collect());
    let mut clients = JoinSet::new();
    for (number, mut socket) in node.open_subscribed(CLIENTS).await.into_iter().enumerate() {
        let received = Arc::clone(&received);
        clients.spawn(async move {
            loop {
                let frame = socket.frame().await.unwrap();
                if frame.opcode() == Frame::CLOSE {
                    assert_eq!(frame.as_close().unwrap().0, Some(1001));
                    answer_close(socket, 1001).await;
                    return;
                }
                let next = received[number].load(Relaxed);
                assert_eq!(frame.as_text().unwrap(), format!(r#"{{"topic":"t","data":{next}}}"#), "a gap");
                received[number].store(next + 1, Relaxed);
            }
        });
    }

    // How many receivers each publication had, until there were none. Before the shutdown it goes at the clients' pace.
    let (published, hurry) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
    let publisher = thread::spawn({
        let (live, received) = (node.live.clone(), Arc::clone(&received));
        let (published, hurry) = (Arc::clone(&published), Arc::clone(&hurry));
        move || {
            let mut receivers = Vec::new();
            loop {
                match live.publish("t", &receivers.len()).unwrap() {
                    0 => return receivers,
                    count => receivers.push(count),
                }
                published.store(receivers.len(), Relaxed);
                let slowest = || received.iter().map(|count| count.load(Relaxed)).min().unwrap();
                while !hurry.load(Relaxed) && receivers.len() > slowest() + AHEAD {
                    thread::yield_now();
                }
            }
        }
    });
    settles("load", || received[0].load(Relaxed) > BACKLOG).await;
    hurry.store(true, Relaxed);
    let before = published.load(Relaxed);
    settles("a backlog", || published.load(Relaxed) > before + BACKLOG).await;
    let report = node.live.shutdown().await;
    assert_eq!((report.closed(), report.aborted()), (CLIENTS, 0));
    clients.join_all().await;
    let receivers = publisher.join().unwrap();
    for (number, count) in receivers.iter().enumerate() {
        let arrived = received.iter().filter(|received| received.load(Relaxed) > number).count();
        assert_eq!(arrived, *count, "publication {number} of {}", receivers.len());
    }
    assert!(received.iter().all(|count| count.load(Relaxed) <= receivers.len()));
}
