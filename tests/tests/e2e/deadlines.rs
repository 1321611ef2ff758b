//! Clients that stop answering, or stop reading (close codes 4012 and 4009).

use std::time::Duration;

use axum_live::{CloseReason, Frame as Payload, Heartbeat, Limits, Live, Message, Rate, Session};
use axum_live_test::{Frame, RawSocket, Request};
use tokio::{net::TcpSocket, sync::mpsc};

use crate::{
    app::{settles, soon},
    descriptor::Descriptor,
    node::{Node, answer_close, assert_closes, open_unix},
};

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[tokio::test]
async fn c43_a_client_that_answers_no_ping_is_closed_with_4012() {
    let beat = Heartbeat::every(millis(40)).timeout(millis(40));
    let mut node = Node::start(Live::builder().heartbeat(beat)).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    let ping = socket.frame().await.unwrap();
    assert_eq!(ping.opcode(), Frame::PING);
    let last = socket.frame().await.unwrap();
    assert_eq!(last.as_close().map(|(code, _)| code), Some(Some(4012)), "one ping and no more");
    assert_eq!(node.closed().await, (session, CloseReason::NoPong));
    node.empties().await;
}

#[tokio::test]
async fn c43_of_an_idle_client_that_vanished_nothing_is_left_once_no_pong_came() {
    let beat = Heartbeat::every(millis(40)).timeout(millis(40));
    let mut node = Node::start(Live::builder().heartbeat(beat).close_timeout(millis(80))).await;
    let (gone, session) = node.open().await;
    session.subscribe("t").unwrap();
    // From here on it neither reads nor answers, nor ends its connection: to us it is as if its machine were gone.
    assert_eq!(node.closed().await, (session, CloseReason::NoPong));
    assert_eq!(node.live.publish("t", &1).unwrap(), 0);
    settles("a session that waits for nobody", || node.live.stats().closing_sessions() == 0).await;
    node.empties().await;
    node.assert_quiet();
    let stats = node.live.stats();
    assert_eq!((stats.closed(), stats.closed_for(&CloseReason::NoPong)), (1, 1));
    drop(gone);
}

#[tokio::test]
async fn a_client_that_answers_pings_or_says_anything_else_stays() {
    let beat = Heartbeat::every(millis(40)).timeout(millis(2000));
    let mut node = Node::start(Live::builder().heartbeat(beat)).await;
    let (mut socket, session) = node.open().await;
    for round in 0..6 {
        let ping = socket.frame().await.unwrap();
        assert_eq!(ping.opcode(), Frame::PING);
        match round % 3 {
            0 => socket.send(&Frame::pong(ping.payload())).await.unwrap(),
            1 => socket.send(&Frame::pong("of its own accord")).await.unwrap(),
            _ => socket.send_json("a", 1).await.unwrap(),
        }
    }
    assert!(!session.is_closed(), "{:?}", session.close_reason());
    node.assert_quiet();
}

#[tokio::test]
async fn c42_a_client_that_takes_no_byte_for_the_write_timeout_is_closed_with_4009() {
    const FRAMES: u8 = 48;
    const SIZE: usize = 256 << 10;

    let builder = Live::builder().queue_bytes(64 << 20).write_timeout(millis(80)).close_timeout(millis(60_000));
    let mut node = Node::start(builder).await;
    let (mut socket, session) = node.open_slow().await;
    let (_idle, other) = node.open().await;
    for number in 0..FRAMES {
        session.send_frame(Payload::binary(vec![number; SIZE])).unwrap();
    }
    assert_eq!(node.closed().await, (session.clone(), CloseReason::WriteTimeout));
    assert!(!other.is_closed(), "a client for which nothing waits has no deadline");

    // It may have stood still for a while only: it gets what it was owed, and why there is no more.
    for number in 0..FRAMES {
        let frame = socket.frame().await.unwrap();
        assert!(frame.payload() == vec![number; SIZE], "frame {number}");
    }
    assert_closes(&mut socket, 4009).await;
    answer_close(socket, 4009).await;
}

#[tokio::test]
async fn c42_on_a_generic_stream_too_no_byte_for_the_write_timeout_is_4009() {
    const FRAMES: u8 = 20;
    const SIZE: usize = 256 << 10;

    let (reasons, mut reason) = mpsc::unbounded_channel();
    let live = Live::<()>::builder()
        .queue_bytes(64 << 20)
        .write_timeout(millis(80))
        .close_timeout(millis(60_000))
        .on_connect(async |session: Session<()>| {
            for number in 0..FRAMES {
                session.send_frame(Payload::binary(vec![number; SIZE])).unwrap();
            }
        })
        .on_close(async move |_: Session<()>, reason: CloseReason| reasons.send(reason).unwrap())
        .build();
    let mut socket = open_unix(&live).await;
    assert_eq!(soon("on_close", reason.recv()).await, Some(CloseReason::WriteTimeout));
    for number in 0..FRAMES {
        assert!(socket.frame().await.unwrap().payload() == vec![number; SIZE], "frame {number}");
    }
    assert_closes(&mut socket, 4009).await;
}

