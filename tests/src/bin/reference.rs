//! The server that conformance, interop, browser tests and benchmarks run against: `reference --port P` listens on
//! 127.0.0.1. `--heartbeat` in milliseconds and `--connections` are for those that try its limits.
//!
//! `/echo` gives raw frames back as they came, of up to 16 MiB in as many fragments as Autobahn makes of it. `/ws` lets
//! everybody subscribe, unsubscribe, publish and echo; `/guarded` is the same for those with `?token=good`. No client is
//! too fast for them, and they have the library's defaults in all else. `/` is an empty page for scripts, `/live.js` the
//! browser client. SIGTERM drains it, and it says how that went.

use std::{fmt::Debug, io::Write, net::Ipv4Addr, str::FromStr, time::Duration};

use axum::{Router, extract::Query, http::StatusCode, response::Html, routing::get};
use axum_live::{Frame, Heartbeat, Limits, Live, LiveLayer, Message, Rate, Session, accept, client, stop_signal};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::net::TcpListener;

/// What Autobahn sends at most, in frames of at least 64 bytes.
const LARGEST: usize = 16 << 20;
const MOST_FRAGMENTS: u32 = (LARGEST / 64) as u32;

#[derive(Deserialize)]
struct Pass {
    token: Option<String>,
}

#[derive(Deserialize)]
struct Subscription {
    topic: String,
}

#[derive(Deserialize)]
struct Publication<'a> {
    topic: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, option("--port").unwrap_or(0))).await?;
    writeln!(std::io::stdout(), "listening on http://{}", listener.local_addr()?)?;

    let unlimited = Rate::danger_unlimited();
    let limits = Limits::default().message_rate(unlimited).byte_rate(unlimited).control_rate(unlimited);
    let echo = Live::<()>::builder()
        .limits(limits.read_limit(LARGEST).fragment_limit(MOST_FRAGMENTS))
        .on_frame(async |session: Session<()>, frame: Frame| {
            // An echo that finds the session closed has nobody to go to.
            session.send_frame(frame).ok();
        })
        .build();
    let beat = option("--heartbeat").map(Duration::from_millis);
    let beat = beat.map_or_else(Heartbeat::default, |time| Heartbeat::every(time).timeout(time));
    let topics = Live::<()>::builder().limits(limits).heartbeat(beat).on_message(on_message).build();
    let app = Router::new()
        .route("/echo", LiveLayer::anonymous(&echo).handler(accept))
        .route("/ws", LiveLayer::anonymous(&topics).handler(accept))
        .route("/guarded", LiveLayer::new(&topics, guard).handler(accept))
        .route("/", get(Html("<!doctype html><title>axum-live</title>")))
        .route("/live.js", client());
    let mut server = axum_live::serve(listener, app).drain(&echo).drain(&topics);
    if let Some(connections) = option("--connections") {
        server = server.max_connections(connections);
    }
    let report = server.with_graceful_shutdown(stop_signal()).await?;
    writeln!(std::io::stdout(), "{report}")
}

async fn guard(Query(pass): Query<Pass>) -> Result<(), StatusCode> {
    if pass.token.as_deref() == Some("good") { Ok(()) } else { Err(StatusCode::UNAUTHORIZED) }
}

async fn on_message(session: Session<()>, message: Message) {
    if let Err(error) = answer(&session, &message) {
        session.send("error", &error).ok();
    }
}

fn answer(session: &Session<()>, message: &Message) -> Result<(), String> {
    let error = |error: &dyn std::error::Error| format!("{}: {error}", message.topic());
    match message.topic() {
        "subscribe" => {
            let Subscription { topic } = message.json().map_err(|e| error(&e))?;
            session.subscribe(topic).map_err(|e| error(&e))?;
            session.send("ack", &()).map_err(|e| error(&e))
        }
        "unsubscribe" => {
            let Subscription { topic } = message.json().map_err(|e| error(&e))?;
            session.unsubscribe(topic);
            session.send("ack", &()).map_err(|e| error(&e))
        }
        "publish" => {
            let Publication { topic, data } = message.json().map_err(|e| error(&e))?;
            session.live().publish(topic, data).map_err(|e| error(&e)).map(drop)
        }
        "echo" => {
            let data: &RawValue = message.json().map_err(|e| error(&e))?;
            session.send("echo", data).map_err(|e| error(&e))
        }
        other => Err(format!("{other}: no such topic")),
    }
}

/// The number after an option, where it is given.
fn option<T: FromStr<Err: Debug>>(name: &str) -> Option<T> {
    let mut arguments = std::env::args().skip_while(|argument| argument != name).skip(1);
    arguments.next().map(|number| number.parse().unwrap_or_else(|error| panic!("{name} takes a number: {error:?}")))
}
