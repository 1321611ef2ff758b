//! More than the node can take: a backlog of deliveries, and memory that waits for clients (rules 12 and 14).

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
    thread,
    time::Duration,
};

use axum_live::{CloseReason, Frame, Live, PublishError};
use axum_live_test::{RawSocket, Request};
use tokio::task;

use crate::{
    app::settles,
    node::{Node, assert_closes},
};

fn is_overloaded(result: &Result<usize, PublishError>) -> bool {
    matches!(result, Err(PublishError::Overloaded))
}

#[tokio::test]
async fn past_the_backlog_a_publication_is_refused_and_counted_and_nobody_gets_it() {
    let mut node = Node::start(Live::builder().backlog_deliveries(10)).await;
    let mut clients = node.open_subscribed(2).await;
    // The fan-out has no turn until this task waits.
    for number in 0..5 {
        assert_eq!(node.live.publish("t", &number).unwrap(), 2);
    }
    assert_eq!(node.live.stats().pending_deliveries(), 10);
    assert!(is_overloaded(&node.live.publish("t", &"refused")));
    assert!(is_overloaded(&node.live.broadcast("t", &"refused")));
    // What has no receivers is no load.
    assert_eq!(node.live.publish("nobody", &1).unwrap(), 0);

    for client in &mut clients {
        for number in 0..5 {
            assert_eq!(client.expect_json("t").await.unwrap(), number);
        }
    }
    settles("the backlog's end", || node.live.stats().pending_deliveries() == 0).await;
    assert_eq!(node.live.publish("t", &5).unwrap(), 2);
    for client in &mut clients {
        assert_eq!(client.expect_json("t").await.unwrap(), 5);
    }
    assert_eq!(node.live.stats().overloaded_publications(), 2);
}

#[tokio::test]
async fn to_close_is_never_refused_for_lack_of_room() {
    let mut node = Node::start(Live::builder().backlog_deliveries(1)).await;
    let (mut client, session) = node.open().await;
    session.subscribe("t").unwrap();
    node.live.publish("t", &1).unwrap();
    assert!(is_overloaded(&node.live.publish("t", &"refused")));
    session.close();
    assert_eq!(client.expect_json("t").await.unwrap(), 1);
    assert_closes(&mut client, 1000).await;
}

#[tokio::test]
async fn an_empty_backlog_takes_any_one_publication() {
    let mut node = Node::start(Live::builder().backlog_deliveries(1).backlog_bytes(1)).await;
    let mut clients = node.open_subscribed(3).await;
    for number in 0..3 {
        assert_eq!(node.live.publish("t", &number).unwrap(), 3);
        assert!(is_overloaded(&node.live.publish("t", &"refused")));
        for client in &mut clients {
            assert_eq!(client.expect_json("t").await.unwrap(), number);
        }
        settles("the backlog's end", || node.live.stats().pending_deliveries() == 0).await;
    }
}

#[tokio::test]
async fn the_backlogs_bytes_count_once_for_all_receivers() {
    const SIZE: usize = 1000;

    let mut node = Node::start(Live::builder().backlog_bytes(10 * SIZE)).await;
    let _clients = node.open_subscribed(5).await;
    let frame = Frame::binary(vec![0; SIZE - 4]);
    let taken = (0..20).take_while(|_| !is_overloaded(&node.live.publish_frame("t", &frame))).count();
    assert_eq!(taken, 10);
}

#[tokio::test]
async fn who_waits_to_publish_is_served_when_there_is_room() {
    const COUNT: u32 = 1000;

    let mut node = Node::start(Live::builder().backlog_deliveries(2)).await;
    let mut client = node.open_subscribed(1).await.remove(0);
    let publisher = tokio::spawn({
        let live = node.live.clone();
        async move {
            for number in 0..COUNT {
                assert_eq!(live.publish_wait("t", &number).await.unwrap(), 1);
            }
        }
    });
    for number in 0..COUNT {
        assert_eq!(client.expect_json("t").await.unwrap(), number);
    }
    publisher.await.unwrap();
    assert_eq!(node.live.stats().overloaded_publications(), 0);
}

#[tokio::test]
async fn a_publication_that_stopped_waiting_is_not_published() {
    let mut node = Node::start(Live::builder().backlog_deliveries(1)).await;
    let mut client = node.open_subscribed(1).await.remove(0);
    node.live.publish("t", &1).unwrap();
    let waiting = node.live.publish_wait("t", &"given up");
    assert!(now(waiting).is_none());
    assert_eq!(client.expect_json("t").await.unwrap(), 1);
    settles("the backlog's end", || node.live.stats().pending_deliveries() == 0).await;
    node.live.publish("t", &2).unwrap();
    assert_eq!(client.expect_json("t").await.unwrap(), 2);
}

