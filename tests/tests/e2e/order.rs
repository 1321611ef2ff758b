//! In which order a session gets what is sent and published (rules 9 and 10).

use std::{
    sync::{Arc, Barrier, mpsc},
    thread,
};

use axum_live::{Live, Payload, Session};
use axum_live_test::RawSocket;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::node::Node;

/// A node whose queues take all that these tests send.
async fn roomy() -> Node {
    Node::start(Live::builder().queue_size(1 << 20).queue_bytes(1 << 30)).await
}

/// Reads messages of any topic until the one of the topic `end`.
async fn until_end(mut socket: RawSocket) -> Vec<(String, Value)> {
    let mut messages = Vec::new();
    loop {
        let mut message: Value = serde_json::from_str(&socket.expect_text().await.unwrap()).unwrap();
        if message["topic"] == "end" {
            return messages;
        }
        messages.push((message["topic"].as_str().unwrap().to_owned(), message["data"].take()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn send_and_publish_keep_their_order_to_one_session() {
    const CALLS: usize = 3000;

    let mut node = roomy().await;
    let (socket, session) = node.open().await;
    session.subscribe("a").unwrap();
    session.subscribe("b").unwrap();
    let reading = tokio::spawn(until_end(socket));
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0..CALLS {
                match number % 4 {
                    0 => session.send("a", &number).unwrap(),
                    1 => assert_eq!(node.live.publish("a", &number).unwrap(), 1),
                    2 => assert_eq!(node.live.publish("b", &number).unwrap(), 1),
                    _ => assert_eq!(node.live.broadcast("b", &number).unwrap(), 1),
                }
            }
            session.send("end", &()).unwrap();
        });
    });
    let order: Vec<_> = reading.await.unwrap().into_iter().map(|(_, number)| number).collect();
    assert_eq!(order, (0..CALLS).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_before_on_one_thread_arrives_before_what_follows_on_another() {
    const CALLS: usize = 600;

    let mut node = roomy().await;
    let mut reading = JoinSet::new();
    let mut sessions: Vec<Session<()>> = Vec::new();
    for _ in 0..2 {
        let (socket, session) = node.open().await;
        for topic in ["0", "1", "2"] {
            session.subscribe(topic).unwrap();
        }
        reading.spawn(until_end(socket));
        sessions.push(session);
    }

    // Three threads in a ring, each with a topic of its own, hand a number on.
    let (hand_on, before): (Vec<_>, Vec<_>) = (0..3).map(|_| mpsc::channel::<usize>()).unzip();
    thread::scope(|scope| {
        for (topic, before) in before.into_iter().enumerate() {
            let (live, sessions) = (&node.live, &sessions);
            let after = hand_on[(topic + 1) % 3].clone();
            scope.spawn(move || {
                for number in before {
                    // The next may have ended already.
                    if number == CALLS {
                        after.send(number).ok();
                        return;
                    }
                    if number % 5 == 0 {
                        sessions.iter().for_each(|session| session.send("sent", &number).unwrap());
                    } else {
                        assert_eq!(live.publish(topic.to_string(), &number).unwrap(), 2);
                    }
                    after.send(number + 1).unwrap();
                }
            });
        }
        hand_on[0].send(0).unwrap();
    });
    for session in sessions {
        session.send("end", &()).unwrap();
    }
    for messages in reading.join_all().await {
        let order: Vec<_> = messages.into_iter().map(|(_, number)| number).collect();
        assert_eq!(order, (0..CALLS).collect::<Vec<_>>());
    }
}

/// What one of several publishers says: who it is, how often it has spoken before, and ballast.
type Said<'a> = (usize, usize, &'a Payload);

/// Asserts that what publishers say at the same time, by calls of this kind, comes to all subscribers in one order.
async fn assert_one_order(publish: fn(&Live<()>, &Said<'_>) -> usize) {
    const PUBLISHERS: usize = 4;
    const SUBSCRIBERS: usize = 6;
    const EACH: usize = 1000;
    const ROUND: usize = 10;

    let mut node = roomy().await;
    let mut reading = JoinSet::new();
    for socket in node.open_subscribed(SUBSCRIBERS).await {
        reading.spawn(until_end(socket));
    }
    // Of a size at which writing to one subscriber takes a while, in which another publisher could overtake.
    let ballast = Payload::json(&"x".repeat(2 << 10)).unwrap();
    // Each round begins for all at once: on a busy machine one could otherwise be done before the next has begun.
    let round = Arc::new(Barrier::new(PUBLISHERS));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let (live, round, ballast) = (node.live.clone(), Arc::clone(&round), ballast.clone());
            thread::spawn(move || {
                for number in 0..EACH {
                    if number % ROUND == 0 {
                        round.wait();
                    }
                    assert_eq!(publish(&live, &(publisher, number, &ballast)), SUBSCRIBERS);
                }
            })
        })
        .collect();
    let done = tokio::task::spawn_blocking(move || publishers.into_iter().for_each(|thread| thread.join().unwrap()));
    done.await.unwrap();
    assert_eq!(node.live.broadcast("end", &()).unwrap(), SUBSCRIBERS);

    let received = reading.join_all().await;
    let order = &received[0];
    assert_eq!(order.len(), PUBLISHERS * EACH);
    assert!(received.iter().all(|other| other == order), "two subscribers saw two orders");
    for publisher in 0..PUBLISHERS {
        let own = order.iter().filter(|(_, data)| data[0] == publisher).map(|(_, data)| &data[1]);
        assert!(own.eq((0..EACH).map(Value::from).collect::<Vec<_>>().iter()), "of one publisher");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_publishers_have_one_order_the_same_for_all_subscribers() {
    assert_one_order(|live, said| live.publish("t", said).unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_broadcasts_have_one_order_the_same_for_all_sessions() {
    assert_one_order(|live, said| live.broadcast("t", said).unwrap()).await;
}
