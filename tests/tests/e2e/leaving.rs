//! Clients that leave before their session has opened: the catalogue's case 21.

use std::{convert::Infallible, future};

use axum::{
    Router,
    extract::Request as HttpRequest,
    http::StatusCode,
    middleware::{self, Next},
    response::IntoResponse,
};
use axum_live::{CloseReason, Live, LiveLayer, Session, accept};
use axum_live_test::RawSocket;
use tokio::sync::mpsc;

use crate::{
    app::{Witness, serve, settles, soon},
    door::{Door, handshake},
};

#[tokio::test]
async fn c21_a_client_that_leaves_during_auth_ends_it() {
    struct Dropped(mpsc::UnboundedSender<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send("dropped").ok();
        }
    }

    let live = Live::<()>::builder().build();
    let (events, mut told) = mpsc::unbounded_channel();
    let authenticate = async move || {
        events.send("begun").unwrap();
        let _dropped = Dropped(events);
        future::pending::<Result<(), Infallible>>().await
    };
    let addr = serve(Router::new().route("/ws", LiveLayer::new(&live, authenticate).handler(accept))).await;

    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.write(handshake().to_bytes()).await.unwrap();
    assert_eq!(soon("auth", told.recv()).await, Some("begun"));
    socket.abort().unwrap();
    assert_eq!(soon("the end of auth", told.recv()).await, Some("dropped"));
    assert!(live.is_empty());
}

/// What a session that is pending, subscribed to one topic, leaves behind when its client resets the connection.
async fn leaves_while_pending(router: impl FnOnce(LiveLayer<()>, mpsc::UnboundedSender<Session<()>>) -> Router) {
    let witness = Witness::default();
    let (opened, closed) = (witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .on_connect(async move |_: Session<()>| opened.saw("open"))
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    let (sessions, mut told) = mpsc::unbounded_channel();
    let addr = serve(router(LiveLayer::anonymous(&live), sessions)).await;

    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.write(handshake().to_bytes()).await.unwrap();
    let session = soon("the session", told.recv()).await.unwrap();
    assert_eq!((live.len(), live.stats().topics()), (1, 1));
    socket.abort().unwrap();
    soon("the session's end", session.closed()).await;
    settles("an empty node", || live.is_empty() && live.stats().topics() == 0).await;
    assert!(live.sessions().is_empty());
    assert!(witness.seen().is_empty(), "it never opened: {:?}", witness.seen());
}

#[tokio::test]
async fn c21_a_client_that_leaves_while_the_handler_runs_leaves_nothing_behind() {
    leaves_while_pending(|layer, sessions| {
        let handler = async move |session: Session<()>| {
            session.subscribe("a").unwrap();
            sessions.send(session).unwrap();
            future::pending::<()>().await;
        };
        Router::new().route("/ws", layer.handler(handler))
    })
    .await;
}

#[tokio::test]
async fn c21_a_client_that_leaves_before_the_101_is_sent_leaves_nothing_behind() {
    leaves_while_pending(|layer, sessions| {
        let handler = async |session: Session<()>| {
            session.subscribe("a").unwrap();
            let mut response = StatusCode::OK.into_response();
            response.extensions_mut().insert(session);
            response
        };
        let hold_back = move |request: HttpRequest, next: Next| {
            let sessions = sessions.clone();
            async move {
                let response = next.run(request).await;
                assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
                sessions.send(response.extensions().get().cloned().unwrap()).unwrap();
                future::pending::<()>().await;
                response
            }
        };
        Router::new().route("/ws", layer.handler(handler)).layer(middleware::from_fn(hold_back))
    })
    .await;
}

#[tokio::test]
async fn c21_clients_that_leave_at_any_moment_of_the_upgrade_leave_nothing_behind() {
    let door = Door::new().await;
    for round in 0..100 {
        let mut socket = door.connect().await;
        let request = handshake().to_bytes();
        // Before the end of the handshake, at once after it, or when a little of the answer has come.
        let whole = round % 3 > 0;
        socket.write(if whole { &request } else { &request[..request.len() - round] }).await.unwrap();
        for _ in 0..round / 3 * (round % 3) {
            tokio::task::yield_now().await;
        }
        socket.abort().unwrap();
    }
    door.opens(&handshake()).await;
    settles("an empty node", || door.live.is_empty()).await;
    settles("as many ends as beginnings", || door.witness.times("open") == door.witness.times("close")).await;
    assert!(door.witness.times("close") >= 1);
}
