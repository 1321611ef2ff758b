//! How long a hook may take.

use std::{future::pending, time::Duration};

use axum_live_core::{Builder, CloseReason, Heartbeat, Limits, Live, Message, Session};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::mpsc,
    time::{Instant, sleep, timeout},
};

use crate::client::{Opened, PING, PONG, connect, open, seconds, text};

/// Longer than anything takes that is to happen.
const LONG: Duration = Duration::from_secs(1000);

impl Opened {
    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    async fn expect(&mut self, bytes: &[u8]) {
        let mut said = vec![0; bytes.len()];
        timeout(LONG, self.client.read_exact(&mut said)).await.unwrap().unwrap();
        assert_eq!(said, bytes);
    }

    async fn expect_hook_timeout(&mut self) {
        let mut said = [0; 4];
        timeout(LONG, self.client.read_exact(&mut said)).await.unwrap().unwrap();
        assert_eq!((said[0], u16::from_be_bytes([said[2], said[3]])), (0x88, 4014));
        assert_eq!(timeout(LONG, self.reasons.recv()).await, Ok(Some(CloseReason::HookTimeout)));
    }
}

/// Hooks have so many seconds.
fn within(timeout: u64) -> Builder<()> {
    Live::builder().limits(Limits::default().hook_timeout(seconds(timeout)))
}

#[tokio::test(start_paused = true)]
async fn c48_our_pings_and_deliveries_go_on_until_a_hook_that_never_returns_is_4014_at_its_deadline() {
    let connect = within(60).on_connect(async |session: Session<()>| {
        session.subscribe("t").unwrap();
        pending::<()>().await;
    });
    let message = within(60).on_message(async |session: Session<()>, _: Message| {
        session.subscribe("t").unwrap();
        pending::<()>().await;
    });
    for builder in [connect, message] {
        let mut opened = open(builder);
        let start = Instant::now();
        opened.send(&text(r#"{"topic":"go"}"#)).await;
        for _ in 0..2 {
            opened.expect(&PING).await;
            opened.send(&PONG).await;
            assert_eq!(opened.live.publish("t", &1).unwrap(), 1);
            opened.expect(b"\x81\x16{\"topic\":\"t\",\"data\":1}").await;
        }
        opened.expect_hook_timeout().await;
        assert_eq!(start.elapsed().as_secs(), 60);
        assert_eq!(opened.live.publish("t", &1).unwrap(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn c48_a_hook_may_take_as_long_as_it_likes_unless_a_deadline_is_set() {
    let quiet = Live::builder().heartbeat(Heartbeat::danger_off());
    let opened = open(quiet.on_connect(async |_: Session<()>| pending().await));
    assert!(timeout(100 * LONG, opened.session.closed()).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn c48_each_call_of_a_hook_has_a_deadline_of_its_own() {
    let mut opened =
        open(within(10).heartbeat(Heartbeat::danger_off()).on_message(async |_: Session<()>, message: Message| {
            sleep(seconds(message.json().unwrap())).await;
        }));
    let calls = [9, 9, 0, 9].map(|seconds| text(&format!(r#"{{"topic":"wait","data":{seconds}}}"#)));
    opened.send(&calls.concat()).await;
    assert!(timeout(LONG, opened.session.closed()).await.is_err(), "{:?}", opened.session.close_reason());
    assert_eq!(opened.live.stats().messages(), 4);

    let start = Instant::now();
    opened.send(&text(r#"{"topic":"wait","data":11}"#)).await;
    opened.expect_hook_timeout().await;
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn c48_a_hook_that_goes_on_a_little_at_a_time_has_no_longer() {
    let steps = async |_: Session<()>| {
        loop {
            sleep(seconds(1)).await;
        }
    };
    let mut opened = open(within(10).heartbeat(Heartbeat::danger_off()).on_connect(steps));
    let start = Instant::now();
    opened.expect_hook_timeout().await;
    assert_eq!(start.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn on_close_has_no_deadline() {
    let (tell, mut ended) = mpsc::unbounded_channel();
    let live = within(1)
        .on_close(async move |_: Session<()>, _: CloseReason| {
            sleep(seconds(100)).await;
            tell.send(()).unwrap();
        })
        .build();
    let (session, _client) = connect(&live, 256);
    sleep(seconds(1)).await;
    session.close();
    assert_eq!(timeout(LONG, ended.recv()).await, Ok(Some(())));
}

#[tokio::test(start_paused = true)]
async fn the_message_behind_a_hook_that_is_late_is_not_handled() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let mut opened = open(within(1).on_message(async move |_: Session<()>, message: Message| {
        tell.send(message.topic().to_owned()).unwrap();
        pending::<()>().await;
    }));
    opened.send(&[text(r#"{"topic":"first"}"#), text(r#"{"topic":"second"}"#)].concat()).await;
    opened.expect_hook_timeout().await;
    assert_eq!(told.try_recv().as_deref(), Ok("first"));
    assert!(told.try_recv().is_err());
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_runs_when_its_session_closes_has_the_close_timeout_and_no_other() {
    let mut opened = open(within(1).on_connect(async |session: Session<()>| {
        session.close();
        sleep(seconds(4)).await;
        session.extensions().insert("it came to its end");
    }));
    assert!(matches!(timeout(LONG, opened.reasons.recv()).await, Ok(Some(CloseReason::Application { .. }))));
    assert!(opened.session.extensions().get::<&str>().is_some());
}
