use std::{
    future,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use axum::{Router, extract::Query, http::StatusCode};
use axum_live::{
    Builder, ClientError, Data, Frame, Grant, Heartbeat, Limits, Live, LiveLayer, Message, MessageRouter, Params, Rate,
    Session, SessionLimit, SubscriptionPolicy, accept,
};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

/// The server of the examples, on a port of its own until the test's runtime ends.
pub(crate) struct App {
    pub(crate) addr: SocketAddr,
    /// What answers at `/ws`.
    pub(crate) live: Live<User>,
}

#[derive(Deserialize)]
pub(crate) struct User {
    user: String,
}

#[derive(Deserialize)]
struct Publication {
    topic: String,
    data: Box<RawValue>,
}

impl App {
    pub(crate) async fn serve() -> Self {
        let live = builder().build();
        let beat = Heartbeat::every(Duration::from_millis(50)).timeout(Duration::from_millis(500));
        let restless = builder()
            .heartbeat(beat)
            .write_timeout(Duration::from_millis(50))
            .queue_size(usize::MAX)
            .queue_bytes(64 << 20)
            .build();
        let hasty =
            Limits::default().message_timeout(Duration::from_millis(50)).hook_timeout(Duration::from_millis(50));
        let hasty = builder().limits(hasty).build();
        let wary =
            Limits::default().message_rate(Rate::per_second(1000).burst(1)).throttle_timeout(Duration::from_millis(1));
        let wary = builder().limits(wary).build();
        let poor = builder().memory_budget(1 << 20).queue_bytes(64 << 20).build();
        let single = builder().sessions_per_user(SessionLimit::replace_oldest(1)).build();
        let router = Router::new()
            .route("/poor", LiveLayer::new(&poor, authenticate).handler(accept))
            .route("/single", LiveLayer::new(&single, authenticate).handler(accept))
            .route("/brief", LiveLayer::new(&live, briefly).handler(accept))
            .route("/hasty", LiveLayer::new(&hasty, authenticate).handler(accept))
            .route("/wary", LiveLayer::new(&wary, authenticate).handler(accept))
            .route("/ws", LiveLayer::new(&live, authenticate).handler(accept))
            .route("/restless", LiveLayer::new(&restless, authenticate).handler(accept));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { addr, live }
    }
}

fn builder() -> Builder<User> {
    let policy = SubscriptionPolicy::new().allow("news").allow("many:{n}").allow_if("user:{user}", own);
    let messages = MessageRouter::new()
        .subscriptions(policy)
        .on("echo", echo)
        .on("publish", publish)
        .on("watch", watch)
        .on("enter", enter)
        .on("bye", bye)
        .on("flood", flood)
        .on("hang", future::pending::<()>)
        .on("panic", panic);
    Live::builder()
        .user(|user: &User| user.user.clone())
        .presence_linger(Duration::ZERO)
        .close_timeout(Duration::from_secs(60))
        .on_message(messages.into_hook())
}

async fn authenticate(Query(user): Query<User>) -> Result<User, StatusCode> {
    if user.user.is_empty() { Err(StatusCode::UNAUTHORIZED) } else { Ok(user) }
}

async fn briefly(Query(user): Query<User>) -> Result<Grant<User>, StatusCode> {
    Ok(Grant::new(user).until(SystemTime::now() + Duration::from_secs(1)))
}

async fn own(session: Session<User>, Params(user): Params<String>) -> bool {
    session.value().user == user
}

async fn echo(session: Session<User>, message: Message) -> Result<(), ClientError> {
    session.send("echo", message.json::<&RawValue>()?)?;
    Ok(())
}

async fn publish(live: Live<User>, Data(Publication { topic, data }): Data<Publication>) -> Result<(), ClientError> {
    live.publish(topic, &data)?;
    Ok(())
}

async fn watch(session: Session<User>, live: Live<User>) -> Result<(), ClientError> {
    live.presence("room")?.subscribe(&session)?;
    Ok(())
}

async fn enter(session: Session<User>, live: Live<User>, message: Message) -> Result<(), ClientError> {
    live.presence("room")?.track(&session, message.json::<&RawValue>()?)?;
    Ok(())
}

async fn bye(session: Session<User>) {
    session.close();
}

async fn panic() {
    panic!("as the test wishes");
}

/// Sends more than the kernel takes: at `/ws` more than may wait for a client, at `/poor` for all of them, at `/restless`
/// all of it waits.
async fn flood(session: Session<User>) {
    for _ in 0..48 {
        session.send_frame(Frame::binary(vec![0; 256 << 10])).ok();
    }
}
