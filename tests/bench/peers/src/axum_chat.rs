//! As axum's chat example does it: a broadcast channel a topic, and a task that forwards it to the socket.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Instant,
};

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    response::Response,
    routing::get,
};
use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use tokio::{
    sync::{Mutex as AsyncMutex, broadcast},
    task::{self, JoinSet},
};

use crate::request::{ACK, Caller, Publication, Request, measured};

/// The example's.
const CAPACITY: usize = 100;

type Sink = Arc<AsyncMutex<SplitSink<WebSocket, Message>>>;

#[derive(Clone, Default)]
struct Topics(Arc<Mutex<HashMap<String, broadcast::Sender<Utf8Bytes>>>>);

pub fn app() -> Router {
    Router::new().route("/ws", get(upgrade)).with_state(Topics::default())
}

async fn upgrade(upgrade: WebSocketUpgrade, State(topics): State<Topics>) -> Response {
    upgrade.on_upgrade(|socket| run(socket, topics))
}

async fn run(socket: WebSocket, topics: Topics) {
    let (sink, mut stream) = socket.split();
    let sink = Arc::new(AsyncMutex::new(sink));
    let mut subscriptions = JoinSet::new();
    while let Some(Ok(message)) = stream.next().await {
        let Message::Text(text) = message else { continue };
        let answer = match Request::parse(&text) {
            Ok(Request::Subscribe { topic }) => {
                subscriptions.spawn(forward(topics.subscribe(topic), sink.clone()));
                ACK.into()
            }
            Ok(Request::Publish(publication)) => {
                topics.publish(&publication);
                continue;
            }
            Ok(Request::Measure(publication, caller)) => topics.measure(publication, caller).await.into(),
            Ok(Request::Echo) => text,
            Err(_) => return,
        };
        if sink.lock().await.send(Message::Text(answer)).await.is_err() {
            return;
        }
    }
}

/// Ends with the subscriber that lags behind, or has gone.
async fn forward(mut publications: broadcast::Receiver<Utf8Bytes>, sink: Sink) {
    while let Ok(text) = publications.recv().await {
        if sink.lock().await.send(Message::Text(text)).await.is_err() {
            return;
        }
    }
    sink.lock().await.close().await.ok();
}

impl Topics {
    fn subscribe(&self, topic: String) -> broadcast::Receiver<Utf8Bytes> {
        let mut topics = self.0.lock().expect("nobody panics with it");
        topics.entry(topic).or_insert_with(|| broadcast::channel(CAPACITY).0).subscribe()
    }

    fn publish(&self, publication: &Publication) {
        let topics = self.0.lock().expect("nobody panics with it");
        if let Some(topic) = topics.get(&publication.topic) {
            // Nobody is subscribed any more.
            topic.send(publication.message().into()).ok();
        }
    }

    async fn measure(&self, publication: Publication, caller: Caller) -> String {
        let topics = self.clone();
        let publish = move || {
            let start = Instant::now();
            topics.publish(&publication);
            measured(start.elapsed())
        };
        match caller {
            Caller::Handler => publish(),
            Caller::Thread => task::spawn_blocking(publish).await.expect("it does not panic"),
        }
    }
}
