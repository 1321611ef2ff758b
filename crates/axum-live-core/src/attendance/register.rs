use std::collections::HashMap;

use serde::{Serialize, Serializer};

use super::{Attendee, Roll};
use crate::{frame::Frame, id::SessionId, message::Payload, table::Vacate, topic::Topic, user::UserId};

/// Who is present in one topic.
#[derive(Default)]
pub(super) struct Register {
    users: HashMap<UserId, Vec<Device>>,
    /// Made by the first who asks for it, and kept until something changes.
    snapshot: Option<Frame>,
}

struct Device {
    session: SessionId,
    meta: Payload,
    /// The session has gone, and may be back soon.
    lingers: bool,
}

/// What the subscribers of the topic are told.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Notice<'a> {
    Snapshot { users: Users<'a> },
    Join { user: &'a UserId, metas: Metas<'a> },
    Update { user: &'a UserId, metas: Metas<'a> },
    Leave { user: &'a UserId },
}

struct Users<'a>(&'a HashMap<UserId, Vec<Device>>);

struct Metas<'a>(&'a [Device]);

impl Register {
    /// Tracks a device, or takes its new metadata. A user who is back within the linger takes the place of a device
    /// that went, so that nobody is told of what has not changed.
    pub(super) fn track(&mut self, topic: &Topic, attendee: &Attendee, meta: Payload) -> Option<Frame> {
        let device = Device { session: attendee.session, meta, lingers: false };
        let devices = self.users.entry(attendee.user.clone()).or_default();
        let is_first = devices.is_empty();
        let place = devices
            .iter()
            .position(|old| old.session == device.session)
            .or_else(|| devices.iter().position(|old| old.lingers && old.meta == device.meta))
            .or_else(|| devices.iter().position(|old| old.lingers));
        match place {
            Some(at) if devices[at].meta == device.meta => {
                devices[at] = device;
                return None;
            }
            Some(at) => devices[at] = device,
            None => devices.push(device),
        }
        let (user, metas) = (&attendee.user, Metas(devices));
        let notice = if is_first { Notice::Join { user, metas } } else { Notice::Update { user, metas } };
        let frame = notice.frame(topic);
        self.snapshot = None;
        Some(frame)
    }

    pub(super) fn untrack(&mut self, topic: &Topic, attendee: &Attendee) -> Option<Frame> {
        self.remove(topic, &attendee.user, |device| device.session == attendee.session)
    }

    pub(super) fn linger(&mut self, attendee: &Attendee) {
        let devices = self.users.get_mut(&attendee.user).into_iter().flatten();
        devices.filter(|device| device.session == attendee.session).for_each(|device| device.lingers = true);
    }

    pub(super) fn give_up(&mut self, topic: &Topic, attendee: &Attendee) -> Option<Frame> {
        self.remove(topic, &attendee.user, |device| device.session == attendee.session && device.lingers)
    }

    pub(super) fn snapshot(&mut self, topic: &Topic) -> Frame {
        let users = &self.users;
        self.snapshot.get_or_insert_with(|| Notice::Snapshot { users: Users(users) }.frame(topic)).clone()
    }

    pub(super) fn list(&self) -> Roll {
        let metas = |devices: &Vec<Device>| devices.iter().map(|device| device.meta.clone()).collect();
        self.users.iter().map(|(user, devices)| (user.clone(), metas(devices))).collect()
    }

    pub(super) fn count(&self) -> usize {
        self.users.len()
    }

    fn remove(&mut self, topic: &Topic, user: &UserId, is_it: impl Fn(&Device) -> bool) -> Option<Frame> {
        let devices = self.users.get_mut(user)?;
        let at = devices.iter().position(is_it)?;
        devices.remove(at);
        let notice = if devices.is_empty() {
            Notice::Leave { user }.frame(topic)
        } else {
            Notice::Update { user, metas: Metas(devices) }.frame(topic)
        };
        if devices.is_empty() {
            self.users.remove(user);
        }
        self.snapshot = None;
        Some(notice)
    }
}

