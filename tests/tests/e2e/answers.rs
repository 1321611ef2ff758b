//! What a handler may ask for, and return: a session, and our errors.

use axum::{
    Router,
    response::IntoResponse,
    routing::{any, get},
};
use axum_live::{Live, LiveLayer, Payload, PublishError, SendError, Session, SubscribeError, Topic};
use axum_live_test::{RawSocket, Request};

use crate::app::serve;

#[tokio::test]
async fn a_session_asked_for_where_there_is_none_is_500_and_says_what_to_mount() {
    let other = Live::<()>::builder().build();
    let handler = async |_: Session<u8>| ();
    let app = Router::new()
        .route("/outside", get(handler))
        // A session there is, of another value.
        .route("/other", LiveLayer::anonymous(&other).handler(handler));
    let addr = serve(app).await;
    for request in [Request::plain("/outside"), Request::new("/other")] {
        let reply = RawSocket::connect(addr).await.unwrap().request(&request).await.unwrap();
        assert_eq!(reply.status(), 500, "{request:?}");
        assert!(reply.text().contains("LiveLayer"), "{}", reply.text());
    }
    assert!(other.is_empty());
}

#[tokio::test]
async fn an_optional_session_is_there_under_a_layer_and_none_outside() {
    let live = Live::<()>::builder().build();
    let handler = async |session: Option<Session<()>>| match session {
        Some(session) => session.send("there", &()).into_response(),
        None => "none".into_response(),
    };
    let app =
        Router::new().route("/outside", get(handler)).route("/ws", any(handler).layer(LiveLayer::anonymous(&live)));
    let addr = serve(app).await;
    let reply = RawSocket::connect(addr).await.unwrap().request(&Request::plain("/outside")).await.unwrap();
    assert_eq!((reply.status(), reply.text().as_str()), (200, "none"));
    RawSocket::open(addr, "/ws").await.unwrap().expect_json("there").await.unwrap();
}

#[test]
fn an_error_that_a_handler_returns_has_a_status_that_tells_whose_fault_it_is() {
    fn status(error: impl IntoResponse) -> u16 {
        error.into_response().status().as_u16()
    }

    let topic = Topic::try_from("*").unwrap_err();
    let encode = || Payload::raw("{").unwrap_err();
    assert_eq!(status(SubscribeError::Closed), 410);
    assert_eq!(status(SubscribeError::Topic(topic)), 400);
    assert_eq!(status(SubscribeError::Limit), 429);
    assert_eq!(status(SendError::Closed), 410);
    assert_eq!(status(SendError::QueueFull), 503);
    assert_eq!(status(SendError::Topic(topic)), 400);
    assert_eq!(status(SendError::Encode(encode())), 500);
    assert_eq!(status(SendError::TooLarge), 413);
    assert_eq!(status(PublishError::Topic(topic)), 400);
    assert_eq!(status(PublishError::Encode(encode())), 500);
    assert_eq!(status(PublishError::TooLarge), 413);
    assert_eq!(status(PublishError::Overloaded), 503);
    assert_eq!(status(encode()), 500);
}
