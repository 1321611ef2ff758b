//! Figures for Prometheus: what a server with sessions tells, and where.
//!
//! `cargo run -p metrics-example`, then `curl http://127.0.0.1:9090/metrics`. Connect with any WebSocket client to
//! <ws://127.0.0.1:3000/ws>, send `{"topic": "say", "data": "hello"}`, and look again.
//!
//! The figures are served on a port of their own, which no proxy leads to: they are for those who run the server. The
//! figures of the application's own go the same way, by `metrics::counter!` and its like.

#[cfg(test)]
mod tests;

use axum::{
    Router,
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
    routing::get,
};
use axum_live::{Live, LiveLayer, Message, Session, SubscribeError, stop_signal};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::net::TcpListener;
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

/// What the route of the figures needs.
#[derive(Clone)]
struct Figures {
    live: Live<()>,
    prometheus: PrometheusHandle,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let live = live();
    let prometheus = PrometheusBuilder::new().install_recorder()?;
    let (app_listener, figures_listener) =
        (TcpListener::bind("127.0.0.1:3000").await?, TcpListener::bind("127.0.0.1:9090").await?);
    info!(
        "ws://{}/ws, and the figures at http://{}/metrics",
        app_listener.local_addr()?,
        figures_listener.local_addr()?
    );
    let figures = tokio::spawn(axum::serve(figures_listener, figures(&live, prometheus)).into_future());
    let report = axum_live::serve(app_listener, app(&live)).drain(&live).with_graceful_shutdown(stop_signal()).await?;
    info!("{report}");
    // Until here, for the last figures are of the shutdown.
    figures.abort();
    Ok(())
}

fn live() -> Live<()> {
    Live::builder()
        .on_message(async |session: Session<()>, message: Message| {
            if let Ok(text) = message.json::<String>()
                && let Err(error) = session.live().publish("said", &text)
            {
                warn!(%error, "not published");
            }
        })
        .build()
}

/// What clients see.
fn app(live: &Live<()>) -> Router {
    Router::new().route("/ws", LiveLayer::anonymous(live).handler(listen))
}

/// Runs before the upgrade: everybody hears what is said.
async fn listen(session: Session<()>) -> Result<(), SubscribeError> {
    session.subscribe("said")
}

/// What Prometheus sees.
fn figures(live: &Live<()>, prometheus: PrometheusHandle) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(Figures { live: live.clone(), prometheus })
}

/// The figures of this moment, in Prometheus's text format.
async fn scrape(State(figures): State<Figures>) -> Response {
    figures.live.report_metrics();
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], figures.prometheus.render()).into_response()
}
