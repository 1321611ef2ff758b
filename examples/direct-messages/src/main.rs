//! Messages from one person to another, on every device of both.
//!
//! `cargo run -p direct-messages` and open <http://127.0.0.1:3000> in two tabs. Read it from the top; `tests.rs` shows
//! how such an app is tested.
//!
//! A client comes as `/ws?user=NAME` and says `dm` with `{"to": …, "text": …}`. Every tab of the recipient gets `dm` with
//! `{"from": …, "text": …}`, and every tab of the sender `dm_sent` with `{"to": …, "text": …}`: a topic of its own, so that
//! a client that knows `dm` alone does not take what its user said for what they were told.

#[cfg(test)]
mod tests;

use axum::{Router, extract::Query, http::StatusCode, response::Html, routing::get};
use axum_live::{ClientError, Data, Live, LiveLayer, MessageRouter, Session, accept, stop_signal};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// What a session knows of its client: who it is, from the query.
#[derive(Deserialize)]
struct User {
    #[serde(rename = "user")]
    name: String,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,direct_messages=debug,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let live = live();
    let app = app(&live);
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(addr).await?;
    info!("messages are exchanged at http://{}", listener.local_addr()?);
    let report = axum_live::serve(listener, app).drain(&live).with_graceful_shutdown(stop_signal()).await?;
    info!("{report}");
    Ok(())
}

/// The engine. `user` tells it whose a session is, from the door on: nobody has to keep a map of who is where.
fn live() -> Live<User> {
    let messages = MessageRouter::new()
        .on("init", async || {}) // said by clients that have to introduce themselves
        .on("dm", dm);
    Live::builder().user(|user: &User| user.name.clone()).on_message(messages.into_hook()).build()
}

/// The door, beside the page.
fn app(live: &Live<User>) -> Router {
    Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/live.js", axum_live::client())
        .route("/ws", LiveLayer::new(live, authenticate).handler(accept))
}

/// Runs before the upgrade: `Ok` is the session's value, `Err` the HTTP answer. Here all are who they say they are; the
/// example `auth` has better ways.
async fn authenticate(Query(user): Query<User>) -> Result<User, (StatusCode, &'static str)> {
    match is_name(&user.name) {
        true => Ok(user),
        false => Err((StatusCode::UNAUTHORIZED, "a name is 1 to 24 letters, digits, - or _")),
    }
}

#[derive(Deserialize)]
struct DirectMessage {
    to: String,
    text: String,
}

async fn dm(
    session: Session<User>,
    live: Live<User>,
    Data(DirectMessage { to, text }): Data<DirectMessage>,
) -> Result<(), ClientError> {
    let from = &session.value().name;
    if live.user(&to).send("dm", &json!({ "from": from, "text": text }))? == 0 {
        return Err(ClientError::new("absent", format!("{to} is not here")));
    }
    live.user(from).send("dm_sent", &json!({ "to": to, "text": text }))?;
    Ok(())
}

fn is_name(name: &str) -> bool {
    (1..=24).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}
