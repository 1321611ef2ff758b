use std::{hash::Hash, sync::Arc};

use crate::{
    backlog::Overloaded,
    fanout::{Audience, Fanout, Urgency},
    frame::Frame,
    outbox::Outbox,
    table::Table,
    topic::Topic,
};

/// Who is reached by what on this node: the subscribers of each topic, the sessions of each user.
///
/// Publications to a topic are handed over one after the other, under its lock: so they have one order, the same for
/// all, and who returns from unsubscribing is no receiver any more.
pub(crate) struct Hub<K: Eq + Hash = Topic> {
    topics: Table<K, Audience>,
    fanout: Arc<Fanout>,
}

/// There are as many subscribers as may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Full;

impl<K: Clone + Eq + Hash> Hub<K> {
    pub(crate) fn new(fanout: Arc<Fanout>) -> Self {
        Self { topics: Table::default(), fanout }
    }

    /// Adds a subscriber; one that is there already stays there once. Answers the name that all subscribers share.
    pub(crate) fn subscribe(&self, topic: &K, outbox: &Arc<Outbox>) -> K {
        let (name, ()) = self.topics.enter(topic, |audience| audience.insert(outbox));
        name
    }

    /// Adds a subscriber, if `admits` says so of how many there are; answers how many there are then.
    pub(crate) fn subscribe_if(
        &self,
        topic: &K,
        outbox: &Arc<Outbox>,
        admits: impl FnOnce(usize) -> bool,
    ) -> Result<usize, Full> {
        let (_, present) = self.topics.enter(topic, |audience| {
            let is_admitted = admits(audience.len());
            is_admitted.then(|| {
                audience.insert(outbox);
                audience.len()
            })
        });
        present.ok_or(Full)
    }

    /// Removes a subscriber, and with the last one the topic.
    pub(crate) fn unsubscribe(&self, topic: &K, outbox: &Arc<Outbox>) {
        self.topics.change(topic, |audience| audience.remove(outbox));
    }

    /// Removes a subscriber, if it is there and `is_due` says so of how many there are; answers whether it went.
    pub(crate) fn unsubscribe_if(&self, topic: &K, outbox: &Arc<Outbox>, is_due: impl FnOnce(usize) -> bool) -> bool {
        let went = self.topics.change(topic, |audience| {
            let goes = audience.contains(outbox) && is_due(audience.len());
            if goes {
                audience.remove(outbox);
            }
            goes
        });
        went.unwrap_or(false)
    }

    /// Hands a frame over to the subscribers of this moment but `except`, and answers how many they are.
    pub(crate) fn publish(
        &self,
        topic: &K,
        frame: &Frame,
        except: Option<&Arc<Outbox>>,
        urgency: Urgency,
    ) -> Result<usize, Overloaded> {
        let hand_over = |audience: &Audience| self.fanout.publish(audience, frame, except, urgency);
        let receivers = self.topics.read(topic, hand_over).unwrap_or(Ok(0));
        self.fanout.ring();
        receivers
    }

    pub(crate) fn subscribers(&self, topic: &K) -> Vec<Arc<Outbox>> {
        self.topics.read(topic, |audience| audience.iter().cloned().collect()).unwrap_or_default()
    }

    /// How many subscribers a topic has, without listing them.
    pub(crate) fn count(&self, topic: &K) -> usize {
        self.topics.read(topic, Audience::len).unwrap_or(0)
    }

    /// Every topic with the number of its subscribers, in no order.
    pub(crate) fn counts(&self) -> Vec<(K, usize)> {
        self.topics.read_all(Audience::len)
    }

    /// How many topics have subscribers.
    pub(crate) fn len(&self) -> usize {
        self.topics.len()
    }
}

#[cfg(test)]
mod tests;
