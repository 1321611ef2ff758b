//! What a node tells of itself: `Live::stats`.

use std::{sync::Arc, thread, time::Duration};

use axum::{
    Router,
    extract::Request as HttpRequest,
    http::{StatusCode, Uri},
    middleware::{self, Next},
};
use axum_live::{
    CloseCode, CloseReason, Frame as Payload, Live, LiveLayer, Message, PublishError, RefusalReason, Session, accept,
};
use axum_live_test::{Frame, RawSocket, Request};
use tokio::sync::Semaphore;

use crate::{
    app::{Witness, assert_echoes, echo, serve, settles},
    captured::Captured,
    node::{Node, answer_close, assert_closes, serve_live},
};

fn code(code: u16) -> Option<CloseCode> {
    Some(CloseCode::try_from(code).unwrap())
}

#[tokio::test]
async fn sessions_and_what_waits_for_them_are_told_by_their_state() {
    let gate = Arc::new(Semaphore::new(0));
    let (in_handler, in_close) = (Arc::clone(&gate), Arc::clone(&gate));
    let witness = Witness::default();
    let (pending, closing) = (witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .on_close(async move |_: Session<()>, _: CloseReason| {
            closing.saw("close");
            in_close.acquire().await.unwrap().forget();
        })
        .build();
    let prepare = async move |session: Session<()>| {
        for topic in ["a", "b"] {
            session.subscribe(topic).unwrap();
        }
        session.send_frame(Payload::binary(vec![1; 100])).unwrap();
        session.send_frame(Payload::binary(vec![1; 1000])).unwrap();
        pending.saw("pending");
        in_handler.acquire().await.unwrap().forget();
    };
    let app = Router::new().route("/ws", LiveLayer::anonymous(&live).handler(prepare));
    let addr = serve(app).await;
    let figures = || {
        let stats = live.stats();
        let sessions = (stats.pending_sessions(), stats.open_sessions(), stats.closing_sessions());
        (sessions, stats.sessions(), stats.subscriptions(), (stats.queued_messages(), stats.queued_bytes()))
    };
    assert_eq!(figures(), ((0, 0, 0), 0, 0, (0, 0)));

    let opening = tokio::spawn(async move { RawSocket::open(addr, "/ws").await.unwrap() });
    witness.sees("pending").await;
    // Two bytes of header before the shorter one, and four before the longer.
    assert_eq!(figures(), ((1, 0, 0), 1, 2, (2, 1106)));

    gate.add_permits(1);
    let mut socket = opening.await.unwrap();
    for length in [100, 1000] {
        assert_eq!(socket.frame().await.unwrap().payload().len(), length);
    }
    settles("an open session", || figures() == ((0, 1, 0), 1, 2, (0, 0))).await;

    socket.close(1000, "").await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    witness.sees("close").await;
    settles("a closing session", || figures() == ((0, 0, 1), 0, 0, (0, 0))).await;

    drop(socket);
    gate.add_permits(1);
    settles("no session", || figures() == ((0, 0, 0), 0, 0, (0, 0))).await;
    assert_eq!((live.stats().opened(), live.stats().closed()), (1, 1));
}

#[tokio::test]
async fn closed_sessions_are_told_by_reason_and_by_code() {
    let builder = Live::builder().on_message(async |session: Session<()>, message: Message| match message.topic() {
        "close" => session.close_with(CloseCode::try_from(4123).unwrap(), ""),
        _ => panic!("as the test wants"),
    });
    let mut node = Node::start(builder).await;
    for (topic, code) in [("close", 4123), ("close", 4123), ("panic", 1011)] {
        let (mut socket, _) = node.open().await;
        socket.send_json(topic, 1).await.unwrap();
        assert_closes(&mut socket, code).await;
        answer_close(socket, code).await;
        node.closed().await;
    }
    for code in [3333, 1000] {
        let (mut socket, _) = node.open().await;
        hang_up(&mut socket, code).await;
        node.closed().await;
    }
    let (socket, _) = node.open().await;
    socket.abort().unwrap();
    node.closed().await;
    let (_open, _) = node.open().await;

    let stats = node.live.stats();
    assert_eq!((stats.opened(), stats.closed(), stats.hook_panics()), (7, 6, 1));
    let lost = stats.closed_for(&CloseReason::Lost) + stats.closed_by_reason().get("io").copied().unwrap_or(0);
    assert_eq!(lost, 1);
    let chosen = CloseReason::Application { code: CloseCode::NORMAL, text: "whatever".into() };
    assert_eq!(stats.closed_for(&chosen), 2, "the kind counts, not the code");
    assert_eq!(stats.closed_for(&CloseReason::HookPanicked), 1);
    assert_eq!(stats.closed_by_reason()["client"], 2);
    let codes = [(None, 1), (code(1000), 1), (code(1011), 1), (code(3333), 1), (code(4123), 2)];
    assert_eq!(stats.closed_by_code(), codes.into());
}

async fn hang_up(socket: &mut RawSocket, code: u16) {
    socket.close(code, "").await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(code));
    socket.expect_eof().await.unwrap();
}

