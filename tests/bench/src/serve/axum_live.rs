use std::{error::Error, io, net::Ipv4Addr, time::Instant};

use axum::Router;
use axum_live::{Limits, Live, LiveLayer, Message, Rate, Session, accept};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::{net::TcpListener, task};

use super::announce;

#[derive(Deserialize)]
struct Subscription {
    topic: String,
}

#[derive(Deserialize)]
struct Publication {
    topic: String,
    data: Box<RawValue>,
    /// Who publishes, if that is to be timed.
    from: Option<Caller>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Caller {
    Handler,
    Thread,
}

/// axum-live as it comes: no setting differs from the default, but that a client may publish as fast as it can.
#[tokio::main]
pub(super) async fn run(port: u16) -> io::Result<()> {
    let unlimited = Rate::danger_unlimited();
    let limits = Limits::default().message_rate(unlimited).byte_rate(unlimited);
    let live = Live::<()>::builder().limits(limits).on_message(on_message).build();
    let app = Router::new().route("/ws", LiveLayer::anonymous(&live).handler(accept));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    announce(listener.local_addr()?)?;
    axum::serve(listener, app).await
}

async fn on_message(session: Session<()>, message: Message) {
    if let Err(error) = answer(&session, &message) {
        session.send("error", &error.to_string()).ok();
    }
}

fn answer(session: &Session<()>, message: &Message) -> Result<(), Box<dyn Error>> {
    match message.topic() {
        "subscribe" => {
            session.subscribe(message.json::<Subscription>()?.topic)?;
            session.send("ack", &())?;
        }
        "publish" => {
            let Publication { topic, data, .. } = message.json()?;
            session.live().publish(topic, &data)?;
        }
        "echo" => session.send("echo", message.json::<&RawValue>()?)?,
        "measure" => measure(session, message.json()?),
        other => return Err(format!("{other}: no such topic").into()),
    }
    Ok(())
}

/// Publishes, and answers how many nanoseconds that took.
fn measure(session: &Session<()>, Publication { topic, data, from }: Publication) {
    let session = session.clone();
    let publish = move || {
        let start = Instant::now();
        let published = session.live().publish(topic, &data);
        let took = start.elapsed().as_nanos() as u64;
        match published {
            Ok(_) => session.send("measured", &took).ok(),
            Err(error) => session.send("error", &error.to_string()).ok(),
        };
    };
    match from {
        Some(Caller::Thread) => drop(task::spawn_blocking(publish)),
        Some(Caller::Handler) | None => publish(),
    }
}
