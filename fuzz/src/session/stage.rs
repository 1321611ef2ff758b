use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum_live_core::{CloseCode, CloseReason, Live, Message, Session, SessionInfo, Stream};
use bytes::Bytes;
use tokio::{
    io::duplex,
    net::{TcpListener, TcpStream},
    task,
    time::{sleep, timeout},
};

use super::{
    client::Client,
    script::{Act, Ask, Line, Queue, Script},
};

const SESSIONS: usize = 3;
const TOPICS: [&str; 3] = ["a", "b", "c"];

/// Of a message in a queue, the envelope included; of a script's sizes, the most.
const LARGEST: usize = 5_000;
const TIGHT: (usize, usize) = (4, 2_000);
/// A stream that only its session's task writes takes publications up to so many times a queue.
const BURST: usize = 16;

/// What a script plays on.
pub(super) struct Stage {
    live: Live<usize>,
    queue: Queue,
    clients: Vec<Client>,
    sessions: Vec<Session<usize>>,
    ledger: Arc<Ledger>,
}

/// What is due to whom, in the order of the calls, and who was told of an end.
#[derive(Default)]
struct Ledger {
    numbers: AtomicUsize,
    due: [Mutex<Vec<usize>>; SESSIONS],
    ended: [AtomicUsize; SESSIONS],
}

impl Stage {
    pub(super) async fn new(script: &Script<'_>) -> Self {
        let ledger = Arc::new(Ledger::default());
        let (messages, bytes) = match script.queue {
            Queue::Roomy => (1 << 20, 1 << 30),
            Queue::Tight => TIGHT,
        };
        let live = Live::<usize>::builder()
            .queue_size(messages)
            .queue_bytes(bytes)
            .user(|index| index % 2)
            .fanout_tasks(2)
            .on_message({
                let ledger = Arc::clone(&ledger);
                async move |session: Session<usize>, message: Message| ledger.obey(&session, &message).await
            })
            .on_close({
                let ledger = Arc::clone(&ledger);
                async move |session: Session<usize>, _: CloseReason| {
                    ledger.ended[*session.value()].fetch_add(1, SeqCst);
                }
            })
            .build();
        let (mut clients, mut sessions) = (Vec::new(), Vec::new());
        for index in 0..SESSIONS {
            let (client, stream) = match script.line {
                Line::Memory => {
                    let (client, server) = duplex(1024);
                    (Client::new(Box::new(client)), Stream::Other(Box::new(server)))
                }
                Line::Tcp => {
                    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
                    (Client::new(Box::new(client)), Stream::Tcp(listener.accept().await.unwrap().0))
                }
            };
            let pending = live.accept(index, SessionInfo::default()).unwrap();
            sessions.push(pending.session().clone());
            pending.open(stream, Bytes::new());
            clients.push(client);
        }
        task::yield_now().await;
        Self { live, queue: script.queue, clients, sessions, ledger }
    }

    pub(super) async fn play(&mut self, act: &Act<'_>) {
        let of = |index: u8| usize::from(index) % SESSIONS;
        match *act {
            Act::Bytes { of: at, bytes } => self.clients[of(at)].send(&bytes).await,
            Act::Frame { of: at, first, payload } => self.clients[of(at)].send(&masked(first, &payload)).await,
            Act::Ask { of: at, what, topic: about } => {
                let text = format!(r#"{{"topic":"{}","data":"{}"}}"#, what.name(), topic(about));
                self.clients[of(at)].send(&masked(0x81, text.as_bytes())).await;
            }
            Act::Read { of: at, bytes } => self.clients[of(at)].read(usize::from(bytes)).await,
            Act::Finish { of: at } => self.clients[of(at)].finish().await,
            Act::Vanish { of: at } => self.clients[of(at)].vanish(),
            Act::Subscribe { of: at, topic: to } => {
                let session = &self.sessions[of(at)];
                assert_eq!(session.subscribe(topic(to)).is_ok(), session.is_subscribed(topic(to)));
            }
            Act::Unsubscribe { of: at, topic: from } => {
                let session = &self.sessions[of(at)];
                session.unsubscribe(topic(from));
                assert!(!session.is_subscribed(topic(from)));
            }
            Act::Send { to, size } => self.ledger.send(&self.sessions[of(to)], size),
            Act::Publish { topic: to, size } => self.ledger.publish(&self.live, topic(to), size, None),
            Act::PublishFrom { of: at, topic: to, size } => {
                self.ledger.publish(&self.live, topic(to), size, Some(&self.sessions[of(at)]));
            }
            Act::Broadcast { size } => self.ledger.broadcast(&self.live, size),
            Act::Close { of: at } => self.sessions[of(at)].close(),
            Act::CloseWith { of: at, code, text } => {
                if let Ok(code) = CloseCode::try_from(code) {
                    self.sessions[of(at)].close_with(code, String::from_utf8_lossy(&text));
                }
            }
            Act::Turns(turns) => {
                for _ in 0..turns {
                    task::yield_now().await;
                }
            }
            Act::Wait(seconds) => sleep(Duration::from_secs(seconds.into())).await,
        }
        self.check_bounds();
    }

    /// What waits is no more than the queues may hold.
    fn check_bounds(&self) {
        let stats = self.live.stats();
        if self.queue == Queue::Tight {
            let (messages, bytes) = TIGHT;
            assert!(stats.queued_messages() <= SESSIONS * BURST * messages, "{stats:?}");
            assert!(stats.queued_bytes() <= SESSIONS * (BURST * bytes + LARGEST), "{stats:?}");
        }
        assert!(stats.waiting_bytes() <= 256 << 20, "{stats:?}");
    }

    /// Shuts the node down, and sees whether what each client got is what was due to it, and nothing is left.
    pub(super) async fn end(mut self) {
        let listening = async {
            for client in &mut self.clients {
                client.finish().await;
            }
            for client in &mut self.clients {
                client.read_to_end().await;
            }
        };
        let ends = async { tokio::join!(self.live.shutdown(), listening) };
        timeout(Duration::from_secs(600), ends).await.expect("the node hangs");

        for (index, (client, session)) in self.clients.iter().zip(&self.sessions).enumerate() {
            let reason = session.close_reason().unwrap();
            let (texts, close) = client.heard(&reason);
            let got: Vec<usize> = texts.into_iter().map(number).collect();
            let due = self.ledger.due[index].lock().unwrap();
            assert!(due.starts_with(&got), "session {index} got {got:?} of {due:?}, for {reason:?}");
            let is_ours = matches!(reason, CloseReason::Application { .. } | CloseReason::Shutdown);
            if self.queue == Queue::Roomy && is_ours && close.is_some() {
                assert_eq!(got, *due, "session {index} lacks some, for {reason:?}");
            }
            assert_eq!(self.ledger.ended[index].load(SeqCst), 1, "on_close runs once");
        }
        self.check_empty();
    }

    fn check_empty(&self) {
        let stats = self.live.stats();
        let sessions = (stats.sessions(), stats.closing_sessions(), stats.subscriptions(), stats.users());
        assert_eq!((sessions, stats.topics()), ((0, 0, 0, 0), 0));
        let waiting = (stats.queued_messages(), stats.queued_bytes(), stats.waiting_bytes());
        assert_eq!((waiting, stats.pending_deliveries()), ((0, 0, 0), 0));
        assert_eq!((stats.opened(), stats.closed()), (SESSIONS as u64, SESSIONS as u64));
        assert_eq!(stats.hook_panics(), 0);
        assert!(self.live.is_empty());
    }
}

impl Ledger {
    fn next(&self) -> usize {
        self.numbers.fetch_add(1, SeqCst)
    }

