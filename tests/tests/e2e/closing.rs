//! The end of a session: one reason, what was queued first, a bounded wait, and nothing left (rules 6, 7 and 13).

use std::{io, sync::Arc, time::Duration};

use axum_live::{CloseCode, CloseReason, Frame as Payload, Live, Message, SendError, Session, SubscribeError};
use axum_live_test::{Frame, RawSocket, RawSocketError, Request};
use tokio::{net::TcpStream, sync::Barrier, task::JoinSet};

use crate::{
    app::{Witness, settles, soon},
    descriptor::Descriptor,
    node::{Node, answer_close, assert_closes},
};

fn code(code: u16) -> CloseCode {
    CloseCode::try_from(code).unwrap()
}

#[tokio::test]
async fn close_flushes_what_was_queued_before_the_close_frame() {
    const FRAMES: u8 = 48;
    const SIZE: usize = 256 << 10;

    // Far more than the kernel takes before the client reads, and time for it on a machine that is busy.
    let mut node = Node::start(Live::builder().queue_bytes(64 << 20).close_timeout(Duration::from_secs(60))).await;
    let (mut socket, session) = node.open_slow().await;
    for number in 0..FRAMES {
        session.send_frame(Payload::binary(vec![number; SIZE])).unwrap();
    }
    session.close_with(code(4321), "that was all");
    assert!(matches!(session.send("late", &1), Err(SendError::Closed)));
    let (_, reason) = node.closed().await;
    assert_eq!(reason, CloseReason::Application { code: code(4321), text: "that was all".into() });

    for number in 0..FRAMES {
        let frame = socket.frame().await.unwrap();
        assert_eq!(frame.opcode(), Frame::BINARY);
        assert!(frame.payload() == vec![number; SIZE], "frame {number} is not as it was sent");
    }
    assert_eq!(socket.expect_close().await.unwrap(), (Some(4321), "that was all".into()));
    answer_close(socket, 4321).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn c54_of_a_hundred_closes_the_first_wins_and_on_close_runs_once() {
    const CLOSERS: u16 = 100;

    let mut node = Node::start(Live::builder()).await;
    for _ in 0..10 {
        let (mut socket, session) = node.open().await;
        let start = Arc::new(Barrier::new(CLOSERS.into()));
        let mut closers = JoinSet::new();
        for number in 0..CLOSERS {
            let (session, start) = (session.clone(), Arc::clone(&start));
            closers.spawn(async move {
                start.wait().await;
                session.close_with(code(4000 + number), number.to_string());
                session.close_reason().unwrap()
            });
        }
        let seen = closers.join_all().await;
        let (closed, reason) = node.closed().await;
        assert_eq!(closed, session);
        assert!(seen.iter().all(|other| *other == reason), "{seen:?}");
        let (told, text) = socket.expect_close().await.unwrap();
        let CloseReason::Application { code, text: reason } = reason else { panic!("{reason:?}") };
        assert_eq!((told, text.as_str()), (Some(code.into()), &*reason));
        answer_close(socket, 1000).await;
    }
    node.live.shutdown().await;
    node.assert_quiet();
}

#[tokio::test]
async fn c32_a_close_that_is_never_answered_is_a_reset_after_close_timeout() {
    let mut node = Node::start(Live::builder().close_timeout(Duration::from_millis(100))).await;
    let (mut socket, session) = node.open().await;
    session.close();
    assert_closes(&mut socket, 1000).await;
    socket.expect_reset().await.unwrap();
    // Nothing is left to wait for.
    assert_eq!(node.live.shutdown().await.aborted(), 0);
}

#[tokio::test]
async fn a_client_that_takes_no_byte_of_its_backlog_is_reset_after_close_timeout() {
    let builder = Live::builder().queue_bytes(64 << 20).close_timeout(Duration::from_millis(100));
    let mut node = Node::start(builder).await;
    let (mut socket, session) = node.open_slow().await;
    for _ in 0..64 {
        session.send_frame(Payload::binary(vec![0; 256 << 10])).unwrap();
    }
    session.close();
    node.closed().await;
    assert_eq!(node.live.shutdown().await.aborted(), 0);
    // It is gone, in the middle of a frame as well may be.
    let end = async {
        loop {
            if let Err(end) = socket.frame().await {
                return end;
            }
        }
    }
    .await;
    assert!(!matches!(end, RawSocketError::TimedOut { .. }), "{end}");
}

#[tokio::test]
async fn c32_data_after_a_close_is_ignored_whoever_closed() {
    let witness = Witness::default();
    let messages = witness.clone();
    let builder = Live::builder().on_message(async move |_: Session<()>, _: Message| messages.saw("message"));
    // So long that only an answer to the close can end the session.
    let mut node = Node::start(builder.close_timeout(Duration::from_secs(60))).await;

    let (mut socket, _) = node.open().await;
    let late = Frame::text(r#"{"topic":"late"}"#).to_bytes();
    socket.write([Frame::close(1000, "").to_bytes(), late.clone(), late.clone()].concat()).await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    socket.expect_eof().await.unwrap();
    drop(socket);

    let (mut socket, session) = node.open().await;
    session.close();
    assert_closes(&mut socket, 1000).await;
    socket.write([late, Frame::close(1000, "").to_bytes()].concat()).await.unwrap();
    socket.expect_eof().await.unwrap();
    drop(socket);

    // When nothing of a session runs any more, nothing of it is to come.
    assert_eq!(node.live.shutdown().await.aborted(), 0);
    assert!(witness.seen().is_empty(), "{:?}", witness.seen());
    assert_eq!(node.live.stats().undecodable_messages(), 0);
}

#[tokio::test]
async fn messages_behind_the_one_that_closes_are_dropped() {
    let witness = Witness::default();
    let messages = witness.clone();
    let builder = Live::builder().on_message(async move |session: Session<()>, message: Message| {
        messages.saw("message");
        if message.topic() == "later" {
            // By then the next one waits.
            tokio::task::yield_now().await;
        }
        session.close();
    });
    // So long that only an answer to the close can end the session: it must be read, whatever else waits.
    let mut node = Node::start(builder.close_timeout(Duration::from_secs(60))).await;
    for (count, topic) in [(1, "at once"), (2, "later")] {
        let (mut socket, _) = node.open().await;
        let message = Frame::text(&format!(r#"{{"topic":"{topic}"}}"#)).to_bytes();
        socket.write(message.repeat(5)).await.unwrap();
        assert_closes(&mut socket, 1000).await;
        answer_close(socket, 1000).await;
        assert_eq!(witness.times("message"), count, "{topic}");
    }
    assert_eq!(node.live.shutdown().await.aborted(), 0);
    assert_eq!(witness.times("message"), 2);
}

#[tokio::test]
async fn a_clients_close_is_answered_with_its_own_code_or_none() {
    let mut node = Node::start(Live::builder()).await;
    let close = |code, text: &str| CloseReason::Client { code, text: text.into() };
    for (frame, answer, reason) in [
        (Frame::close(1000, "bye"), (Some(1000), "bye"), close(Some(CloseCode::NORMAL), "bye")),
        (Frame::close(4999, ""), (Some(4999), ""), close(Some(code(4999)), "")),
        (Frame::new(Frame::CLOSE, ""), (None, ""), close(None, "")),
    ] {
        let (mut socket, session) = node.open().await;
        socket.send(&frame).await.unwrap();
        let (code, text) = socket.expect_close().await.unwrap();
        assert_eq!((code, text.as_str()), answer);
        socket.expect_eof().await.unwrap();
        assert_eq!(node.closed().await, (session, reason));
    }
}

#[tokio::test]
async fn the_reason_in_a_close_frame_is_never_empty_and_never_too_long() {
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, session) = node.open().await;
    session.close();
    assert_closes(&mut socket, 1000).await;

    let (mut socket, session) = node.open().await;
    session.close_with(CloseCode::POLICY, "");
    assert_closes(&mut socket, 1008).await;

    let (mut socket, session) = node.open().await;
    session.close_with(CloseCode::POLICY, "ü".repeat(100));
    assert_eq!(socket.expect_close().await.unwrap(), (Some(1008), "ü".repeat(61)));
}

#[tokio::test]
async fn c45_a_stream_that_ends_without_a_close_frame_is_told_once() {
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    socket.half_close().await.unwrap();
    assert_eq!(node.closed().await, (session, CloseReason::Lost));
    socket.expect_eof().await.unwrap();
    node.empties().await;
    node.live.shutdown().await;
    node.assert_quiet();
}

#[tokio::test]
async fn c44_a_reset_in_the_middle_of_a_frame_is_told_once() {
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    socket.send(&Frame::text("half").declaring(100)).await.unwrap();
    socket.abort().unwrap();
    let (closed, reason) = node.closed().await;
    assert_eq!((closed, reason), (session, CloseReason::Io(io::ErrorKind::ConnectionReset)));
    node.empties().await;
    node.live.shutdown().await;
    node.assert_quiet();
}

#[tokio::test]
async fn a_subscribe_after_the_close_is_refused_and_leaves_no_trace() {
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("before").unwrap();
    session.close();
    // From the close on, not only when the session's task has seen it.
    assert_eq!(session.subscribe("after"), Err(SubscribeError::Closed));
    assert_eq!(node.live.subscribe(&session, "after"), Err(SubscribeError::Closed));
    node.closed().await;
    assert_eq!(session.subscribe("after"), Err(SubscribeError::Closed));
    assert_eq!(node.live.stats().topics(), 0);
    assert_eq!(node.live.publish("after", &1).unwrap(), 0);
    assert_closes(&mut socket, 1000).await;
    answer_close(socket, 1000).await;
    node.empties().await;
}

#[tokio::test]
async fn closed_resolves_when_the_end_begins_for_all_who_wait() {
    let mut node = Node::start(Live::builder()).await;
    let (socket, session) = node.open().await;
    let mut waiting = JoinSet::new();
    for _ in 0..3 {
        let session = session.clone();
        waiting.spawn(async move {
            session.closed().await;
            assert!(session.is_closed());
        });
    }
    tokio::task::yield_now().await;
    drop(socket);
    soon("the end", async { while waiting.join_next().await.transpose().unwrap().is_some() {} }).await;
    soon("the end of the past", session.closed()).await;
}

#[tokio::test]
async fn the_descriptor_is_free_when_the_session_ended_though_handles_are_held() {
    let mut node = Node::start(Live::builder().close_timeout(Duration::from_millis(100))).await;
    let mut handles = Vec::new();
    for answers in [true, false] {
        let tcp = TcpStream::connect(node.addr).await.unwrap();
        let client = tcp.local_addr().unwrap();
        let mut socket = RawSocket::over(tcp);
        socket.upgrade(&Request::new("/ws")).await.unwrap();
        let session = node.opened().await;
        let descriptor = Descriptor::of_server(node.addr, client);
        assert!(descriptor.is_held());
        session.close();
        assert_closes(&mut socket, 1000).await;
        if answers {
            answer_close(socket, 1000).await;
        }
        settles("a free descriptor", || !descriptor.is_held()).await;
        handles.push(session);
    }
    assert!(handles.iter().all(Session::is_closed));
}
