//! What the page is told.

use std::{
    cmp::Reverse,
    net::{IpAddr, SocketAddr},
    time::{Duration, SystemTime},
};

use axum_live_core::{
    ClosedSession, Excerpt, JournalEntry, JournalEvent, Live, Session, SessionPhase, SessionStats, Stats, Topic,
};
use serde::Serialize;

use super::ask::{Ask, Order, Payloads, Telling, View};

/// Rows of one page.
const ROWS: usize = 50;

/// Topics of one session that are told.
const TOPICS: usize = 500;

#[derive(Serialize)]
pub(super) struct Report {
    /// In milliseconds since 1970, by the server's clock.
    at: u64,
    node: Node,
    #[serde(flatten)]
    view: Rows,
}

/// The node's figures, of which the page draws differences.
#[derive(Serialize)]
struct Node {
    sessions: usize,
    topics: usize,
    users: usize,
    pending_deliveries: usize,
    waiting_bytes: usize,
    received: u64,
    published: u64,
    delivered: u64,
    opened: u64,
    closed: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Rows {
    Sessions(Page<SessionRow>),
    Topics(Page<TopicRow>),
    Closed(Page<ClosedRow>),
    Counters(Page<CounterRow>),
}

#[derive(Serialize)]
struct Page<T> {
    total: usize,
    page: usize,
    pages: usize,
    rows: Vec<T>,
}

#[derive(Serialize)]
struct SessionRow {
    id: String,
    user: Option<String>,
    path: String,
    address: Option<String>,
    phase: &'static str,
    queued_messages: usize,
    queued_bytes: usize,
    fullness: f64,
    waiting_ms: u64,
    topics: usize,
    age_s: u64,
    silence_s: u64,
}

#[derive(Serialize)]
struct TopicRow {
    topic: String,
    subscribers: usize,
}

#[derive(Serialize)]
struct ClosedRow {
    id: String,
    user: Option<String>,
    path: String,
    address: Option<String>,
    code: Option<u16>,
    reason: String,
    at: u64,
}

#[derive(Serialize)]
struct CounterRow {
    name: String,
    total: u64,
}

/// One session, and what it did of late.
#[derive(Serialize)]
pub(super) struct Detail {
    #[serde(flatten)]
    session: Subject,
    journal: Vec<Line>,
}

#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Subject {
    Session { row: SessionRow, topics: Vec<Topic> },
    Closed(ClosedRow),
}

/// A line of a journal.
#[derive(Serialize)]
struct Line {
    at: u64,
    event: &'static str,
    /// Its topic, or why it closed.
    text: Option<String>,
    bytes: Option<usize>,
    payload: Payload,
}

/// What is told of a message's payload.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
enum Payload {
    None,
    Hidden,
    Shown(String),
}

impl Report {
    pub(super) fn make<V: Send + Sync + 'static>(live: &Live<V>, ask: &Ask) -> Self {
        let stats = live.stats();
        let view = match ask.view {
            View::Sessions => Rows::Sessions(sessions(live, ask)),
            View::Topics => Rows::Topics(topics(live, ask)),
            View::Closed => Rows::Closed(closed(live, ask)),
            View::Counters => Rows::Counters(counters(&stats)),
        };
        Self { at: millis(SystemTime::now()), node: Node::of(&stats), view }
    }
}

impl Detail {
    pub(super) fn make<V: Send + Sync + 'static>(live: &Live<V>, id: &str, payloads: Payloads) -> Option<Self> {
        let lines =
            |journal: &[JournalEntry]| journal.iter().rev().map(|entry| Line::of(entry, payloads.payloads)).collect();
        let open = id.try_into().ok().and_then(|id| live.session(&id));
        if let Some(session) = open {
            let mut topics = session.topics();
            topics.sort_unstable();
            topics.truncate(TOPICS);
            let row = SessionRow::of(&session, &session.stats());
            let journal = lines(&session.journal());
            return Some(Self { session: Subject::Session { row, topics }, journal });
        }
        let closed = live.recently_closed().into_iter().find(|closed| closed.id().as_str() == id)?;
        Some(Self { session: Subject::Closed(ClosedRow::of(&closed)), journal: lines(closed.journal()) })
    }
}

