//! Sync: what changed is not published, only that something did; clients pull the rest.
//!
//! `cargo run -p sync`, open <http://127.0.0.1:3000> in two tabs and edit the list in both. Stop the server, edit on in
//! vain, start it again: the pages come back, and agree.
//!
//! A client may miss a publication: it sleeps, it is in a tunnel, it reads too slowly and is closed. So nothing that
//! matters is in one. Each change has a version, greater than all before it; the topic `sync` has the newest, and
//! `GET /changes?since=…` all that came after the version that a client has. Ten publications missed or one, heard twice
//! or late: the next pull brings the same.
//!
//! Read it from the top, and then `list.rs`.

mod list;
#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::StatusCode,
    response::{Html, IntoResponse, Response},
    routing::{get, post, put},
};
use axum_live::{Live, LiveLayer, Session, SubscribeError, stop_signal};
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use list::{Changes, Item, List, Refusal};

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    live: Live<()>,
    list: Arc<Mutex<List>>,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,sync=debug,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    // Versions must not begin anew with the process, or clients of the last one would take old for new. This list is in
    // memory and has the clock for that; yours is in a database, and so is its version.
    let start = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let shared = Shared::new(List::new(start as u64));

    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(addr).await?;
    info!("sync is at http://{}", listener.local_addr()?);
    let report =
        axum_live::serve(listener, app(&shared)).drain(&shared.live).with_graceful_shutdown(stop_signal()).await?;
    info!("{report}");
    Ok(())
}

fn app(shared: &Shared) -> Router {
    Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/live.js", axum_live::client())
        .route("/ws", LiveLayer::anonymous(&shared.live).handler(listen))
        .route("/changes", get(changes))
        .route("/items", post(add))
        .route("/items/{id}", put(edit).delete(remove))
        .layer(DefaultBodyLimit::max(4 << 10))
        .with_state(shared.clone())
}

/// Runs before the upgrade: a page that pulls when its socket opens is subscribed by then, and misses nothing between.
async fn listen(session: Session<()>) -> Result<(), SubscribeError> {
    session.subscribe("sync")
}

// What clients pull

#[derive(Deserialize)]
struct Since {
    since: u64,
}

async fn changes(State(shared): State<Shared>, Query(Since { since }): Query<Since>) -> Json<Changes> {
    Json(shared.list.lock().unwrap_or_else(PoisonError::into_inner).changes(since))
}

// What they change

#[derive(Deserialize)]
struct New {
    text: String,
}

#[derive(Deserialize)]
struct Edit {
    /// The version that was edited.
    version: u64,
    text: String,
    done: bool,
}

#[derive(Deserialize)]
struct Version {
    version: u64,
}

async fn add(State(shared): State<Shared>, Json(New { text }): Json<New>) -> Result<(StatusCode, Json<Item>), Refusal> {
    let item = shared.change(|list| list.add(text))?;
    Ok((StatusCode::CREATED, Json(item)))
}

async fn edit(
    State(shared): State<Shared>,
    Path(id): Path<u64>,
    Json(Edit { version, text, done }): Json<Edit>,
) -> Result<Json<Item>, Refusal> {
    shared.change(|list| list.edit(id, version, text, done)).map(Json)
}

async fn remove(
    State(shared): State<Shared>,
    Path(id): Path<u64>,
    Query(Version { version }): Query<Version>,
) -> Result<StatusCode, Refusal> {
    shared.change(|list| list.remove(id, version))?;
    Ok(StatusCode::NO_CONTENT)
}

impl Shared {
    fn new(list: List) -> Self {
        Self { live: Live::builder().build(), list: Arc::new(Mutex::new(list)) }
    }

    /// Changes the list, and then tells everybody: who hears of a version finds it when they pull.
    fn change<T>(&self, change: impl FnOnce(&mut List) -> Result<T, Refusal>) -> Result<T, Refusal> {
        let (changed, cursor) = {
            let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            (change(&mut list)?, list.cursor())
        };
        // The change is made, heard of or not: the next one tells of it, too.
        if let Err(error) = self.live.publish("sync", &json!({ "cursor": cursor })) {
            warn!(%error, "nobody was told of a change");
        }
        Ok(changed)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Missing => (StatusCode::NOT_FOUND, "there is no such item, or no more").into_response(),
            Self::Conflict(current) => (StatusCode::CONFLICT, Json(current)).into_response(),
            Self::Full => (StatusCode::INSUFFICIENT_STORAGE, "the list is full").into_response(),
        }
    }
}
