//! Notifications: HTTP handlers and background jobs tell people things, and their pages show them.
//!
//! `cargo run -p notifications`, open <http://127.0.0.1:3000> in two tabs and be somebody else in each. Any program can
//! tell them something, too:
//!
//! ```sh
//! curl http://127.0.0.1:3000/notify -H 'content-type: application/json' -d '{"to": "ana", "text": "Lunch?"}'
//! ```
//!
//! There are three kinds of topics, and each promises something else:
//!
//! - `news` is for those who subscribe to it. Who is not there misses it.
//! - `user:{id}` is a person's own. What nobody was there to receive waits in their mailbox: see `mailboxes.rs`.
//! - `jobs:{id}` tells how a person's jobs get on, which is of interest while one looks.

mod mailboxes;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, FromRequestParts, Query, State},
    http::{StatusCode, request::Parts},
    response::{Html, Result},
    routing::{get, post},
};
use axum_live::{Live, LiveLayer, MessageRouter, Params, Session, SubscriptionPolicy, accept, stop_signal};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::Semaphore, time::sleep};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use mailboxes::Mailboxes;

/// Whom this example knows; yours are in a database.
const PEOPLE: [&str; 3] = ["ana", "bob", "carl"];

const MOST_JOBS: usize = 8;
const JOB_STEPS: u32 = 10;
const JOB_STEP: Duration = Duration::from_millis(200);

/// Who asks: the value of a session, and an argument of handlers.
struct User {
    id: &'static str,
}

/// What the handlers share.
#[derive(Clone)]
struct Desk {
    live: Live<User>,
    mailboxes: Mailboxes,
    /// Room for so many jobs at a time.
    jobs: Arc<Semaphore>,
}

#[derive(Debug, Clone, Serialize)]
struct Notice {
    text: String,
    /// One from the mailbox may be of yesterday.
    at: SystemTime,
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let filter =
        EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,notifications=debug,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let desk = Desk::new();
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(addr).await?;
    info!("notifications is at http://{}", listener.local_addr()?);
    let report = axum_live::serve(listener, app(&desk)).drain(&desk.live).with_graceful_shutdown(stop_signal()).await?;
    info!("{report}");
    Ok(())
}

/// One extractor authenticates sessions and handlers alike.
fn app(desk: &Desk) -> Router {
    Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/live.js", axum_live::client())
        .route("/ws", LiveLayer::from_extractor::<User>(&desk.live).handler(accept))
        .route("/notify", post(notify))
        .route("/jobs", post(start_job))
        .layer(DefaultBodyLimit::max(4 << 10))
        .with_state(desk.clone())
}

impl Desk {
    fn new() -> Self {
        // What clients may subscribe to by themselves. To `user:{id}` they are subscribed, as their mailbox is opened.
        let policy = SubscriptionPolicy::new()
            .allow("news")
            .allow_if("jobs:{id}", async |user: Session<User>, Params(id): Params<String>| user.value().id == id);
        let mailboxes = Mailboxes::default();
        let deliver = mailboxes.clone();
        let live = Live::<User>::builder()
            .on_connect(async move |session: Session<User>| deliver.open(&session))
            .on_message(MessageRouter::new().subscriptions(policy).into_hook())
            .build();
        Self { live, mailboxes, jobs: Arc::new(Semaphore::new(MOST_JOBS)) }
    }
}

// From handlers

#[derive(Deserialize)]
struct Notification {
    /// Everybody who is there, if nobody in particular.
    to: Option<String>,
    text: String,
}

/// Here anybody may tell anybody something; guard a route like this one as you do your others.
async fn notify(State(desk): State<Desk>, Json(notification): Json<Notification>) -> Result<Json<Value>> {
    let notice = Notice { text: notification.text, at: SystemTime::now() };
    let receivers = match notification.to {
        None => desk.live.publish("news", &notice)?,
        Some(to) => {
            let to = User::find(&to).ok_or((StatusCode::NOT_FOUND, "there is nobody of that name"))?;
            desk.mailboxes.post(&desk.live, &to, notice)?
        }
    };
    Ok(Json(json!({ "receivers": receivers })))
}

// From background jobs

async fn start_job(user: User, State(desk): State<Desk>) -> Result<(StatusCode, Json<Value>)> {
    static STARTED: AtomicU64 = AtomicU64::new(0);

    let room = desk.jobs.clone().try_acquire_owned();
    let room = room.map_err(|_| (StatusCode::SERVICE_UNAVAILABLE, "too many jobs are under way"))?;
    let id = STARTED.fetch_add(1, Relaxed) + 1;
    tokio::spawn(async move {
        run_job(&desk, &user, id).await;
        drop(room);
    });
    Ok((StatusCode::ACCEPTED, Json(json!({ "id": id }))))
}

/// Steps are told to whoever looks; that it is done, to the person, whenever they come.
async fn run_job(desk: &Desk, user: &User, id: u64) {
    for step in 1..=JOB_STEPS {
        sleep(JOB_STEP).await; // work, in an app of yours
        let progress = json!({ "id": id, "percent": step * 100 / JOB_STEPS });
        // The next step will do as well.
        desk.live.publish(format!("jobs:{}", user.id), &progress).ok();
    }
    let done = Notice { text: format!("Job {id} is done."), at: SystemTime::now() };
    if let Err(error) = desk.mailboxes.post(&desk.live, user, done) {
        warn!(id, %error, "nobody was told that a job is done");
    }
}

// Who they are

impl User {
    fn find(id: &str) -> Option<Self> {
        PEOPLE.into_iter().find(|person| *person == id).map(|id| Self { id })
    }
}

/// Whoever says `?user=ana` is Ana. In an app of yours it takes a cookie or a token.
impl<S: Sync> FromRequestParts<S> for User {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        #[derive(Deserialize)]
        struct Login {
            user: String,
        }

        let login = Query::<Login>::try_from_uri(&parts.uri).ok();
        login
            .and_then(|login| Self::find(&login.user))
            .ok_or((StatusCode::UNAUTHORIZED, "?user= must be ana, bob or carl"))
    }
}
