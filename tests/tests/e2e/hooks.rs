//! The hooks of a session: once each, never two at a time, and none in the way of pings and deliveries (rules 4 and 5).

use std::{future, sync::Arc, time::Duration};

use axum_live::{Builder, CloseReason, Heartbeat, Live, Message, SendError, Session, SubscribeError};
use axum_live_test::{Frame, RawSocket, RawSocketError};
use tokio::{
    sync::{Notify, Semaphore, mpsc},
    task,
};

use crate::{
    app::{Witness, assert_echoes, settles, soon},
    node::{Node, answer_close, assert_closes, serve_live},
};

/// Sees a hook being dropped before its end.
struct Dropped(Witness);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.saw("dropped");
    }
}

/// A node whose `on_message` never returns, and tells when it has begun.
async fn stuck(settings: impl FnOnce(Builder<()>) -> Builder<()>) -> (Node, mpsc::UnboundedReceiver<()>) {
    let (begins, begun) = mpsc::unbounded_channel();
    let builder = Live::builder().on_message(async move |_: Session<()>, _: Message| {
        begins.send(()).unwrap();
        future::pending::<()>().await;
    });
    (Node::start(settings(builder)).await, begun)
}

#[tokio::test]
async fn hooks_run_once_each_in_order_and_never_overlap() {
    let witness = Witness::default();
    let gate = Arc::new(Semaphore::new(0));
    let step = |begins: &'static str, ends: &'static str| {
        let (witness, gate) = (witness.clone(), Arc::clone(&gate));
        async move || {
            witness.saw(begins);
            gate.acquire().await.unwrap().forget();
            witness.saw(ends);
        }
    };
    let (connect, message, close) = (step("open", "opened"), step("message", "handled"), step("close", "closed"));
    let live = Live::<()>::builder()
        .on_connect(async move |_: Session<()>| connect().await)
        .on_message(async move |_: Session<()>, _: Message| message().await)
        .on_close(async move |_: Session<()>, _: CloseReason| close().await)
        .build();
    let mut socket = RawSocket::open(serve_live(&live).await, "/ws").await.unwrap();
    socket.send_json("a", 1).await.unwrap();
    socket.send_json("b", 2).await.unwrap();
    socket.close(1000, "").await.unwrap();

    let steps = ["open", "opened", "message", "handled", "message", "handled", "close", "closed"];
    for done in (1..steps.len()).step_by(2) {
        settled_at(&witness, &steps[..done]).await;
        gate.add_permits(1);
    }
    settled_at(&witness, &steps).await;
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    socket.expect_eof().await.unwrap();
    drop(socket);
    live.shutdown().await;
    assert_eq!(witness.seen(), steps);
}

