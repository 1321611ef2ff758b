//! The times in a session's life: heartbeats, timeouts, shutdowns, and what figures tell of them.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum_live_core::{Builder, CloseReason, Heartbeat, Live, Message, Session, SessionInfo, SessionPhase, Stream};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, duplex},
    sync::{Barrier, mpsc},
    time::{Instant, sleep, timeout},
};

use crate::client::{PING, PONG, assert_about, connect, open, text};

const MINUTE: Duration = Duration::from_secs(60);

fn builder() -> Builder<()> {
    Live::builder()
}

#[tokio::test(start_paused = true)]
async fn session_that_vanished_is_pinged_and_then_reaped() {
    let mut opened = open(builder());
    let start = Instant::now();

    let mut ping = [0; 2];
    opened.client.read_exact(&mut ping).await.unwrap();
    assert_eq!(ping, PING);
    assert_about(start.elapsed(), 25);

    opened.session.closed().await;
    assert_about(start.elapsed(), 35);
    assert_eq!(opened.reasons.recv().await, Some(CloseReason::NoPong));
    assert!(opened.live.is_empty());
}

#[tokio::test(start_paused = true)]
async fn client_that_answers_pings_lives_on() {
    let mut opened = open(builder());
    for _ in 0..100 {
        let mut ping = [0; 2];
        opened.client.read_exact(&mut ping).await.unwrap();
        assert_eq!(ping, PING);
        opened.client.write_all(&PONG).await.unwrap();
    }
    assert!(!opened.session.is_closed());
}

