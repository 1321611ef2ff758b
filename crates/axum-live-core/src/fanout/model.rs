//! The fan-out against a plain model: whatever is published, sent, subscribed, closed and stalled, each session gets a
//! prefix of what it is due, whole, in order and without a gap, and all of it unless its queue overflowed.

use std::{
    io::{self, IoSlice, Read},
    net,
    task::Waker,
};

use proptest::prelude::*;
use socket2::{Domain, Socket, Type};
use tokio::{net::TcpStream, runtime, task};

use super::*;
use crate::{
    close::CloseReason,
    hub::Hub,
    outbox::{Bounds, Flushed, Refused},
    stream::{Link, Stream},
    subscriptions::Subscriptions,
    topic::Topic,
};

const SESSIONS: usize = 6;
const TOPICS: usize = 3;
const LANES: usize = 2;

const ROOMY: Bounds = Bounds { messages: 1000, bytes: 1 << 30 };
const TIGHT: Bounds = Bounds { messages: 3, bytes: 6000 };

/// What happens, one after the other. The fan-out tasks and the sessions' tasks move only when told to.
#[derive(Debug, Clone)]
enum Act {
    Open(usize),
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Publish(usize, usize),
    PublishFrom(usize, usize, usize),
    Send(usize, usize),
    Ping(usize),
    Close(usize),
    /// A lane makes so many steps.
    Carry(usize, usize),
    /// A session's task has a turn.
    Turn(usize),
    /// A client takes so many bytes.
    Take(usize, usize),
}

/// One session, the other end of its stream, and what the model says of it.
struct Client {
    outbox: Arc<Outbox>,
    subscriptions: Subscriptions,
    link: Link,
    far: Option<net::TcpStream>,
    /// What a generic stream has taken.
    taken: Vec<u8>,
    /// What a generic stream takes before it is full.
    room: usize,
    is_open: bool,
    topics: [bool; TOPICS],
    due: Vec<Frame>,
    is_closed: bool,
}

impl Client {
    fn new(index: usize, fanout: &Fanout) -> Self {
        let id = SessionId::try_from(format!("session-{index}").as_str()).unwrap();
        let outbox = Arc::new(Outbox::new(id, Arc::clone(fanout.lane(&id))));
        Self {
            outbox,
            subscriptions: Subscriptions::default(),
            link: Link::Gone,
            far: None,
            taken: Vec::new(),
            room: 0,
            is_open: false,
            topics: [false; TOPICS],
            due: Vec::new(),
            is_closed: false,
        }
    }

    /// Every other one has a socket, with the smallest buffers that there are.
    fn open(&mut self, index: usize) {
        if self.is_open {
            return;
        }
        self.is_open = true;
        if index.is_multiple_of(2) {
            let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            listener.set_send_buffer_size(1).unwrap();
            listener.bind(&net::SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
            listener.listen(1).unwrap();
            let addr = listener.local_addr().unwrap();
            let far = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            far.set_recv_buffer_size(16 << 10).unwrap();
            far.connect(&addr).unwrap();
            far.set_nonblocking(true).unwrap();
            let near = net::TcpStream::from(listener.accept().unwrap().0);
            near.set_nonblocking(true).unwrap();
            self.link = Link::new(Stream::Tcp(TcpStream::from_std(near).unwrap()), 1 << 20);
            self.far = Some(far.into());
        }
        self.outbox.open(self.link.shared());
    }

    fn turn(&mut self) -> Flushed {
        let (link, taken, room) = (&mut self.link, &mut self.taken, &mut self.room);
        self.outbox.flush(&mut std::task::Context::from_waker(Waker::noop()), |cx, slices: &[IoSlice<'_>]| {
            if !link.is_gone() {
                return link.write(cx, slices);
            }
            let before = taken.len();
            for slice in slices {
                let count = slice.len().min(*room);
                taken.extend_from_slice(&slice[..count]);
                *room -= count;
            }
            if taken.len() == before { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken.len() - before) }
        })
    }

    fn take(&mut self, bytes: usize) {
        let Some(far) = &mut self.far else {
            self.room += bytes;
            return;
        };
        let mut buffer = vec![0; bytes];
        // Nothing may be there.
        let count = far.read(&mut buffer).unwrap_or(0);
        self.taken.extend_from_slice(&buffer[..count]);
    }

