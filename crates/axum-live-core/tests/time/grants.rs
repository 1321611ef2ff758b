//! How long a grant holds: by the clock on the wall, which goes its own way while timers run.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum_live_core::{CloseReason, Grant, Heartbeat, Live, SessionInfo, Stream};
use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt, duplex},
    time::{sleep, timeout},
};

use crate::client::seconds;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test(start_paused = true)]
async fn c73_hours_of_timers_end_no_grant_that_has_an_hour_by_the_clock_on_the_wall() {
    let live = Live::<()>::builder().heartbeat(Heartbeat::danger_off()).build();
    let pending = live.accept(Grant::new(()).until(SystemTime::now() + HOUR), SessionInfo::default()).unwrap();
    let session = pending.session().clone();
    let (_client, server) = duplex(256);
    pending.open(Stream::Other(Box::new(server)), Bytes::new());
    assert!(timeout(10 * HOUR, session.closed()).await.is_err(), "{:?}", session.close_reason());
}

#[tokio::test(start_paused = true)]
async fn c56_a_grant_that_ends_before_the_upgrade_ends_the_session_with_4001() {
    let live = Live::<()>::builder().build();
    let pending = live.accept(Grant::new(()).until(UNIX_EPOCH), SessionInfo::default()).unwrap();
    let session = pending.session().clone();
    sleep(seconds(2)).await;
    assert_eq!(session.close_reason(), Some(CloseReason::Expired));

    let (mut client, server) = duplex(256);
    pending.open(Stream::Other(Box::new(server)), Bytes::new());
    let mut said = [0; 4];
    client.read_exact(&mut said).await.unwrap();
    assert_eq!((said[0], u16::from_be_bytes([said[2], said[3]])), (0x88, 4001));
}
