//! What people missed while they were away.
//!
//! Each notice reaches a person once: either one of their sessions takes it, or it waits. Both sides hold the same lock,
//! so that nobody comes between the look at who is there and the keeping.
//!
//! Where that ends: a session takes what is queued for it, which is before its client has it. A client that vanished
//! without a word is noticed after 35 seconds, and what it took until then is lost, for version 0 of the wire has no
//! acknowledgements; a tab that is offline misses what another tab of the same person took. Where nothing may be missed,
//! publish no more than that there is something new, and let clients fetch it: the example `sync`. And mailboxes in
//! memory end with the process.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use axum_live::{Live, PublishError, Session};
use tracing::debug;

use crate::{Notice, User};

/// The newest notices that wait for each person.
#[derive(Clone, Default)]
pub(crate) struct Mailboxes(Arc<Mutex<HashMap<&'static str, VecDeque<Notice>>>>);

impl Mailboxes {
    /// How many notices wait for one person; one more, and the oldest goes.
    pub(crate) const CAPACITY: usize = 20;

    /// Tells a person something, or keeps it for them. Answers how many of their sessions took it.
    pub(crate) fn post(&self, live: &Live<User>, to: &User, notice: Notice) -> Result<usize, PublishError> {
        let mut mailboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let receivers = live.publish(topic_of(to), &notice)?;
        if receivers == 0 {
            let mailbox = mailboxes.entry(to.id).or_default();
            mailbox.truncate(Self::CAPACITY - 1);
            mailbox.push_front(notice);
        }
        Ok(receivers)
    }

    /// Delivers what waits, and from here on what comes. In `on_connect` and not before the upgrade: a session that
    /// never opens would take the notices with it.
    pub(crate) fn open(&self, session: &Session<User>) {
        let user = session.value();
        let mut mailboxes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = session.subscribe(topic_of(user)) {
            debug!(%error, "a mailbox stays closed");
            return;
        }
        // What a session that has just ended does not take waits on.
        let mailbox = mailboxes.entry(user.id).or_default();
        while mailbox.back().is_some_and(|notice| session.send(topic_of(user), notice).is_ok()) {
            mailbox.pop_back();
        }
    }
}

fn topic_of(user: &User) -> String {
    format!("user:{}", user.id)
}
