//! Rooms to join, to talk in and to leave, and who is in them.
//!
//! `cargo run -p rooms` and open <http://127.0.0.1:3000> in two tabs. Read it from the top: the engine, the door, what
//! clients may say. `tests.rs` shows how such an app is tested.
//!
//! A client says `join_room` or `leave_room` with `{"room": …}`, and `room_message` with `{"room": …, "text": …}`. Those
//! in the room hear, with the topic `room:NAME`, `{"type": "join", "user": …}`, `{"type": "leave", "user": …}` and
//! `{"type": "message", "user": …, "text": …}`. Who comes in is first sent who is there: `{"type": "snapshot", …}`.

#[cfg(test)]
mod tests;

use axum::{Router, extract::Query, http::StatusCode, response::Html, routing::get};
use axum_live::{ClientError, Data, Live, LiveLayer, MessageRouter, Session, Topic, accept, stop_signal};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// What a session knows of its client: who it is, from `/ws?user=ana`.
#[derive(Deserialize)]
struct User {
    #[serde(rename = "user")]
    name: String,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,rooms=debug,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let live = live();
    let app = app(&live);
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(addr).await?;
    info!("the rooms are at http://{}", listener.local_addr()?);
    let report = axum_live::serve(listener, app).drain(&live).with_graceful_shutdown(stop_signal()).await?;
    info!("{report}");
    Ok(())
}

/// The engine. `user` tells it whose a session is, so that two tabs of a person are one person in a room.
fn live() -> Live<User> {
    let messages = MessageRouter::new()
        .on("init", async || {}) // said by clients that have to introduce themselves; ours are known from the door on
        .on("join_room", join_room)
        .on("leave_room", leave_room)
        .on("room_message", room_message);
    Live::builder().user(|user: &User| user.name.clone()).on_message(messages.into_hook()).build()
}

/// The door, beside the page.
fn app(live: &Live<User>) -> Router {
    Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/live.js", axum_live::client())
        .route("/ws", LiveLayer::new(live, authenticate).handler(accept))
}

/// Runs before the upgrade: `Ok` is the session's value, `Err` the HTTP answer.
async fn authenticate(Query(user): Query<User>) -> Result<User, (StatusCode, &'static str)> {
    match is_name(&user.name) {
        true => Ok(user),
        false => Err((StatusCode::UNAUTHORIZED, "a name is 1 to 24 letters, digits, - or _")),
    }
}

#[derive(Deserialize)]
struct Room {
    room: String,
}

#[derive(Deserialize)]
struct RoomMessage {
    room: String,
    text: String,
}

/// Subscribing by `presence` sends who is there already; tracking then tells everybody that one more is. Whoever is back
/// from a lost connection within five seconds has not been away, and nobody is told.
async fn join_room(
    session: Session<User>,
    live: Live<User>,
    Data(Room { room }): Data<Room>,
) -> Result<(), ClientError> {
    let members = live.presence(topic_of(&room)?)?;
    members.subscribe(&session)?;
    members.track(&session, &())?;
    Ok(())
}

/// In this order, who leaves hears of it too. Who just closes the tab leaves by themself.
async fn leave_room(
    session: Session<User>,
    live: Live<User>,
    Data(Room { room }): Data<Room>,
) -> Result<(), ClientError> {
    let members = live.presence(topic_of(&room)?)?;
    members.untrack(&session);
    session.unsubscribe(members.topic());
    Ok(())
}

async fn room_message(
    session: Session<User>,
    live: Live<User>,
    Data(RoomMessage { room, text }): Data<RoomMessage>,
) -> Result<(), ClientError> {
    let topic = topic_of(&room)?;
    if !session.is_subscribed(&topic) {
        return Err(ClientError::new("not_in_room", format!("join {room} first")));
    }
    live.publish(topic, &json!({ "type": "message", "user": session.value().name, "text": text }))?;
    Ok(())
}

/// What clients name is parsed here; past this a topic is right.
fn topic_of(room: &str) -> Result<Topic, ClientError> {
    if !is_name(room) {
        return Err(ClientError::new("bad_room", "a room is 1 to 24 letters, digits, - or _"));
    }
    Ok(Topic::try_from(format!("room:{room}"))?)
}

fn is_name(name: &str) -> bool {
    (1..=24).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}
