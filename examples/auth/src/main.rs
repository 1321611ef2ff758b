//! Who gets in, and who may subscribe to what.
//!
//! `cargo run -p auth` and open <http://127.0.0.1:3000>; the names and passwords stand in `login.rs`. There are three ways
//! in, a file each. Pick the one for your clients:
//!
//! - `header.rs`: a program sends `Authorization: Bearer` and a token.
//! - `cookie.rs`: a page of this site has a cookie that no script can read.
//! - `ticket.rs`: a page of another site, and whatever can set no header, has a ticket that is good once.
//!
//! Whatever lets somebody in is good for a quarter of an hour, and so is the session. The page renews both in time.
//!
//! Who is not let in is answered 401 and why. What a client may not do later is a message with the topic `error`. The
//! cookie is taken from <http://127.0.0.1> as from https by all browsers but Safari.

mod cookie;
mod header;
mod login;
#[cfg(test)]
mod tests;
mod ticket;
mod token;

use std::{
    env::{self, VarError},
    io,
    sync::Arc,
};

use axum::{
    Router,
    extract::State,
    response::Html,
    routing::{get, post},
};
use axum_live::{Live, LiveLayer, MessageRouter, Origins, Params, SendError, Session, SubscriptionPolicy, stop_signal};
use serde_json::json;
use tokio::net::TcpListener;
use tracing::info;
use tracing_subscriber::EnvFilter;

use crate::{
    ticket::Tickets,
    token::{Role, Tokens, User},
};

/// What the handlers share.
struct Auth {
    live: Live<User>,
    policy: Arc<SubscriptionPolicy<User>>,
    tokens: Tokens,
    tickets: Arc<Tickets>,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,auth=debug,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let auth = Arc::new(Auth::new(&secret(env::var("AUTH_SECRET"))?));
    let app = app(&auth);
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(addr).await?;
    info!("the doors are at http://{}", listener.local_addr()?);
    let report = axum_live::serve(listener, app).drain(&auth.live).with_graceful_shutdown(stop_signal()).await?;
    info!("{report}");
    Ok(())
}

/// With a secret of your own, tokens outlive a restart and are good on every node.
fn secret(set: Result<String, VarError>) -> io::Result<Vec<u8>> {
    match set {
        Ok(secret) if secret.len() >= 32 => Ok(secret.into_bytes()),
        Err(VarError::NotPresent) => Ok(rand::random::<[u8; 32]>().into()),
        _ => Err(io::Error::other("AUTH_SECRET must be text of at least 32 bytes")),
    }
}

impl Auth {
    fn new(secret: &[u8]) -> Self {
        let policy = SubscriptionPolicy::new()
            .allow("lobby")
            .allow_if("user:{name}", async |session: Session<User>, Params(name): Params<String>| {
                session.value().name == name
            })
            .allow_if("admin", async |session: Session<User>| session.value().role == Role::Admin);
        let policy = Arc::new(policy);
        let tickets = Arc::new(Tickets::default());
        let messages = MessageRouter::new()
            .subscriptions(Arc::clone(&policy))
            .on("renew", ticket::renew)
            .with_state(Arc::clone(&tickets));
        let live = Live::builder()
            .user(|user: &User| user.name.clone())
            .on_connect(came_in)
            .on_message(messages.into_hook())
            .build();
        Self { live, policy, tokens: Tokens::new(secret), tickets }
    }
}

fn app(auth: &Arc<Auth>) -> Router {
    let by_header = LiveLayer::with_state(&auth.live, Arc::clone(auth), header::authenticate);
    let by_cookie = LiveLayer::with_state(&auth.live, Arc::clone(auth), cookie::authenticate);
    // Of any origin: no browser adds a ticket by itself, so a page that has one was given it.
    let by_ticket =
        LiveLayer::with_state(&auth.live, Arc::clone(auth), ticket::authenticate).origins(Origins::danger_any());
    Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/live.js", axum_live::client())
        .route("/ws/header", by_header.handler(welcome))
        .route("/token", post(header::token))
        .route("/ws/cookie", by_cookie.handler(welcome))
        .route("/login", post(cookie::log_in))
        .route("/renew", post(cookie::renew))
        .route("/logout", post(cookie::log_out))
        .route("/ws/ticket", by_ticket.handler(welcome))
        .route("/ticket", post(ticket::issue))
        .with_state(Arc::clone(auth))
}

/// The handler under the doors: tells a client for how long it may stay, who it is, and which of the topics it may
/// subscribe to.
async fn welcome(session: Session<User>, State(auth): State<Arc<Auth>>) -> Result<(), SendError> {
    tell_grant(&session)?;
    let user = session.value();
    let mut allowed = Vec::new();
    for topic in topics(user) {
        if auth.policy.check(&session, &topic).await.is_ok() {
            allowed.push(topic);
        }
    }
    session.send("welcome", &json!({ "user": user.name, "role": user.role, "topics": allowed }))
}

fn tell_grant(session: &Session<User>) -> Result<(), SendError> {
    session.send("granted", &json!({ "seconds": session.value().seconds_left() }))
}

/// Tells of who came.
async fn came_in(session: Session<User>) {
    let user = session.value();
    for topic in topics(user) {
        // Nothing depends on its being heard.
        session.live().publish(topic, &json!({ "came": user.name, "to": session.path() })).ok();
    }
}

fn topics(user: &User) -> [String; 3] {
    ["lobby".into(), format!("user:{}", user.name), "admin".into()]
}
