mod queue;
mod state;
#[cfg(test)]
mod tests;

use std::{
    io::{self, IoSlice},
    mem,
    sync::Arc,
    task::{Context, Waker},
    time::Instant,
};

use tokio::net::TcpStream;

use self::state::{Gate, State};
use crate::{
    close::CloseReason,
    fanout::{Lane, Run},
    frame::Frame,
    id::SessionId,
    journal::JournalEvent,
    sync::Mutex,
};

/// The bounded send queue of one session, with the one-shot close latch.
///
/// A full queue closes the session with [`CloseReason::QueueFull`]. It holds no memory while empty.
pub(crate) struct Outbox {
    id: SessionId,
    /// What comes by its fan-out task comes in this; while that has not all been delivered, the rest goes behind it.
    lane: Arc<Lane>,
    state: Mutex<State>,
}

/// What a queue may hold; an empty one takes any one frame.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// How a frame comes to a session, which decides when it is charged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Delivery {
    /// To this session: charged at the call.
    Send,
    /// To a topic: charged when the queue could be written and was not taken.
    Publish,
}

/// A frame was not queued.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Closed,
    /// The queue is full, and the session is closed by it.
    Full,
}

/// What its task finds after writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flushed {
    /// Nothing is left to write.
    pub(crate) empty: bool,
    /// The latch is set.
    pub(crate) closed: bool,
    pub(crate) haste: Haste,
}

/// How a session that closes is to come to its end, when a shutdown's time is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Haste {
    Calm,
    /// The hook under way is dropped, `on_close` follows.
    Hurry,
    /// Whatever runs is dropped.
    Kill,
}

impl Outbox {
    pub(crate) fn new(id: SessionId, lane: Arc<Lane>) -> Self {
        Self { id, lane, state: Mutex::new(State::new()) }
    }

    pub(crate) fn id(&self) -> &SessionId {
        &self.id
    }

    pub(crate) fn lane(&self) -> &Lane {
        &self.lane
    }

    /// Queues a frame that is for this session, behind all before it, and charges it at once.
    pub(crate) fn send(self: &Arc<Self>, frame: Frame) -> Result<(), Refused> {
        let (room, sleeper) = {
            let mut state = self.state.lock();
            if state.latch.is_some() {
                return Err(Refused::Closed);
            }
            let was_blocked = state.is_blocked();
            let room = state.make_room(&frame, self.lane.bounds(), Delivery::Send);
            if room.is_ok() && self.lane.is_clear() {
                state.queue().push(frame);
                if state.gate != Gate::Clear {
                    state.charge(self.lane.budget());
                }
            } else if room.is_ok() {
                state.queue().reserved.add(&frame);
                self.lane.send(self, frame);
            }
            (room, state.sleeper_with_work(was_blocked))
        };
        wake(sleeper);
        self.lane.ring();
        room
    }

    /// Takes what was published: straight to the stream where anyone may write and nothing waits.
    pub(crate) fn deliver(&self, run: &mut Run) {
        let sleeper = {
            let mut state = self.state.lock();
            if state.sealed {
                return;
            }
            let was_blocked = state.is_blocked();
            let mut taken = state.write_past_queue(run.wire());
            if taken == run.wire().len() {
                return;
            }
            state.charge(self.lane.budget());
            for frame in run.charged_frames(self.lane.budget()) {
                if taken >= frame.len() {
                    taken -= frame.len();
                    continue;
                }
                // A frame that the stream has begun with has to be ended.
                if taken == 0 && state.make_room(frame, self.lane.bounds(), Delivery::Publish).is_err() {
                    break;
                }
                if !state.is_stuck() {
                    state.queue().burst.add(frame);
                }
                state.queue().push_begun(frame.clone(), mem::take(&mut taken));
            }
            state.write_through();
            state.sleeper_with_work(was_blocked)
        };
        wake(sleeper);
    }

    /// Takes what was sent, to the place that was kept for it.
    pub(crate) fn settle(&self, frame: Frame) {
        let sleeper = {
            let mut state = self.state.lock();
            state.queue().reserved.subtract(&frame);
            if state.sealed {
                state.tidy();
                return;
            }
            let was_blocked = state.is_blocked();
            state.queue().push(frame);
            state.write_through();
            state.charge(self.lane.budget());
            state.sleeper_with_work(was_blocked)
        };
        wake(sleeper);
    }

    /// Queues the close frame, now that all before it has come by the lane.
    pub(crate) fn seal(&self) {
        let sleeper = {
            let mut state = self.state.lock();
            state.seal();
            state.sleeper.take()
        };
        wake(sleeper);
    }

