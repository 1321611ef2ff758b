//! A chat: rooms with their members, whispers, a guarded room.
//!
//! `cargo run -p chat` and open <http://127.0.0.1:3000>, in two tabs. It is the tutorial as well; read it from the top.
//! What the page says and hears stands in `page.html`, at its end.

use axum::{Router, extract::Query, http::StatusCode, response::Html, routing::get};
use axum_live::{ClientError, Data, Live, LiveLayer, MessageRouter, Payload, SendError, Session, Topic, stop_signal};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// What a session knows of its client, from authentication on.
struct User {
    name: String,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,chat=debug,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    // What clients may say. Errors of a handler go back to its client, as a message with the topic "error".
    let messages = MessageRouter::new()
        .on("join_room", join_room)
        .on("leave_room", leave_room)
        .on("room_message", room_message)
        .on("whisper", whisper);

    // The engine. It is told whose a session is, so that it knows people, and not tabs alone.
    let live = Live::builder().user(|user: &User| user.name.clone()).on_message(messages.into_hook()).build();

    // The door, mounted like any handler.
    let app = Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/live.js", axum_live::client())
        .route("/ws", LiveLayer::new(&live, authenticate).handler(welcome));

    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(addr).await?;
    info!("the chat is at http://{}", listener.local_addr()?);
    let report = axum_live::serve(listener, app).drain(&live).with_graceful_shutdown(stop_signal()).await?;
    info!("{report}");
    Ok(())
}

// Who comes in

#[derive(Deserialize)]
struct Login {
    name: String,
}

/// Runs before the upgrade: `Ok` is the session's value, `Err` the HTTP answer.
async fn authenticate(Query(login): Query<Login>) -> Result<User, (StatusCode, &'static str)> {
    if !is_name(&login.name) {
        return Err((StatusCode::UNAUTHORIZED, "a name is 1 to 24 letters, digits, - or _"));
    }
    Ok(User { name: login.name })
}

/// Runs between the two. What is sent here goes out first, once the session is open.
async fn welcome(session: Session<User>) -> Result<(), SendError> {
    session.send("welcome", &json!({ "name": session.value().name }))
}

// What they say

#[derive(Deserialize)]
struct Room {
    room: String,
}

#[derive(Deserialize)]
struct RoomMessage {
    room: String,
    text: String,
}

#[derive(Deserialize)]
struct Whisper {
    to: String,
    text: String,
}

/// The others are told who came, and who came is told who is there. A person is in a room once, whatever their tabs, and
/// leaves with the last of them, five seconds after it closed: it may be about to come back. Nobody has to see to that.
async fn join_room(
    session: Session<User>,
    live: Live<User>,
    Data(Room { room }): Data<Room>,
) -> Result<(), ClientError> {
    if room == "admin" && session.value().name != "admin" {
        return Err(ClientError::new("forbidden", "only admins may enter admin"));
    }
    let members = live.presence(topic_of(&room)?)?;
    members.track(&session, &())?;
    members.subscribe(&session)?;
    Ok(())
}

async fn leave_room(
    session: Session<User>,
    live: Live<User>,
    Data(Room { room }): Data<Room>,
) -> Result<(), ClientError> {
    let members = live.presence(topic_of(&room)?)?;
    session.unsubscribe(members.topic());
    members.untrack(&session);
    Ok(())
}

async fn room_message(
    session: Session<User>,
    live: Live<User>,
    Data(RoomMessage { room, text }): Data<RoomMessage>,
) -> Result<(), ClientError> {
    let topic = topic_of(&room)?;
    if !session.is_subscribed(&topic) {
        return Err(ClientError::new("not_a_member", format!("join {room} first")));
    }
    live.publish(topic, &json!({ "type": "message", "user": session.value().name, "text": text }))?;
    Ok(())
}

/// To all tabs of the other person, and to one's own, which should see what was said.
async fn whisper(
    session: Session<User>,
    live: Live<User>,
    Data(Whisper { to, text }): Data<Whisper>,
) -> Result<(), ClientError> {
    let from = &session.value().name;
    let whisper = Payload::json(&json!({ "from": from, "to": to, "text": text }))?;
    if live.user(&to).send("whisper", &whisper)? == 0 {
        return Err(ClientError::new("absent", format!("{to} is not here")));
    }
    if to != *from {
        live.user(from).send("whisper", &whisper)?;
    }
    Ok(())
}

// Names, parsed where they come in

fn topic_of(room: &str) -> Result<Topic, ClientError> {
    if !is_name(room) {
        return Err(ClientError::new("bad_room", "a room is 1 to 24 letters, digits, - or _"));
    }
    Ok(Topic::try_from(format!("room:{room}"))?)
}

fn is_name(name: &str) -> bool {
    (1..=24).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}
