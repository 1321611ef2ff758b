mod shift;

use std::{collections::VecDeque, mem, sync::Arc};

use self::shift::Shift;
use crate::{
    backlog::{Backlog, Burden, Load, Overloaded},
    budget::Budget,
    frame::Frame,
    id::SessionId,
    journal::{Excerpt, JournalEvent, Journals},
    outbox::{Bounds, Outbox},
    roster::{Receivers, Roster},
    sync::{AtomicBool, AtomicUsize, Mutex, Notify, Ordering::SeqCst},
    table::Vacate,
};

/// Bytes that count as another delivery, for to copy them takes as long.
const DELIVERY_BYTES: usize = 16 << 10;

/// Room for so many jobs stays when a lane has done all that it had.
const ROOM: usize = 256;

/// Carries what is published to the sessions it is for: a few tasks, each with sessions of its own, which hand the
/// kernel what has piled up, so that to publish is no more than to hand over.
pub(crate) struct Fanout {
    lanes: Box<[Arc<Lane>]>,
    backlog: Arc<Backlog>,
}

/// What one fan-out task carries, in its order.
///
/// A session belongs to one lane. What concerns the order of its frames goes through the lane while anything in it is
/// not delivered, and straight to the outbox otherwise: so calls that happen one after the other reach a session in
/// that order, whatever they are.
pub(crate) struct Lane {
    index: usize,
    /// What is to come. A leaf among the locks: nothing else is locked under it.
    jobs: Mutex<VecDeque<Job>>,
    /// Jobs that are not done, those in the cart included.
    pending: AtomicUsize,
    /// Whoever carries holds it, so that there is one order.
    cart: Mutex<Cart>,
    /// Whether a task carries when the bell rings. Without one, whoever hands over does.
    manned: AtomicBool,
    bell: Arc<Notify>,
    budget: Arc<Budget>,
    /// What the queue of each session may hold.
    bounds: Bounds,
    run_limit: RunLimit,
    journals: Option<Arc<Journals>>,
}

/// The most that is handed to a session at once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RunLimit {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// Who a publication is for: the rosters of a topic, one a lane.
#[derive(Default)]
pub(crate) struct Audience {
    rosters: Vec<Roster>,
}

/// Whether a publication may be refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Urgency {
    Refusable,
    /// A gap would be worse than the load.
    Certain,
}

/// Publications to the same receivers, one right after the other: each receiver gets them in one write.
#[derive(Default)]
pub(crate) struct Run {
    frames: Vec<Frame>,
    burdens: Vec<Arc<Burden>>,
    /// The frames end to end, where there are several.
    joined: Vec<u8>,
    /// What the receivers' journals keep of the frames, where there are any.
    excerpts: Vec<Excerpt>,
}

enum Job {
    Publish(Publication),
    /// To one session, in whose outbox there is a place for it.
    Send {
        outbox: Arc<Outbox>,
        frame: Frame,
    },
    /// The last of a session.
    Seal {
        outbox: Arc<Outbox>,
    },
}

struct Publication {
    frame: Frame,
    receivers: Receivers,
    except: Option<Arc<Outbox>>,
    burden: Arc<Burden>,
}

/// What is at work.
#[derive(Default)]
struct Cart {
    jobs: VecDeque<Job>,
    /// The run under way, and the receiver that is next.
    round: Option<Round>,
    run: Run,
}

struct Round {
    receivers: Receivers,
    except: Option<Arc<Outbox>>,
    next: usize,
    /// What each delivery takes of a quota beyond one.
    surcharge: usize,
}

impl Fanout {
    pub(crate) fn new(tasks: usize, bounds: Bounds, run_limit: RunLimit, limit: Load, budget: &Arc<Budget>) -> Self {
        let backlog = Arc::new(Backlog::new(limit));
        let lane = |index| Lane::new(index, Arc::clone(budget), bounds, run_limit);
        let lanes = (0..tasks.max(1)).map(|index| Arc::new(lane(index))).collect();
        Self { lanes, backlog }
    }

    /// Has what is delivered noted in the receivers' journals.
    pub(crate) fn with_journals(mut self, journals: Option<&Arc<Journals>>) -> Self {
        for lane in &mut self.lanes {
            Arc::get_mut(lane).expect("no session has it yet").journals = journals.cloned();
        }
        self
    }

    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Starts the tasks that do not run.
    pub(crate) fn start(&self) {
        for shift in self.shifts() {
            tokio::spawn(shift.work());
        }
    }

