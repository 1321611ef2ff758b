use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use dashmap::DashMap;
use indexmap::IndexSet;

use crate::{
    frame::Frame,
    outbox::{Delivery, Outbox},
    sync::{Mutex, Sighting},
    topic::Topic,
};

/// Who subscribes to what on this node.
///
/// No guard of the map leaves this file, and none is held while a member's lock is taken.
#[derive(Default)]
pub(crate) struct Hub {
    topics: DashMap<Topic, Arc<Members>>,
    sighting: Sighting,
}

/// The subscribers of one topic. Publications to it go out one after the other, under its lock: so they have one
/// order, the same for all, and who returns from unsubscribing is sent no more.
#[derive(Default)]
struct Members {
    roster: Mutex<Roster>,
}

#[derive(Default)]
struct Roster {
    members: IndexSet<Member>,
    /// The last member has left and the topic is leaving the map; whoever comes now makes a new one.
    retired: bool,
}

/// An outbox, told from others by where it is.
struct Member(Arc<Outbox>);

impl Hub {
    /// Adds a subscriber; one that is there already stays there once.
    pub(crate) fn subscribe(&self, topic: &Topic, outbox: &Arc<Outbox>) {
        loop {
            let members = Arc::clone(&*self.topics().entry(topic.clone()).or_default());
            let mut roster = members.roster.lock();
            if !roster.retired {
                roster.members.insert(Member(Arc::clone(outbox)));
                return;
            }
            drop(roster);
            self.remove(topic, &members);
        }
    }

    /// Removes a subscriber, and with the last one the topic.
    pub(crate) fn unsubscribe(&self, topic: &Topic, outbox: &Arc<Outbox>) {
        let Some(members) = self.members(topic) else { return };
        {
            let mut roster = members.roster.lock();
            roster.members.swap_remove(&Member(Arc::clone(outbox)));
            roster.give_back_memory();
            roster.retired = roster.members.is_empty();
            if !roster.retired {
                return;
            }
        }
        self.remove(topic, &members);
    }

    /// Queues a frame for every subscriber but `except`, and answers how many took it.
    pub(crate) fn publish(&self, topic: &Topic, frame: &Frame, except: Option<&Arc<Outbox>>) -> usize {
        let Some(members) = self.members(topic) else { return 0 };
        let roster = members.roster.lock();
        let receivers = roster.members.iter().map(|Member(outbox)| outbox);
        receivers
            .filter(|outbox| except.is_none_or(|except| !Arc::ptr_eq(outbox, except)))
            .filter(|outbox| outbox.push(frame.clone(), Delivery::Publish).is_ok())
            .count()
    }

    pub(crate) fn subscribers(&self, topic: &Topic) -> Vec<Arc<Outbox>> {
        let Some(members) = self.members(topic) else { return Vec::new() };
        let roster = members.roster.lock();
        roster.members.iter().map(|Member(outbox)| Arc::clone(outbox)).collect()
    }

    /// How many topics have subscribers.
    pub(crate) fn len(&self) -> usize {
        self.topics().len()
    }

    fn topics(&self) -> &DashMap<Topic, Arc<Members>> {
        self.sighting.note();
        &self.topics
    }

    fn members(&self, topic: &Topic) -> Option<Arc<Members>> {
        self.topics().get(topic).map(|members| Arc::clone(&members))
    }

    fn remove(&self, topic: &Topic, retired: &Arc<Members>) {
        self.topics().remove_if(topic, |_, members| Arc::ptr_eq(members, retired));
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
