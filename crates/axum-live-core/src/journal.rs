//! What happened in sessions of late, kept where it is asked for.

#![expect(clippy::disallowed_types, reason = "no guard of the map leaves this file, and nothing in it awaits")]
use std::{
    collections::VecDeque,
    fmt,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::SystemTime,
};

use dashmap::DashMap;
use parking_lot::Mutex;

use crate::{
    clock::wall_clock, close::CloseReason, frame::Frame, id::SessionId, message::topic_of, session_info::SessionInfo,
    topic::Topic, user::UserId,
};

/// Sessions that have closed and are still told of.
const CLOSED: usize = 128;

/// Something that happened in a session, and when: a line of [`Session::journal`](crate::Session::journal).
#[derive(Debug, Clone)]
pub struct JournalEntry {
    at: SystemTime,
    event: JournalEvent,
}

/// What happened in a session.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum JournalEvent {
    /// The upgrade is done.
    Opened,
    /// It was subscribed to a topic.
    Subscribed(Topic),
    /// It was unsubscribed from a topic; at its end it leaves all that it has without a line for each.
    Unsubscribed(Topic),
    /// The client sent a message.
    Received(Excerpt),
    /// A message was on its way to the client: written, or queued. Of a session that ends with
    /// [`QueueFull`](CloseReason::QueueFull) the last may be what there was no room for.
    Sent(Excerpt),
    /// Its end began.
    Closed(CloseReason),
}

/// What a journal keeps of a message: its topic and its length, and of its payload what
/// [`Builder::journal_payloads`](crate::Builder::journal_payloads) allows.
#[derive(Clone)]
pub struct Excerpt {
    topic: Option<Arc<str>>,
    len: usize,
    payload: Option<Arc<[u8]>>,
}

/// A session that closed a short while ago: [`Live::recently_closed`](crate::Live::recently_closed).
#[derive(Debug, Clone)]
pub struct ClosedSession {
    pub(crate) id: SessionId,
    pub(crate) user: Option<UserId>,
    pub(crate) info: SessionInfo,
    pub(crate) reason: CloseReason,
    pub(crate) at: SystemTime,
    /// Filled when the journal ends.
    pub(crate) journal: Vec<JournalEntry>,
}

/// The journals of a node's sessions, each a ring of so many entries.
pub(crate) struct Journals {
    limits: JournalLimits,
    /// No guard of it leaves this file, and nothing else is locked under one.
    open: DashMap<SessionId, VecDeque<JournalEntry>>,
    closed: Mutex<VecDeque<ClosedSession>>,
}

/// How much a journal keeps.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct JournalLimits {
    /// Entries of a session; none where no journal is kept.
    pub(crate) entries: usize,
    /// Of the payload of each.
    pub(crate) payload_bytes: usize,
}

impl JournalEntry {
    /// When it happened.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// What happened.
    pub fn event(&self) -> &JournalEvent {
        &self.event
    }
}

impl Excerpt {
    /// The topic in the message's envelope, or its first 255 bytes; `None` where there is no envelope.
    pub fn topic(&self) -> Option<&str> {
        self.topic.as_deref()
    }

    /// The length of the whole message, in bytes.
    #[expect(clippy::len_without_is_empty, reason = "it is the message's")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The first bytes of the message, where they are kept.
    pub fn payload(&self) -> Option<&[u8]> {
        self.payload.as_deref()
    }
}

/// Without the payload, which has no place in a log.
impl fmt::Debug for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Excerpt").field("topic", &self.topic).field("len", &self.len).finish_non_exhaustive()
    }
}

impl ClosedSession {
    /// The session's id.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Whose session it was, where [`Builder::user`](crate::Builder::user) tells.
    pub fn user(&self) -> Option<&UserId> {
        self.user.as_ref()
    }

    /// The route that its request matched: [`Session::path`](crate::Session::path).
    pub fn path(&self) -> &str {
        self.info.path()
    }

    /// The client's address: [`Session::client_addr`](crate::Session::client_addr).
    pub fn client_addr(&self) -> Option<IpAddr> {
        self.info.client_addr()
    }