/// Waits until so much was seen, and asserts that no more was even when all others had their turn.
async fn settled_at(witness: &Witness, steps: &[&'static str]) {
    soon("the next step", async {
        while witness.seen().len() < steps.len() {
            task::yield_now().await;
        }
    })
    .await;
    for _ in 0..20 {
        task::yield_now().await;
    }
    assert_eq!(witness.seen(), steps);
}

#[tokio::test]
async fn c47_a_panicking_on_connect_is_1011_and_still_cleans_up() {
    let witness = Witness::default();
    let closed = witness.clone();
    let live = Live::<()>::builder()
        .on_connect(async |session: Session<()>| {
            session.subscribe("t").unwrap();
            panic!("as the test wants");
        })
        .on_close(async move |session: Session<()>, reason: CloseReason| {
            assert_eq!(reason, CloseReason::HookPanicked);
            assert_eq!(session.live().stats().topics(), 0);
            closed.saw("close");
        })
        .build();
    let mut socket = RawSocket::open(serve_live(&live).await, "/ws").await.unwrap();
    assert_closes(&mut socket, 1011).await;
    answer_close(socket, 1011).await;
    witness.sees("close").await;
    assert_eq!(live.stats().hook_panics(), 1);
    assert_eq!((live.len(), live.publish("t", &1).unwrap()), (0, 0));
}

#[tokio::test]
async fn c47_a_panicking_on_message_is_1011_and_still_cleans_up_and_harms_nobody_else() {
    let builder = Live::builder().on_message(async |session: Session<()>, message: Message| {
        assert_ne!(message.topic(), "panic", "as the test wants");
        session.send(message.topic(), "hello").unwrap();
    });
    let mut node = Node::start(builder).await;
    let (mut other, _) = node.open().await;
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    socket.send_json("panic", 1).await.unwrap();
    assert_closes(&mut socket, 1011).await;
    assert_eq!(node.closed().await, (session.clone(), CloseReason::HookPanicked));
    assert_eq!(session.subscribe("t"), Err(SubscribeError::Closed));
    assert_eq!((node.live.len(), node.live.stats().topics()), (1, 0));
    answer_close(socket, 1011).await;
    assert_echoes(&mut other).await;
    node.assert_quiet();
    assert_eq!(node.live.stats().hook_panics(), 1);
    // No lock is poisoned, of the topic it was in, of the node or of its own.
    let (mut next, session_of_next) = node.open().await;
    session_of_next.subscribe("t").unwrap();
    assert_eq!(node.live.publish("t", "hello").unwrap(), 1);
    assert_eq!(next.expect_json("t").await.unwrap(), "hello");
    assert_eq!(session.topics().len(), 1);
}

#[tokio::test]
async fn c47_a_panic_before_the_hooks_first_await_is_caught_as_well() {
    // No async closure: it panics when it is called, not when its future is polled.
    let panics = |_: Session<()>, _: Message| -> future::Ready<()> { panic!("as the test wants") };
    let mut node = Node::start(Live::builder().on_message(panics)).await;
    let (mut socket, _) = node.open().await;
    socket.send_json("panic", 1).await.unwrap();
    assert_closes(&mut socket, 1011).await;
    assert_eq!(node.closed().await.1, CloseReason::HookPanicked);
}

#[tokio::test]
async fn c50_a_panicking_on_close_harms_nobody() {
    let live = Live::<()>::builder()
        .on_message(async |session: Session<()>, message: Message| {
            session.send(message.topic(), "hello").unwrap();
        })
        .on_close(async |_: Session<()>, _: CloseReason| panic!("as the test wants"))
        .build();
    let addr = serve_live(&live).await;
    let mut other = RawSocket::open(addr, "/ws").await.unwrap();
    let mut socket = RawSocket::open(addr, "/ws").await.unwrap();
    socket.close(1000, "bye").await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    socket.expect_eof().await.unwrap();
    assert_echoes(&mut other).await;
    assert_eq!(live.stats().hook_panics(), 1);
    assert_eq!(live.len(), 1);
    // Nothing is left that a shutdown would wait for.
    drop((socket, other));
    assert_eq!(live.shutdown().await.aborted(), 0);
}

#[tokio::test]
async fn c50_on_close_may_publish_to_the_topics_it_was_in_to_all_and_to_its_user_and_then_panic() {
    let live = Live::<()>::builder()
        .user(|()| "ana")
        .on_connect(async |session: Session<()>| {
            session.subscribe("t").unwrap();
            session.send("ready", &()).unwrap();
        })
        .on_close(async |session: Session<()>, _: CloseReason| {
            let live = session.live();
            for topic in session.topics() {
                assert_eq!(live.publish(topic, "left").unwrap(), 1);
            }
            assert_eq!(live.broadcast("all", "left").unwrap(), 1);
            assert_eq!(live.user("ana").send("mine", "left").unwrap(), 1);
            assert!(matches!(session.send("t", "left"), Err(SendError::Closed)));
            panic!("as the test wants");
        })
        .build();
    let addr = serve_live(&live).await;
    let mut other = RawSocket::open(addr, "/ws").await.unwrap();
    let mut socket = RawSocket::open(addr, "/ws").await.unwrap();
    for socket in [&mut other, &mut socket] {
        socket.expect_json("ready").await.unwrap();
    }
    socket.close(1000, "bye").await.unwrap();
    // The one that leaves hears nothing of it: its close frame is next, and the end.
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    socket.expect_eof().await.unwrap();
    for topic in ["t", "all", "mine"] {
        assert_eq!(other.expect_json(topic).await.unwrap(), "left");
    }
    settles("a panic that is counted", || live.stats().hook_panics() == 1).await;
    assert_eq!((live.len(), live.subscriber_count("t")), (1, 1));
}

#[tokio::test]
async fn a_hook_running_at_close_gets_close_timeout_and_is_dropped_before_on_close() {
    let witness = Witness::default();
    let (hook, closed) = (witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .close_timeout(Duration::from_millis(50))
        .on_message(async move |_: Session<()>, _: Message| {
            let _dropped = Dropped(hook.clone());
            hook.saw("message");
            future::pending::<()>().await;
        })
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    let mut socket = RawSocket::open(serve_live(&live).await, "/ws").await.unwrap();
    socket.send_json("a", 1).await.unwrap();
    witness.sees("message").await;
    socket.close(1000, "").await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    witness.sees("close").await;
    assert_eq!(witness.seen(), ["message", "dropped", "close"]);
}

#[tokio::test]
async fn a_hook_running_at_close_may_come_to_its_end_even_when_the_connection_is_gone() {
    let witness = Witness::default();
    let (hook, closed) = (witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .on_message(async move |session: Session<()>, _: Message| {
            hook.saw("message");
            session.closed().await;
            task::yield_now().await;
            hook.saw("handled");
        })
        .on_close(async move |_: Session<()>, reason: CloseReason| {
            assert!(matches!(reason, CloseReason::Lost | CloseReason::Io(_)), "{reason:?}");
            closed.saw("close");
        })
        .build();
    let mut socket = RawSocket::open(serve_live(&live).await, "/ws").await.unwrap();
    socket.send_json("a", 1).await.unwrap();
    witness.sees("message").await;
    socket.abort().unwrap();
    witness.sees("close").await;
    assert_eq!(witness.seen(), ["message", "handled", "close"]);
}

#[tokio::test]
async fn on_close_is_told_the_topics_and_finds_the_session_out_of_them() {
    let (tells, mut told) = mpsc::unbounded_channel();
    let live = Live::<()>::builder()
        .on_connect(async |session: Session<()>| {
            for topic in ["a", "b", "c"] {
                session.subscribe(topic).unwrap();
            }
            session.unsubscribe("b");
            session.close();
        })
        .on_close(async move |session: Session<()>, _: CloseReason| {
            let live = session.live();
            let mut topics: Vec<_> = session.topics().iter().map(ToString::to_string).collect();
            topics.sort();
            let receivers = topics.iter().map(|topic| live.publish(topic, &1).unwrap()).sum::<usize>();
            assert_eq!(session.subscribe("d"), Err(SubscribeError::Closed));
            let found = live.session(session.id()).is_some() || live.sessions().contains(&session);
            tells.send((topics, receivers, live.stats().topics(), live.len(), found)).unwrap();
        })
        .build();
    let _socket = RawSocket::open(serve_live(&live).await, "/ws").await.unwrap();
    let told = soon("on_close", told.recv()).await.unwrap();
    assert_eq!(told, (vec!["a".to_owned(), "c".to_owned()], 0, 0, 0, false));
}

#[tokio::test]
async fn a_hook_that_never_returns_stops_neither_pings_nor_deliveries() {
    let (mut node, mut begun) = stuck(|builder| builder.heartbeat(Heartbeat::every(Duration::from_millis(50)))).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    socket.send_json("a", 1).await.unwrap();
    soon("the hook", begun.recv()).await.unwrap();

    assert_eq!(node.live.publish("t", &1).unwrap(), 1);
    session.send("u", &2).unwrap();
    assert_eq!(socket.expect_json("t").await.unwrap(), 1);
    assert_eq!(socket.expect_json("u").await.unwrap(), 2);
    socket.send(&Frame::ping("mine")).await.unwrap();
    let pong = |frame: &Frame| frame.opcode() == Frame::PONG && frame.payload() == b"mine";
    let ping = |frame: &Frame| frame.opcode() == Frame::PING;
    let (mut ponged, mut pinged) = (false, false);
    while !(ponged && pinged) {
        let frame = socket.frame().await.unwrap();
        assert!(ping(&frame) || pong(&frame), "{frame:?}");
        (ponged, pinged) = (ponged || pong(&frame), pinged || ping(&frame));
    }
}

#[tokio::test]
async fn while_a_message_waits_behind_a_hook_our_pings_go_on_and_the_no_pong_clock_stands_still() {
    let beat = Heartbeat::every(Duration::from_millis(40)).timeout(Duration::from_millis(40));
    let release = Arc::new(Notify::new());
    let released = Arc::clone(&release);
    let builder = Live::builder().heartbeat(beat).on_message(async move |session: Session<()>, message: Message| {
        if message.topic() == "stick" {
            released.notified().await;
        }
        session.send(message.topic(), "hello").unwrap();
    });
    let mut node = Node::start(builder).await;
    let (mut socket, session) = node.open().await;
    socket.send_json("stick", 1).await.unwrap();
    socket.send_json("echo", 1).await.unwrap();

    // Another is silent for as long, is read from, and so is found out; twice.
    for _ in 0..2 {
        let (mut silent, other) = node.open().await;
        assert_closes(&mut silent, 4012).await;
        assert_eq!(node.closed().await, (other, CloseReason::NoPong));
    }
    for _ in 0..3 {
        assert_eq!(socket.frame().await.unwrap().opcode(), Frame::PING);
    }
    assert!(!session.is_closed(), "{:?}", session.close_reason());
    release.notify_one();
    assert_eq!(socket.expect_json("stick").await.unwrap(), "hello");
    assert_eq!(socket.expect_json("echo").await.unwrap(), "hello");
}

#[tokio::test]
async fn behind_a_hook_that_never_returns_reading_stops_and_tcp_slows_the_client_down() {
    let (mut node, mut begun) = stuck(|builder| builder).await;
    let (socket, _) = node.open().await;
    let mut socket = socket.patience(Duration::from_millis(500));
    let message = Frame::text(&format!(r#"{{"topic":"flood","data":"{}"}}"#, "x".repeat(60 << 10)));
    let accepted = async {
        for count in 0..1024 {
            match socket.send(&message).await {
                Ok(()) => {}
                Err(RawSocketError::TimedOut { .. }) => return count,
                Err(error) => panic!("{error}"),
            }
        }
        panic!("60 MiB were taken in");
    }
    .await;
    // What the kernel's buffers hold, which is 36 MiB at the very most.
    assert!(accepted > 1, "{accepted}");
    soon("the hook", begun.recv()).await.unwrap();
    assert!(begun.try_recv().is_err(), "one hook at a time");
}

#[tokio::test]
async fn messages_are_handled_in_order_however_long_each_takes() {
    const MESSAGES: usize = 300;

    let builder = Live::builder().on_message(async |session: Session<()>, message: Message| {
        let number: usize = message.json().unwrap();
        for _ in 0..(number * 7) % 5 {
            task::yield_now().await;
        }
        session.send("n", &number).unwrap();
    });
    let mut node = Node::start(builder).await;
    let (mut socket, _) = node.open().await;
    for number in 0..MESSAGES {
        socket.send_json("n", number).await.unwrap();
    }
    for number in 0..MESSAGES {
        assert_eq!(socket.expect_json("n").await.unwrap(), number);
    }
}