    /// Queues a ping or pong before the data that waits.
    pub(crate) fn push_control(&self, frame: Frame) {
        let sleeper = {
            let mut state = self.state.lock();
            if state.latch.is_some() {
                return;
            }
            state.queue().push_control(frame);
            state.sleeper.take()
        };
        wake(sleeper);
    }

    /// Sets the latch and queues the close frame behind what waits. The first reason wins; answers whether it was this.
    pub(crate) fn close(self: &Arc<Self>, reason: CloseReason) -> bool {
        let sleeper = {
            let mut state = self.state.lock();
            if state.latch.is_some() {
                return false;
            }
            state.latch = Some(Box::new(reason));
            if self.lane.is_clear() {
                state.seal();
            } else {
                self.lane.seal(self);
            }
            state.sleeper.take()
        };
        wake(sleeper);
        self.lane.ring();
        true
    }

    /// Makes the end of a session that closes come sooner.
    pub(crate) fn hasten(&self, haste: Haste) {
        let sleeper = {
            let mut state = self.state.lock();
            state.haste = state.haste.max(haste);
            state.sleeper.take()
        };
        wake(sleeper);
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.state.lock().latch.is_some()
    }

    pub(crate) fn reason(&self) -> Option<CloseReason> {
        self.state.lock().latch.as_deref().cloned()
    }

    /// Opens the gate; what waits is written with the next [`flush`](Self::flush).
    pub(crate) fn open(&self, stream: Option<Arc<TcpStream>>) {
        let mut state = self.state.lock();
        state.gate = Gate::Clear;
        state.stream = stream;
    }

    /// Lets go of the stream, so that its descriptor is free, and of all that waits.
    pub(crate) fn detach(&self) {
        // The waker holds the session's task, which has ended with this or is about to.
        let held = {
            let mut state = self.state.lock();
            state.discard();
            (state.stream.take(), state.sleeper.take())
        };
        drop(held);
    }

    /// Writes what waits; with nothing left to do, the task of `cx` is woken by the next push or close.
    pub(crate) fn flush(
        &self,
        cx: &mut Context<'_>,
        write: impl FnMut(&mut Context<'_>, &[IoSlice<'_>]) -> io::Result<usize>,
    ) -> Flushed {
        let mut write = write;
        let mut state = self.state.lock();
        state.write(|slices| write(cx, slices));
        state.charge(self.lane.budget());
        if !state.sleeper.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.sleeper = Some(cx.waker().clone());
        }
        let closed = state.latch.is_some();
        Flushed { empty: state.is_empty() && closed == state.sealed, closed, haste: state.haste }
    }

    /// The messages that wait, those included that have a place and are on their way.
    pub(crate) fn queued(&self) -> Bounds {
        self.state.lock().queued()
    }

    /// Notes something in the session's journal, if it has one.
    pub(crate) fn note(&self, event: impl FnOnce() -> JournalEvent) {
        if let Some(journals) = self.lane.journals() {
            journals.note(&self.id, event());
        }
    }

    /// From when on its first frame has waited.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        self.state.lock().waiting().find_map(Frame::waits_since)
    }

    /// Ends the session for the memory that it holds: all that waits is dropped, but for a frame that has begun and the
    /// close frame. The first reason wins; answers whether it was this.
    pub(crate) fn evict(&self) -> bool {
        let (is_first, sleeper) = {
            let mut state = self.state.lock();
            state.drop_waiting();
            let is_first = state.latch.is_none();
            state.latch.get_or_insert_with(|| Box::new(CloseReason::Overloaded));
            state.seal();
            (is_first, state.sleeper.take())
        };
        wake(sleeper);
        is_first
    }

    /// A tick of the heartbeat: past `patience` of them without a byte taken, the session is closed. Answers whether
    /// the stream was full and has taken bytes since the last.
    pub(crate) fn tick(self: &Arc<Self>, patience: u32) -> bool {
        let (has_moved, reason, sleeper) = {
            let mut state = self.state.lock();
            let (reason, sleeper) = if !state.is_blocked() {
                (None, None)
            } else if state.press() {
                (None, state.sleeper_with_work(true))
            } else if state.tick() >= patience {
                (Some(CloseReason::WriteTimeout), None)
            } else {
                (state.is_over(self.lane.bounds()).then_some(CloseReason::QueueFull), None)
            };
            (mem::take(&mut state.has_moved), reason, sleeper)
        };
        wake(sleeper);
        if let Some(reason) = reason {
            self.close(reason);
        }
        has_moved
    }
}

fn wake(sleeper: Option<Waker>) {
    if let Some(waker) = sleeper {
        waker.wake();
    }
}
