mod register;

use std::mem;

use crate::{
    fanout::Urgency, frame::Frame, hub::Hub, id::SessionId, message::Payload, sync::Mutex, table::Table, topic::Topic,
    user::UserId,
};

use register::Register;

/// Who is present where on this node.
///
/// What changes in a topic's register is told to the topic's subscribers under the register's lock, and so is a
/// snapshot of it sent: what came before a snapshot is in it, and what comes after follows it.
#[derive(Default)]
pub(crate) struct Attendance {
    registers: Table<Topic, Register>,
}

/// One device of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attendee {
    pub(crate) user: UserId,
    pub(crate) session: SessionId,
}

/// The topics that one session is tracked in.
///
/// Its lock is taken before a register's, and tracking takes both: so a session that has left is tracked nowhere.
#[derive(Default)]
pub(crate) struct Tracks {
    topics: Mutex<Topics>,
}

enum Topics {
    Held(Vec<Topic>),
    /// The session has left.
    Left,
}

/// A session was not tracked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Untrackable {
    Closed,
    Limit,
}

/// What is known of one user in one topic: each device's metadata.
pub(crate) type Roll = Vec<(UserId, Vec<Payload>)>;

impl Attendance {
    pub(crate) fn track(&self, hub: &Hub, topic: &Topic, attendee: &Attendee, meta: Payload) {
        self.registers.enter(topic, |register| {
            let notice = register.track(topic, attendee, meta);
            tell(hub, topic, notice);
        });
    }

    pub(crate) fn untrack(&self, hub: &Hub, topic: &Topic, attendee: &Attendee) {
        self.registers.change(topic, |register| {
            let notice = register.untrack(topic, attendee);
            tell(hub, topic, notice);
        });
    }

    /// The session has gone, and may be back soon: until [`give_up`](Self::give_up), nobody is told.
    pub(crate) fn linger(&self, topic: &Topic, attendee: &Attendee) {
        self.registers.change(topic, |register| register.linger(attendee));
    }

    /// It has not come back.
    pub(crate) fn give_up(&self, hub: &Hub, topic: &Topic, attendee: &Attendee) {
        self.registers.change(topic, |register| {
            let notice = register.give_up(topic, attendee);
            tell(hub, topic, notice);
        });
    }

    /// Hands out the snapshot of a topic, under its lock: whoever subscribes there misses nothing.
    pub(crate) fn snapshot<R>(&self, topic: &Topic, deliver: impl FnOnce(Frame) -> R) -> R {
        self.registers.enter(topic, |register| deliver(register.snapshot(topic))).1
    }

    pub(crate) fn list(&self, topic: &Topic) -> Roll {
        self.registers.read(topic, Register::list).unwrap_or_default()
    }

    pub(crate) fn count(&self, topic: &Topic) -> usize {
        self.registers.read(topic, Register::count).unwrap_or(0)
    }
}

impl Tracks {
    /// Notes a topic, one of so many at most, and, under the lock, tracks the session there.
    pub(crate) fn enter(&self, topic: &Topic, limit: usize, track: impl FnOnce()) -> Result<(), Untrackable> {
        let mut topics = self.topics.lock();
        let Topics::Held(held) = &mut *topics else { return Err(Untrackable::Closed) };
        if !held.contains(topic) {
            if held.len() >= limit {
                return Err(Untrackable::Limit);
            }
            held.push(topic.clone());
        }
        track();
        Ok(())
    }

    /// Forgets a topic and, under the lock, untracks the session there; answers whether it was tracked.
    pub(crate) fn exit(&self, topic: &Topic, untrack: impl FnOnce()) -> bool {
        let mut topics = self.topics.lock();
        let Topics::Held(held) = &mut *topics else { return false };
        let Some(at) = held.iter().position(|held| held == topic) else { return false };
        held.swap_remove(at);
        untrack();
        true
    }

    /// The topics it was tracked in; from now on it cannot be.
    pub(crate) fn leave(&self) -> Vec<Topic> {
        match mem::replace(&mut *self.topics.lock(), Topics::Left) {
            Topics::Held(held) => held,
            Topics::Left => Vec::new(),
        }
    }
}

impl Default for Topics {
    fn default() -> Self {
        Self::Held(Vec::new())
    }
}

fn tell(hub: &Hub, topic: &Topic, notice: Option<Frame>) {
    if let Some(notice) = notice {
        hub.publish(topic, &notice, None, Urgency::Certain).ok();
    }
}
