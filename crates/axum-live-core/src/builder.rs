use std::{fmt, sync::Arc, thread, time::Duration};

use crate::{
    backlog::Load,
    close::CloseReason,
    fanout::RunLimit,
    frame::Frame,
    heartbeat::Heartbeat,
    hooks::{Hook, Hooks, Inbound},
    id::SessionId,
    journal::JournalLimits,
    limits::Limits,
    live::Live,
    message::Message,
    node::Node,
    outbox::Bounds,
    session::Session,
    session_limit::SessionLimit,
    user::UserId,
};

/// Makes a [`Live`]: the hooks, and settings that are safe as they are.
///
/// Hooks are closures or functions that return futures. Each is cloned for each call, so what it captures should be
/// cheap to clone; the node itself is reached by [`session.live()`](Session::live), never by capture. The hooks of one
/// session never run at the same time.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use axum_live::{CloseReason, Live, Message, Session};
///
/// struct User {
///     name: String,
/// }
///
/// let live = Live::<User>::builder()
///     .on_connect(async |session: Session<User>| {
///         session.subscribe("lobby").ok();
///     })
///     .on_message(async |session: Session<User>, message: Message| {
///         session.live().publish("lobby", &(&session.value().name, message.topic())).ok();
///     })
///     .on_close(async |session: Session<User>, reason: CloseReason| {
///         println!("{} left: {reason}", session.value().name);
///     })
///     .build();
/// ```
#[must_use = "a builder does nothing until `build`"]
pub struct Builder<V> {
    hooks: Hooks<V>,
    settings: Settings,
}

/// What the engine is set to.
pub(crate) struct Settings {
    pub(crate) bounds: Bounds,
    pub(crate) fanout_tasks: usize,
    pub(crate) run_bytes: usize,
    pub(crate) backlog: Load,
    pub(crate) memory_budget: usize,
    pub(crate) limits: Limits,
    pub(crate) send_limit: usize,
    pub(crate) sessions_per_user: Option<SessionLimit>,
    pub(crate) presence_linger: Duration,
    pub(crate) heartbeat: Heartbeat,
    pub(crate) write_timeout: Duration,
    pub(crate) open_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) shutdown_timeout: Duration,
    pub(crate) journal: JournalLimits,
    pub(crate) slow_hook: Duration,
    pub(crate) new_id: Arc<dyn Fn() -> SessionId + Send + Sync>,
}

