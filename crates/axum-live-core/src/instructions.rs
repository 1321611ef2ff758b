//! The hot paths, each as a test whose instructions `tests/instructions/count` has callgrind count.

use std::{
    hint::black_box,
    io::{IoSlice, Read},
    net,
    sync::Arc,
    task::{Context, Waker},
};

use serde::Serialize;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime, task,
};

use crate::{
    backlog::Load,
    budget::Budget,
    fanout::{Audience, Fanout, RunLimit, Urgency},
    frame::{Decoder, Event, Frame},
    hub::Hub,
    id::SessionId,
    message::Message,
    outbox::{Bounds, Outbox},
    stream::{Link, Stream},
    subscriptions::Subscriptions,
    topic::Topic,
};

/// Enough that what is done once, and how a map's random keys happen to lie, does not show.
const ROUNDS: usize = 1000;

const SUBSCRIBERS: usize = 1000;

/// So few that what all of them are sent at once fits a socket.
const RECEIVERS: usize = 32;

#[derive(Serialize)]
struct Said<'a> {
    by: &'a str,
    at: u64,
    text: &'a str,
}

struct Node {
    budget: Arc<Budget>,
    fanout: Arc<Fanout>,
    hub: Hub,
    topic: Topic,
}

struct Client {
    outbox: Arc<Outbox>,
    subscriptions: Subscriptions,
}

impl Node {
    fn new() -> Self {
        let budget = Arc::new(Budget::new(usize::MAX));
        let limit = Load { deliveries: usize::MAX, bytes: usize::MAX };
        let (bounds, run_limit) =
            (Bounds { messages: 1000, bytes: 1 << 20 }, RunLimit { messages: 64, bytes: 64 << 10 });
        let fanout = Arc::new(Fanout::new(1, bounds, run_limit, limit, &budget));
        Self { budget, hub: Hub::new(Arc::clone(&fanout)), fanout, topic: topic() }
    }

    fn outbox(&self) -> Arc<Outbox> {
        let id = SessionId::random();
        Arc::new(Outbox::new(id, Arc::clone(self.fanout.lane(&id))))
    }

    /// All of them with the same stream.
    fn receivers(&self, stream: Option<&Arc<TcpStream>>) -> Audience {
        let mut audience = Audience::default();
        for outbox in (0..RECEIVERS).map(|_| self.outbox()) {
            outbox.open(stream.cloned());
            audience.insert(&outbox);
        }
        audience
    }

    fn subscribers(&self) -> Vec<Client> {
        let clients =
            (0..SUBSCRIBERS).map(|_| Client { outbox: self.outbox(), subscriptions: Subscriptions::default() });
        clients.inspect(|client| self.subscribe(client)).collect()
    }

    fn subscribe(&self, Client { outbox, subscriptions }: &Client) {
        subscriptions.subscribe(&self.hub, outbox, &self.topic, 8).unwrap();
    }

    fn unsubscribe(&self, Client { outbox, subscriptions }: &Client) {
        assert!(subscriptions.unsubscribe(&self.hub, outbox, &self.topic));
    }
}

/// Callgrind collects in here and nowhere else.
#[inline(never)]
fn counted<T>(path: impl FnOnce() -> T) -> T {
    path()
}

/// Tells by how many to divide what was counted.
fn operations(count: usize) {
    println!("operations: {count}");
}

fn topic() -> Topic {
    Topic::try_from("room:42").unwrap()
}

fn encoded(topic: &Topic) -> Frame {
    let said =
        Said { by: "ana", at: 1_700_000_000, text: "Good morning to all of you! Has anybody seen the ferries today?" };
    Frame::message(topic, black_box(&said)).unwrap()
}

/// A message of 128 bytes.
fn frame() -> Frame {
    let frame = encoded(&topic());
    assert_eq!(frame.payload().len(), 128);
    frame
}

async fn connect() -> (TcpStream, net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let far = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let near = listener.accept().await.unwrap().0;
    near.writable().await.unwrap();
    (near, far)
}

fn block_on(future: impl Future<Output = ()>) {
    runtime::Builder::new_current_thread().enable_io().build().unwrap().block_on(future);
}

#[test]
#[ignore = "counted by tests/run instructions"]
fn encode() {
    let topic = topic();
    counted(|| (0..ROUNDS).for_each(|_| drop(black_box(encoded(&topic)))));
    operations(ROUNDS);
}

