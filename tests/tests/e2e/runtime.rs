//! The node and the runtimes it lives on: it needs none to be made, outlives each, and leaks into none.

use std::{
    convert::Infallible,
    sync::{Arc, OnceLock},
    time::Duration,
};

use axum::Router;
use axum_live::{CloseReason, Heartbeat, Live, LiveLayer, Message, SendError, Session, accept};
use axum_live_test::RawSocket;
use serde::{Serialize, Serializer};
use tokio::runtime::Runtime;

use crate::{
    app::{Witness, serve},
    node::{assert_closes, serve_live},
};

#[test]
fn a_runtime_that_ends_leaves_the_node_clean_and_good_for_the_next() {
    let held = Arc::new(());
    let hold = Arc::clone(&held);
    let live = Live::<()>::builder()
        .heartbeat(Heartbeat::every(Duration::from_millis(40)).timeout(Duration::from_millis(40)))
        .on_connect(async |session: Session<()>| {
            session.subscribe("t").unwrap();
            session.send("welcome", &()).unwrap();
        })
        .on_message(async move |_: Session<()>, _: Message| drop(hold))
        .build();
    for _ in 0..2 {
        let runtime = Runtime::new().unwrap();
        let (mut socket, session) = runtime.block_on(async {
            let mut socket = RawSocket::open(serve_live(&live).await, "/ws").await.unwrap();
            socket.expect_json("welcome").await.unwrap();
            (socket, live.sessions().remove(0))
        });
        // Silent clients are found out on this runtime too, which needs a sweeper of its own.
        runtime.block_on(assert_closes(&mut socket, 4012));
        assert_eq!(session.close_reason(), Some(CloseReason::NoPong));
        drop(runtime);
    }

    let runtime = Runtime::new().unwrap();
    let (_socket, session) = runtime.block_on(async {
        let mut socket = RawSocket::open(serve_live(&live).await, "/ws").await.unwrap();
        socket.expect_json("welcome").await.unwrap();
        (socket, live.sessions().remove(0))
    });
    assert_eq!((live.len(), live.stats().topics()), (1, 1));
    drop(runtime);
    assert_eq!((live.len(), live.stats().topics()), (0, 0));
    assert_eq!(live.publish("t", &1).unwrap(), 0);
    assert_eq!(session.close_reason(), Some(CloseReason::Aborted));
    assert!(matches!(session.send("t", &1), Err(SendError::Closed)));

    // Sessions hold the node, and the node its sessions, but not for longer than they live.
    drop((live, session));
    assert_eq!(Arc::strong_count(&held), 1);
}

/// A value that uses the node when it is dropped, and when it is encoded: user code, which no lock of ours may embrace.
#[derive(Clone)]
struct Meddler {
    live: Arc<OnceLock<Live<Meddler>>>,
    witness: Witness,
}

impl Meddler {
    fn meddle(&self) {
        let live = self.live.get().unwrap();
        live.broadcast("meddling", &live.sessions().len()).unwrap();
        for session in live.subscribers("t") {
            session.unsubscribe("t");
            session.subscribe("t").ok();
            assert!(session.extensions().get::<()>().is_none());
        }
        live.publish("t", &live.stats().topics()).unwrap();
    }
}

impl Drop for Meddler {
    fn drop(&mut self) {
        self.meddle();
        self.witness.saw("dropped");
    }
}

impl Serialize for Meddler {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.meddle();
        serializer.serialize_str("meddler")
    }
}

/// Reads until a message of this topic.
async fn until(socket: &mut RawSocket, topic: &str) {
    let start = format!(r#"{{"topic":"{topic}""#);
    while !socket.expect_text().await.unwrap().starts_with(&start) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c55_no_lock_is_held_while_a_value_is_encoded_or_dropped() {
    let node = Arc::new(OnceLock::new());
    let witness = Witness::default();
    let meddler = || Meddler { live: Arc::clone(&node), witness: witness.clone() };
    let live = Live::builder()
        .on_connect(async |session: Session<Meddler>| {
            session.subscribe("t").unwrap();
            session.extensions().insert(session.value().clone());
            session.send("welcome", session.value()).unwrap();
        })
        .on_message(async |session: Session<Meddler>, message: Message| {
            // Takes the place of one that is dropped then and there.
            session.extensions().insert(session.value().clone());
            session.live().broadcast(message.topic(), session.value()).unwrap();
            session.live().publish_from(&session, "t", session.value()).unwrap();
        })
        .build();
    node.set(live.clone()).ok().unwrap();
    let template = meddler();
    let layer = LiveLayer::new(&live, async move || Ok::<_, Infallible>(template.clone()));
    let addr = serve(Router::new().route("/ws", layer.handler(accept))).await;

    for _ in 0..4 {
        let mut sockets = Vec::new();
        for _ in 0..4 {
            let mut socket = RawSocket::open(addr, "/ws").await.unwrap();
            until(&mut socket, "welcome").await;
            sockets.push(socket);
        }
        for socket in &mut sockets {
            socket.send_json("all", 1).await.unwrap();
        }
        for socket in &mut sockets {
            for _ in 0..4 {
                until(socket, "all").await;
            }
        }
    }
    let report = live.shutdown().await;
    assert_eq!(report.aborted(), 0);
    assert_eq!(live.stats().hook_panics(), 0);
    // Each session's value, what it attached, and what that took the place of.
    assert!(witness.times("dropped") >= 16 * 3, "{}", witness.times("dropped"));
}
