use std::{
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
};

use parking_lot::Mutex;
use tokio::{sync::Notify, task, time::Instant};
use tracing::{trace, warn};

use crate::{
    attendance::Attendance,
    backlog::Overloaded,
    budget::Budget,
    builder::Settings,
    clock::wall_clock,
    close::CloseReason,
    counters::Counters,
    directory::Directory,
    fanout::{Audience, Fanout, Urgency},
    frame::Frame,
    grant::Lease,
    heartbeat::{Rhythm, Verdict},
    hooks::Hooks,
    hub::{Full, Hub},
    id::SessionId,
    journal::{ClosedSession, Journals},
    linger::Lingerer,
    live::PublishError,
    outbox::Outbox,
    session::Session,
    session_info::SessionInfo,
    stats::Census,
    stopwatch::Stopwatch,
    sweep::Sweeper,
    topic::Topic,
    user::UserId,
};

/// What all handles and sessions of a node share: the hooks, the hub, and the directory of sessions.
pub(crate) struct Node<V> {
    pub(crate) fanout: Arc<Fanout>,
    pub(crate) budget: Arc<Budget>,
    pub(crate) hub: Hub,
    /// The sessions of each user.
    pub(crate) users: Hub<UserId>,
    pub(crate) attendance: Attendance,
    pub(crate) lingerer: Lingerer,
    pub(crate) hooks: Hooks<V>,
    pub(crate) settings: Settings,
    pub(crate) rhythm: Rhythm,
    pub(crate) counters: Counters,
    pub(crate) stopwatch: Stopwatch,
    /// Where they are kept.
    pub(crate) journals: Option<Arc<Journals>>,
    /// When it was made, and sessions count from.
    born: Instant,
    /// All sessions whose tasks or requests run, closing ones too.
    sessions: Directory<V>,
    /// Sessions that have not begun to end.
    present: AtomicUsize,
    /// Held while a broadcast goes out, so that all get broadcasts in one order.
    broadcast: Mutex<()>,
    stopping: AtomicBool,
    /// The tasks of hooks that await a shutdown: they do not wait for each other.
    stoppers: Mutex<Vec<task::Id>>,
    /// Told when a session is gone.
    gone: Notify,
    pub(crate) sweeper: Sweeper,
}

impl<V> Node<V> {
    pub(crate) fn new(hooks: Hooks<V>, settings: Settings) -> Self {
        let budget = Arc::new(Budget::new(settings.memory_budget));
        let journals = (settings.journal.entries > 0).then(|| Arc::new(Journals::new(settings.journal)));
        let fanout =
            Fanout::new(settings.fanout_tasks, settings.bounds, settings.run_limit(), settings.backlog, &budget);
        let fanout = Arc::new(fanout.with_journals(journals.as_ref()));
        Self {
            hub: Hub::new(Arc::clone(&fanout)),
            users: Hub::new(Arc::clone(&fanout)),
            fanout,
            budget,
            attendance: Attendance::default(),
            lingerer: Lingerer::default(),
            hooks,
            rhythm: Rhythm::new(settings.heartbeat, settings.write_timeout, settings.limits.message_timeout),
            stopwatch: Stopwatch::new(settings.slow_hook),
            settings,
            counters: Counters::default(),
            journals,
            born: Instant::now(),
            sessions: Directory::default(),
            present: AtomicUsize::new(0),
            broadcast: Mutex::new(()),
            stopping: AtomicBool::new(false),
            stoppers: Mutex::default(),
            gone: Notify::new(),
            sweeper: Sweeper::default(),
        }
    }

    /// Makes a session and enters it in the directory, unless no id is free. Ids come from the user's code, so they are
    /// asked for with no guard held.
    pub(crate) fn enter(self: &Arc<Self>, grant: (V, Lease), info: SessionInfo) -> Option<Session<V>> {
        const TRIES: usize = 8;

        let user = self.hooks.user_of(&grant.0);
        for _ in 0..TRIES {
            let id = (self.settings.new_id)();
            if let Some(place) = self.sessions.vacancy(&id) {
                let session = Session::new(id, grant, user, info, Arc::clone(self));
                place.fill(session.clone());
                if let Some(journals) = &self.journals {
                    journals.open(id);
                }
                self.present.fetch_add(1, SeqCst);
                return Some(session);
            }
        }
        None
    }

