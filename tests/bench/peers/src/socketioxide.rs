//! Rooms of Socket.IO.

use std::time::Instant;

use axum::Router;
use serde::Deserialize;
use serde_json::Value;
use socketioxide::{
    SocketIo,
    extract::{Data, SocketRef},
};
use tokio::{runtime::Handle, task};

use crate::request::Caller;

#[derive(Deserialize)]
struct Subscription {
    topic: String,
}

#[derive(Deserialize)]
struct Publication {
    topic: String,
    data: Value,
}

#[derive(Deserialize)]
struct Measurement {
    #[serde(flatten)]
    publication: Publication,
    from: Caller,
}

pub fn app() -> Router {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", connect);
    Router::new().layer(layer)
}

async fn connect(socket: SocketRef) {
    socket.on("subscribe", async |socket: SocketRef, Data(Subscription { topic })| {
        socket.join(topic);
        // The end of a session is nobody's error, here and below.
        socket.emit("ack", &()).ok();
    });
    socket.on("publish", async |io: SocketIo, Data(publication)| publish(&io, &publication).await);
    socket.on("echo", async |socket: SocketRef, Data::<Value>(data)| {
        socket.emit("echo", &data).ok();
    });
    socket.on("measure", async |socket: SocketRef, io: SocketIo, Data(measurement)| {
        socket.emit("measured", &measure(io, measurement).await).ok();
    });
    // Clients wait for it: an event that comes before its handler is there gets lost.
    socket.emit("ready", &()).ok();
}

async fn publish(io: &SocketIo, Publication { topic, data }: &Publication) {
    io.to(topic.clone()).emit(topic, data).await.ok();
}

/// How many nanoseconds a publication took.
async fn measure(io: SocketIo, Measurement { publication, from }: Measurement) -> u64 {
    let timed = async move {
        let start = Instant::now();
        publish(&io, &publication).await;
        start.elapsed().as_nanos() as u64
    };
    match from {
        Caller::Handler => timed.await,
        Caller::Thread => {
            let runtime = Handle::current();
            task::spawn_blocking(move || runtime.block_on(timed)).await.expect("it does not panic")
        }
    }
}