#[tokio::test(start_paused = true)]
async fn clock_stands_still_while_a_hook_keeps_us_from_reading() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut opened = open(builder().on_message(async move |_: Session<()>, _: Message| {
        tell.send(()).unwrap();
        pending::<()>().await;
    }));
    opened.client.write_all(&[text(r#"{"topic":"a"}"#), text(r#"{"topic":"b"}"#)].concat()).await.unwrap();
    told.recv().await.unwrap();

    assert!(timeout(10 * MINUTE, opened.session.closed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn c42_a_client_that_takes_no_byte_is_closed_after_half_a_minute() {
    let mut opened = open(builder());
    let start = Instant::now();
    opened.session.send("big", &"x".repeat(1000)).unwrap();

    opened.session.closed().await;
    assert_about(start.elapsed(), 30);
    assert_eq!(opened.reasons.recv().await, Some(CloseReason::WriteTimeout));
}

#[tokio::test(start_paused = true)]
async fn client_that_takes_nothing_of_a_burst_past_its_queue_is_closed_before_the_write_timeout() {
    let mut opened = open(builder().queue_size(8));
    opened.session.subscribe("t").unwrap();
    // More than the queue may hold, which its task has no turn to write meanwhile.
    for number in 0..64 {
        assert_eq!(opened.live.publish("t", &(number, "x".repeat(100))).unwrap(), 1);
    }
    let start = Instant::now();

    opened.session.closed().await;
    assert_about(start.elapsed(), 1);
    assert_eq!(opened.reasons.recv().await, Some(CloseReason::QueueFull));
}

#[tokio::test(start_paused = true)]
async fn c46_a_client_that_takes_bytes_slowly_and_says_nothing_is_there() {
    let mut opened = open(builder());
    opened.session.send("big", &"x".repeat(2000)).unwrap();
    let mut buffer = [0; 64];
    while opened.session.stats().queued_messages() > 0 {
        sleep(Duration::from_secs(20)).await;
        opened.client.read_exact(&mut buffer).await.unwrap();
        assert!(!opened.session.is_closed(), "{:?}", opened.session.close_reason());
    }

    // From here on nothing waits, and nothing tells that it is there.
    opened.session.closed().await;
    assert_eq!(opened.reasons.recv().await, Some(CloseReason::NoPong));
}

#[tokio::test(start_paused = true)]
async fn c32_a_close_that_is_never_answered_ends_after_five_seconds() {
    let mut opened = open(builder());
    let start = Instant::now();
    opened.session.close();

    let mut said = Vec::new();
    opened.client.read_to_end(&mut said).await.unwrap();
    assert_about(start.elapsed(), 5);
    assert_eq!(said[0], 0x88);
    assert_eq!(said[2..4], 1000_u16.to_be_bytes());
    assert!(matches!(opened.reasons.recv().await, Some(CloseReason::Application { .. })));
}

#[tokio::test(start_paused = true)]
async fn hook_that_runs_at_the_close_is_dropped_after_the_close_timeout_and_on_close_follows() {
    struct Dropped(Arc<AtomicUsize>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    let drops = Arc::new(AtomicUsize::new(0));
    let mut opened = open(builder().on_connect({
        let drops = Arc::clone(&drops);
        async move |session: Session<()>| {
            let _dropped = Dropped(drops);
            session.subscribe("t").unwrap();
            pending::<()>().await;
        }
    }));
    sleep(MINUTE / 10).await;
    assert_eq!(opened.live.subscribers("t").len(), 1);

    let start = Instant::now();
    opened.session.close();
    opened.session.closed().await;
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(opened.live.stats().topics(), 0);

    opened.reasons.recv().await.unwrap();
    assert_about(start.elapsed(), 5);
    assert_eq!(drops.load(SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn upgrade_that_does_not_take_place_leaves_no_session() {
    let live = builder().on_connect(async |_: Session<()>| panic!("it never opened")).build();
    let pending_session = live.accept((), SessionInfo::default()).unwrap();
    let session = pending_session.session().clone();
    session.subscribe("t").unwrap();
    let start = Instant::now();
    pending_session.open_after(pending());

    session.closed().await;
    assert_about(start.elapsed(), 5);
    assert_eq!(session.close_reason(), Some(CloseReason::NeverOpened));
    assert_eq!((live.len(), live.stats().topics()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn session_whose_upgrade_takes_its_time_is_neither_pinged_nor_reaped() {
    let live = builder().build();
    let pending_session = live.accept((), SessionInfo::default()).unwrap();
    sleep(10 * MINUTE).await;
    pending_session.session().send("first", &1).unwrap();
    let (mut client, server) = duplex(256);
    pending_session.open(Stream::Other(Box::new(server)), Bytes::new());

    let mut said = [0; 2 + 26];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!(said[2..], *br#"{"topic":"first","data":1}"#);
}

#[tokio::test(start_paused = true)]
async fn shutdown_waits_for_hooks_and_then_drops_them() {
    let slow = builder().on_connect(async |_: Session<()>| sleep(Duration::from_secs(20)).await);
    let mut opened = open(slow);
    let start = Instant::now();
    sleep(Duration::from_secs(1)).await;
    let report = opened.live.shutdown().await;
    assert_about(start.elapsed(), 20);
    assert_eq!((report.closed(), report.aborted()), (1, 0));
    assert_eq!(opened.reasons.recv().await, Some(CloseReason::Shutdown));

    let opened = open(builder().on_connect(async |_: Session<()>| pending().await));
    sleep(Duration::from_millis(1)).await;
    let start = Instant::now();
    let report = opened.live.shutdown().await;
    assert_about(start.elapsed(), 30);
    assert_eq!((report.closed(), report.aborted()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn on_close_runs_for_a_session_whose_hook_was_dropped_by_a_shutdown() {
    let mut opened = open(builder().on_connect(async |_: Session<()>| pending().await));
    sleep(Duration::from_secs(1)).await;
    opened.live.shutdown().await;
    assert_eq!(opened.reasons.recv().await, Some(CloseReason::Shutdown));
}

#[tokio::test(start_paused = true)]
async fn on_close_that_never_returns_is_dropped_by_a_shutdown_in_the_end() {
    let (held, mut dropped) = mpsc::unbounded_channel::<()>();
    let live = builder()
        .on_close(async move |_: Session<()>, _: CloseReason| {
            let _held = held;
            pending::<()>().await;
        })
        .build();
    let (_, _client) = connect(&live, 256);
    let start = Instant::now();
    let report = live.shutdown().await;
    assert_about(start.elapsed(), 35);
    assert_eq!((report.closed(), report.aborted()), (0, 1));
    // With the hook and the node nobody is left who could send.
    drop(live);
    assert_eq!(timeout(MINUTE, dropped.recv()).await, Ok(None));
}

#[tokio::test(start_paused = true)]
async fn hook_that_panics_when_it_is_dropped_is_followed_by_on_close() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }

    let mut opened = open(builder().on_connect(async |_: Session<()>| {
        let _bomb = Bomb;
        pending::<()>().await;
    }));
    sleep(Duration::from_secs(1)).await;
    opened.session.close();
    assert!(matches!(opened.reasons.recv().await, Some(CloseReason::Application { .. })));
    assert_eq!(opened.live.stats().hook_panics(), 1);
}

#[tokio::test(start_paused = true)]
async fn shutdown_awaited_in_a_hook_does_not_wait_for_itself() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let opened = open(builder().on_message(async move |session: Session<()>, _: Message| {
        tell.send(session.live().shutdown().await).unwrap();
    }));
    let mut client = opened.client;
    let start = Instant::now();
    client.write_all(&text(r#"{"topic":"stop"}"#)).await.unwrap();
    told.recv().await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn hooks_that_await_a_shutdown_do_not_wait_for_each_other() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let both = Arc::new(Barrier::new(2));
    let live = builder()
        .on_message(async move |session: Session<()>, _: Message| {
            both.wait().await;
            tell.send(session.live().shutdown().await).unwrap();
        })
        .build();
    let mut clients = Vec::new();
    for _ in 0..2 {
        let (_, mut client) = connect(&live, 256);
        client.write_all(&text(r#"{"topic":"stop"}"#)).await.unwrap();
        clients.push(client);
    }
    let start = Instant::now();
    told.recv().await.unwrap();
    told.recv().await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn figures_of_a_session_tell_its_age_and_since_when_it_is_silent() {
    let mut opened = open(builder().heartbeat(Heartbeat::danger_off()));
    sleep(20 * MINUTE).await;
    let stats = opened.session.stats();
    assert_eq!(stats.phase(), SessionPhase::Open);
    assert_about(stats.age(), 1200 - 1);
    assert_about(stats.silence(), 1200 - 2);

    opened.client.write_all(&PONG).await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert_about(opened.session.stats().silence(), 3);
    assert_about(opened.session.stats().age(), 1205 - 1);

    opened.session.close();
    assert_eq!(opened.session.stats().phase(), SessionPhase::Closing);
    let pending = opened.live.accept((), SessionInfo::default()).unwrap();
    assert_eq!(pending.session().stats().phase(), SessionPhase::Pending);
}

#[tokio::test(start_paused = true)]
async fn hook_is_slow_from_the_time_that_is_set_on_its_waiting_included_and_so_is_one_that_is_dropped() {
    let builder = builder().slow_hook(Duration::from_secs(2)).on_message(async |_: Session<()>, message: Message| {
        for _ in 0..message.json::<u64>().unwrap() {
            sleep(Duration::from_secs(1)).await;
        }
    });
    let mut opened = open(builder);
    for (seconds, slow) in [(1, 0), (2, 1), (0, 1), (3, 2), (1_000, 2)] {
        opened.client.write_all(&text(&format!(r#"{{"topic":"wait","data":{seconds}}}"#))).await.unwrap();
        sleep(Duration::from_secs(5)).await;
        assert_eq!(opened.live.stats().slow_hooks(), slow, "after {seconds}");
    }
    opened.session.close();
    assert!(opened.reasons.recv().await.is_some());
    assert_eq!((opened.live.stats().slow_hooks(), opened.live.stats().blocking_hooks()), (3, 0));
}
