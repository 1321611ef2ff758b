//! The time between authentication and the upgrade (rule 2).

use std::{future, time::Duration};

use axum::{
    Router,
    extract::Request as HttpRequest,
    http::StatusCode,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use axum_live::{CloseCode, CloseReason, Live, LiveLayer, SendError, Session, SubscribeError, accept};
use axum_live_test::{RawSocket, Request};
use tokio::sync::mpsc;

use crate::{
    app::{Witness, serve, settles, soon},
    node::{answer_close, assert_closes},
};

/// A node whose hooks are witnessed.
fn witnessed() -> (Live<()>, Witness) {
    let witness = Witness::default();
    let (opened, closed) = (witness.clone(), witness.clone());
    let live = Live::builder()
        .on_connect(async move |_: Session<()>| opened.saw("open"))
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    (live, witness)
}

/// Asserts what every handle of a session answers that never opened.
fn assert_refused(session: &Session<()>) {
    assert_eq!(session.close_reason(), Some(CloseReason::NeverOpened));
    assert!(matches!(session.send("a", &1), Err(SendError::Closed)));
    assert_eq!(session.subscribe("a"), Err(SubscribeError::Closed));
    assert!(session.live().session(session.id()).is_none());
}

#[tokio::test]
async fn pending_session_is_subscribed_and_sent_to_at_once_and_its_frames_come_first_in_order() {
    let live = Live::<()>::builder()
        .on_connect(async |session: Session<()>| {
            session.send("fourth", &4).unwrap();
            future::pending::<()>().await;
        })
        .build();
    let handler = async |session: Session<()>| {
        let live = session.live();
        session.send("first", &1).unwrap();
        session.subscribe("second").unwrap();
        assert_eq!(live.subscribers("second"), std::slice::from_ref(&session));
        assert_eq!(live.publish("second", &2).unwrap(), 1);
        session.send("third", &3).unwrap();
        assert!(session.unsubscribe("second"));
        assert_eq!(live.publish("second", &0).unwrap(), 0);
    };
    let addr = serve(Router::new().route("/ws", LiveLayer::anonymous(&live).handler(handler))).await;
    let mut socket = RawSocket::open(addr, "/ws").await.unwrap();
    for (number, topic) in ["first", "second", "third", "fourth"].into_iter().enumerate() {
        assert_eq!(socket.expect_json(topic).await.unwrap(), number + 1);
    }
}

/// Asserts that of what comes to a session before its upgrade, one by one, the queue takes 256 and closes at the next.
async fn assert_bounded_while_pending(come: fn(&Session<()>, u32) -> bool) {
    let (live, witness) = witnessed();
    let handler = async move |session: Session<()>| {
        session.subscribe("n").unwrap();
        assert_eq!((0..300).find(|number| !come(&session, *number)), Some(256));
        assert!(matches!(session.send("n", &257), Err(SendError::Closed)));
    };
    let addr = serve(Router::new().route("/ws", LiveLayer::anonymous(&live).handler(handler))).await;
    let mut socket = RawSocket::open(addr, "/ws").await.unwrap();
    for number in 0..256 {
        assert_eq!(socket.expect_json("n").await.unwrap(), number);
    }
    assert_closes(&mut socket, 4008).await;
    answer_close(socket, 4008).await;
    witness.sees("close").await;
    assert_eq!(witness.seen(), ["open", "close"]);
    assert_eq!(live.stats().queue_full_closes(), 1);
}

#[tokio::test]
async fn what_waits_for_the_upgrade_is_bounded_by_the_queue_and_arrives_before_the_4008() {
    assert_bounded_while_pending(|session, number| match session.send("n", &number) {
        Ok(()) => true,
        Err(SendError::QueueFull) => false,
        Err(error) => panic!("{error}"),
    })
    .await;
}

#[tokio::test]
async fn what_is_published_before_the_upgrade_is_bounded_no_less() {
    assert_bounded_while_pending(|session, number| session.live().publish("n", &number).unwrap() == 1).await;
}

#[tokio::test]
async fn a_session_closed_by_its_handler_opens_and_closes_with_that_code() {
    let (live, witness) = witnessed();
    let handler = async |session: Session<()>| {
        session.send("reason", "full").unwrap();
        session.close_with(CloseCode::try_from(4321).unwrap(), "another time");
        assert_eq!(session.subscribe("a"), Err(SubscribeError::Closed));
    };
    let addr = serve(Router::new().route("/ws", LiveLayer::anonymous(&live).handler(handler))).await;
    let mut socket = RawSocket::open(addr, "/ws").await.unwrap();
    assert_eq!(socket.expect_json("reason").await.unwrap(), "full");
    assert_eq!(socket.expect_close().await.unwrap(), (Some(4321), "another time".into()));
    answer_close(socket, 4321).await;
    witness.sees("close").await;
    assert_eq!(witness.seen(), ["open", "close"]);
}

/// What a handler that ends in this way, having subscribed its session to a topic, leaves of it.
async fn refused_by(ending: fn() -> Response, status: Option<u16>) {
    let (live, witness) = witnessed();
    let (sessions, mut told) = mpsc::unbounded_channel();
    let handler = async move |session: Session<()>| {
        session.subscribe("a").unwrap();
        session.send("a", &1).unwrap();
        sessions.send(session).unwrap();
        ending()
    };
    let layer = LiveLayer::anonymous(&live);
    let router = Router::new().route("/no", layer.clone().handler(handler)).route("/ws", layer.handler(accept));
    let addr = serve(router).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.write(Request::new("/no").to_bytes()).await.unwrap();
    match status {
        Some(status) => assert_eq!(socket.reply().await.unwrap().status(), status),
        None => socket.expect_eof().await.unwrap(),
    }
    let session = soon("the session", told.recv()).await.unwrap();
    soon("its end", session.closed()).await;
    settles("an empty node", || live.is_empty() && live.stats().topics() == 0).await;
    assert_refused(&session);
    assert_eq!(live.publish("a", &2).unwrap(), 0);

    // The next session's hooks are the first.
    let socket = RawSocket::open(addr, "/ws").await.unwrap();
    drop(socket);
    witness.sees("close").await;
    assert_eq!(witness.seen(), ["open", "close"]);
}

#[tokio::test]
async fn a_handler_that_answers_non_2xx_leaves_no_session() {
    refused_by(|| StatusCode::CONFLICT.into_response(), Some(409)).await;
    refused_by(|| StatusCode::SEE_OTHER.into_response(), Some(303)).await;
}

#[tokio::test]
async fn a_handler_that_panics_leaves_no_session() {
    refused_by(|| panic!("as the test wants"), None).await;
}

#[tokio::test]
async fn an_upgrade_on_the_connection_of_a_replaced_101_does_not_open_the_phantom() {
    let (live, witness) = witnessed();
    let (sessions, mut told) = mpsc::unbounded_channel();
    let handler = async move |session: Session<()>| sessions.send(session).unwrap();
    let replace = async |request: HttpRequest, next: Next| {
        assert_eq!(next.run(request).await.status(), StatusCode::SWITCHING_PROTOCOLS);
        StatusCode::IM_A_TEAPOT
    };
    let layer = LiveLayer::anonymous(&live);
    let app = Router::new()
        .route("/replaced", layer.clone().handler(handler))
        .layer(middleware::from_fn(replace))
        .route("/ws", layer.handler(accept));
    let addr = serve(app).await;

    let mut socket = RawSocket::connect(addr).await.unwrap();
    assert_eq!(socket.request(&Request::new("/replaced")).await.unwrap().status(), 418);
    let phantom = told.recv().await.unwrap();
    socket.upgrade(&Request::new("/ws")).await.unwrap();
    witness.sees("open").await;
    soon("the phantom's end", phantom.closed()).await;
    assert_refused(&phantom);
    settles("one session", || live.len() == 1).await;

    socket.close(1000, "").await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    socket.expect_eof().await.unwrap();
    witness.sees("close").await;
    assert_eq!(witness.seen(), ["open", "close"]);
}

#[tokio::test]
async fn an_upgrade_that_does_not_take_place_within_open_timeout_ends_the_session() {
    let witness = Witness::default();
    let (opened, closed) = (witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .open_timeout(Duration::from_millis(50))
        .on_connect(async move |_: Session<()>| opened.saw("open"))
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    let (sessions, mut told) = mpsc::unbounded_channel();
    let handler = async move |session: Session<()>| {
        session.subscribe("a").unwrap();
        sessions.send(session).unwrap();
    };
    // The 101 is ready and does not leave.
    let hold_back = async |request: HttpRequest, next: Next| {
        let _answer = next.run(request).await;
        future::pending::<StatusCode>().await
    };
    let route = LiveLayer::anonymous(&live).handler(handler);
    let addr = serve(Router::new().route("/ws", route).layer(middleware::from_fn(hold_back))).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.write(Request::new("/ws").to_bytes()).await.unwrap();
    let session = soon("the session", told.recv()).await.unwrap();
    soon("its end", session.closed()).await;
    settles("an empty node", || live.is_empty() && live.stats().topics() == 0).await;
    assert_refused(&session);
    assert!(witness.seen().is_empty(), "{:?}", witness.seen());
}