    /// Shifts for the lanes without a task.
    pub(crate) fn shifts(&self) -> impl Iterator<Item = Shift> {
        self.lanes.iter().filter_map(Shift::begin)
    }

    /// The lane of a session.
    pub(crate) fn lane(&self, id: &SessionId) -> &Arc<Lane> {
        let sum = id.as_str().bytes().fold(0, |sum: usize, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
        &self.lanes[sum % self.lanes.len()]
    }

    /// Hands a frame over to an audience, and answers how many receivers there are. [`ring`](Self::ring) has to follow.
    pub(crate) fn publish(
        &self,
        audience: &Audience,
        frame: &Frame,
        except: Option<&Arc<Outbox>>,
        urgency: Urgency,
    ) -> Result<usize, Overloaded> {
        let except = except.filter(|except| audience.contains(except));
        let receivers = audience.len() - usize::from(except.is_some());
        let load = Load { deliveries: receivers, bytes: frame.len() };
        let burden = match urgency {
            _ if receivers == 0 => return Ok(0),
            Urgency::Refusable => self.backlog.admit(load)?,
            Urgency::Certain => self.backlog.force(load),
        };
        let burden = Arc::new(burden);
        for (lane, roster) in self.lanes.iter().zip(&audience.rosters).filter(|(_, roster)| roster.len() > 0) {
            lane.hand_over(Job::Publish(Publication {
                frame: frame.clone(),
                receivers: roster.receivers().clone(),
                except: except.cloned(),
                burden: Arc::clone(&burden),
            }));
        }
        Ok(receivers)
    }

    /// Sees to it that what was handed over is carried. No outbox may be locked.
    pub(crate) fn ring(&self) {
        self.lanes.iter().for_each(|lane| lane.ring());
    }
}

impl Lane {
    fn new(index: usize, budget: Arc<Budget>, bounds: Bounds, run_limit: RunLimit) -> Self {
        Self {
            index,
            jobs: Mutex::default(),
            pending: AtomicUsize::new(0),
            cart: Mutex::default(),
            manned: AtomicBool::new(false),
            bell: Arc::default(),
            budget,
            bounds,
            run_limit,
            journals: None,
        }
    }

    pub(crate) fn budget(&self) -> &Arc<Budget> {
        &self.budget
    }

    pub(crate) fn journals(&self) -> Option<&Journals> {
        self.journals.as_deref()
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Whether all that was handed over is delivered.
    pub(crate) fn is_clear(&self) -> bool {
        self.pending.load(SeqCst) == 0
    }

    /// Hands a frame over to a session that has a place for it.
    pub(crate) fn send(&self, outbox: &Arc<Outbox>, frame: Frame) {
        self.hand_over(Job::Send { outbox: Arc::clone(outbox), frame });
    }

    /// Hands over the end of a session.
    pub(crate) fn seal(&self, outbox: &Arc<Outbox>) {
        self.hand_over(Job::Seal { outbox: Arc::clone(outbox) });
    }

    /// Sees to it that what was handed over is carried. No outbox may be locked.
    pub(crate) fn ring(&self) {
        if self.is_clear() {
            return;
        }
        if self.manned.load(SeqCst) {
            self.bell.notify_one();
        } else {
            self.carry(usize::MAX);
        }
    }

    fn hand_over(&self, job: Job) {
        let mut jobs = self.jobs.lock();
        self.pending.fetch_add(1, SeqCst);
        jobs.push_back(job);
    }

    /// Carries what there is; answers whether there is more, when so many deliveries were made.
    fn carry(&self, quota: usize) -> bool {
        let cart = &mut *self.cart.lock();
        let mut left = quota;
        while left > 0 {
            left -= 1;
            if let Some(round) = &mut cart.round {
                match round.receivers.get(round.next) {
                    Some(outbox) => {
                        round.next += 1;
                        if !round.except.as_ref().is_some_and(|except| Arc::ptr_eq(except, outbox)) {
                            if self.journals.is_some() {
                                cart.run.note(outbox);
                            }
                            outbox.deliver(&mut cart.run);
                            left = left.saturating_sub(round.surcharge);
                        }
                    }
                    None => {
                        cart.run.burdens.clear();
                        self.pending.fetch_sub(cart.run.frames.len(), SeqCst);
                        cart.round = None;
                        cart.run.frames.clear();
                        cart.run.excerpts.clear();
                    }
                }
                continue;
            }
            if cart.jobs.is_empty() {
                cart.jobs.shrink_to(ROOM);
                mem::swap(&mut cart.jobs, &mut *self.jobs.lock());
            }
            match cart.jobs.pop_front() {
                None => return false,
                Some(Job::Publish(publication)) => {
                    cart.begin(publication, self.run_limit);
                    if let Some(journals) = &self.journals {
                        cart.run.excerpts.extend(cart.run.frames.iter().map(|frame| journals.excerpt(frame)));
                    }
                    continue;
                }
                Some(Job::Send { outbox, frame }) => outbox.settle(frame),
                Some(Job::Seal { outbox }) => outbox.seal(),
            }
            self.pending.fetch_sub(1, SeqCst);
        }
        true
    }
}

impl Audience {
    pub(crate) fn insert(&mut self, outbox: &Arc<Outbox>) {
        let lane = outbox.lane().index;
        if self.rosters.len() <= lane {
            self.rosters.resize_with(lane + 1, Roster::default);
        }
        self.rosters[lane].insert(outbox);
    }

