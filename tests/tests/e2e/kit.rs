//! The test kit's client in memory, as an app's own tests would use it.

use std::time::Duration;

use axum::{Router, http::StatusCode};
use axum_live::{CloseReason, Live, LiveLayer, Message, Session, accept};
use axum_live_test::{LiveTest, Request};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

fn app(live: &Live<()>) -> Router {
    Router::new().route("/ws", LiveLayer::anonymous(live).subprotocols(["chat"]).handler(accept))
}

#[tokio::test(start_paused = true)]
async fn a_client_in_memory_has_a_real_session() {
    let live = Live::<()>::builder()
        .on_message(async |session: Session<()>, message: Message| match message.topic() {
            "bye" => session.close(),
            topic => session.send(topic, &session.subprotocol()).unwrap(),
        })
        .build();
    let handshake = Request::new("/ws").header("Sec-WebSocket-Protocol", "chat");
    let mut client = LiveTest::connect_with(&app(&live), &handshake).await.unwrap();
    client.send("hello", &()).await.unwrap();
    assert_eq!(client.expect::<String>("hello").await.unwrap(), "chat");
    client.send("hello", &()).await.unwrap();
    client.expect::<String>("other").await.unwrap_err();
    client.send("hello", &()).await.unwrap();
    client.expect::<u8>("hello").await.unwrap_err();
    client.send("bye", &()).await.unwrap();
    assert_eq!(client.expect_close(1000).await.unwrap(), "closed by the application");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_an_answer_to_look_at() {
    let live = Live::<()>::builder().build();
    let layer = LiveLayer::new(&live, async || Err::<(), _>((StatusCode::FORBIDDEN, "not you")));
    let app = Router::new().route("/ws", layer.handler(accept));
    LiveTest::connect(&app, "/ws").await.unwrap_err();
    let refusal = LiveTest::ask(&app, &Request::new("/ws")).await.unwrap();
    assert_eq!((refusal.status(), refusal.text().as_str()), (403, "not you"));
}

#[tokio::test(start_paused = true)]
async fn a_stalled_client_is_closed_and_finds_what_was_queued_when_it_resumes() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let live = Live::<()>::builder()
        .on_connect(async |session: Session<()>| session.subscribe("t").unwrap())
        .on_close(async move |_: Session<()>, reason: CloseReason| tell.send(reason).unwrap())
        .build();
    let mut client = LiveTest::connect(&app(&live), "/ws").await.unwrap();
    while live.subscribers("t").is_empty() {
        sleep(Duration::from_millis(1)).await;
    }
    client.stall();
    for n in 0..3 {
        assert_eq!(live.publish("t", &n).unwrap(), 1);
    }
    let start = Instant::now();
    assert_eq!(told.recv().await, Some(CloseReason::WriteTimeout));
    assert!(start.elapsed() >= Duration::from_secs(10));

    client.resume();
    for n in 0..3 {
        assert_eq!(client.expect::<u32>("t").await.unwrap(), n);
    }
    client.expect_close(4009).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_something_is_expected() {
    let live = Live::<()>::builder()
        .on_message(async |session: Session<()>, message: Message| {
            sleep(Duration::from_secs(3600)).await;
            session.send(message.topic(), &()).unwrap();
        })
        .build();
    let mut client = LiveTest::connect(&app(&live), "/ws").await.unwrap();
    client.send("later", &()).await.unwrap();
    // Each wait is of 10 seconds, and the heartbeat's of 25.
    for _ in 0..360 {
        if client.expect::<()>("later").await.is_ok() {
            return;
        }
    }
    client.expect::<()>("later").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_closes_does_not_mind_what_it_has_not_read() {
    let live =
        Live::<()>::builder().on_connect(async |session: Session<()>| session.send("unread", &()).unwrap()).build();
    let client = LiveTest::connect(&app(&live), "/ws").await.unwrap();
    client.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_was_closed_keeps_no_shutdown_waiting() {
    let live = Live::<()>::builder().build();
    let mut client = LiveTest::connect(&app(&live), "/ws").await.unwrap();
    let start = Instant::now();
    let (report, reason) = tokio::join!(live.shutdown(), client.expect_close(1001));
    assert_eq!((report.closed(), reason.unwrap().as_str()), (1, "the server is shutting down"));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}