fn sessions<V: Send + Sync + 'static>(live: &Live<V>, ask: &Ask) -> Page<SessionRow> {
    let mut sessions = match ask.topic.as_str() {
        "" => live.sessions(),
        topic => live.subscribers(topic),
    };
    if let Some(needle) = ask.needle() {
        sessions.retain(|session| {
            let address = address(session.peer_addr(), session.client_addr()).unwrap_or_default();
            let user = session.user().map_or("", |user| user.as_str());
            needle.is_in([session.id().as_str(), user, session.path(), &address])
        });
    }
    let mut all: Vec<_> = sessions.into_iter().map(|session| (session.stats(), session)).collect();
    all.sort_unstable_by(|(one, left), (other, right)| {
        let order = match ask.sort {
            Order::Queue => other.queue_fullness().total_cmp(&one.queue_fullness()),
            Order::Silence => other.silence().cmp(&one.silence()),
            Order::Oldest => other.age().cmp(&one.age()),
            Order::Newest => one.age().cmp(&other.age()),
            Order::Topics => other.subscriptions().cmp(&one.subscriptions()),
        };
        // Rows that are equal keep their places from one report to the next.
        order.then_with(|| left.user().cmp(&right.user())).then_with(|| left.id().cmp(right.id()))
    });
    Page::of(all, ask.page, |(stats, session)| SessionRow::of(&session, &stats))
}

fn topics<V: Send + Sync + 'static>(live: &Live<V>, ask: &Ask) -> Page<TopicRow> {
    let mut topics = live.topics();
    if let Some(needle) = ask.needle() {
        topics.retain(|(topic, _)| needle.is_in([topic.as_str()]));
    }
    topics
        .sort_unstable_by(|(one, many), (other, more)| Reverse(many).cmp(&Reverse(more)).then_with(|| one.cmp(other)));
    Page::of(topics, ask.page, |(topic, subscribers)| TopicRow { topic: topic.as_str().to_owned(), subscribers })
}

fn closed<V: Send + Sync + 'static>(live: &Live<V>, ask: &Ask) -> Page<ClosedRow> {
    let mut closed = live.recently_closed();
    if let Some(needle) = ask.needle() {
        closed.retain(|closed| {
            let user = closed.user().map_or("", |user| user.as_str());
            needle.is_in([closed.id().as_str(), user, closed.path(), &closed.reason().to_string()])
        });
    }
    Page::of(closed, ask.page, |closed| ClosedRow::of(&closed))
}

fn counters(stats: &Stats) -> Page<CounterRow> {
    let faults = [
        ("messages that could not be decoded", stats.undecodable_messages()),
        ("clients slowed down, for they sent too much", stats.throttles()),
        ("publications refused, for too many were under way", stats.overloaded_publications()),
        ("sessions ended, for the node was short of memory", stats.evictions()),
        ("hooks that panicked", stats.hook_panics()),
        ("hooks that were slow", stats.slow_hooks()),
        ("hooks that held up their thread", stats.blocking_hooks()),
    ];
    let faults = faults.into_iter().map(|(name, total)| CounterRow { name: name.to_owned(), total });
    let named = |what: &'static str| {
        move |(name, total): (&str, u64)| CounterRow { name: format!("{what}: {}", name.replace('_', " ")), total }
    };
    let refused = stats.refused_by_reason().iter().map(|(reason, total)| (reason.name(), *total));
    let closed = stats.closed_by_reason().into_iter().map(named("closed"));
    Page::of(faults.chain(closed).chain(refused.map(named("refused"))).collect(), 0, |row| row)
}

