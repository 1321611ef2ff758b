//! How long a message may take to come.

use std::time::Duration;

use axum_live_core::{CloseReason, Frame, Heartbeat, Limits, Live, Session};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::client::{assert_about, connect, frame, ping, text};

/// An open session, with the client's end of its stream and the messages that came to the hook, which took so long for
/// each.
struct Opened {
    session: Session<()>,
    client: DuplexStream,
    messages: mpsc::UnboundedReceiver<Frame>,
}

impl Opened {
    fn new(limits: Limits, hook: Duration) -> Self {
        let (tell, messages) = mpsc::unbounded_channel();
        let live = Live::builder()
            .limits(limits)
            .heartbeat(Heartbeat::danger_off())
            .on_frame(async move |_: Session<()>, frame: Frame| {
                tell.send(frame).unwrap();
                sleep(hook).await;
            })
            .build();
        let (session, client) = connect(&live, 256);
        Self { session, client, messages }
    }

    fn within(seconds: u64) -> Self {
        Self::new(Limits::default().message_timeout(Duration::from_secs(seconds)), Duration::ZERO)
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    async fn expect(&mut self, message: &str) {
        assert_eq!(self.messages.recv().await.unwrap().payload(), message.as_bytes());
    }

    /// Nothing else ends it in a hundred times as long.
    async fn expect_message_timeout(&mut self, start: Instant, seconds: u64) {
        assert!(timeout(Duration::from_secs(100 * seconds), self.session.closed()).await.is_ok(), "it is still open");
        assert_eq!(self.session.close_reason(), Some(CloseReason::MessageTimeout));
        assert_about(start.elapsed(), seconds);
    }
}

fn fragment(payload: &str) -> Vec<u8> {
    frame(0x01, payload)
}

fn continuation(payload: &str) -> Vec<u8> {
    frame(0x00, payload)
}

#[tokio::test(start_paused = true)]
async fn c27_a_message_that_is_not_finished_within_a_minute_is_4011_wherever_it_stopped() {
    let message = text("a message");
    let fragments = [fragment("first"), continuation("next")].concat();
    let begun = [&message[..1], &message[..3], &message[..6], &message[..14], &fragments[..13], &fragments];
    for begun in begun.into_iter().chain([&ping("half a ping")[..9]]) {
        let mut opened = Opened::new(Limits::default(), Duration::ZERO);
        let start = Instant::now();
        opened.send(&[&text("whole"), begun].concat()).await;
        opened.expect_message_timeout(start, 60).await;
        let mut said = [0; 4];
        opened.client.read_exact(&mut said).await.unwrap();
        assert_eq!((said[0], u16::from_be_bytes([said[2], said[3]])), (0x88, 4011));
    }
}

#[tokio::test(start_paused = true)]
async fn c27_neither_trickling_bytes_nor_fragments_nor_pings_put_the_deadline_of_a_message_off() {
    let bytes = text(&"x".repeat(100));
    let fragments = [fragment(""), continuation("and more").repeat(100)].concat();
    let pings = [fragment("a message"), ping("").repeat(100)].concat();
    for (begun, step) in [(bytes, 1), (fragments, 14), (pings, 6)] {
        let mut opened = Opened::within(20);
        let start = Instant::now();
        for piece in begun.chunks(step) {
            if opened.session.is_closed() {
                break;
            }
            opened.send(piece).await;
            sleep(Duration::from_secs(1)).await;
        }
        opened.expect_message_timeout(start, 20).await;
    }
}

#[tokio::test(start_paused = true)]
async fn c27_each_message_and_each_ping_has_its_own_time_though_the_next_is_begun_at_once() {
    let mut opened = Opened::within(10);
    // Each write ends one frame and begins another, so that there is always one under way.
    let mut frames = [text("message"), ping("")].concat().into_iter().cycle();
    for _ in 0..100 {
        let piece: Vec<_> = frames.by_ref().take(7).collect();
        opened.send(&piece).await;
        sleep(Duration::from_secs(4)).await;
        assert_eq!(opened.session.close_reason(), None);
        // Nobody waits for the pongs; there may be none yet.
        timeout(Duration::ZERO, opened.client.read(&mut [0; 64])).await.ok();
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_within_its_time_stays_within_it_however_slowly() {
    let mut opened = Opened::within(20);
    for _ in 0..10 {
        for byte in text("0123456789") {
            opened.send(&[byte]).await;
            sleep(Duration::from_secs(1)).await;
        }
        opened.expect("0123456789").await;
    }
    assert_eq!(opened.session.close_reason(), None);
}

#[tokio::test(start_paused = true)]
async fn a_message_whose_rest_is_not_read_for_a_hook_is_not_late() {
    let limits = Limits::default().message_timeout(Duration::from_secs(10));
    let mut opened = Opened::new(limits, Duration::from_secs(100));
    let messages = [text("a"), text("b"), text("c")].concat();
    let (most, rest) = messages.split_at(messages.len() - 5);
    opened.send(most).await;
    opened.expect("a").await;
    sleep(Duration::from_secs(50)).await;
    opened.send(rest).await;
    opened.expect("b").await;
    opened.expect("c").await;
    assert_eq!(opened.session.close_reason(), None);
}
