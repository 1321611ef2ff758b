//! The outbox's bounds, and what a client that reads slowly gets (rules 11 and 13).

use std::{net::SocketAddr, thread, time::Duration};

use axum_live::{Builder, CloseReason, Frame as Payload, Live, Message, SendError, Session};
use axum_live_test::{Frame, RawSocket, Request};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    runtime,
    sync::{mpsc, oneshot},
};

use crate::{
    app::{assert_echoes, soon},
    node::{Node, answer_close, assert_closes, open_unix, serve_live},
};

/// A server on threads of its own, as a real one is to its clients; it ends when this is dropped.
struct Apart {
    addr: SocketAddr,
    _stop: oneshot::Sender<()>,
}

impl Apart {
    async fn serve(live: Live<()>, mut runtime: runtime::Builder) -> Self {
        let (_stop, stopped) = oneshot::channel();
        let (tells, told) = oneshot::channel();
        thread::spawn(move || {
            runtime.enable_all().build().unwrap().block_on(async move {
                tells.send(serve_live(&live).await).unwrap();
                stopped.await.ok();
            });
        });
        Self { addr: soon("the server", told).await.unwrap(), _stop }
    }
}

/// A node that publishes to the session that asked, as often as it asked, without ever giving way to other tasks.
fn flooding() -> Live<()> {
    Live::builder()
        .on_connect(async |session: Session<()>| session.subscribe("t").unwrap())
        .on_message(async |session: Session<()>, message: Message| {
            let live = session.live();
            match message.topic() {
                "publish" => {
                    (0..message.json().unwrap()).for_each(|n: u32| assert_eq!(live.publish("t", &n).unwrap(), 1));
                }
                "send" => (0..message.json().unwrap()).for_each(|n: u32| session.send("t", &n).unwrap()),
                echo => session.send(echo, "hello").unwrap(),
            }
        })
        .build()
}

/// Asserts that a client gets all of a burst, and stays.
async fn assert_takes_burst<S>(socket: &mut RawSocket<S>, by: &str, count: u32)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    socket.send_json(by, count).await.unwrap();
    for number in 0..count {
        assert_eq!(socket.expect_json("t").await.unwrap(), number);
    }
    assert_echoes(socket).await;
}

/// Asserts that a client that reads gets 20,000 messages of one hook, published or sent.
async fn assert_takes_bursts_by(runtime: runtime::Builder) {
    let server = Apart::serve(flooding(), runtime).await;
    // The kernel's buffers do not count: on a machine that is busy they make up for a client that has no turn.
    let mut socket = RawSocket::connect_with_receive_buffer(server.addr, 4 << 20).await.unwrap();
    socket.upgrade(&Request::new("/ws")).await.unwrap();
    assert_takes_burst(&mut socket, "publish", 20_000).await;
    assert_takes_burst(&mut socket, "send", 20_000).await;
}

#[tokio::test]
async fn a_client_that_reads_is_not_closed_by_a_burst_of_ours_on_current_thread() {
    assert_takes_bursts_by(runtime::Builder::new_current_thread()).await;
}

#[tokio::test]
async fn a_client_that_reads_is_not_closed_by_a_burst_of_ours_on_multi_thread() {
    let mut runtime = runtime::Builder::new_multi_thread();
    runtime.worker_threads(2);
    assert_takes_bursts_by(runtime).await;
}

#[tokio::test]
async fn a_client_on_a_generic_stream_is_not_closed_by_a_burst_of_ours() {
    let mut socket = open_unix(&flooding()).await;
    assert_takes_burst(&mut socket, "publish", 2000).await;
    assert_takes_burst(&mut socket, "publish", 2000).await;
    assert_takes_burst(&mut socket, "send", 256).await;
}

#[tokio::test]
async fn c41_overflow_closes_the_slow_session_with_4008_and_no_other() {
    const SIZE: usize = 64 << 10;
    const QUEUE: usize = 8;

    let mut node = Node::start(Live::builder().queue_size(QUEUE).close_timeout(Duration::from_secs(60))).await;
    let mut others = node.open_subscribed(3).await;
    let (mut slow, session) = node.open_slow().await;
    session.subscribe("t").unwrap();

    // Its buffers in the kernel, for what is unsent and what is not read, and the queue.
    let unsent = if cfg!(target_os = "linux") { 1 << 20 } else { 4 << 20 };
    let most = (2 * unsent / SIZE + QUEUE) as u32;
    let mut published = 0;
    for number in 0..=most {
        let payload = [&number.to_be_bytes()[..], &vec![number as u8; SIZE]].concat();
        let receivers = node.live.publish_frame("t", &Payload::binary(&payload)).unwrap();
        for other in &mut others {
            assert!(other.frame().await.unwrap().payload() == payload, "publication {number} at another");
        }
        match receivers {
            4 => published += 1,
            3 => break,
            _ => panic!("publication {number} had {receivers} receivers"),
        }
    }
    assert_eq!(session.close_reason(), Some(CloseReason::QueueFull));
    assert_eq!(node.closed().await, (session, CloseReason::QueueFull));
    assert_eq!(node.live.stats().queue_full_closes(), 1);
    assert!((QUEUE as u32..most).contains(&published), "{published} were published to it");

    // The slow one wakes up, and gets what was taken in, in order and without a gap, and is told why there is no more.
    let mut taken = 0_u32;
    let end = loop {
        let frame = slow.frame().await.unwrap();
        if frame.opcode() == Frame::CLOSE {
            break frame;
        }
        assert_eq!(frame.payload()[..4], taken.to_be_bytes());
        assert!(frame.payload()[4..] == vec![taken as u8; SIZE], "publication {taken}");
        taken += 1;
    };
    assert_eq!(end.as_close().unwrap().0, Some(4008));
    assert!((QUEUE as u32..=published).contains(&taken), "{taken} of {published} were taken in");
    answer_close(slow, 4008).await;

    assert_eq!(node.live.publish("t", &"all well").unwrap(), 3);
    for other in &mut others {
        assert_eq!(other.expect_json("t").await.unwrap(), "all well");
    }
    node.assert_quiet();
}