impl<V: Send + Sync + 'static> Builder<V> {
    pub(crate) fn new() -> Self {
        Self { hooks: Hooks::default(), settings: Settings::default() }
    }

    /// Runs once when a session is open, before its first message. What is sent here goes out before what others
    /// publish meanwhile only if it was queued before.
    pub fn on_connect<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce(Session<V>) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.hooks.on_connect(Hook::new(|(session,)| hook(session)));
        self
    }

    /// Runs for each message of a client, in their order, one at a time per session. While it runs, pings and
    /// deliveries go on; one message more is read, and then no more, so that TCP slows a fast client down.
    ///
    /// A text or binary frame that is no `{"topic": …, "data": …}` does not come here: it is counted, and sixteen in a
    /// row end the session with 4500.
    pub fn on_message<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce(Session<V>, Message) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.hooks.inbound = Inbound::Decoded(Hook::new(|(session, message)| hook(session, message)));
        self
    }

    /// Takes each data message as it came, text or binary, in place of [`on_message`](Self::on_message): for Yjs,
    /// protobuf, or a protocol of your own. Whichever of the two is set last counts.
    ///
    /// # Examples
    ///
    /// ```
    /// # extern crate axum_live_core as axum_live;
    /// use axum_live::{Frame, Live, Session};
    ///
    /// let echo = Live::<()>::builder()
    ///     .on_frame(async |session: Session<()>, frame: Frame| {
    ///         session.send_frame(frame).ok();
    ///     })
    ///     .build();
    /// ```
    pub fn on_frame<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce(Session<V>, Frame) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.hooks.inbound = Inbound::Raw(Hook::new(|(session, frame)| hook(session, frame)));
        self
    }

    /// Runs once when a session that was open has ended, however it did: it is out of all topics by then, and
    /// [`session.topics()`](Session::topics) tells which they were.
    pub fn on_close<F, Fut>(mut self, hook: F) -> Self
    where
        F: FnOnce(Session<V>, CloseReason) -> Fut + Clone + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        self.hooks.on_close(Hook::new(|(session, reason)| hook(session, reason)));
        self
    }

    /// Tells whose sessions are whose, so that [`Live::user`] reaches all sessions of a person and
    /// [`Live::presence`] counts people instead of tabs. It runs once a session, when authentication has let it through.
    ///
    /// # Examples
    ///
    /// ```
    /// # extern crate axum_live_core as axum_live;
    /// # use axum_live::Live;
    /// struct User {
    ///     id: u64,
    /// }
    ///
    /// let live = Live::builder().user(|user: &User| user.id).build();
    /// ```
    pub fn user<F, U>(self, id: F) -> Self
    where
        F: Fn(&V) -> U + Send + Sync + 'static,
        U: fmt::Display,
    {
        self.maybe_user(move |value| Some(id(value)))
    }

    /// As [`user`](Self::user), where some sessions are nobody's: guests are in no directory and cannot be present.
    pub fn maybe_user<F, U>(mut self, id: F) -> Self
    where
        F: Fn(&V) -> Option<U> + Send + Sync + 'static,
        U: fmt::Display,
    {
        self.hooks.identify = Some(Box::new(move |value| id(value).map(UserId::new)));
        self
    }

    /// How many sessions one user may have at once, where [`user`](Self::user) tells whose they are; as many as they like
    /// by default. It costs nothing.
    pub fn sessions_per_user(mut self, limit: SessionLimit) -> Self {
        self.settings.sessions_per_user = Some(limit);
        self
    }

    /// How long a user stays [present](crate::Presence) whose session has ended, so that a reconnect is not told of; 5
    /// seconds by default, zero for not at all.
    pub fn presence_linger(mut self, time: Duration) -> Self {
        self.settings.presence_linger = time;
        self
    }

    /// How many messages may wait for one client; 256 by default. One more closes its session with 4008. What the
    /// kernel has taken does not wait.
    pub fn queue_size(mut self, messages: usize) -> Self {
        self.settings.bounds.messages = messages;
        self
    }

    /// How many bytes may wait for one client; 1 MiB by default. An empty queue takes any one message.
    ///
    /// The kernel has a buffer of its own behind the queue. On Linux, for sessions on plain TCP, it takes no more than
    /// this of what it has not begun to send (`TCP_NOTSENT_LOWAT`), where it would take 4 MiB. Have room for your largest
    /// burst in both together: what does not fit is the client's fault.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.settings.bounds.bytes = bytes;
        self
    }

    /// How many bytes may wait for all clients of the node together; 256 MiB by default. What waits for many counts once.
    /// Past it new sessions are refused (503), and those end (1013) for whom something has waited longest, until there
    /// is room.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.settings.memory_budget = bytes;
        self
    }

    /// How many tasks carry publications to the sessions; half as many as there are cores by default, and at least one.
    /// One is the cheapest for each delivery, and as fast as one core writes to sockets: a few hundred thousand deliveries
    /// a second where each is a write, and more than ten times that where publications pile up and go out together.
    pub fn fanout_tasks(mut self, tasks: usize) -> Self {
        self.settings.fanout_tasks = tasks;
        self
    }

    /// The most that goes to a client in one write of publications that have piled up, in bytes; 64 KiB by default. Each
    /// fan-out task has a buffer of that size. Zero gives each publication a write of its own.
    pub fn coalesce_bytes(mut self, bytes: usize) -> Self {
        self.settings.run_bytes = bytes;
        self
    }

    /// How many deliveries may be under way on the node, a publication counting once for each receiver; 1,048,576 by
    /// default. Past it [`publish`](Live::publish) answers [`Overloaded`](crate::PublishError::Overloaded). A node that
    /// has caught up takes any one publication.
    pub fn backlog_deliveries(mut self, deliveries: usize) -> Self {
        self.settings.backlog.deliveries = deliveries;
        self
    }

    /// How many bytes the publications under way may have together, each counting once; 64 MiB by default. Past it
    /// [`publish`](Live::publish) answers [`Overloaded`](crate::PublishError::Overloaded).
    pub fn backlog_bytes(mut self, bytes: usize) -> Self {
        self.settings.backlog.bytes = bytes;
        self
    }

    /// What one client may do: the size of its messages, how fast they may come and how long each may take, and how long
    /// a hook may; by default [`Limits::default`]. It replaces whatever limits were set before.
    pub fn limits(mut self, limits: Limits) -> Self {
        self.settings.limits = limits;
        self
    }

    /// [`Limits::read_limit`]: the largest message that a client may send, in bytes; 64 KiB by default.
    pub fn read_limit(mut self, bytes: usize) -> Self {
        self.settings.limits = self.settings.limits.read_limit(bytes);
        self
    }

    /// [`Limits::fragment_limit`]: in how many frames a client may send one message; 1,024 by default.
    pub fn fragment_limit(mut self, frames: u32) -> Self {
        self.settings.limits = self.settings.limits.fragment_limit(frames);
        self
    }

    /// The largest message that may be sent or published, in bytes; 16 MiB by default.
    pub fn send_limit(mut self, bytes: usize) -> Self {
        self.settings.send_limit = bytes;
        self
    }

    /// [`Limits::subscription_limit`]: how many topics one session may subscribe to; 128 by default.
    pub fn subscription_limit(mut self, topics: usize) -> Self {
        self.settings.limits = self.settings.limits.subscription_limit(topics);
        self
    }

    /// When silent clients are pinged and given up; after 25 and 10 seconds by default.
    pub fn heartbeat(mut self, heartbeat: Heartbeat) -> Self {
        self.settings.heartbeat = heartbeat;
        self
    }

    /// How long a client may take no byte of what waits for it before it is closed with 4009; 30 seconds by default.
    /// The kernel has a buffer of its own, and makes room in it in steps of 64 KiB or so: on a line of 64 kbit/s that is
    /// every ten seconds.
    pub fn write_timeout(mut self, time: Duration) -> Self {
        self.settings.write_timeout = time;
        self
    }

    /// How long after the answer the upgrade may take; 5 seconds by default.
    pub fn open_timeout(mut self, time: Duration) -> Self {
        self.settings.open_timeout = time;
        self
    }

    /// How long a closing session has to write what is queued and hear the client's answer, and a hook that runs then
    /// to come to its end; 5 seconds by default. After it the connection is reset, and the hook dropped.
    pub fn close_timeout(mut self, time: Duration) -> Self {
        self.settings.close_timeout = time;
        self
    }

    /// How long [`Live::shutdown`] waits for hooks; 30 seconds by default.
    pub fn shutdown_timeout(mut self, time: Duration) -> Self {
        self.settings.shutdown_timeout = time;
        self
    }

    /// Keeps the last so many events of each session, for [`Session::journal`], and of the last 128 sessions that closed,
    /// for [`Live::recently_closed`]: to find out what a client did and was sent. None by default, which costs nothing.
    ///
    /// An event takes some 100 bytes, and each message that a session sends or is sent a lock, a look at the clock and the
    /// parsing of its envelope: some 300 nanoseconds where it is short.
    pub fn journal(mut self, events: usize) -> Self {
        self.settings.journal.entries = events;
        self
    }

    /// Keeps the first so many bytes of each message in the [`journal`](Self::journal) as well; zero by default. They
    /// are what people wrote to each other: whoever sees the journal, or the process's memory, reads it.
    pub fn journal_payloads(mut self, bytes: usize) -> Self {
        self.settings.journal.payload_bytes = bytes;
        self
    }

    /// From how long on a hook counts as slow, its waiting included; 1 second by default. It is told of at `warn`, and
    /// counted in [`Stats::slow_hooks`](crate::Stats::slow_hooks), when it has come to its end, and nothing else happens:
    /// its own session's messages are handled late, and no other's. Whatever it is set to, each poll of a hook takes two
    /// looks at the clock, about 40 nanoseconds.
    pub fn slow_hook(mut self, time: Duration) -> Self {
        self.settings.slow_hook = time;
        self
    }

    /// Makes the sessions' ids; by default they are 128 bits from the operating system. An id that is in use is asked
    /// for again, a few times, before the session is refused.
    pub fn session_id(mut self, new_id: impl Fn() -> SessionId + Send + Sync + 'static) -> Self {
        self.settings.new_id = Arc::new(new_id);
        self
    }

    /// Makes the node. Nothing is spawned until the first session, so no runtime is needed.
    #[must_use = "the node lives as long as its handles and sessions"]
    pub fn build(self) -> Live<V> {
        Live { node: Arc::new(Node::new(self.hooks, self.settings)) }
    }
}

impl Settings {
    pub(crate) fn run_limit(&self) -> RunLimit {
        RunLimit { messages: self.bounds.messages, bytes: self.run_bytes.min(self.bounds.bytes) }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            bounds: Bounds { messages: 256, bytes: 1 << 20 },
            fanout_tasks: thread::available_parallelism().map_or(1, |cores| cores.get() / 2),
            run_bytes: 64 << 10,
            backlog: Load { deliveries: 1 << 20, bytes: 64 << 20 },
            memory_budget: 256 << 20,
            limits: Limits::default(),
            send_limit: 16 << 20,
            sessions_per_user: None,
            presence_linger: Duration::from_secs(5),
            heartbeat: Heartbeat::default(),
            write_timeout: Duration::from_secs(30),
            open_timeout: Duration::from_secs(5),
            close_timeout: Duration::from_secs(5),
            shutdown_timeout: Duration::from_secs(30),
            journal: JournalLimits::default(),
            slow_hook: Duration::from_secs(1),
            new_id: Arc::new(SessionId::random),
        }
    }
}

impl<V> fmt::Debug for Builder<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").finish_non_exhaustive()
    }
}