#[test]
#[ignore = "counted by tests/run instructions"]
fn decode() {
    let mask = [0x37, 0xFA, 0x21, 0x3D];
    let mut masked = vec![0x81, 0x80 | 126, 0, 128];
    masked.extend(mask);
    masked.extend(frame().payload().iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    let mut reads = vec![masked; ROUNDS];
    let mut decoder = Decoder::new(1 << 20, 16);

    counted(|| {
        for read in &mut reads {
            let (_, event) = decoder.decode(black_box(read)).unwrap();
            let Some(Event::Message(frame)) = event else { panic!("{event:?}") };
            assert_eq!(black_box(Message::decode(frame).unwrap()).topic(), "room:42");
        }
    });
    operations(ROUNDS);
}

#[test]
#[ignore = "counted by tests/run instructions"]
fn subscribe_and_unsubscribe_among_1000() {
    let node = Node::new();
    let clients = node.subscribers();
    counted(|| {
        for client in &clients {
            node.unsubscribe(client);
            node.subscribe(client);
        }
    });
    operations(SUBSCRIBERS);
}

#[test]
#[ignore = "counted by tests/run instructions"]
fn publish_to_1000() {
    block_on(async {
        let node = Node::new();
        let clients = node.subscribers();
        // What it takes to deliver is not counted here, and so need not be done.
        clients.iter().for_each(|client| client.outbox.detach());
        node.fanout.start();
        task::yield_now().await;
        let frame = frame();
        for _ in 0..ROUNDS {
            let publish = || node.hub.publish(&node.topic, &frame, None, Urgency::Refusable);
            assert_eq!(counted(publish), Ok(SUBSCRIBERS));
            while !clients[0].outbox.lane().is_clear() {
                task::yield_now().await;
            }
        }
    });
    operations(ROUNDS);
}

#[test]
#[ignore = "counted by tests/run instructions"]
fn deliver() {
    deliver_runs_of(1);
}

#[test]
#[ignore = "counted by tests/run instructions"]
fn deliver_run_of_16() {
    deliver_runs_of(16);
}

#[test]
#[ignore = "counted by tests/run instructions"]
fn deliver_to_other_stream_and_flush() {
    let node = Node::new();
    let receivers = node.receivers(None);
    let frame = frame();
    for _ in 0..ROUNDS {
        node.fanout.publish(&receivers, &frame, None, Urgency::Refusable).unwrap();
        counted(|| {
            node.fanout.ring();
            for outbox in receivers.iter() {
                let all = |slices: &[IoSlice<'_>]| Ok(slices.iter().map(|slice| slice.len()).sum());
                assert!(outbox.flush(&mut Context::from_waker(Waker::noop()), |_, slices| all(slices)).empty);
            }
        });
    }
    operations(ROUNDS * RECEIVERS);
}

/// What the lane carries goes straight to the socket that the receivers share; counted for one of them.
fn deliver_runs_of(length: usize) {
    block_on(async {
        let node = Node::new();
        let (near, mut far) = connect().await;
        let receivers = node.receivers(Some(&Arc::new(near)));
        let frame = frame();
        let mut taken = vec![0; frame.len() * length * RECEIVERS];
        for _ in 0..ROUNDS {
            for _ in 0..length {
                node.fanout.publish(&receivers, &frame, None, Urgency::Refusable).unwrap();
            }
            counted(|| node.fanout.ring());
            assert_eq!(node.budget.held(), 0, "the socket was full");
            far.read_exact(&mut taken).unwrap();
        }
    });
    operations(ROUNDS * RECEIVERS);
}

#[test]
#[ignore = "counted by tests/run instructions"]
fn send_and_flush() {
    block_on(async {
        let node = Node::new();
        let (near, mut far) = connect().await;
        let mut link = Link::new(Stream::Tcp(near), 1 << 20);
        let outbox = node.outbox();
        outbox.open(link.shared());
        let frame = frame();
        let mut taken = vec![0; frame.len()];
        for _ in 0..ROUNDS {
            let flushed = counted(|| {
                outbox.send(frame.clone()).unwrap();
                outbox.flush(&mut Context::from_waker(Waker::noop()), |cx, slices| link.write(cx, slices))
            });
            assert!(flushed.empty);
            far.read_exact(&mut taken).unwrap();
        }
    });
    operations(ROUNDS);
}