    /// The connection's other end: [`Session::peer_addr`](crate::Session::peer_addr).
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.info.peer_addr()
    }

    /// Why it ended.
    pub fn reason(&self) -> &CloseReason {
        &self.reason
    }

    /// When its end began.
    pub fn at(&self) -> SystemTime {
        self.at
    }

    /// What happened in it, to the end.
    pub fn journal(&self) -> &[JournalEntry] {
        &self.journal
    }
}

impl Journals {
    pub(crate) fn new(limits: JournalLimits) -> Self {
        Self { limits, open: DashMap::new(), closed: Mutex::default() }
    }

    /// Begins a session's journal.
    pub(crate) fn open(&self, id: SessionId) {
        self.open.insert(id, VecDeque::new());
    }

    /// Notes something, unless the session's journal has ended.
    pub(crate) fn note(&self, id: &SessionId, event: JournalEvent) {
        let entry = JournalEntry { at: wall_clock(), event };
        if let Some(mut journal) = self.open.get_mut(id) {
            self.push(&mut journal, entry);
        }
    }

    /// Ends a session's journal, which is told of until enough others have ended.
    pub(crate) fn close(&self, closed: ClosedSession) {
        let Some((_, mut journal)) = self.open.remove(&closed.id) else { return };
        let end = JournalEntry { at: closed.at, event: JournalEvent::Closed(closed.reason.clone()) };
        self.push(&mut journal, end);
        let closed = ClosedSession { journal: journal.into(), ..closed };
        let mut all = self.closed.lock();
        if all.len() == CLOSED {
            all.pop_front();
        }
        all.push_back(closed);
    }

    /// What happened in a session, the oldest first; nothing when its journal has ended.
    pub(crate) fn of(&self, id: &SessionId) -> Vec<JournalEntry> {
        self.open.get(id).map(|journal| journal.iter().cloned().collect()).unwrap_or_default()
    }

    /// The sessions that have closed, the last one first.
    pub(crate) fn closed(&self) -> Vec<ClosedSession> {
        self.closed.lock().iter().rev().cloned().collect()
    }

    /// What is kept of a message.
    pub(crate) fn excerpt(&self, frame: &Frame) -> Excerpt {
        let payload = frame.payload();
        let kept = &payload[..payload.len().min(self.limits.payload_bytes)];
        Excerpt {
            topic: short_topic_of(payload),
            len: payload.len(),
            payload: (self.limits.payload_bytes > 0).then(|| kept.into()),
        }
    }

    fn push(&self, journal: &mut VecDeque<JournalEntry>, entry: JournalEntry) {
        if journal.len() == self.limits.entries {
            journal.pop_front();
        }
        journal.push_back(entry);
    }
}

/// The topic of an envelope, cut: a client chooses its length, and a journal is no place to fill.
fn short_topic_of(payload: &[u8]) -> Option<Arc<str>> {
    let topic = topic_of(payload)?;
    let end = (0..=Topic::MAX_LEN.min(topic.len())).rev().find(|&end| topic.is_char_boundary(end))?;
    Some(topic[..end].into())
}

#[cfg(test)]
#[cfg(not(axum_live_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_topic_in_a_journal_is_short_whatever_the_client_made_it() {
        let topic_in =
            |topic: &str| short_topic_of(serde_json::json!({ "topic": topic }).to_string().as_bytes()).unwrap();
        assert_eq!(&*topic_in("room:1"), "room:1");
        let long = topic_in(&"é".repeat(5000));
        assert_eq!(*long, *"é".repeat(127));
        assert_eq!(short_topic_of(b"no envelope"), None);
        assert_eq!(short_topic_of(b"{\"topic\":7}"), None);
    }

    #[test]
    fn what_is_noted_after_the_end_is_in_no_journal() {
        let journals = Journals::new(JournalLimits { entries: 2, payload_bytes: 0 });
        let id = SessionId::random();
        journals.open(id);
        journals.note(&id, JournalEvent::Opened);
        let closed = || ClosedSession {
            id,
            user: None,
            info: SessionInfo::new("/ws"),
            reason: CloseReason::Lost,
            at: wall_clock(),
            journal: Vec::new(),
        };
        journals.close(closed());
        journals.close(closed());
        journals.note(&id, JournalEvent::Opened);
        assert!(journals.of(&id).is_empty() && journals.open.is_empty());
        assert_eq!(journals.closed().len(), 1);
        assert_eq!(journals.closed()[0].journal().len(), 2);
    }
}