#[tokio::test]
async fn c42_of_a_client_that_never_reads_again_nothing_is_left() {
    let builder = Live::builder().queue_bytes(64 << 20).write_timeout(millis(80)).close_timeout(millis(80));
    let mut node = Node::start(builder).await;
    let tcp = TcpSocket::new_v4().unwrap();
    tcp.set_recv_buffer_size(128 << 10).unwrap();
    let tcp = tcp.connect(node.addr).await.unwrap();
    let client = tcp.local_addr().unwrap();
    let mut socket = RawSocket::over(tcp);
    socket.upgrade(&Request::new("/ws")).await.unwrap();
    let session = node.opened().await;
    session.subscribe("t").unwrap();
    let descriptor = Descriptor::of_server(node.addr, client);
    assert!(descriptor.is_held());
    for _ in 0..48 {
        session.send_frame(Payload::binary(vec![7; 256 << 10])).unwrap();
    }
    assert_eq!(node.closed().await, (session.clone(), CloseReason::WriteTimeout));
    settles("a free descriptor", || !descriptor.is_held()).await;
    settles("memory that is free again", || node.live.stats().waiting_bytes() == 0).await;
    node.empties().await;
    // Though a handle is held.
    assert!(session.is_closed());
}

#[tokio::test]
async fn c46_a_slow_client_stays_while_bytes_move() {
    const FRAMES: u8 = 60;
    const SIZE: usize = 256 << 10;

    // Each ping that another client gets tells that a fifth of the write timeout has passed.
    let beat = Heartbeat::every(millis(80)).timeout(millis(5000));
    let builder = Live::builder().queue_bytes(64 << 20).write_timeout(millis(400)).heartbeat(beat);
    let mut node = Node::start(builder).await;
    let (mut clock, _) = node.open().await;
    let (mut socket, session) = node.open_slow().await;
    for number in 0..FRAMES {
        session.send_frame(Payload::binary(vec![number; SIZE])).unwrap();
    }
    for number in 0..FRAMES {
        if number % 4 == 0 {
            assert_eq!(clock.frame().await.unwrap().opcode(), Frame::PING);
            clock.send(&Frame::pong("")).await.unwrap();
        }
        let frame = loop {
            let frame = socket.frame().await.unwrap();
            if frame.opcode() != Frame::PING {
                break frame;
            }
            socket.send(&Frame::pong("")).await.unwrap();
        };
        assert!(frame.payload() == vec![number; SIZE], "frame {number}");
    }
    assert!(!session.is_closed(), "{:?}", session.close_reason());
}

#[tokio::test]
async fn c46_a_client_on_a_thin_line_stays_while_the_kernel_has_no_room_to_speak_of() {
    const FRAMES: u8 = 240;
    const SIZE: usize = 64 << 10;

    // A frame at each ping of another client's, an eighth of the write timeout apart: a buffer of the kernel's of a few
    // megabytes would become a third free only after several of the timeouts.
    let beat = Heartbeat::every(millis(40)).timeout(millis(60_000));
    let builder = Live::builder().queue_bytes(64 << 20).write_timeout(millis(320)).heartbeat(beat);
    let mut node = Node::start(builder).await;
    let (mut clock, _) = node.open().await;
    let (mut socket, session) = node.open_slow().await;
    for number in 0..FRAMES {
        session.send_frame(Payload::binary(vec![number; SIZE])).unwrap();
    }
    let mut next = 0;
    while next < 32 {
        assert_eq!(clock.frame().await.unwrap().opcode(), Frame::PING);
        clock.send(&Frame::pong("")).await.unwrap();
        let frame = socket.frame().await.unwrap();
        if frame.opcode() != Frame::PING {
            assert!(frame.payload() == vec![next; SIZE], "frame {next}");
            next += 1;
        }
        assert!(!session.is_closed(), "{:?} after {next} frames", session.close_reason());
    }
    assert!(node.live.stats().queued_bytes() > 0, "something waits all the time");
}

#[tokio::test]
async fn c30_a_ping_flood_by_a_client_that_never_reads_holds_bounded_memory_and_ends_with_4009() {
    const BATCH: u64 = 30;
    const MOST: usize = 64 << 10;

    let (handles, mut handled) = mpsc::unbounded_channel();
    let unlimited = Rate::danger_unlimited();
    let limits = Limits::default().control_rate(unlimited).byte_rate(unlimited).message_rate(unlimited);
    let builder = Live::builder().limits(limits).write_timeout(millis(300)).close_timeout(millis(60_000)).on_message(
        async move |_: Session<()>, _: Message| {
            handles.send(()).unwrap();
        },
    );
    let mut node = Node::start(builder).await;
    let (mut socket, session) = node.open_slow().await;
    let mut pinged = 0_u64;
    while !session.is_closed() {
        assert!(pinged < 10_000_000, "the server never gives up");
        let mut batch = Vec::new();
        for _ in 0..BATCH {
            pinged += 1;
            let payload = [&pinged.to_be_bytes()[..], &[0; 117]].concat();
            batch.extend(Frame::ping(payload).to_bytes());
        }
        batch.extend(Frame::text(r#"{"topic":"marker"}"#).to_bytes());
        socket.write(batch).await.unwrap();
        // The server reads on, for a client may be slow to read and yet have something to say.
        soon("the marker or the end", async {
            tokio::select! {
                _ = handled.recv() => {}
                () = session.closed() => {}
            }
        })
        .await;
    }
    assert_eq!(node.closed().await, (session, CloseReason::WriteTimeout));

    // Now the client reads: what the kernel held, then the latest pongs of those that it did not take.
    let (mut last, mut gap, mut held) = (0, false, 0);
    let code = loop {
        let frame = socket.frame().await.unwrap();
        if let Some((code, _)) = frame.as_close() {
            break code;
        }
        assert_eq!((frame.opcode(), frame.payload().len()), (Frame::PONG, 125));
        let number = u64::from_be_bytes(*frame.payload().first_chunk().unwrap());
        assert!(number > last, "{number} after {last}");
        gap |= number != last + 1;
        held += if gap { 127 } else { 0 };
        last = number;
    };
    assert_eq!(code, Some(4009));
    assert!(gap && held <= MOST, "{held} bytes of pongs were held, of {pinged} pings");
}