// On one thread: what is captured is its thread's.
#[tokio::test]
async fn a_request_that_becomes_no_session_is_counted_once_and_told_at_debug_with_its_reason() {
    let captured = Captured::start();
    let live = Live::<()>::builder().open_timeout(Duration::from_millis(50)).build();
    let authenticate = async |uri: Uri| {
        match uri.path() {
            "/hangs" => std::future::pending().await,
            path => assert_ne!(path, "/panics", "as the test wants"),
        }
        if uri.path() == "/denied" { Err(StatusCode::UNAUTHORIZED) } else { Ok(()) }
    };
    let layer = LiveLayer::new(&live, authenticate).auth_timeout(Duration::from_millis(50));
    let refusing = async || StatusCode::CONFLICT;
    let replace = async |request: HttpRequest, next: Next| {
        next.run(request).await;
        StatusCode::IM_A_TEAPOT
    };
    let take_upgrade = async |mut request: HttpRequest, next: Next| {
        request.extensions_mut().clear();
        next.run(request).await
    };
    let app = Router::new()
        .route("/refused", layer.clone().handler(refusing))
        .route("/replaced", layer.clone().handler(accept).layer(middleware::from_fn(replace)))
        .route("/taken", layer.clone().handler(accept).layer(middleware::from_fn(take_upgrade)))
        .fallback_service(layer.handler::<_, _, ()>(accept));
    let addr = serve(app).await;
    let at = |path: &str| Request::new(&format!("{path}?token=s3cr3t"));

    let requests = [
        (at("/ws").method("POST").header("Content-Length", "0"), 405, RefusalReason::Method),
        (at("/ws").header("Sec-WebSocket-Key", "abc"), 400, RefusalReason::Handshake),
        (at("/ws").header("Origin", "https://evil.example"), 403, RefusalReason::Origin),
        (at("/denied"), 401, RefusalReason::Denied),
        (at("/hangs"), 503, RefusalReason::AuthTimeout),
        (at("/panics"), 500, RefusalReason::AuthPanicked),
        (Request::plain("/ws?token=s3cr3t"), 426, RefusalReason::Probe),
        (at("/taken"), 500, RefusalReason::NotUpgradable),
        (at("/refused"), 409, RefusalReason::Handler),
        (at("/replaced"), 418, RefusalReason::NeverOpened),
    ];
    for (request, status, reason) in &requests {
        let reply = RawSocket::connect(addr).await.unwrap().request(request).await.unwrap();
        assert_eq!(reply.status(), *status, "{reason}");
        settles(reason.name(), || live.stats().refused_for(*reason) == 1).await;
        let line = captured.line(&format!("reason={reason} "));
        assert!(line.starts_with("DEBUG axum_live ") && line.contains("refused at the door"), "{line}");
    }
    live.shutdown().await;
    let reply = RawSocket::connect(addr).await.unwrap().request(&at("/ws")).await.unwrap();
    assert_eq!(reply.status(), 503);
    assert!(captured.line("reason=shutting_down ").starts_with("DEBUG axum_live "));

    let stats = live.stats();
    assert_eq!(stats.refused(), requests.len() as u64 + 1);
    assert!(stats.refused_by_reason().values().all(|count| *count == 1), "{stats:?}");
    assert_eq!((stats.opened(), stats.closed()), (0, 0), "what never opened has not closed");
    assert!(!captured.lines().join("\n").contains("s3cr3t"));
}

