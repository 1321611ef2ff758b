//! The inspector behind a password, and some traffic to look at.
//!
//! `PASSWORD=secret cargo run -p inspector`, open <http://127.0.0.1:3000> in a tab or two, and then
//! <http://127.0.0.1:3000/inspect> as `operator` with that password.
//!
//! What an operator sees is other people's: who they are, what they subscribe to and, since this example keeps payloads
//! in its journal, what they write. So there is no default password, and no inspector without one.

#[cfg(test)]
mod tests;

use std::{env, io, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Query, State},
    http::{HeaderMap, StatusCode, header},
    response::Html,
    routing::get,
};
use axum_live::{
    ClientError, Data, Inspector, Live, LiveLayer, MessageRouter, Params, SubscriptionPolicy, accept, stop_signal,
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Deserialize;
use tokio::{net::TcpListener, time};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

struct User {
    name: String,
}

#[tokio::main]
async fn main() -> io::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let password = env::var("PASSWORD").map_err(|_| io::Error::other("set PASSWORD, which the inspector asks for"))?;
    let live = live();
    let clock = tokio::spawn(tell_the_time(live.clone()));
    let addr = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(addr).await?;
    info!("rooms are at http://{0}, the inspector is at http://{0}/inspect", listener.local_addr()?);
    let app = app(&live, &password);
    let report = axum_live::serve(listener, app).drain(&live).with_graceful_shutdown(stop_signal()).await?;
    clock.abort();
    info!("{report}");
    Ok(())
}

fn live() -> Live<User> {
    let policy = SubscriptionPolicy::new().allow("clock").allow("room:{room}");
    let messages = MessageRouter::new().on("room:{room}", say).subscriptions(policy);
    Live::builder()
        // Whom a session belongs to, the inspector shows if it is told here.
        .user(|user: &User| user.name.clone())
        // What happened in each session of late. Without these two lines the inspector has all but that.
        .journal(50)
        .journal_payloads(1024)
        .on_message(messages.into_hook())
        .build()
}

fn app(live: &Live<User>, password: &str) -> Router {
    let inspector = Inspector::with_state(live, expected(password), operator);
    Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/live.js", axum_live::client())
        .route("/ws", LiveLayer::new(live, authenticate).handler(accept))
        .nest("/inspect", inspector.router())
}

/// What a browser sends that was given the password (RFC 7617). It goes over the line with each request: use TLS.
fn expected(password: &str) -> Arc<str> {
    format!("Basic {}", STANDARD.encode(format!("operator:{password}"))).into()
}

/// Who may look. `Err` is the answer, by which a browser asks for a password.
async fn operator(
    State(expected): State<Arc<str>>,
    headers: HeaderMap,
) -> Result<(), (StatusCode, [(header::HeaderName, &'static str); 1])> {
    match headers.get(header::AUTHORIZATION) {
        Some(given) if same(given.as_bytes(), expected.as_bytes()) => Ok(()),
        _ => Err((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"inspector\"")])),
    }
}

/// Compares without telling by the time it takes where the first difference is.
fn same(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len() && one.iter().zip(other).fold(0, |all, (one, other)| all | (one ^ other)) == 0
}

// The traffic

#[derive(Deserialize)]
struct Login {
    name: String,
}

async fn authenticate(Query(login): Query<Login>) -> Result<User, (StatusCode, &'static str)> {
    match login.name.len() {
        1..=64 => Ok(User { name: login.name }),
        _ => Err((StatusCode::UNAUTHORIZED, "a name is 1 to 64 bytes")),
    }
}

async fn say(live: Live<User>, Params(room): Params<String>, Data(text): Data<String>) -> Result<(), ClientError> {
    live.publish(format!("room:{room}"), &text)?;
    Ok(())
}

async fn tell_the_time(live: Live<User>) {
    let mut ticks = time::interval(Duration::from_secs(1));
    for second in 0_u64.. {
        ticks.tick().await;
        if let Err(error) = live.publish("clock", &second) {
            warn!(%error, "the time was not told");
        }
    }
}
