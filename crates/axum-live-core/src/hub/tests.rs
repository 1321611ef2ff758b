//! Who subscribes to what, in any order and however often, against a plain model.

use std::{
    collections::HashSet,
    io::IoSlice,
    task::{Context, Waker},
};

use proptest::prelude::*;

use super::*;
use crate::{
    backlog::Load,
    budget::Budget,
    fanout::RunLimit,
    id::SessionId,
    outbox::Bounds,
    subscriptions::{SubscribeError, Subscriptions},
};

const SESSIONS: usize = 3;
const TOPICS: usize = 4;

#[derive(Debug, Clone, Copy)]
enum Act {
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Publish(usize),
    Leave(usize),
}

/// One session, and what the model says of it.
struct Client {
    outbox: Arc<Outbox>,
    subscriptions: Subscriptions,
    topics: HashSet<usize>,
    has_left: bool,
    due: Vec<u8>,
}

impl Client {
    fn new(index: usize, fanout: &Fanout) -> Self {
        let id = SessionId::try_from(format!("session-{index}").as_str()).unwrap();
        let outbox = Arc::new(Outbox::new(id, Arc::clone(fanout.lane(&id))));
        outbox.open(None);
        Self {
            outbox,
            subscriptions: Subscriptions::default(),
            topics: HashSet::new(),
            has_left: false,
            due: Vec::new(),
        }
    }

    fn written(&self) -> Vec<u8> {
        let mut written = Vec::new();
        self.outbox.flush(&mut Context::from_waker(Waker::noop()), |_, slices: &[IoSlice<'_>]| {
            slices.iter().for_each(|slice| written.extend_from_slice(slice));
            Ok(slices.iter().map(|slice| slice.len()).sum())
        });
        written
    }
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (0..SESSIONS, 0..TOPICS).prop_map(|(session, topic)| Act::Subscribe(session, topic)),
        4 => (0..SESSIONS, 0..TOPICS).prop_map(|(session, topic)| Act::Unsubscribe(session, topic)),
        4 => (0..TOPICS).prop_map(Act::Publish),
        1 => (0..SESSIONS).prop_map(Act::Leave),
    ]
}

fn play(acts: &[Act]) -> Result<(), TestCaseError> {
    let limit = Load { deliveries: usize::MAX, bytes: usize::MAX };
    let run_limit = RunLimit { messages: 8, bytes: 1024 };
    let bounds = Bounds { messages: usize::MAX, bytes: usize::MAX };
    let budget = Arc::new(Budget::new(usize::MAX));
    // Whoever publishes carries, for there are no tasks.
    let fanout = Arc::new(Fanout::new(2, bounds, run_limit, limit, &budget));
    let hub = Hub::new(Arc::clone(&fanout));
    let topics: Vec<_> = (0..TOPICS).map(|topic| Topic::try_from(format!("topic-{topic}")).unwrap()).collect();
    let mut clients: Vec<_> = (0..SESSIONS).map(|index| Client::new(index, &fanout)).collect();

    for (number, act) in acts.iter().enumerate() {
        match *act {
            Act::Subscribe(session, topic) => {
                let client = &mut clients[session];
                let result = client.subscriptions.subscribe(&hub, &client.outbox, &topics[topic], TOPICS);
                prop_assert_eq!(result, if client.has_left { Err(SubscribeError::Closed) } else { Ok(()) });
                if !client.has_left {
                    client.topics.insert(topic);
                }
            }
            Act::Unsubscribe(session, topic) => {
                let client = &mut clients[session];
                let was_held = client.subscriptions.unsubscribe(&hub, &client.outbox, &topics[topic]);
                prop_assert_eq!(was_held, client.topics.remove(&topic));
            }
            Act::Publish(topic) => {
                let frame = Frame::text(number.to_string());
                let told = hub.publish(&topics[topic], &frame, None, Urgency::Refusable).unwrap();
                let mut receivers = 0;
                for client in clients.iter_mut().filter(|client| client.topics.contains(&topic)) {
                    client.due.extend_from_slice(frame.wire());
                    receivers += 1;
                }
                prop_assert_eq!(told, receivers);
            }
            Act::Leave(session) => {
                let client = &mut clients[session];
                client.subscriptions.leave(&hub, &client.outbox);
                client.topics.clear();
                client.has_left = true;
            }
        }
        let held: HashSet<_> = clients.iter().flat_map(|client| &client.topics).collect();
        prop_assert_eq!(hub.len(), held.len());
    }
    for client in &clients {
        prop_assert_eq!(client.written(), &client.due[..]);
        client.subscriptions.leave(&hub, &client.outbox);
    }
    prop_assert_eq!(hub.len(), 0);
    Ok(())
}

proptest! {
    #[test]
    fn c37_who_is_subscribed_however_often_gets_a_publication_once_and_an_empty_topic_is_gone(
        acts in prop::collection::vec(act(), 1..60),
    ) {
        play(&acts)?;
    }
}