    /// Takes all that is on its way.
    fn take_the_rest(&mut self) {
        if let Some(far) = &mut self.far {
            self.outbox.detach();
            self.link = Link::Gone;
            far.set_nonblocking(false).unwrap();
            far.read_to_end(&mut self.taken).unwrap();
        }
    }

    /// The frames that have come in full and are no pings.
    fn got(&self) -> Vec<&[u8]> {
        let mut frames = Vec::new();
        let mut rest = &self.taken[..];
        while !rest.is_empty() {
            let length = match rest {
                [_, 127, length @ ..] => length.first_chunk().map(|length| 10 + u64::from_be_bytes(*length) as usize),
                [_, 126, length @ ..] => {
                    length.first_chunk().map(|length| 4 + usize::from(u16::from_be_bytes(*length)))
                }
                [_, length, ..] => Some(2 + usize::from(*length)),
                _ => None,
            };
            let Some((frame, after)) = length.and_then(|length| rest.split_at_checked(length)) else { break };
            if frame[0] & 0x0F != 0x9 {
                frames.push(frame);
            }
            rest = after;
        }
        frames
    }
}

fn act() -> impl Strategy<Value = Act> {
    let size = prop_oneof![0..100_usize, 1000..5000_usize];
    prop_oneof![
        1 => (0..SESSIONS).prop_map(Act::Open),
        3 => (0..SESSIONS, 0..TOPICS).prop_map(|(session, topic)| Act::Subscribe(session, topic)),
        1 => (0..SESSIONS, 0..TOPICS).prop_map(|(session, topic)| Act::Unsubscribe(session, topic)),
        8 => (0..TOPICS, size.clone()).prop_map(|(topic, size)| Act::Publish(topic, size)),
        1 => (0..SESSIONS, 0..TOPICS, size.clone()).prop_map(|(from, topic, size)| Act::PublishFrom(from, topic, size)),
        4 => (0..SESSIONS, size).prop_map(|(session, size)| Act::Send(session, size)),
        1 => (0..SESSIONS).prop_map(Act::Ping),
        1 => (0..SESSIONS).prop_map(Act::Close),
        5 => (0..LANES, 1..8_usize).prop_map(|(lane, steps)| Act::Carry(lane, steps)),
        5 => (0..SESSIONS).prop_map(Act::Turn),
        5 => (0..SESSIONS, 1..8000_usize).prop_map(|(session, bytes)| Act::Take(session, bytes)),
    ]
}

/// A frame like no other, of this size.
fn frame(number: usize, size: usize) -> Frame {
    Frame::text(format!("{number}:{}", "x".repeat(size)))
}

