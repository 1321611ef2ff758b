//! Who is there: people, each of their devices, and what it says of itself.
//!
//! `cargo run -p presence` and open <http://127.0.0.1:3000> in two tabs. Read it from the top; `tests.rs` shows how such
//! an app is tested.
//!
//! A client comes as `/ws?user=NAME` and says `init` with `{"status": "online", "device": "phone"}`, or with `{}`; when
//! that changes it says `update`. All hear, with the topic `presence`,
//!
//! - `{"type": "join", "user": …, "metas": […]}` when a person's first device comes,
//! - `{"type": "update", "user": …, "metas": […]}` when one more comes, one of several goes, or one says something else,
//! - `{"type": "leave", "user": …}` when the last one has been gone for five seconds: a lost connection is no leave.
//!
//! Who says `init` is first sent all there are: `{"type": "snapshot", "users": [{"user": …, "metas": […]}, …]}`.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::Html,
    routing::get,
};
use axum_live::{Data, Live, LiveLayer, MessageRouter, PresenceError, Session, UserId, accept, stop_signal};
use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tracing::info;
use tracing_subscriber::EnvFilter;

/// What a session knows of its client: who it is, from the query.
#[derive(Deserialize)]
struct User {
    #[serde(rename = "user")]
    name: String,
}

/// What a device says of itself; everybody sees it as one of the person's `metas`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Device {
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<String>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    #[default]
    Online,
    Away,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,presence=debug,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let live = live();
    let app = app(&live);
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(addr).await?;
    info!("who is there is told at http://{}", listener.local_addr()?);
    let report = axum_live::serve(listener, app).drain(&live).with_graceful_shutdown(stop_signal()).await?;
    info!("{report}");
    Ok(())
}

/// The engine. `user` tells it whose a session is: people are counted, not connections.
fn live() -> Live<User> {
    let messages = MessageRouter::new().on("init", init).on("update", update);
    Live::builder().user(|user: &User| user.name.clone()).on_message(messages.into_hook()).build()
}

/// The door, beside the page and what any handler of an application may ask.
fn app(live: &Live<User>) -> Router {
    Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/live.js", axum_live::client())
        .route("/ws", LiveLayer::new(live, authenticate).handler(accept))
        .route("/online", get(online))
        .with_state(live.clone())
}

/// Runs before the upgrade: `Ok` is the session's value, `Err` the HTTP answer.
async fn authenticate(Query(user): Query<User>) -> Result<User, (StatusCode, &'static str)> {
    match is_name(&user.name) {
        true => Ok(user),
        false => Err((StatusCode::UNAUTHORIZED, "a name is 1 to 24 letters, digits, - or _")),
    }
}

/// Subscribing by `presence` sends who is there already; tracking then tells everybody that one more is. No `on_close` has
/// to undo it.
async fn init(session: Session<User>, live: Live<User>, Data(device): Data<Device>) -> Result<(), PresenceError> {
    let presence = live.presence("presence")?;
    presence.subscribe(&session)?;
    presence.track(&session, &device)
}

/// Tracked once more, a device says something new.
async fn update(session: Session<User>, live: Live<User>, Data(device): Data<Device>) -> Result<(), PresenceError> {
    live.presence("presence")?.track(&session, &device)
}

/// Any other handler may ask as well: who is there, and on how many devices.
async fn online(State(live): State<Live<User>>) -> Result<Json<BTreeMap<UserId, usize>>, PresenceError> {
    let people = live.presence("presence")?.list();
    Ok(Json(people.iter().map(|person| (person.user().clone(), person.metas().len())).collect()))
}

fn is_name(name: &str) -> bool {
    (1..=24).contains(&name.chars().count()) && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '-' | '_'))
}
