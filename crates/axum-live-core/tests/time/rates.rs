//! How fast a client may send, at the edges of its rates.

use std::{iter, time::Duration};

use axum_live_core::{Builder, CloseReason, Frame, Heartbeat, Limits, Live, Rate, Session};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::client::{assert_about, connect, frame, ping, seconds, text};

const HOUR: Duration = Duration::from_secs(3600);

/// More pings or pongs than are read until a client that sends no less is closed.
const FLOOD: usize = 10_000;

/// An open session, with the client's end of its stream and the messages that came to the hook.
struct Opened {
    live: Live<()>,
    session: Session<()>,
    client: DuplexStream,
    messages: mpsc::UnboundedReceiver<Frame>,
}

/// Opens a session whose client may write so many bytes that are not read.
fn open(builder: Builder<()>, room: usize) -> Opened {
    let (tell, messages) = mpsc::unbounded_channel();
    let live = builder.on_frame(async move |_: Session<()>, frame: Frame| tell.send(frame).unwrap()).build();
    let (session, client) = connect(&live, room);
    Opened { live, session, client, messages }
}

fn limited(limits: Limits) -> Builder<()> {
    Live::builder().limits(limits).heartbeat(Heartbeat::danger_off())
}

#[tokio::test(start_paused = true)]
async fn c40_as_many_messages_as_may_come_at_once_do_and_the_next_wait_their_turn() {
    let mut opened = open(limited(Limits::default().message_rate(Rate::per_second(10).burst(20))), 1 << 20);
    let start = Instant::now();
    for number in 0..20 {
        opened.client.write_all(&text(&number.to_string())).await.unwrap();
        assert_eq!(opened.messages.recv().await.unwrap().payload(), number.to_string().as_bytes());
    }
    assert_eq!((start.elapsed(), opened.live.stats().throttles()), (Duration::ZERO, 0));

    for number in 0..100 {
        opened.client.write_all(&text(&number.to_string())).await.unwrap();
    }
    for number in 0..100 {
        assert_eq!(opened.messages.recv().await.unwrap().payload(), number.to_string().as_bytes());
        let due = Duration::from_millis(100) * number;
        assert!((due..=due + seconds(1)).contains(&start.elapsed()), "{number} after {:?}", start.elapsed());
    }
    assert_eq!((opened.session.close_reason(), opened.live.stats().throttles()), (None, 1));

    // Two seconds of silence make up for all, and a hundred for no more.
    for (silence, throttles) in [(3, 1), (100, 2)] {
        sleep(seconds(silence)).await;
        let start = Instant::now();
        for _ in 0..20 {
            opened.client.write_all(&text("more")).await.unwrap();
            opened.messages.recv().await.unwrap();
        }
        assert_eq!((start.elapsed(), opened.live.stats().throttles()), (Duration::ZERO, throttles));
        opened.client.write_all(&[text("next"), text("after")].concat()).await.unwrap();
        opened.messages.recv().await.unwrap();
        opened.messages.recv().await.unwrap();
        assert_eq!(opened.live.stats().throttles(), throttles + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn c40_a_client_that_floods_on_is_4013_and_is_read_at_its_rate_until_then() {
    let limits = Limits::default().message_rate(Rate::per_second(10).burst(20)).throttle_timeout(seconds(15));
    let mut opened = open(limited(limits), 256);
    let start = Instant::now();
    let flood = text("more").repeat(1000);
    let mut flood = &flood[..];
    tokio::select! {
        flooded = opened.client.write_all_buf(&mut flood) => flooded.unwrap(),
        () = opened.session.closed() => {}
    }
    assert_about(start.elapsed(), 15);
    assert_eq!(opened.session.close_reason(), Some(CloseReason::RateLimited));
    let handled = iter::from_fn(|| opened.messages.try_recv().ok()).count();
    assert!((150..=175).contains(&handled), "{handled} messages were handled");

    // It goes on, and what it says is dropped, so that it learns why.
    let mut said = Vec::new();
    let _ = timeout(seconds(1), opened.client.write_all_buf(&mut flood)).await;
    assert!(timeout(seconds(1), opened.client.read_to_end(&mut said)).await.is_ok(), "no answer is waited for");
    assert_eq!((said[0], u16::from_be_bytes([said[2], said[3]])), (0x88, 4013));
    assert!(opened.messages.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn c40_a_flood_that_comes_in_pieces_is_4013_as_well() {
    let limits = Limits::default().message_rate(Rate::per_second(10).burst(20)).throttle_timeout(seconds(15));
    let mut opened = open(limited(limits), 256);
    let start = Instant::now();
    let piece = text("more").repeat(20);
    while !opened.session.is_closed() {
        assert!(start.elapsed() < seconds(60), "it goes on for ever");
        opened.client.write_all(&piece).await.unwrap();
        for _ in 0..20 {
            tokio::select! {
                _ = opened.messages.recv() => {}
                () = opened.session.closed() => {}
            }
        }
        // Before the next one comes there is nothing more to read for a moment.
        sleep(Duration::from_millis(200)).await;
    }
    assert_about(start.elapsed(), 15);
    assert_eq!(opened.session.close_reason(), Some(CloseReason::RateLimited));
}

#[tokio::test(start_paused = true)]
async fn c40_bytes_have_a_rate_whatever_messages_they_make() {
    let limits = Limits::default().byte_rate(Rate::per_second(100).burst(1000)).throttle_timeout(HOUR);
    let mut opened = open(limited(limits), 256);
    let start = Instant::now();
    // A message that goes on for as long as it likes is bound by it as well.
    opened.client.write_all(&frame(0x01, &"x".repeat(100))).await.unwrap();
    for _ in 0..50 {
        opened.client.write_all(&frame(0x00, &"x".repeat(100))).await.unwrap();
    }
    opened.client.write_all(&frame(0x80, "")).await.unwrap();
    let message = opened.messages.recv().await.unwrap();
    assert_eq!(message.payload().len(), 5100);
    assert_about(start.elapsed(), (5100 + 52 * 6 - 1000) / 100 - 2);
}

#[tokio::test(start_paused = true)]
async fn c30_a_flood_of_pings_by_a_client_that_reads_is_slowed_down_and_then_4013() {
    let mut opened = open(Live::builder(), 4096);
    let start = Instant::now();
    let (mut reads, mut writes) = io::split(opened.client);
    let reader = tokio::spawn(async move {
        let mut said = Vec::new();
        let _ = timeout(HOUR, reads.read_to_end(&mut said)).await;
        said
    });
    let flood = ping("!").repeat(FLOOD);
    tokio::select! {
        flooded = writes.write_all(&flood) => flooded.unwrap(),
        () = opened.session.closed() => {}
    }
    assert_about(start.elapsed(), 30);
    assert_eq!(opened.session.close_reason(), Some(CloseReason::RateLimited));
    drop(writes);
    let said = reader.await.unwrap();
    let pongs = said.chunks_exact(3).take_while(|chunk| *chunk == [0x8A, 1, b'!']).count();
    // Of what came at once the latest are answered.
    assert!((30 * 50..32 * 50).contains(&pongs), "{pongs} pongs");
    assert!(opened.messages.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn c30_a_flood_of_pongs_that_nobody_asked_for_is_slowed_down_and_then_4013() {
    let mut opened = open(Live::builder(), 4096);
    let start = Instant::now();
    let flood = frame(0x8A, "!").repeat(FLOOD);
    tokio::select! {
        flooded = opened.client.write_all(&flood) => flooded.unwrap(),
        () = opened.session.closed() => {}
    }
    assert_about(start.elapsed(), 30);
    assert_eq!(opened.session.close_reason(), Some(CloseReason::RateLimited));
}

#[tokio::test(start_paused = true)]
async fn no_pong_is_missed_from_a_client_that_we_made_wait() {
    let limits = Limits::default().byte_rate(Rate::per_second(1).burst(1));
    let builder = Live::builder().limits(limits).heartbeat(Heartbeat::every(seconds(2)).timeout(seconds(2)));
    let mut opened = open(builder, 256);
    opened.client.write_all(&text(&"x".repeat(120))).await.unwrap();
    let start = Instant::now();
    // It is pinged all the time, and from when on we listen again it has to answer.
    opened.session.closed().await;
    assert_about(start.elapsed(), 126 + 2);
    assert_eq!(opened.session.close_reason(), Some(CloseReason::NoPong));
}

#[tokio::test(start_paused = true)]
async fn c40_the_waiting_of_a_client_starts_anew_once_it_has_made_up_for_all() {
    let limits = Limits::default().message_rate(Rate::per_second(10).burst(20)).throttle_timeout(seconds(15));
    let mut opened = open(limited(limits), 1 << 20);
    for round in 1..=5 {
        // Each has to wait for some ten seconds.
        for _ in 0..120 {
            opened.client.write_all(&text("more")).await.unwrap();
        }
        for _ in 0..120 {
            opened.messages.recv().await.unwrap();
        }
        sleep(seconds(3)).await;
        assert_eq!((opened.live.stats().throttles(), opened.session.close_reason()), (round, None));
    }
}

#[tokio::test(start_paused = true)]
async fn c40_of_a_client_that_was_slowed_down_little_is_read_ahead() {
    const ROOM: usize = 32 << 10;
    const SIZE: usize = 100;

    let limits = Limits::default().message_rate(Rate::per_second(100).burst(10)).throttle_timeout(HOUR);
    let mut opened = open(limited(limits), ROOM);
    let message = text(&"x".repeat(SIZE - 6));
    let (start, mut written, mut handled) = (Instant::now(), 0, 0);
    while start.elapsed() < seconds(20) {
        sleep(Duration::from_millis(100)).await;
        while let Ok(count) = timeout(Duration::ZERO, opened.client.write(&message[written % SIZE..])).await {
            written += count.unwrap();
        }
        handled += iter::from_fn(|| opened.messages.try_recv().ok()).count();
        // What came before it was slowed down is behind it by then, a hundred a second.
        if start.elapsed() > seconds(5) {
            let ahead = written - ROOM - handled * SIZE;
            assert!(ahead <= (4 << 10) + SIZE, "{ahead} bytes are held after {:?}", start.elapsed());
        }
    }
    assert!(handled >= 1900, "{handled} messages were handled");
}

#[tokio::test(start_paused = true)]
async fn c40_a_flood_wakes_its_session_twenty_times_a_second_and_not_for_each_message() {
    let limits = Limits::default().message_rate(Rate::per_second(1000).burst(100)).throttle_timeout(HOUR);
    let mut opened = open(limited(limits), 1 << 20);
    opened.client.write_all(&text("more").repeat(5000)).await.unwrap();
    let (start, mut moments) = (Instant::now(), Vec::new());
    for _ in 0..5000 {
        opened.messages.recv().await.unwrap();
        moments.push(start.elapsed());
    }
    assert_about(start.elapsed(), 5 - 1);
    moments.dedup();
    assert!(moments.len() <= 5 * 20, "{} times", moments.len());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_tells_of_each_frame_of_a_fast_display_is_never_slowed_down() {
    let mut opened = open(Live::builder(), 4096);
    for _ in 0..240 * 60 {
        opened.client.write_all(&text(r#"{"topic":"cursor","data":{"x":1023.5,"y":767.25}}"#)).await.unwrap();
        opened.messages.recv().await.unwrap();
        sleep(seconds(1) / 240).await;
    }
    assert_eq!((opened.live.stats().throttles(), opened.session.close_reason()), (0, None));
}
