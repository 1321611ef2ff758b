//! Sessions seen by those who hold a handle: lookups, and what a session carries of its request.

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use axum::Router;
use axum_live::{CloseCode, CloseReason, Live, LiveLayer, Message, Session, SessionId, accept};
use axum_live_test::{RawSocket, Request};

use crate::{
    app::{assert_echoes, echo, serve},
    node::{Node, answer_close, assert_closes},
};

#[tokio::test]
async fn sessions_are_found_until_they_close() {
    let mut node = Node::start(Live::builder()).await;
    let (_one, first) = node.open().await;
    let (mut two, second) = node.open().await;
    first.subscribe("t").unwrap();
    second.subscribe("t").unwrap();
    let both =
        |sessions: Vec<Session<()>>| sessions.len() == 2 && sessions.contains(&first) && sessions.contains(&second);
    assert!(both(node.live.sessions()) && both(node.live.subscribers("t")));
    assert_eq!((node.live.len(), node.live.stats().sessions()), (2, 2));
    assert_eq!(node.live.session(second.id()), Some(second.clone()));

    second.close();
    // From the call on, whatever its task is at.
    assert_eq!(node.live.session(second.id()), None);
    let first = std::slice::from_ref(&first);
    assert_eq!(node.live.sessions(), first);
    assert_eq!(node.live.subscribers("t"), first);
    assert_eq!((node.live.subscriber_count("t"), node.live.subscriber_count("no topic")), (1, 0));
    assert_eq!(node.live.publish("t", &1).unwrap(), 1);
    node.closed().await;
    assert_eq!(node.live.len(), 1);
    assert_closes(&mut two, 1000).await;
    answer_close(two, 1000).await;
}

#[tokio::test]
async fn disconnect_closes_the_session_of_that_id_once() {
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, session) = node.open().await;
    let (_other, _) = node.open().await;
    let revoked = CloseCode::try_from(4501).unwrap();
    assert!(node.live.disconnect(session.id(), revoked, "signed out"));
    assert!(!node.live.disconnect(session.id(), revoked, "again"));
    assert!(!node.live.disconnect(&SessionId::try_from("nobody").unwrap(), revoked, ""));
    assert_eq!(socket.expect_close().await.unwrap(), (Some(4501), "signed out".into()));
    let (closed, reason) = node.closed().await;
    assert_eq!(closed, session);
    assert_eq!(reason, CloseReason::Application { code: revoked, text: "signed out".into() });
    assert!(!reason.should_reconnect());
    assert_eq!(node.live.len(), 1);
}

#[tokio::test]
async fn what_the_handler_attaches_the_hooks_find() {
    struct Seat(u32);

    let live = Live::<String>::builder()
        .on_message(async |session: Session<String>, message: Message| {
            let seat = session.extensions().get::<Seat>().unwrap();
            session.send(message.topic(), &(seat.0, session.value(), session.subprotocol(), session.path())).unwrap();
        })
        .build();
    let layer = LiveLayer::new(&live, async || Ok::<_, std::convert::Infallible>("ann".to_owned()));
    let handler = async |session: Session<String>| drop(session.extensions().insert(Seat(7)));
    let addr = serve(Router::new().route("/r/{room}", layer.subprotocols(["b", "a"]).handler(handler))).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.upgrade(&Request::new("/r/1?x=2").header("Sec-WebSocket-Protocol", "a, c")).await.unwrap();
    socket.send_json("who", 1).await.unwrap();
    assert_eq!(socket.expect_json("who").await.unwrap(), serde_json::json!([7, "ann", "a", "/r/{room}"]));
}

#[tokio::test]
async fn c57_an_id_in_use_is_never_given_to_a_second_session() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);

    // Each id three times, and from the tenth call on only the last.
    let new_id = || SessionId::try_from(format!("id-{}", CALLS.fetch_add(1, SeqCst).min(9) / 3).as_str()).unwrap();
    let mut node = Node::start(Live::builder().session_id(new_id)).await;
    let mut open = Vec::new();
    for number in 0..4 {
        let (socket, session) = node.open().await;
        assert_eq!(session.id().as_str(), format!("id-{number}"));
        open.push((socket, session));
    }
    let reply = RawSocket::connect(node.addr).await.unwrap().request(&Request::new("/ws")).await.unwrap();
    assert_eq!(reply.status(), 503);
    assert_eq!(node.live.len(), 4);
    assert!(open.iter().all(|(_, session)| node.live.session(session.id()).as_ref() == Some(session)));
}

#[tokio::test]
async fn a_node_without_hooks_reads_and_drops_what_comes() {
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, session) = node.open().await;
    for number in 0..100 {
        socket.send_json("a", number).await.unwrap();
    }
    socket.close(1000, "").await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    assert_eq!(node.closed().await, (session, CloseReason::Client { code: Some(CloseCode::NORMAL), text: "".into() }));
}

#[tokio::test]
async fn two_nodes_on_one_router_know_nothing_of_each_other() {
    let (one, two) = (echo(), echo());
    let app = Router::new()
        .route("/one", LiveLayer::anonymous(&one).handler(accept))
        .route("/two", LiveLayer::anonymous(&two).handler(accept));
    let addr = serve(app).await;
    let mut first = RawSocket::open(addr, "/one").await.unwrap();
    let mut second = RawSocket::open(addr, "/two").await.unwrap();
    assert_echoes(&mut first).await;
    assert_echoes(&mut second).await;
    one.sessions()[0].subscribe("t").unwrap();
    two.sessions()[0].subscribe("t").unwrap();
    assert_eq!(one.publish("t", &1).unwrap(), 1);
    assert_eq!(first.expect_json("t").await.unwrap(), 1);
    assert_echoes(&mut second).await;
}
