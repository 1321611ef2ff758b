//! A dashboard: figures tick on the server, and pages watch those that are on their screen.
//!
//! `cargo run -p dashboard` and open <http://127.0.0.1:3000>. Make the window small, scroll, hide the tab: a page
//! subscribes to what it shows and to nothing else, and the foot of it tells to how much that is.
//!
//! Each figure is a topic. A ticker publishes it once, however many watch; what nobody watches it does not even look
//! up. A figure that is missed is worth nothing once the next has come, so nothing is kept and nothing sent again.
//!
//! Read it from the top, and then `figures.rs`. Half of the figures are this machine's, from Linux's `/proc`, and where
//! there is none their charts stay empty. The other half are of a shop that does not exist: the page says so.

mod figures;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::{Router, response::Html, routing::get};
use axum_live::{Live, LiveLayer, MessageRouter, SendError, Session, SubscriptionPolicy, Topic, stop_signal};
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval},
};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

use figures::{Figures, METRICS};

const TICK: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,dashboard=debug,axum_live=debug".into());
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let live = live();
    let ticker = tokio::spawn(tick(live.clone()));
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3000".into());
    let listener = TcpListener::bind(addr).await?;
    info!("dashboard is at http://{}", listener.local_addr()?);
    let report = axum_live::serve(listener, app(&live)).drain(&live).with_graceful_shutdown(stop_signal()).await?;
    ticker.abort();
    info!("{report}");
    Ok(())
}

fn live() -> Live<()> {
    // Everybody may watch what there is. A misspelt topic is refused instead of staying silent for ever.
    let policy = SubscriptionPolicy::new()
        .allow_if("metric:*", async |topic: Topic| METRICS.iter().any(|metric| metric.topic == topic.as_str()));
    Live::builder().on_message(MessageRouter::new().subscriptions(policy).into_hook()).build()
}

fn app(live: &Live<()>) -> Router {
    Router::new()
        .route("/", get(Html(include_str!("page.html"))))
        .route("/live.js", axum_live::client())
        .route("/ws", LiveLayer::anonymous(live).handler(list))
}

/// Runs before the upgrade: what there is to watch is the first that a page hears.
async fn list(session: Session<()>) -> Result<(), SendError> {
    session.send("metrics", &METRICS)
}

/// Publishes all that is watched, again and again.
async fn tick(live: Live<()>) {
    let mut figures = Figures::new(live.clone());
    let mut ticks = interval(TICK);
    // After a pause of the process there is one tick, and not one for each that was missed.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        publish_watched(&live, &mut figures);
    }
}

/// Publishes what is watched, once each, and answers how much that is.
fn publish_watched(live: &Live<()>, figures: &mut Figures) -> usize {
    figures.tick();
    let mut published = 0;
    for metric in METRICS {
        // To publish where nobody listens costs next to nothing. It is the looking up that is saved.
        if live.subscriber_count(metric.topic) == 0 {
            continue;
        }
        let Some(figure) = figures.read(&metric) else { continue };
        match live.publish(metric.topic, &figure) {
            Ok(_) => published += 1,
            Err(error) => warn!(topic = metric.topic, %error, "a figure was not told"),
        }
    }
    published
}