    /// Adds a session to those of its user, unless there are enough; where it takes the place of the oldest, that ends.
    pub(crate) fn join(&self, session: &Session<V>) -> Result<(), Full> {
        let Some(user) = session.user() else { return Ok(()) };
        let Some(limit) = self.settings.sessions_per_user else {
            self.users.subscribe(user, &session.shared.outbox);
            return Ok(());
        };
        let present = self.users.subscribe_if(user, &session.shared.outbox, |present| limit.admits(present))?;
        if limit.is_exceeded_by(present) {
            let others = self.users.subscribers(user).into_iter().filter_map(|outbox| self.session(outbox.id()));
            let mut others: Vec<_> = others.filter(|other| other != session).collect();
            others.sort_by_key(|other| other.shared.born);
            for oldest in others {
                // Looked at anew each time: whoever comes at the same moment makes room too. And whoever comes next must
                // not find the old one there.
                let outbox = &oldest.shared.outbox;
                if self.users.unsubscribe_if(user, outbox, |present| limit.is_exceeded_by(present)) {
                    oldest.end(CloseReason::SessionLimit);
                }
            }
        }
        Ok(())
    }

    /// The session of this id, closing ones too.
    pub(crate) fn session(&self, id: &SessionId) -> Option<Session<V>> {
        self.sessions.get(id)
    }

    /// All sessions, closing ones too.
    pub(crate) fn sessions(&self) -> Vec<Session<V>> {
        self.sessions.all()
    }

    /// Seconds since the node was made.
    pub(crate) fn seconds(&self) -> u32 {
        u32::try_from(self.born.elapsed().as_secs()).unwrap_or(u32::MAX)
    }

    /// Milliseconds since the node was made, which come round.
    pub(crate) fn millis(&self) -> u32 {
        self.born.elapsed().as_millis() as u32
    }

    /// How many sessions have not begun to end.
    pub(crate) fn present(&self) -> usize {
        self.present.load(SeqCst)
    }

