//! `Live::drain`, by the clock.

use std::{collections::HashSet, time::Duration};

use axum_live_core::{
    AcceptError, CloseReason, Drain, Live, Message, RefusalReason, Session, SessionId, SessionInfo, ShutdownReport,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    sync::mpsc,
    task::{self, JoinHandle},
    time::{Instant, sleep, timeout},
};

use crate::client::connect;

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const STOP: &[u8] = b"\x81\x90\0\0\0\0{\"topic\":\"stop\"}";
const GOODBYE: &[u8] = b"\x88\x1D\x03\xE9the server is shutting down";
const CLOSE: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE9];

/// A node whose `on_close` tells which session ended, and when.
struct Node {
    live: Live<()>,
    closed: mpsc::UnboundedReceiver<(SessionId, Duration)>,
}

struct Client {
    session: Session<()>,
    stream: DuplexStream,
}

impl Node {
    fn new() -> Self {
        let (tell, closed) = mpsc::unbounded_channel();
        let begin = Instant::now();
        let live = Live::builder()
            .on_message(async |session: Session<()>, message: Message| {
                if message.topic() == "stop" {
                    session.live().drain(Drain::default()).await;
                }
            })
            .on_close(async move |session: Session<()>, reason: CloseReason| {
                assert_eq!(reason, CloseReason::Shutdown);
                tell.send((*session.id(), begin.elapsed())).unwrap();
            })
            .build();
        Self { live, closed }
    }

    /// Opens so many sessions, whose clients answer a close frame, and nothing else.
    async fn open(&self, count: usize) -> Vec<Client> {
        let mut clients = Vec::new();
        for _ in 0..count {
            let (session, stream) = connect(&self.live, 256);
            clients.push(Client { session, stream });
        }
        while self.live.stats().open_sessions() < count {
            task::yield_now().await;
        }
        clients
    }

    fn drain(&self, pace: Drain) -> JoinHandle<ShutdownReport> {
        let live = self.live.clone();
        task::spawn(async move { live.drain(pace).await })
    }

    /// Who has ended until now.
    fn ended(&mut self) -> Vec<(SessionId, Duration)> {
        std::iter::from_fn(|| self.closed.try_recv().ok()).collect()
    }
}

impl Client {
    /// Reads to the close frame, answers it, and tells what came before.
    async fn leave(mut self) -> Vec<u8> {
        let mut said = Vec::new();
        while !said.ends_with(GOODBYE) {
            assert_ne!(self.stream.read_buf(&mut said).await.unwrap(), 0, "the end, without 1001");
        }
        self.stream.write_all(&CLOSE).await.unwrap();
        said.truncate(said.len() - GOODBYE.len());
        said
    }
}

/// Lets clients answer in tasks of their own.
fn leave_all(clients: Vec<Client>) {
    for client in clients {
        task::spawn(client.leave());
    }
}

#[tokio::test(start_paused = true)]
async fn c58_sessions_are_closed_in_random_order_and_in_batches_at_random_moments_within_the_grace() {
    const CLIENTS: usize = 1000;

    let mut node = Node::new();
    let clients = node.open(CLIENTS).await;
    let order: Vec<_> = clients.iter().map(|client| *client.session.id()).collect();
    leave_all(clients);
    let report = node.drain(Drain::default().rate(100)).await.unwrap();
    assert_eq!((report.closed(), report.aborted()), (CLIENTS, 0));
    assert!((7 * SECOND..=9 * SECOND).contains(&report.time()), "{:?}", report.time());

    let ended = node.ended();
    assert_eq!(ended.len(), CLIENTS);
    for second in 0..7 {
        let of_it = ended.iter().filter(|(_, at)| at.as_secs() == second).count();
        assert!((90..=140).contains(&of_it), "{of_it} in second {second}");
    }
    let mut moments: Vec<_> = ended.iter().map(|(_, at)| *at).collect();
    moments.dedup();
    let gaps: HashSet<_> = moments.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(moments.len() > 100 && gaps.len() > 20, "{} batches, {gaps:?}", moments.len());

    // Who came together does not leave together.
    let place = |id: &SessionId| ended.iter().position(|(ended, _)| ended == id).unwrap();
    let places: Vec<_> = order.iter().map(place).collect();
    let near = places.windows(2).filter(|pair| pair[0].abs_diff(pair[1]) < 10).count();
    assert!(near < CLIENTS / 10, "{near} neighbours");
}