impl Node {
    fn of(stats: &Stats) -> Self {
        Self {
            sessions: stats.sessions(),
            topics: stats.topics(),
            users: stats.users(),
            pending_deliveries: stats.pending_deliveries(),
            waiting_bytes: stats.waiting_bytes(),
            received: stats.messages(),
            published: stats.publications(),
            delivered: stats.deliveries(),
            opened: stats.opened(),
            closed: stats.closed(),
        }
    }
}

impl<T> Page<T> {
    /// One page of all that there is, the last one where it is past the end.
    fn of<U>(all: Vec<U>, page: usize, row: impl FnMut(U) -> T) -> Self {
        let total = all.len();
        let pages = total.div_ceil(ROWS).max(1);
        let page = page.min(pages - 1);
        Self { total, page, pages, rows: all.into_iter().skip(page * ROWS).take(ROWS).map(row).collect() }
    }
}

impl SessionRow {
    fn of<V>(session: &Session<V>, stats: &SessionStats) -> Self {
        Self {
            id: session.id().to_string(),
            user: session.user().map(ToString::to_string),
            path: session.path().to_owned(),
            address: address(session.peer_addr(), session.client_addr()),
            phase: match stats.phase() {
                SessionPhase::Pending => "pending",
                SessionPhase::Open => "open",
                SessionPhase::Closing => "closing",
            },
            queued_messages: stats.queued_messages(),
            queued_bytes: stats.queued_bytes(),
            fullness: stats.queue_fullness(),
            waiting_ms: in_millis(stats.waiting()),
            topics: stats.subscriptions(),
            age_s: stats.age().as_secs(),
            silence_s: stats.silence().as_secs(),
        }
    }
}

impl ClosedRow {
    fn of(closed: &ClosedSession) -> Self {
        Self {
            id: closed.id().to_string(),
            user: closed.user().map(ToString::to_string),
            path: closed.path().to_owned(),
            address: address(closed.peer_addr(), closed.client_addr()),
            code: closed.reason().code().map(Into::into),
            reason: closed.reason().to_string(),
            at: millis(closed.at()),
        }
    }
}

impl Line {
    fn of(entry: &JournalEntry, telling: Telling) -> Self {
        let (event, text, excerpt) = match entry.event() {
            JournalEvent::Opened => ("opened", None, None),
            JournalEvent::Subscribed(topic) => ("subscribed", Some(topic.to_string()), None),
            JournalEvent::Unsubscribed(topic) => ("unsubscribed", Some(topic.to_string()), None),
            JournalEvent::Received(excerpt) => ("received", excerpt.topic().map(ToOwned::to_owned), Some(excerpt)),
            JournalEvent::Sent(excerpt) => ("sent", excerpt.topic().map(ToOwned::to_owned), Some(excerpt)),
            JournalEvent::Closed(reason) => ("closed", Some(reason.to_string()), None),
            _ => ("happened", None, None),
        };
        let payload = excerpt.map_or(Payload::None, |excerpt| Payload::of(excerpt, telling));
        Self { at: millis(entry.at()), event, text, bytes: excerpt.map(Excerpt::len), payload }
    }
}

impl Payload {
    fn of(excerpt: &Excerpt, telling: Telling) -> Self {
        match (excerpt.payload(), telling) {
            (None, _) => Self::None,
            (Some(_), Telling::Hidden) => Self::Hidden,
            (Some(payload), Telling::Shown) => Self::Shown(String::from_utf8_lossy(payload).into_owned()),
        }
    }
}

/// Where a client is, with the port where the connection is its own and no proxy's.
fn address(peer: Option<SocketAddr>, client: Option<IpAddr>) -> Option<String> {
    match (peer, client) {
        (Some(peer), Some(client)) if peer.ip().to_canonical() == client => Some(peer.to_string()),
        (_, client) => client.map(|client| client.to_string()),
    }
}

fn millis(time: SystemTime) -> u64 {
    in_millis(time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default())
}

fn in_millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