    /// What the hook does for a client.
    async fn obey(&self, session: &Session<usize>, message: &Message) {
        let topic = message.json::<String>().unwrap_or_default();
        match Ask::named(message.topic()) {
            Some(Ask::Subscribe) => drop(session.subscribe(topic)),
            Some(Ask::Unsubscribe) => drop(session.unsubscribe(topic)),
            Some(Ask::Publish) if TOPICS.contains(&&*topic) => self.publish(&session.live(), &topic, 10, None),
            Some(Ask::Reply) => self.send(session, 10),
            Some(Ask::Stall) => sleep(Duration::from_secs(60)).await,
            Some(Ask::Close) => session.close(),
            Some(Ask::Publish) | None => {}
        }
    }

    fn send(&self, session: &Session<usize>, size: u16) {
        let number = self.next();
        if session.send("n", &text(number, size)).is_ok() {
            self.due[*session.value()].lock().unwrap().push(number);
        }
    }

    fn publish(&self, live: &Live<usize>, topic: &str, size: u16, from: Option<&Session<usize>>) {
        let number = self.next();
        let receivers: Vec<_> = live.subscribers(topic).into_iter().filter(|session| Some(session) != from).collect();
        let told = match from {
            Some(from) => live.publish_from(from, topic, &text(number, size)),
            None => live.publish(topic, &text(number, size)),
        };
        // Who is on the way out is a receiver as long as its task has not left the topics, and gets nothing more.
        let leaving = live.stats().closing_sessions();
        assert!((receivers.len()..=receivers.len() + leaving).contains(&told.unwrap()));
        for session in receivers {
            self.due[*session.value()].lock().unwrap().push(number);
        }
    }

    fn broadcast(&self, live: &Live<usize>, size: u16) {
        let number = self.next();
        let receivers: Vec<_> = live.sessions().into_iter().filter(|session| !session.is_closed()).collect();
        assert_eq!(live.broadcast("n", &text(number, size)).unwrap(), receivers.len());
        for session in receivers {
            self.due[*session.value()].lock().unwrap().push(number);
        }
    }
}

fn topic(index: u8) -> &'static str {
    TOPICS[usize::from(index) % TOPICS.len()]
}

/// Like no other, of about this size.
fn text(number: usize, size: u16) -> String {
    format!("{number}:{}", "x".repeat(usize::from(size) % (LARGEST - 100)))
}

/// Of what [`text`] made, in its envelope.
fn number(envelope: &str) -> usize {
    let (_, data) = envelope.split_once(r#""data":""#).unwrap();
    data.split_once(':').unwrap().0.parse().unwrap()
}

/// A client's frame; what a mask does, the decoder's target tells.
fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let head = match payload.len() {
        len @ 0..=125 => vec![first, 0x80 | len as u8],
        len @ 126..=0xFFFF => [&[first, 0xFE][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[first, 0xFF][..], &(len as u64).to_be_bytes()].concat(),
    };
    [&head[..], &[0; 4], payload].concat()
}