impl Vacate for Register {
    fn is_vacant(&self) -> bool {
        self.users.is_empty()
    }
}

impl Notice<'_> {
    fn frame(&self, topic: &Topic) -> Frame {
        Frame::message(topic, self).expect("strings and json that was encoded before")
    }
}

impl Serialize for Users<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct User<'a> {
            user: &'a UserId,
            metas: Metas<'a>,
        }

        serializer.collect_seq(self.0.iter().map(|(user, devices)| User { user, metas: Metas(devices) }))
    }
}

impl Serialize for Metas<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(|device| &device.meta))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic() -> Topic {
        Topic::try_from("t").unwrap()
    }

    fn attendee(user: &str, session: &str) -> Attendee {
        Attendee { user: UserId::new(user), session: SessionId::try_from(session).unwrap() }
    }

    fn meta(data: u32) -> Payload {
        Payload::json(&data).unwrap()
    }

    fn data(notice: Option<Frame>) -> String {
        let wire = notice.expect("a notice");
        wire.as_text().unwrap().strip_prefix(r#"{"topic":"t","data":"#).unwrap().strip_suffix('}').unwrap().to_owned()
    }

    fn track(register: &mut Register, user: &str, session: &str, data: u32) -> Option<Frame> {
        register.track(&topic(), &attendee(user, session), meta(data))
    }

    #[test]
    fn only_the_first_device_joins_and_only_the_last_one_leaves() {
        let mut register = Register::default();
        assert_eq!(data(track(&mut register, "ana", "1", 7)), r#"{"type":"join","user":"ana","metas":[7]}"#);
        assert_eq!(data(track(&mut register, "ana", "2", 8)), r#"{"type":"update","user":"ana","metas":[7,8]}"#);
        assert_eq!(register.count(), 1);
        assert_eq!(
            data(register.untrack(&topic(), &attendee("ana", "1"))),
            r#"{"type":"update","user":"ana","metas":[8]}"#
        );
        assert_eq!(data(register.untrack(&topic(), &attendee("ana", "2"))), r#"{"type":"leave","user":"ana"}"#);
        assert!(register.untrack(&topic(), &attendee("ana", "2")).is_none());
        assert!(register.is_vacant());
    }

    #[test]
    fn new_metadata_is_an_update_and_the_same_again_is_nothing() {
        let mut register = Register::default();
        track(&mut register, "ana", "1", 7);
        assert!(track(&mut register, "ana", "1", 7).is_none());
        assert_eq!(data(track(&mut register, "ana", "1", 8)), r#"{"type":"update","user":"ana","metas":[8]}"#);
    }

    #[test]
    fn who_is_back_in_time_has_never_been_away() {
        let mut register = Register::default();
        track(&mut register, "ana", "1", 7);
        track(&mut register, "ana", "2", 8);
        register.linger(&attendee("ana", "1"));
        register.linger(&attendee("ana", "2"));
        assert!(track(&mut register, "ana", "3", 8).is_none());
        assert!(register.give_up(&topic(), &attendee("ana", "2")).is_none());
        assert_eq!(
            data(register.give_up(&topic(), &attendee("ana", "1"))),
            r#"{"type":"update","user":"ana","metas":[8]}"#
        );
        assert!(register.give_up(&topic(), &attendee("ana", "3")).is_none());
    }

    #[test]
    fn snapshot_is_encoded_once_until_something_changes() {
        let mut register = Register::default();
        track(&mut register, "ana", "1", 7);
        let snapshot = register.snapshot(&topic());
        assert_eq!(data(Some(snapshot.clone())), r#"{"type":"snapshot","users":[{"user":"ana","metas":[7]}]}"#);
        assert_eq!(register.snapshot(&topic()).payload().as_ptr(), snapshot.payload().as_ptr());
        register.untrack(&topic(), &attendee("ana", "1"));
        assert_eq!(data(Some(register.snapshot(&topic()))), r#"{"type":"snapshot","users":[]}"#);
    }
}