#[tokio::test]
async fn c71_past_the_memory_budget_the_longest_waited_for_end_with_1013_and_who_reads_stays() {
    const SIZE: usize = 64 << 10;

    let budget = 20 * SIZE;
    let builder = Live::builder().memory_budget(budget).queue_bytes(1 << 30).queue_size(1 << 20);
    let mut node = Node::start(builder.close_timeout(Duration::from_secs(60))).await;
    let (older, old) = node.open_slow().await;
    let (mut younger, young) = node.open_slow().await;
    let (mut reader, session) = node.open().await;
    old.subscribe("old").unwrap();
    for session in [&young, &session] {
        session.subscribe("t").unwrap();
    }
    let frame = Frame::binary(vec![7; SIZE]);
    while node.live.stats().waiting_bytes() < budget / 2 {
        node.live.publish_frame("old", &frame).unwrap();
        task::yield_now().await;
    }

    // For one a half of all has waited; what comes to wait for the other is one too many.
    let mut published = 0;
    while !old.is_closed() {
        node.live.publish_frame("t", &frame).unwrap();
        assert_eq!(reader.frame().await.unwrap().payload(), vec![7; SIZE]);
        published += 1;
        assert!(published < 1000, "nobody is evicted");
        assert!(node.live.stats().waiting_bytes() < 2 * budget);
    }
    assert_eq!(node.closed().await, (old, CloseReason::Overloaded));
    assert!(!young.is_closed() && !session.is_closed());
    assert_eq!(node.live.stats().evictions(), 1);

    // And so on, until it is that one's turn; who reads stays.
    while !young.is_closed() {
        node.live.publish_frame("t", &frame).unwrap();
        assert_eq!(reader.frame().await.unwrap().payload(), vec![7; SIZE]);
    }
    let last = loop {
        let frame = younger.frame().await.unwrap();
        if frame.payload() != vec![7; SIZE] {
            break frame;
        }
    };
    assert_eq!(last.as_close().map(|(code, _)| code), Some(Some(1013)));
    drop(older);
    settles("memory that is free again", || node.live.stats().waiting_bytes() == 0).await;
    node.live.publish("t", &"all well").unwrap();
    assert_eq!(reader.expect_json("t").await.unwrap(), "all well");
}

#[tokio::test]
async fn a_frame_that_many_wait_for_counts_once() {
    const SIZE: usize = 8 << 20;

    let mut node = Node::start(Live::builder().queue_bytes(1 << 30)).await;
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let (client, session) = node.open_slow().await;
        session.subscribe("t").unwrap();
        sessions.push((client, session));
    }
    node.live.publish_frame("t", &Frame::binary(vec![7; SIZE])).unwrap();
    settles("the delivery", || node.live.stats().pending_deliveries() == 0).await;
    let waiting = node.live.stats().waiting_bytes();
    // Once for each fan-out task.
    let tasks = thread::available_parallelism().unwrap().get().div_ceil(2);
    assert!((SIZE..=tasks * (SIZE + 10)).contains(&waiting), "{waiting}");
    for (client, _) in &mut sessions {
        assert_eq!(client.frame().await.unwrap().payload().len(), SIZE);
    }
    settles("memory that is free again", || node.live.stats().waiting_bytes() == 0).await;
}

#[tokio::test]
async fn c71_newcomers_get_503_while_memory_is_short() {
    let mut node = Node::start(Live::builder().memory_budget(1000).close_timeout(Duration::from_secs(60))).await;
    let (slow, session) = node.open_slow().await;
    // Evicted at once, and yet a frame that has begun keeps its memory until it has gone out.
    session.send_frame(Frame::binary(vec![7; 16 << 20])).unwrap();
    settles("the eviction", || session.is_closed()).await;
    let mut socket = RawSocket::connect(node.addr).await.unwrap();
    let reply = socket.request(&Request::new("/ws")).await.unwrap();
    assert_eq!((reply.status(), reply.text().as_str()), (503, "the server is short of memory"));

    drop(slow);
    assert_eq!(node.closed().await, (session, CloseReason::Overloaded));
    settles("memory that is free again", || node.live.stats().waiting_bytes() == 0).await;
    node.open().await;
}

/// What the future has at once.
fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}