#[tokio::test(start_paused = true)]
async fn few_sessions_are_closed_at_the_rate_whatever_time_there_is() {
    let node = Node::new();
    leave_all(node.open(20).await);
    let report = node.drain(Drain::default().rate(100).grace(HOUR)).await.unwrap();
    assert_eq!(report.closed(), 20);
    assert!(report.time() <= SECOND / 5 + SECOND / 100, "{:?}", report.time());

    let report = Node::new().live.drain(Drain::default()).await;
    assert_eq!((report.closed(), report.time()), (0, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn c58_a_session_is_served_until_its_turn_and_gets_what_is_queued_before_the_1001() {
    const CLIENTS: usize = 100;

    let mut node = Node::new();
    let clients = node.open(CLIENTS).await;
    let sessions: Vec<_> = clients.iter().map(|client| client.session.clone()).collect();
    let clients: Vec<_> = clients.into_iter().map(|client| task::spawn(client.leave())).collect();
    for session in &sessions {
        session.subscribe("t").unwrap();
    }
    let drain = node.drain(Drain::default().rate(1).grace(10 * SECOND));
    let mut told = vec![Vec::new(); CLIENTS];
    for second in 0..9 {
        sleep(SECOND).await;
        for (session, told) in sessions.iter().zip(&mut told) {
            if session.send("to", &second).is_ok() {
                told.extend_from_slice(format!("\x01\x17{{\"topic\":\"to\",\"data\":{second}}}").as_bytes());
            }
        }
        let open = sessions.iter().filter(|session| !session.is_closed()).count();
        assert_eq!(node.live.publish("t", &second).unwrap(), open);
        for (session, told) in sessions.iter().zip(&mut told).filter(|(session, _)| !session.is_closed()) {
            assert_eq!(session.topics().len(), 1);
            told.extend_from_slice(format!("\x01\x16{{\"topic\":\"t\",\"data\":{second}}}").as_bytes());
        }
    }
    assert!(node.ended().len() > CLIENTS / 2);
    assert_eq!(drain.await.unwrap().closed(), CLIENTS);
    for (client, told) in clients.into_iter().zip(told) {
        let mut said = client.await.unwrap();
        // The heads, for which UTF-8 has no byte.
        said.iter_mut().filter(|byte| **byte == 0x81).for_each(|byte| *byte = 1);
        assert_eq!(String::from_utf8(said), String::from_utf8(told));
    }
}

#[tokio::test(start_paused = true)]
async fn c58_a_drain_refuses_new_and_pending_sessions_at_once() {
    let node = Node::new();
    let _clients = node.open(10).await;
    let pending = node.live.accept((), SessionInfo::default()).unwrap();
    let _drain = node.drain(Drain::default().rate(1).grace(HOUR));
    sleep(SECOND / 1000).await;
    assert_eq!(pending.session().close_reason(), Some(CloseReason::Shutdown));
    assert_eq!(node.live.accept((), SessionInfo::default()).unwrap_err(), AcceptError::ShuttingDown);
    assert_eq!(node.live.stats().refused_by_reason().get(&RefusalReason::ShuttingDown), Some(&1));
}

#[tokio::test(start_paused = true)]
async fn a_drain_is_over_when_the_last_client_has_left_by_itself() {
    let live = Live::<()>::builder().build();
    let (_, client) = connect(&live, 256);
    while live.stats().open_sessions() == 0 {
        task::yield_now().await;
    }
    let drain = task::spawn(async move { live.drain(Drain::default().rate(1).grace(HOUR)).await });
    task::yield_now().await;
    drop(client);
    assert!(timeout(SECOND, drain).await.unwrap().unwrap().time() <= SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_a_drain_at_once() {
    let mut node = Node::new();
    leave_all(node.open(100).await);
    let drain = node.drain(Drain::default().rate(1).grace(HOUR));
    task::yield_now().await;
    assert_eq!(node.live.shutdown().await.aborted(), 0);
    let report = drain.await.unwrap();
    assert_eq!(report.closed(), 100);
    assert!(report.time() < 2 * SECOND, "{:?}", report.time());
    assert!(node.ended().iter().all(|(_, at)| *at < SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_drain_that_a_hook_awaits_closes_its_session_and_does_not_wait_for_it() {
    let mut node = Node::new();
    let mut clients = node.open(2).await;
    clients[0].stream.write_all(STOP).await.unwrap();
    let begin = Instant::now();
    for client in clients {
        assert_eq!(client.leave().await, b"");
    }
    assert!(node.closed.recv().await.is_some() && node.closed.recv().await.is_some());
    assert!(begin.elapsed() < SECOND, "{:?}", begin.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_the_hooks_of_the_last_session_and_then_drops_them() {
    let live = Live::<()>::builder().on_connect(async |_: Session<()>| std::future::pending().await).build();
    let (_, _client) = connect(&live, 256);
    sleep(SECOND).await;
    let report = live.drain(Drain::default()).await;
    assert_eq!((report.closed(), report.aborted(), report.time().as_secs()), (0, 1, 30));
}