    pub(crate) fn remove(&mut self, outbox: &Arc<Outbox>) {
        if let Some(roster) = self.rosters.get_mut(outbox.lane().index) {
            roster.remove(outbox);
        }
    }

    pub(crate) fn contains(&self, outbox: &Arc<Outbox>) -> bool {
        self.rosters.get(outbox.lane().index).is_some_and(|roster| roster.contains(outbox))
    }

    pub(crate) fn len(&self) -> usize {
        self.rosters.iter().map(Roster::len).sum()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<Outbox>> {
        self.rosters.iter().flat_map(|roster| roster.receivers().iter())
    }
}

impl Vacate for Audience {
    fn is_vacant(&self) -> bool {
        self.len() == 0
    }
}

impl Run {
    /// Its frames in their order, of which some have to wait: charged to the node's memory, once for all receivers.
    pub(crate) fn charged_frames(&mut self, budget: &Arc<Budget>) -> &[Frame] {
        self.frames.iter_mut().for_each(|frame| frame.charge(budget));
        &self.frames
    }

    /// Notes the frames in the journal of a session that they are about to be delivered to.
    #[cold]
    fn note(&self, outbox: &Outbox) {
        if outbox.is_closed() {
            return;
        }
        for excerpt in &self.excerpts {
            outbox.note(|| JournalEvent::Sent(excerpt.clone()));
        }
    }

    /// What goes over the wire.
    pub(crate) fn wire(&self) -> &[u8] {
        match &*self.frames {
            [only] => only.wire(),
            _ => &self.joined,
        }
    }
}

impl Cart {
    /// Begins a round with a publication and those right behind it that go to the same receivers.
    fn begin(&mut self, first: Publication, limit: RunLimit) {
        let Publication { frame, receivers, except, burden } = first;
        let same_exception = |other: &Option<Arc<Outbox>>| match (&except, other) {
            (None, None) => true,
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            _ => false,
        };
        let mut bytes = frame.len();
        self.run.frames.push(frame);
        self.run.burdens.push(burden);
        while self.run.frames.len() < limit.messages
            && let Some(Job::Publish(next)) = self.jobs.front()
            && bytes + next.frame.len() <= limit.bytes
            && next.receivers.is(&receivers)
            && same_exception(&next.except)
            && let Some(Job::Publish(next)) = self.jobs.pop_front()
        {
            bytes += next.frame.len();
            self.run.frames.push(next.frame);
            self.run.burdens.push(next.burden);
        }
        self.run.joined.clear();
        if self.run.frames.len() > 1 {
            self.run.frames.iter().for_each(|frame| self.run.joined.extend_from_slice(frame.wire()));
        }
        let surcharge = self.run.wire().len() / DELIVERY_BYTES;
        self.round = Some(Round { receivers, except, next: 0, surcharge });
    }
}

/// The task looks whether the lane is still there.
impl Drop for Lane {
    fn drop(&mut self) {
        self.bell.notify_one();
    }
}

#[cfg(test)]
#[cfg(not(axum_live_loom))]
mod model;
#[cfg(test)]
#[cfg(not(axum_live_loom))]
mod tests;
