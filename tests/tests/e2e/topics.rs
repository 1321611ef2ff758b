//! Who gets a publication: those subscribed at the call (rules 6 and 9), and the other ways to reach sessions.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum_live::{Live, Message, Payload, PublishError, SendError, Session, SubscribeError, Topic, TopicError};
use axum_live_test::RawSocket;
use serde::{Serialize, Serializer};

use crate::node::{Node, answer_close, assert_closes};

/// Asserts that nothing came before what is sent now.
async fn assert_nothing_came(socket: &mut RawSocket, session: &Session<()>) {
    session.send("marker", &()).unwrap();
    socket.expect_json("marker").await.unwrap();
}

#[tokio::test]
async fn publish_answers_the_number_of_receivers_and_each_gets_it_once() {
    let mut node = Node::start(Live::builder()).await;
    assert_eq!(node.live.publish("t", &1).unwrap(), 0);
    let mut sockets = node.open_subscribed(3).await;
    let (mut outside, other) = node.open().await;
    assert_eq!(node.live.publish("t", &2).unwrap(), 3);
    assert_eq!(node.live.publish_raw("t", r#"{"raw": 1.50}"#).unwrap(), 3);
    for socket in &mut sockets {
        assert_eq!(socket.expect_json("t").await.unwrap(), 2);
        assert_eq!(socket.expect_text().await.unwrap(), r#"{"topic":"t","data":{"raw": 1.50}}"#);
    }
    assert_nothing_came(&mut outside, &other).await;
}

#[tokio::test]
async fn c37_subscribing_and_unsubscribing_twice_changes_nothing() {
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    node.live.subscribe(&session, "t").unwrap();
    assert_eq!(session.topics(), [Topic::try_from("t").unwrap()]);
    assert!(session.is_subscribed("t") && !session.is_subscribed("u"));
    assert_eq!(node.live.publish("t", &1).unwrap(), 1);
    assert_eq!(socket.expect_json("t").await.unwrap(), 1);
    assert!(session.unsubscribe("t"));
    assert!(!session.unsubscribe("t"));
    assert!(!node.live.unsubscribe(&session, "t"));
    assert!(!session.unsubscribe("no topic"));
    assert!(session.topics().is_empty() && !session.is_subscribed("t"));
    assert_nothing_came(&mut socket, &session).await;
}

#[tokio::test]
async fn a_subscribe_that_returned_is_in_and_an_unsubscribe_that_returned_is_out() {
    let mut node = Node::start(Live::builder().queue_size(2000)).await;
    let (mut socket, session) = node.open().await;
    for round in 0..200 {
        assert_eq!(node.live.publish("t", &"before").unwrap(), 0);
        session.subscribe("t").unwrap();
        assert_eq!(node.live.publish("t", &(2 * round)).unwrap(), 1);
        assert!(session.unsubscribe("t"));
        assert_eq!(node.live.publish("t", &"after").unwrap(), 0);
        // What was published before the unsubscribe comes before what is sent after it.
        session.send("t", &(2 * round + 1)).unwrap();
    }
    for number in 0..400 {
        assert_eq!(socket.expect_json("t").await.unwrap(), number);
    }
}

#[tokio::test]
async fn c39_a_topic_without_subscribers_is_gone() {
    let mut node = Node::start(Live::builder()).await;
    let (_one, first) = node.open().await;
    let (_two, second) = node.open().await;
    for number in 0..10_000 {
        let topic = format!("once:{number}");
        first.subscribe(topic.as_str()).unwrap();
        second.subscribe(topic.as_str()).unwrap();
        assert_eq!(node.live.stats().topics(), 1);
        assert!(first.unsubscribe(topic.as_str()));
        assert_eq!(node.live.stats().topics(), 1);
        assert!(second.unsubscribe(topic.as_str()));
        // Nor does a publication make one.
        assert_eq!(node.live.publish(topic.as_str(), &1).unwrap(), 0);
        assert_eq!(node.live.stats().topics(), 0);
    }
}

#[tokio::test]
async fn c38_subscriptions_are_limited_and_the_session_goes_on() {
    let mut node = Node::start(Live::builder().subscription_limit(3)).await;
    let (mut socket, session) = node.open().await;
    for topic in ["a", "b", "c"] {
        session.subscribe(topic).unwrap();
    }
    assert_eq!(session.subscribe("d"), Err(SubscribeError::Limit));
    session.subscribe("a").unwrap();
    assert!(session.unsubscribe("a"));
    session.subscribe("d").unwrap();
    assert_eq!(node.live.stats().topics(), 3);
    assert_nothing_came(&mut socket, &session).await;

    let (_socket, session) = Node::start(Live::builder()).await.open().await;
    let refused = (0..1000).find(|number| session.subscribe(format!("t{number}")).is_err());
    assert_eq!(refused, Some(128), "the default");
}

#[tokio::test]
async fn c35_a_name_that_is_no_topic_is_an_error_to_whoever_asked() {
    let builder = Live::builder().on_message(async |session: Session<()>, message: Message| {
        match session.subscribe(message.topic()) {
            Ok(()) => session.send("subscribed", message.topic()).unwrap(),
            Err(error) => session.send("error", &error.to_string()).unwrap(),
        }
    });
    let mut node = Node::start(builder).await;
    let (mut socket, session) = node.open().await;
    let long = "x".repeat(256);
    for bad in ["", &long, "a\0b", "*", "room.>", "a b", "a\nb", "a\u{2028}b"] {
        socket.send_json(bad, 1).await.unwrap();
        assert!(socket.expect_json("error").await.unwrap().as_str().unwrap().contains("topic"), "{bad:?}");
        assert!(matches!(node.live.publish(bad, &1), Err(PublishError::Topic(_))));
        assert!(matches!(node.live.broadcast(bad, &1), Err(PublishError::Topic(_))));
        assert!(matches!(session.send(bad, &1), Err(SendError::Topic(_))));
        assert!(node.live.subscribers(bad).is_empty());
    }
    assert_eq!(session.subscribe("*"), Err(SubscribeError::Topic(TopicError::Character('*'))));
    let longest = "x".repeat(255);
    socket.send_json(&longest, 1).await.unwrap();
    assert_eq!(socket.expect_json("subscribed").await.unwrap(), longest);
    assert_eq!(node.live.stats().topics(), 1);
}

#[tokio::test]
async fn c36_an_unknown_topic_is_the_applications_and_a_publication_to_nobody_is_a_no_op() {
    let builder = Live::builder().on_message(async |session: Session<()>, message: Message| {
        let receivers = session.live().publish("nobody", &1).unwrap();
        session.send("handled", &(message.topic(), receivers)).unwrap();
    });
    let mut node = Node::start(builder).await;
    let (mut socket, _) = node.open().await;
    socket.send_json("never heard of", 1).await.unwrap();
    assert_eq!(socket.expect_json("handled").await.unwrap(), serde_json::json!(["never heard of", 0]));
}

#[tokio::test]
async fn publish_from_reaches_all_but_the_sender() {
    let builder = Live::builder().on_message(async |session: Session<()>, message: Message| {
        session.subscribe("chat").unwrap();
        let receivers = session.live().publish_from(&session, "chat", message.topic()).unwrap();
        session.send("receivers", &receivers).unwrap();
    });
    let mut node = Node::start(builder).await;
    let (mut ann, _) = node.open().await;
    let (mut bob, _) = node.open().await;
    ann.send_json("ann", 1).await.unwrap();
    assert_eq!(ann.expect_json("receivers").await.unwrap(), 0);
    bob.send_json("bob", 1).await.unwrap();
    assert_eq!(bob.expect_json("receivers").await.unwrap(), 1);
    assert_eq!(ann.expect_json("chat").await.unwrap(), "bob");
    ann.send_json("again", 1).await.unwrap();
    assert_eq!(ann.expect_json("receivers").await.unwrap(), 1, "and no message of its own before");
    assert_eq!(bob.expect_json("chat").await.unwrap(), "again");
}

#[tokio::test]
async fn broadcast_reaches_every_open_session_whatever_it_subscribes_to() {
    let mut node = Node::start(Live::builder()).await;
    assert_eq!(node.live.broadcast("news", &0).unwrap(), 0);
    let mut sockets = node.open_subscribed(2).await;
    let (socket, _) = node.open().await;
    sockets.push(socket);
    let (mut closing, closed) = node.open().await;
    closed.close();
    assert_eq!(node.live.broadcast("news", &1).unwrap(), 3);
    for socket in &mut sockets {
        assert_eq!(socket.expect_json("news").await.unwrap(), 1);
    }
    assert_closes(&mut closing, 1000).await;
    answer_close(closing, 1000).await;
}

/// Counts how often it is encoded.
struct Counted(Arc<AtomicUsize>);

impl Serialize for Counted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.fetch_add(1, SeqCst);
        serializer.serialize_str("counted")
    }
}

#[tokio::test]
async fn a_publication_is_encoded_once_however_many_receive_it_and_a_payload_once_for_all() {
    let mut node = Node::start(Live::builder()).await;
    let mut sockets = node.open_subscribed(3).await;
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Counted(Arc::clone(&count));
    assert_eq!(node.live.publish("t", &counted).unwrap(), 3);
    assert_eq!(node.live.broadcast("t", &counted).unwrap(), 3);
    assert_eq!(count.load(SeqCst), 2);

    let payload = Payload::json(&counted).unwrap();
    for session in node.live.sessions() {
        session.send("t", &payload).unwrap();
    }
    assert_eq!(node.live.publish("t", &payload).unwrap(), 3);
    assert_eq!(count.load(SeqCst), 3);
    for socket in &mut sockets {
        for _ in 0..4 {
            assert_eq!(socket.expect_json("t").await.unwrap(), "counted");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_encoded_or_is_too_large_is_an_error_and_reaches_nobody() {
    let mut node = Node::start(Live::builder().send_limit(100)).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    let no_json = std::collections::HashMap::from([((1, 2), 3)]);
    let large = "x".repeat(100);
    assert!(matches!(node.live.publish("t", &no_json), Err(PublishError::Encode(_))));
    assert!(matches!(node.live.publish_raw("t", "{"), Err(PublishError::Encode(_))));
    assert!(matches!(node.live.publish("t", &large), Err(PublishError::TooLarge)));
    assert!(matches!(node.live.broadcast("t", &large), Err(PublishError::TooLarge)));
    assert!(matches!(session.send("t", &no_json), Err(SendError::Encode(_))));
    assert!(matches!(session.send("t", &large), Err(SendError::TooLarge)));
    // They are checked even when nobody would receive it.
    assert!(matches!(node.live.publish("nobody", &no_json), Err(PublishError::Encode(_))));
    assert!(matches!(node.live.publish("nobody", &large), Err(PublishError::TooLarge)));
    assert_nothing_came(&mut socket, &session).await;
}