#[tokio::test]
async fn publications_and_deliveries_are_counted_as_they_are_handed_over() {
    let mut node = Node::start(Live::builder().backlog_bytes(1000)).await;
    let _sockets = node.open_subscribed(2).await;
    let (mut from, session) = node.open().await;
    session.subscribe("t").unwrap();
    let live = &node.live;
    assert_eq!(live.publish("t", &1).unwrap(), 3);
    assert_eq!(live.publish_from(&session, "t", &2).unwrap(), 2);
    assert_eq!(live.publish("nobody", &3).unwrap(), 0);
    assert_eq!(live.broadcast("all", &4).unwrap(), 3);
    assert_eq!(live.publish_wait("t", &5).await.unwrap(), 3);
    // The backlog has caught up when what is published last was read.
    for (topic, data) in [("t", 1), ("all", 4), ("t", 5)] {
        assert_eq!(from.expect_json(topic).await.unwrap(), data);
    }
    settles("an empty backlog", || live.stats().pending_deliveries() == 0).await;
    let big = "x".repeat(900);
    assert_eq!(live.publish("t", &big).unwrap(), 3);
    assert!(matches!(live.publish("t", &big), Err(PublishError::Overloaded)));

    let stats = live.stats();
    assert_eq!((stats.publications(), stats.deliveries()), (5, 14));
    assert_eq!(stats.overloaded_publications(), 1);
}

#[tokio::test]
async fn messages_are_counted_and_those_among_them_that_cannot_be_decoded() {
    let live = echo();
    let mut socket = RawSocket::open(serve_live(&live).await, "/ws").await.unwrap();
    for _ in 0..3 {
        assert_echoes(&mut socket).await;
        socket.send(&Frame::text("no envelope")).await.unwrap();
    }
    assert_echoes(&mut socket).await;
    assert_eq!((live.stats().messages(), live.stats().undecodable_messages()), (7, 3));
}

#[tokio::test]
async fn c49_a_hook_that_blocks_its_thread_is_counted_and_told_at_warn() {
    let captured = Captured::start();
    let builder = Live::builder().on_message(async |session: Session<()>, message: Message| {
        if message.topic() == "block" {
            // The fault itself, which is the thread's: no clock of ours can stand in for it.
            thread::sleep(Duration::from_millis(100));
        }
        session.send(message.topic(), "hello").unwrap();
    });
    let mut node = Node::start(builder).await;
    let (mut socket, session) = node.open().await;
    socket.send_json("block", 1).await.unwrap();
    assert_eq!(socket.expect_json("block").await.unwrap(), "hello");
    // On a machine that stands still for as long, a hook that does not block is taken for one that does: that others are
    // not counted is shown on a clock of the tests' own.
    assert!(node.live.stats().blocking_hooks() >= 1);
    let lines = captured.lines();
    let told = |line: &&String| line.starts_with("WARN axum_live ") && line.contains("a hook blocks its thread");
    let line = lines.iter().find(told).unwrap_or_else(|| panic!("{lines:#?}"));
    assert!(line.contains(&format!("session_id={}", session.id())), "{line}");
    assert_echoes(&mut socket).await;
}