    /// No session that comes from now on stays: whoever enters one looks whether the node stops after that, and
    /// whoever stops the node looks for sessions after this.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, SeqCst);
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(SeqCst)
    }

    /// Waits until nothing is [`left_for`](Self::left_for) a shutdown, which the hook of this task awaits, or none does.
    pub(crate) async fn empties(&self, hook: Option<task::Id>) {
        if let Some(task) = hook {
            self.stoppers.lock().push(task);
            self.gone.notify_waiters();
        }
        loop {
            let mut gone = pin!(self.gone.notified());
            gone.as_mut().enable();
            let left = self.sessions.len();
            if left == 0 || left <= self.stoppers.lock().len() && self.left_for(hook).is_empty() {
                return;
            }
            gone.await;
        }
    }

    /// The sessions that a shutdown has to wait for: all, or those whose hooks await none, when a hook awaits it.
    pub(crate) fn left_for(&self, hook: Option<task::Id>) -> Vec<Session<V>> {
        let mut left = self.sessions();
        if hook.is_some() {
            let stoppers = self.stoppers.lock().clone();
            left.retain(|session| !session.shared.task.get().is_some_and(|task| stoppers.contains(task)));
        }
        left
    }

    /// One tick of the heartbeat, for every open session.
    pub(crate) fn sweep(&self) {
        let now = wall_clock();
        let mut expired = Vec::new();
        self.sessions.for_each(|session| {
            let shared = &session.shared;
            if shared.lease.end_if_due(now) {
                expired.push(session.clone());
            }
            if !session.has_opened() {
                return;
            }
            if shared.outbox.tick(self.rhythm.write_patience) {
                shared.pulse.heard();
            }
            match shared.pulse.tick(&self.rhythm) {
                Verdict::Alive => {}
                Verdict::Ping => shared.outbox.push_control(Frame::ping(b"")),
                Verdict::Dead => drop(shared.outbox.close(CloseReason::NoPong)),
                Verdict::Unfinished => drop(shared.outbox.close(CloseReason::MessageTimeout)),
            }
        });
        for session in expired {
            session.end(CloseReason::Expired);
        }
    }

    /// Visits all sessions, and answers what they are about.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census::default();
        self.sessions.for_each(|session| census.add(session));
        census
    }

    /// Ends the sessions for whom something has waited longest, until the node holds no more than it may.
    pub(crate) fn relieve(&self) {
        if !self.budget.is_exceeded() {
            return;
        }
        let mut waiting = Vec::new();
        self.sessions.for_each(|session| {
            let outbox = &session.shared.outbox;
            waiting.extend(outbox.waits_since().map(|since| (since, Arc::clone(outbox))));
        });
        waiting.sort_unstable_by_key(|(since, _)| *since);
        for (_, outbox) in waiting {
            if !self.budget.is_exceeded() {
                return;
            }
            if outbox.evict() {
                warn!(target: "axum_live", session_id = %outbox.id(), "evicted: too much waits for all clients together");
                self.counters.evictions.add_one();
            }
        }
    }

    pub(crate) fn publish(
        &self,
        topic: &Topic,
        frame: &Frame,
        from: Option<&Session<V>>,
    ) -> Result<usize, PublishError> {
        let except = from.map(|session| &session.shared.outbox);
        self.hand_over(frame, || self.hand_to_topic(topic, frame, except))
    }

    /// Publishes once there is room.
    pub(crate) async fn publish_wait(&self, topic: &Topic, frame: &Frame) -> Result<usize, PublishError> {
        self.check_size(frame)?;
        loop {
            let mut relieved = pin!(self.fanout.backlog().relieved().notified());
            relieved.as_mut().enable();
            match self.hand_to_topic(topic, frame, None) {
                Ok(receivers) => return Ok(receivers),
                Err(Overloaded) => relieved.await,
            }
        }
    }

    fn hand_to_topic(&self, topic: &Topic, frame: &Frame, except: Option<&Arc<Outbox>>) -> Result<usize, Overloaded> {
        let receivers = self.hub.publish(topic, frame, except, Urgency::Refusable)?;
        trace!(target: "axum_live", %topic, receivers, "published");
        Ok(receivers)
    }

    pub(crate) fn send_to(&self, user: &UserId, frame: &Frame) -> Result<usize, PublishError> {
        self.hand_over(frame, || self.users.publish(user, frame, None, Urgency::Refusable))
    }

    pub(crate) fn broadcast(&self, frame: &Frame) -> Result<usize, PublishError> {
        let receivers = self.hand_over(frame, || {
            let mut audience = Audience::default();
            // No handle is cloned, for to drop the last of a session drops the user's value, which may broadcast too.
            self.sessions.for_each(|session| {
                if session.has_opened() && !session.is_closed() {
                    audience.insert(&session.shared.outbox);
                }
            });
            let _one_at_a_time = self.broadcast.lock();
            self.fanout.publish(&audience, frame, None, Urgency::Refusable)
        });
        self.fanout.ring();
        let receivers = receivers?;
        trace!(target: "axum_live", receivers, "published to all");
        Ok(receivers)
    }

    fn hand_over(
        &self,
        frame: &Frame,
        publish: impl FnOnce() -> Result<usize, Overloaded>,
    ) -> Result<usize, PublishError> {
        self.check_size(frame)?;
        publish().map_err(|Overloaded| {
            self.counters.overloads.add_one();
            PublishError::Overloaded
        })
    }

    fn check_size(&self, frame: &Frame) -> Result<(), PublishError> {
        if frame.payload().len() > self.settings.send_limit { Err(PublishError::TooLarge) } else { Ok(()) }
    }
}

impl<V: Send + Sync + 'static> Node<V> {
    /// A session's end has begun.
    pub(crate) fn leaves(&self, session: &Session<V>) {
        if session.leave() {
            self.present.fetch_sub(1, SeqCst);
            let reason = session.close_reason().unwrap_or(CloseReason::Aborted);
            if session.has_opened() {
                self.counters.closed.add_one((&reason).into());
            }
            if let Some(journals) = &self.journals {
                journals.close(ClosedSession {
                    id: *session.id(),
                    user: session.user().cloned(),
                    info: session.shared.info.clone(),
                    reason,
                    at: wall_clock(),
                    journal: Vec::new(),
                });
            }
        }
    }

    /// Nothing of a session runs any more.
    pub(crate) fn ended(&self, session: &Session<V>) {
        self.leaves(session);
        session.shared.outbox.detach();
        self.sessions.remove(session.id());
        self.gone.notify_waiters();
    }
}