/// Asserts how many frames of a size fit into the queue of a client that takes none, and that one more closes it with
/// 4008, behind those.
async fn assert_fit(builder: Builder<()>, sizes_and_counts: [(usize, usize); 3]) {
    let (tells, mut told) = mpsc::unbounded_channel();
    let live = builder
        .on_message(async move |session: Session<()>, message: Message| {
            let size: usize = message.json().unwrap();
            let frame = Payload::binary(vec![7; size]);
            let sent =
                (0..1000).find_map(|number| session.send_frame(frame.clone()).err().map(|error| (number, error)));
            assert!(session.is_closed());
            assert!(matches!(session.send_frame(frame), Err(SendError::Closed)));
            tells.send(sent.unwrap()).unwrap();
        })
        .build();
    for (size, fit) in sizes_and_counts {
        // Written to by its task alone, and so not while the hook runs.
        let mut socket = open_unix(&live).await;
        socket.send_json("fill", size).await.unwrap();
        let (sent, error) = soon("the hook", told.recv()).await.unwrap();
        assert!(matches!(error, SendError::QueueFull), "{error}");
        assert_eq!(sent, fit, "frames of {size} bytes");
        for _ in 0..fit {
            assert!(socket.frame().await.unwrap().payload() == vec![7; size]);
        }
        assert_closes(&mut socket, 4008).await;
    }
    assert_eq!(live.stats().queue_full_closes(), 3);
}

#[tokio::test]
async fn c41_the_queue_is_full_at_256_messages_or_at_1_mib() {
    // By messages; by bytes; and one that is larger than the bound alone, which an empty queue takes.
    assert_fit(Live::builder(), [(1, 256), (64 << 10, 15), (2 << 20, 1)]).await;
    assert_fit(Live::builder().queue_size(10).queue_bytes(10_000), [(1, 10), (4000, 2), (100_000, 1)]).await;
}

#[tokio::test]
async fn an_empty_queue_takes_any_one_frame_again_and_again() {
    let mut node = Node::start(Live::builder().queue_bytes(1000)).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    let large = vec![1; 200_000];
    for round in 0..10 {
        match round % 2 {
            0 => session.send_frame(Payload::binary(&large)).unwrap(),
            _ => assert_eq!(node.live.publish_frame("t", &Payload::binary(&large)).unwrap(), 1),
        }
        assert!(socket.frame().await.unwrap().payload() == large);
    }
}

#[tokio::test]
async fn a_frame_past_the_bound_does_not_doom_the_next() {
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, session) = node.open().await;
    let large = vec![1; 8 << 20];
    session.send_frame(Payload::binary(&large)).unwrap();
    session.send("ready", &()).unwrap();
    assert!(socket.frame().await.unwrap().payload() == large);
    socket.expect_json("ready").await.unwrap();
}

#[tokio::test]
async fn control_frames_go_behind_the_rest_of_a_frame_begun_and_before_what_waits() {
    const SIZE: usize = 1 << 20;
    const FRAMES: u8 = 24;

    let (handles, mut handled) = mpsc::unbounded_channel();
    let builder = Live::builder().queue_bytes(64 << 20).on_message(async move |_: Session<()>, _: Message| {
        handles.send(()).unwrap();
    });
    let mut node = Node::start(builder).await;
    let (mut socket, session) = node.open_slow().await;
    for number in 0..FRAMES {
        session.send_frame(Payload::binary(vec![number; SIZE])).unwrap();
    }
    // The kernel is full, in the middle of a frame; more comes in between, and behind it another frame.
    for number in 0..10_u8 {
        socket.send(&Frame::ping([number])).await.unwrap();
    }
    socket.send_json("marker", 1).await.unwrap();
    soon("the marker", handled.recv()).await.unwrap();
    session.send("last", &()).unwrap();

    let (mut data, mut pongs) = (0, Vec::new());
    while data < FRAMES {
        let frame = socket.frame().await.unwrap();
        match frame.opcode() {
            Frame::BINARY => {
                assert!(frame.payload() == vec![data; SIZE], "frame {data} is not as it was sent");
                data += 1;
            }
            Frame::PONG => {
                assert!(data < FRAMES - 1, "the pongs overtake what waits");
                assert_eq!(frame.payload(), [pongs.len() as u8]);
                pongs.push(data);
            }
            _ => panic!("{frame:?}"),
        }
    }
    assert_eq!(pongs.len(), 10);
    assert!(pongs.iter().all(|after| *after == pongs[0]), "together: {pongs:?}");
    socket.expect_json("last").await.unwrap();
    assert!(!session.is_closed());
}

#[tokio::test]
async fn on_a_generic_stream_too_a_slow_client_gets_whole_frames() {
    const SIZE: usize = 300_000;

    let live = Live::<()>::builder()
        .queue_bytes(64 << 20)
        .close_timeout(Duration::from_secs(60))
        .on_connect(async |session: Session<()>| {
            for number in 0..20_u8 {
                session.send_frame(Payload::binary(vec![number; SIZE])).unwrap();
            }
            session.close();
        })
        .build();
    let mut socket = open_unix(&live).await;
    socket.send(&Frame::ping("late")).await.unwrap();
    for number in 0..20_u8 {
        let frame = socket.frame().await.unwrap();
        assert!(frame.opcode() == Frame::BINARY && frame.payload() == vec![number; SIZE], "frame {number}");
    }
    assert_closes(&mut socket, 1000).await;
}
