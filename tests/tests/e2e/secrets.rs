//! What we log holds no secret of the client's: the catalogue's case 17.

use axum::{
    Router,
    extract::{Query, Request as HttpRequest},
    http::{StatusCode, Uri},
    middleware::{self, Next},
};
use axum_live::{CloseReason, Live, LiveLayer, Message, Session, accept};
use axum_live_test::{Frame, RawSocket, Request};
use serde::Deserialize;
use tower_http::trace::TraceLayer;

use crate::{
    app::{Witness, serve},
    captured::Captured,
};

const SECRET: &str = "s3cr3t-t0k3n";

#[derive(Deserialize)]
struct Login {
    token: String,
}

// On one thread: the test's subscriber is its thread's.
#[tokio::test]
async fn c17_a_token_in_the_query_string_appears_in_nothing_we_log() {
    let captured = Captured::start();
    let witness = Witness::default();
    let closed = witness.clone();
    let live = Live::<String>::builder()
        .on_message(async |session: Session<String>, message: Message| {
            assert_ne!(message.topic(), "panic", "so may what a hook panics with: {}", session.value());
            session.live().publish("news", &message.json::<serde_json::Value>().unwrap()).unwrap();
        })
        .on_close(async move |_: Session<String>, _: CloseReason| closed.saw("close"))
        .build();
    let authenticate = async |Query(login): Query<Login>, uri: Uri| {
        assert_ne!(uri.path(), "/panic", "what an application panics with may be a secret too: {}", login.token);
        if uri.path() == "/denied" { Err(StatusCode::UNAUTHORIZED) } else { Ok(login.token) }
    };
    let layer = LiveLayer::new(&live, authenticate);
    let subscribing = async |session: Session<String>| session.subscribe("news");
    let refusing = async || StatusCode::CONFLICT;
    let replace = async |request: HttpRequest, next: Next| {
        next.run(request).await;
        StatusCode::IM_A_TEAPOT
    };
    let app = Router::new()
        .route("/denied", layer.clone().handler(accept))
        .route("/panic", layer.clone().handler(accept))
        .route("/refused", layer.clone().handler(refusing))
        .route("/replaced", layer.clone().handler(accept).layer(middleware::from_fn(replace)))
        .route("/{*path}", layer.handler(subscribing))
        .layer(TraceLayer::new_for_http());
    let addr = serve(app).await;
    let at = |path: &str| Request::new(&format!("{path}?token={SECRET}"));

    let good = at("/ws");
    for (request, status) in [
        (at("/denied"), 401),
        (at("/panic"), 500),
        (at("/refused"), 409),
        (at("/replaced"), 418),
        (Request::plain(&format!("/ws?token={SECRET}")), 426),
        (good.clone().method("POST").header("Content-Length", "0"), 405),
        (good.clone().header("Sec-WebSocket-Key", SECRET), 400),
        (good.clone().header("Sec-WebSocket-Version", SECRET), 426),
        (good.clone().header("Upgrade", SECRET), 400),
        (good.clone().header("Host", format!("{SECRET}@localhost")), 400),
        (good.clone().header("Origin", format!("https://{SECRET}")), 403),
    ] {
        let reply = RawSocket::connect(addr).await.unwrap().request(&request).await.unwrap();
        assert_eq!(reply.status(), status, "{request:?}");
    }

    let secret_headers = good.header("Cookie", SECRET).header("Authorization", format!("Bearer {SECRET}"));
    for last in [
        Frame::close(1000, SECRET),
        Frame::text(SECRET),
        Frame::text(r#"{"topic":"panic","data":"s3cr3t-t0k3n"}"#),
        Frame::binary(SECRET).reserved(1),
        Frame::new(Frame::CLOSE, [0x03, 0xe7]),
    ] {
        let mut socket = RawSocket::connect(addr).await.unwrap();
        socket.upgrade(&secret_headers).await.unwrap();
        socket.send_json("say", SECRET).await.unwrap();
        assert_eq!(socket.expect_json("news").await.unwrap(), SECRET);
        socket.send(&last).await.unwrap();
        socket.half_close().await.unwrap();
        while socket.frame().await.is_ok() {}
    }
    witness.sees("close").await;
    live.shutdown().await;

    let log = captured.lines().join("\n");
    assert!(!log.contains(SECRET), "{log}");
    // The capture is no empty promise: the sessions' spans are in it, with what they may tell.
    assert_eq!(log.matches(r#" live.session session_id="#).count(), 5, "{log}");
    assert!(log.contains(r#" path="/{*path}""#), "{log}");
    for line in log.lines() {
        assert_eq!(line.split(' ').nth(1), Some("axum_live"), "one target, by which to filter: {line}");
    }
}
