//! A chat: rooms with their members, whispers, a guarded room.
//!
//! `cargo run -p chat` and open <http://127.0.0.1:3000>, in two tabs. It is the tutorial as well; read it from the top.
//! What the page says and hears stands in `page.html`, at its end.

use std::{collections::BTreeSet, net::Ipv4Addr};

use axum::{Router, extract::Query, http::StatusCode, response::Html, routing::get};
use axum_live::{ClientError, CloseReason, Data, Live, LiveLayer, MessageRouter, Payload, PublishError, Session};
use serde::Deserialize;
use serde_json::json;
use tokio::{net::TcpListener, signal};
use tracing::{debug, info, warn};
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

    // The engine, with what is to be done when something happens in a session.
    let live = Live::<User>::builder().on_message(messages.into_hook()).on_close(on_close).build();

    // The door, mounted like any handler.
    let app = Router::new()
        .route("/", get(async || Html(include_str!("page.html"))))
        .route("/ws", LiveLayer::new(&live, authenticate).handler(welcome));

    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port())).await?;
    info!("the chat is at http://{}", listener.local_addr()?);
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            if let Err(error) = signal::ctrl_c().await {
                warn!(%error, "Ctrl-C will not stop this");
                std::future::pending::<()>().await;
            }
            let report = live.shutdown().await;
            info!(closed = report.closed(), aborted = report.aborted(), "goodbye");
        })
        .await
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
async fn welcome(session: Session<User>) -> Result<(), StatusCode> {
    let name = &session.value().name;
    session.subscribe(whispers_to(name)).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    session.send("welcome", &json!({ "name": name })).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)
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

async fn join_room(
    session: Session<User>,
    live: Live<User>,
    Data(Room { room }): Data<Room>,
) -> Result<(), ClientError> {
    let name = &session.value().name;
    if !is_name(&room) {
        return Err(ClientError::new("bad_room", "a room is 1 to 24 letters, digits, - or _"));
    }
    if room == "admin" && name != "admin" {
        return Err(ClientError::new("forbidden", "only admins may enter admin"));
    }
    let topic = room_topic(&room);
    let is_first = !members(&live, &topic).contains(name);
    session.subscribe(&topic)?;
    if is_first {
        live.publish_from(&session, &topic, &json!({ "type": "join", "user": name }))?;
    }
    session.send("members", &json!({ "room": room, "users": members(&live, &topic) }))?;
    Ok(())
}

async fn leave_room(session: Session<User>, Data(Room { room }): Data<Room>) -> Result<(), ClientError> {
    let topic = room_topic(&room);
    if session.unsubscribe(&topic) {
        tell_of_leaving(&session, &topic)?;
    }
    Ok(())
}

async fn room_message(
    session: Session<User>,
    live: Live<User>,
    Data(RoomMessage { room, text }): Data<RoomMessage>,
) -> Result<(), ClientError> {
    let topic = room_topic(&room);
    if !session.is_subscribed(&topic) {
        return Err(ClientError::new("not_a_member", format!("join {room} first")));
    }
    live.publish(topic, &json!({ "type": "message", "user": session.value().name, "text": text }))?;
    Ok(())
}

/// A topic of each person's own finds all their tabs, and one's own other tabs should see what was said.
async fn whisper(
    session: Session<User>,
    live: Live<User>,
    Data(Whisper { to, text }): Data<Whisper>,
) -> Result<(), ClientError> {
    let from = &session.value().name;
    let mut tabs = live.subscribers(whispers_to(&to));
    if tabs.is_empty() {
        return Err(ClientError::new("absent", format!("{to} is not here")));
    }
    if to != *from {
        tabs.extend(live.subscribers(whispers_to(from)));
    }
    let whisper = Payload::json(&json!({ "from": from, "to": to, "text": text }))?;
    for tab in tabs {
        // A tab that has just closed misses nothing.
        tab.send("whisper", &whisper).ok();
    }
    Ok(())
}

// Who leaves

/// Runs once, however the session ended. It is out of its topics by then, and still tells which they were.
async fn on_close(session: Session<User>, reason: CloseReason) {
    debug!(user = session.value().name, %reason, "left");
    for topic in session.topics().iter().filter(|topic| topic.as_str().starts_with("room:")) {
        if let Err(error) = tell_of_leaving(&session, topic.as_str()) {
            warn!(%error, "nobody was told of the leaving");
        }
    }
}

/// A person leaves with the last of their tabs. Two that close at the same moment may both say so: it is for people.
fn tell_of_leaving(session: &Session<User>, topic: &str) -> Result<(), PublishError> {
    let (live, name) = (session.live(), &session.value().name);
    if !members(&live, topic).contains(name) {
        live.publish(topic, &json!({ "type": "leave", "user": name }))?;
    }
    Ok(())
}

// Names

fn is_name(name: &str) -> bool {
    (1..=24).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}

fn room_topic(room: &str) -> String {
    format!("room:{room}")
}

fn whispers_to(name: &str) -> String {
    format!("user:{name}")
}

fn members(live: &Live<User>, topic: &str) -> BTreeSet<String> {
    live.subscribers(topic).iter().map(|session| session.value().name.clone()).collect()
}

fn port() -> u16 {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--port").skip(1);
    arguments.next().map_or(3000, |port| port.parse().expect("--port takes a number"))
}
