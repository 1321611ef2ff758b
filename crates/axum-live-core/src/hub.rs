use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use indexmap::IndexSet;

use crate::{
    frame::Frame,
    outbox::{Delivery, Outbox},
    table::{Table, Vacate},
    topic::Topic,
};

/// Who is reached by what on this node: the subscribers of each topic, the sessions of each user.
///
/// Publications to a topic go out one after the other, under its lock: so they have one order, the same for all, and
/// who returns from unsubscribing is sent no more.
pub(crate) struct Hub<K: Eq + Hash = Topic> {
    topics: Table<K, Roster>,
}

#[derive(Default)]
struct Roster {
    members: IndexSet<Member>,
}

/// An outbox, told from others by where it is.
struct Member(Arc<Outbox>);

impl<K: Clone + Eq + Hash> Hub<K> {
    /// Adds a subscriber; one that is there already stays there once.
    pub(crate) fn subscribe(&self, topic: &K, outbox: &Arc<Outbox>) {
        self.topics.enter(topic, |roster| roster.members.insert(Member(Arc::clone(outbox))));
    }

    /// Removes a subscriber, and with the last one the topic.
    pub(crate) fn unsubscribe(&self, topic: &K, outbox: &Arc<Outbox>) {
        self.topics.change(topic, |roster| {
            roster.members.swap_remove(&Member(Arc::clone(outbox)));
            roster.give_back_memory();
        });
    }

    /// Queues a frame for every subscriber but `except`, and answers how many took it.
    pub(crate) fn publish(&self, topic: &K, frame: &Frame, except: Option<&Arc<Outbox>>) -> usize {
        let deliver = |roster: &Roster| {
            let receivers = roster.members.iter().map(|Member(outbox)| outbox);
            receivers
                .filter(|outbox| except.is_none_or(|except| !Arc::ptr_eq(outbox, except)))
                .filter(|outbox| outbox.push(frame.clone(), Delivery::Publish).is_ok())
                .count()
        };
        self.topics.read(topic, deliver).unwrap_or(0)
    }

    pub(crate) fn subscribers(&self, topic: &K) -> Vec<Arc<Outbox>> {
        let list = |roster: &Roster| roster.members.iter().map(|Member(outbox)| Arc::clone(outbox)).collect();
        self.topics.read(topic, list).unwrap_or_default()
    }

    /// How many topics have subscribers.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }
}

impl<K: Eq + Hash> Default for Hub<K> {
    fn default() -> Self {
        Self { topics: Table::default() }
    }
}

impl Vacate for Roster {
    fn is_vacant(&self) -> bool {
        self.members.is_empty()
    }
}

impl Roster {
    fn give_back_memory(&mut self) {
        const SMALL: usize = 64;
        let capacity = self.members.capacity();
        if capacity > SMALL && self.members.len() < capacity / 4 {
            self.members.shrink_to(capacity / 2);
        }
    }
}

impl PartialEq for Member {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Member {}

impl Hash for Member {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}
