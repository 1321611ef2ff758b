//! The server of the soak: `soaked` listens on 127.0.0.1 with the library's defaults, and a user may have two sessions.
//!
//! `/ws?user=7` lets everybody with a number subscribe to rooms, speak in them, be present, have itself flooded, and make
//! a hook panic. `/figures` tells what the server counts, and what it holds. SIGTERM drains it, and it says how that
//! went.

use std::{
    io::Write,
    net::Ipv4Addr,
    panic,
    sync::{Arc, OnceLock},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    routing::get,
};
use axum_live::{
    CloseCode, Connections, Data, Frame, Live, LiveLayer, MessageRouter, PresenceError, PublishError, Session,
    SessionLimit, SubscriptionPolicy, Topic, accept, stop_signal,
};
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{net::TcpListener, task};

/// What a client that wants to be flooded gets in one piece.
const PIECE: usize = 16 << 10;

#[derive(Deserialize)]
struct Pass {
    user: Option<u64>,
}

#[derive(Deserialize)]
struct Speech {
    topic: String,
    text: String,
}

#[derive(Clone)]
struct Sight {
    live: Live<u64>,
    /// There are some once the router is served.
    connections: Arc<OnceLock<Connections>>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;

    let own = async |session: Session<u64>, topic: Topic| topic.as_str() == format!("user:{}", session.value());
    let policy = SubscriptionPolicy::new().allow("room:{room}").allow_if("user:{user}", own);
    let messages = MessageRouter::new()
        .subscriptions(policy)
        .on("echo", echo)
        .on("say", say)
        .on("enter", enter)
        .on("flood", flood)
        .on("hush", async || {})
        .on("panic", fail);
    let live = Live::<u64>::builder()
        .user(|user: &u64| *user)
        .sessions_per_user(SessionLimit::replace_oldest(2))
        .on_message(messages.into_hook())
        .build();
    let sight = Sight { live: live.clone(), connections: Arc::default() };
    let layer = LiveLayer::new(&live, async |Query(pass): Query<Pass>| pass.user.ok_or(StatusCode::UNAUTHORIZED));
    let app =
        Router::new().route("/ws", layer.handler(accept)).route("/figures", get(figures)).with_state(sight.clone());
    let server = axum_live::serve(listener, app).drain(&live);
    sight.connections.set(server.connections()).expect("it is served once");
    let report = server.with_graceful_shutdown(stop_signal()).await?;
    writeln!(std::io::stdout(), "{report}")
}

async fn echo(session: Session<u64>, Data(data): Data<Box<RawValue>>) {
    // An echo that finds the session closed has nobody to go to.
    session.send("echo", &data).ok();
}

async fn say(live: Live<u64>, Data(speech): Data<Speech>) -> Result<(), PublishError> {
    live.publish(speech.topic, &speech.text).map(drop)
}

async fn enter(session: Session<u64>, Data(room): Data<String>) -> Result<(), PresenceError> {
    let presence = session.live().presence(&room)?;
    presence.track(&session, session.id())?;
    presence.subscribe(&session)
}

/// Sends until so many pieces wait for the client, or no more may.
async fn flood(session: Session<u64>, Data(waiting): Data<usize>) {
    let is_enough = || session.stats().queued_messages() >= waiting;
    while session.send_frame(Frame::binary(vec![7; PIECE])).is_ok() {
        if is_enough() {
            // They may wait only for the session's task, which runs this hook.
            task::yield_now().await;
            if is_enough() {
                return;
            }
        }
    }
}

/// Panics without a word on stderr.
async fn fail() {
    panic::resume_unwind(Box::new("as the client wants"));
}

async fn figures(State(Sight { live, connections }): State<Sight>) -> Json<Value> {
    let stats = live.stats();
    let connections = connections.get().expect("it is served");
    let code = |code: Option<CloseCode>| code.map_or("none".to_owned(), |code| code.to_string());
    Json(json!({
        "held": {
            "sessions": stats.sessions(),
            "closing_sessions": stats.closing_sessions(),
            "topics": stats.topics(),
            "subscriptions": stats.subscriptions(),
            "users": stats.users(),
            "queued_messages": stats.queued_messages(),
            "queued_bytes": stats.queued_bytes(),
            "waiting_bytes": stats.waiting_bytes(),
            "pending_deliveries": stats.pending_deliveries(),
            // Save the one that asks.
            "connections": connections.open() - 1,
        },
        "opened": stats.opened(),
        "closed": stats.closed_by_code().into_iter().map(|(by, count)| (code(by), count)).collect::<Value>(),
        "refused": stats.refused_by_reason().iter().map(|(why, count)| (why.name().to_owned(), *count)).collect::<Value>(),
        "timed_out": connections.timed_out(),
        "messages": stats.messages(),
        "deliveries": stats.deliveries(),
        "hook_panics": stats.hook_panics(),
        "overloads": stats.overloaded_publications(),
        "evictions": stats.evictions(),
    }))
}