async fn play(acts: &[Act], bounds: Bounds) -> Result<(), TestCaseError> {
    let budget = Arc::new(Budget::new(usize::MAX));
    let limit = Load { deliveries: usize::MAX, bytes: usize::MAX };
    let run_limit = RunLimit { messages: bounds.messages, bytes: 10_000 };
    let fanout = Arc::new(Fanout::new(LANES, bounds, run_limit, limit, &budget));
    // As if tasks carried: these do when they are told to.
    fanout.lanes.iter().for_each(|lane| lane.manned.store(true, SeqCst));
    let hub = Hub::new(Arc::clone(&fanout));
    let topics: Vec<_> = (0..TOPICS).map(|topic| Topic::try_from(format!("topic-{topic}")).unwrap()).collect();
    let mut clients: Vec<_> = (0..SESSIONS).map(|index| Client::new(index, &fanout)).collect();

    for (number, act) in acts.iter().enumerate() {
        match *act {
            Act::Open(session) => {
                clients[session].open(session);
                // The runtime looks what the socket takes.
                task::yield_now().await;
            }
            Act::Subscribe(session, topic) => {
                let client = &mut clients[session];
                let result = client.subscriptions.subscribe(&hub, &client.outbox, &topics[topic], TOPICS);
                client.topics[topic] |= result.is_ok();
            }
            Act::Unsubscribe(session, topic) => {
                let client = &mut clients[session];
                client.subscriptions.unsubscribe(&hub, &client.outbox, &topics[topic]);
                client.topics[topic] = false;
            }
            Act::Publish(topic, size) | Act::PublishFrom(_, topic, size) => {
                let frame = frame(number, size);
                let from = if let Act::PublishFrom(from, ..) = *act { Some(from) } else { None };
                let except = from.map(|from| Arc::clone(&clients[from].outbox));
                let told = hub.publish(&topics[topic], &frame, except.as_ref(), Urgency::Refusable).unwrap();
                let mut receivers = 0;
                for (index, client) in clients.iter_mut().enumerate() {
                    if client.topics[topic] && Some(index) != from {
                        receivers += 1;
                        client.due.push(frame.clone());
                    }
                }
                prop_assert_eq!(told, receivers);
            }
            Act::Send(session, size) => {
                let frame = frame(number, size);
                match clients[session].outbox.send(frame.clone()) {
                    Ok(()) => clients[session].due.push(frame),
                    Err(Refused::Full) => {
                        let (got, client) = (clients[session].got().len(), &clients[session]);
                        let waiting: Vec<_> = client.due[got..].iter().map(Frame::len).collect();
                        let bytes = waiting.iter().sum::<usize>() + frame.len();
                        prop_assert!(
                            waiting.len() >= bounds.messages || bytes > bounds.bytes,
                            "{waiting:?} is not full"
                        );
                    }
                    Err(Refused::Closed) => prop_assert!(clients[session].outbox.is_closed()),
                }
            }
            Act::Ping(session) => clients[session].outbox.push_control(Frame::ping(b"")),
            Act::Close(session) => {
                let client = &mut clients[session];
                client.subscriptions.leave(&hub, &client.outbox);
                client.topics = [false; TOPICS];
                client.is_closed |= client.outbox.close(CloseReason::Shutdown);
            }
            Act::Carry(lane, steps) => {
                fanout.lanes[lane].carry(steps);
            }
            Act::Turn(session) if clients[session].is_open => {
                clients[session].turn();
                task::yield_now().await;
            }
            Act::Turn(_) => {}
            Act::Take(session, bytes) => clients[session].take(bytes),
        }
    }

    for lane in &fanout.lanes {
        lane.carry(usize::MAX);
    }
    prop_assert!(fanout.lanes.iter().all(|lane| lane.is_clear()));
    prop_assert_eq!(fanout.backlog().load(), Load { deliveries: 0, bytes: 0 });
    for (index, client) in clients.iter_mut().enumerate() {
        client.open(index);
        while !client.turn().empty {
            client.take(1 << 20);
            task::yield_now().await;
        }
        client.take_the_rest();
        let mut got = client.got();
        let reason = client.outbox.reason();
        if let Some(reason) = &reason {
            let close = reason.frame().unwrap();
            prop_assert_eq!(got.pop(), Some(&close.wire()[..]), "session {}", index);
        }
        let due: Vec<_> = client.due.iter().map(|frame| &frame.wire()[..]).collect();
        prop_assert!(due.starts_with(&got), "session {index} got {} of {}, not as it was due", got.len(), due.len());
        // What overflows a queue after the session was closed ends it all the same, and the first reason stays.
        let may_lack = reason == Some(CloseReason::QueueFull) || bounds.messages == TIGHT.messages && client.is_closed;
        prop_assert!(may_lack || got.len() == due.len(), "session {index} got {} of {}", got.len(), due.len());
        prop_assert_eq!(client.is_closed, reason == Some(CloseReason::Shutdown));
    }
    prop_assert_eq!(budget.held(), 0);
    Ok(())
}

fn run(acts: &[Act], bounds: Bounds) -> Result<(), TestCaseError> {
    let runtime = runtime::Builder::new_current_thread().enable_io().build().unwrap();
    runtime.block_on(play(acts, bounds))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, max_shrink_iters: 2000, ..ProptestConfig::default() })]

    #[test]
    fn each_session_gets_all_that_it_is_due_in_order(acts in prop::collection::vec(act(), 1..150)) {
        run(&acts, ROOMY)?;
    }

    #[test]
    fn a_session_whose_queue_overflows_gets_a_prefix_without_a_gap(acts in prop::collection::vec(act(), 1..150)) {
        run(&acts, TIGHT)?;
    }
}

#[test]
fn a_frame_that_has_begun_is_ended_whatever_has_a_place_behind_it() {
    let acts = [
        vec![Act::Open(0), Act::Subscribe(0, 0), Act::Publish(0, 200_000)],
        vec![Act::Send(0, 1); TIGHT.messages],
        (0..LANES).map(|lane| Act::Carry(lane, 1)).collect(),
    ];
    run(&acts.concat(), TIGHT).unwrap();
}
