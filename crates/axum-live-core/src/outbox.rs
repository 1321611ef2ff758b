use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Waker},
};

use tokio::net::TcpStream;

use crate::{close::CloseReason, frame::Frame, id::SessionId, sync::Mutex};

/// Frames given to the kernel in one call.
const BATCH: usize = 64;

/// Unsent control frames held at once; past it the oldest goes (RFC 6455 §5.5.3 asks for the latest pong only).
const CONTROLS: usize = 32;

/// How many times its bounds a queue may grow by publications that its session's task had no turn to write.
const BURST: usize = 16;

/// The bounded send queue of one session, with the one-shot close latch.
///
/// A full queue closes the session with [`CloseReason::QueueFull`]. It holds no memory while empty.
pub(crate) struct Outbox {
    id: SessionId,
    bounds: Bounds,
    state: Mutex<State>,
}

/// What a queue may hold; an empty one takes any one frame.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
}

/// How a frame comes to a session, which decides when it is charged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Delivery {
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

struct State {
    queue: VecDeque<Frame>,
    /// Of the data frames in the queue, in full.
    bytes: usize,
    /// Of the first frame, what the kernel has already.
    written: usize,
    /// Control frames in the queue; all but a begun one stand before the data frames.
    controls: usize,
    gate: Gate,
    /// Where anyone may write; other streams are written by their task alone.
    stream: Option<Arc<TcpStream>>,
    latch: Option<Box<CloseReason>>,
    haste: Haste,
    /// The session's task, while it sleeps.
    sleeper: Option<Waker>,
}

/// Whether the stream takes bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Gate {
    /// Not open yet.
    Shut,
    Clear,
    /// It took no more, for so many ticks of the heartbeat.
    Blocked {
        ticks: u32,
    },
}

impl Outbox {
    pub(crate) fn new(id: SessionId, bounds: Bounds) -> Self {
        let state = State {
            queue: VecDeque::new(),
            bytes: 0,
            written: 0,
            controls: 0,
            gate: Gate::Shut,
            stream: None,
            latch: None,
            haste: Haste::Calm,
            sleeper: None,
        };
        Self { id, bounds, state: Mutex::new(state) }
    }

    pub(crate) fn id(&self) -> &SessionId {
        &self.id
    }

    /// Queues a data frame behind all before it.
    pub(crate) fn push(&self, frame: Frame, delivery: Delivery) -> Result<(), Refused> {
        let (result, sleeper) = {
            let mut state = self.state.lock();
            let result = state.push(frame, delivery, self.bounds);
            // A blocked stream wakes the task by itself when it takes bytes again.
            let has_work = state.gate == Gate::Clear || state.latch.is_some();
            (result, has_work.then(|| state.sleeper.take()).flatten())
        };
        wake(sleeper);
        result
    }

    /// Queues a ping or pong before the data that waits.
    pub(crate) fn push_control(&self, frame: Frame) {
        let sleeper = {
            let mut state = self.state.lock();
            if state.latch.is_some() {
                return;
            }
            let begun = usize::from(state.written > 0);
            let first_is_begun_data = begun == 1 && !state.queue[0].is_control();
            if state.controls == CONTROLS {
                state.queue.remove(begun);
                state.controls -= 1;
            }
            let at = state.controls + usize::from(first_is_begun_data);
            state.queue.insert(at, frame);
            state.controls += 1;
            state.sleeper.take()
        };
        wake(sleeper);
    }

    /// Sets the latch and queues the close frame behind what waits. The first reason wins; answers whether it was this.
    pub(crate) fn close(&self, reason: CloseReason) -> bool {
        let (first, sleeper) = {
            let mut state = self.state.lock();
            (state.close(reason), state.sleeper.take())
        };
        wake(sleeper);
        first
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
        if state.is_stuck() && state.is_over(self.bounds) {
            state.close(CloseReason::QueueFull);
        }
        if !state.sleeper.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            state.sleeper = Some(cx.waker().clone());
        }
        Flushed { empty: state.queue.is_empty(), closed: state.latch.is_some(), haste: state.haste }
    }

    /// A tick of the heartbeat: past `patience` of them without a byte taken, the session is closed.
    pub(crate) fn tick(&self, patience: u32) {
        let sleeper = {
            let mut state = self.state.lock();
            let Gate::Blocked { ticks } = &mut state.gate else { return };
            *ticks += 1;
            let reason = match *ticks >= patience {
                true => CloseReason::WriteTimeout,
                false if state.is_over(self.bounds) => CloseReason::QueueFull,
                false => return,
            };
            if !state.close(reason) {
                return;
            }
            state.sleeper.take()
        };
        wake(sleeper);
    }
}

impl Bounds {
    fn times(self, factor: usize) -> Self {
        Self { messages: self.messages.saturating_mul(factor), bytes: self.bytes.saturating_mul(factor) }
    }
}

impl State {
    fn messages(&self) -> usize {
        self.queue.len() - self.controls
    }

    fn has_room(&self, frame: &Frame, bounds: Bounds) -> bool {
        self.messages() == 0 || self.messages() < bounds.messages && self.charged(bounds) + frame.len() <= bounds.bytes
    }

    fn is_over(&self, bounds: Bounds) -> bool {
        self.messages() > bounds.messages.max(1) || self.charged(bounds) > bounds.bytes
    }

    /// The bytes that count: an empty queue takes any one frame, and one past the bound must not doom the next.
    fn charged(&self, bounds: Bounds) -> usize {
        let first = self.queue.iter().find(|frame| !frame.is_control()).map_or(0, Frame::len);
        if first > bounds.bytes { self.bytes - first } else { self.bytes }
    }

    /// Whether the stream's refusal to take more is the client's. A kernel buffer that is full is; a channel between
    /// us and HTTP/2 may be full for a moment only.
    fn is_stuck(&self) -> bool {
        match self.gate {
            Gate::Shut => true,
            Gate::Clear => false,
            Gate::Blocked { ticks } => self.stream.is_some() || ticks > 0,
        }
    }

    fn push(&mut self, frame: Frame, delivery: Delivery, bounds: Bounds) -> Result<(), Refused> {
        if self.latch.is_none() && !self.has_room(&frame, bounds) {
            self.write_through();
        }
        if self.latch.is_some() {
            return Err(Refused::Closed);
        }
        let is_backlog_of_ours = delivery == Delivery::Publish && !self.is_stuck();
        if !self.has_room(&frame, if is_backlog_of_ours { bounds.times(BURST) } else { bounds }) {
            self.close(CloseReason::QueueFull);
            return Err(Refused::Full);
        }
        self.bytes += frame.len();
        self.queue.push_back(frame);
        Ok(())
    }

    fn close(&mut self, reason: CloseReason) -> bool {
        if self.latch.is_some() {
            return false;
        }
        self.queue.extend(reason.frame());
        self.latch = Some(Box::new(reason));
        true
    }

    fn discard(&mut self) {
        self.queue = VecDeque::new();
        (self.bytes, self.written, self.controls) = (0, 0, 0);
    }

    /// Gives the kernel what it takes, where this is for anyone to do.
    fn write_through(&mut self) {
        if let Some(stream) = self.stream.clone() {
            self.write(|slices| stream.try_write_vectored(slices));
        }
    }

    /// Every byte to every stream goes through here.
    fn write(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) {
        if self.gate == Gate::Shut {
            return;
        }
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH];
            let mut skip = self.written;
            let mut filled = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(&frame.wire()[skip..]);
                skip = 0;
                filled += 1;
            }
            match write(&slices[..filled]) {
                Ok(0) => return self.fail(io::ErrorKind::WriteZero),
                Ok(count) => self.advance(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.gate == Gate::Clear {
                        self.gate = Gate::Blocked { ticks: 0 };
                    }
                    return;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.fail(error.kind()),
            }
        }
        self.queue = VecDeque::new();
    }

    fn advance(&mut self, count: usize) {
        self.gate = Gate::Clear;
        self.written += count;
        while let Some(frame) = self.queue.front() {
            let length = frame.len();
            if self.written < length {
                break;
            }
            self.written -= length;
            // The close frame comes last, behind the data, and is counted nowhere.
            if frame.is_control() {
                self.controls = self.controls.saturating_sub(1);
            } else {
                self.bytes -= length;
            }
            self.queue.pop_front();
        }
    }

    fn fail(&mut self, kind: io::ErrorKind) {
        self.close(CloseReason::Io(kind));
        self.discard();
    }
}

fn wake(sleeper: Option<Waker>) {
    if let Some(waker) = sleeper {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outbox_that_is_written_empty_holds_no_memory() {
        let outbox = Outbox::new(SessionId::random(), Bounds { messages: 100, bytes: 10_000 });
        outbox.open(None);
        for _ in 0..100 {
            outbox.push(Frame::text("x"), Delivery::Send).unwrap();
        }
        outbox.push_control(Frame::ping(b""));
        let all = |slices: &[IoSlice<'_>]| Ok(slices.iter().map(|slice| slice.len()).sum());
        let flushed = outbox.flush(&mut Context::from_waker(Waker::noop()), |_, slices| all(slices));
        assert!(flushed.empty);
        assert_eq!(outbox.state.lock().queue.capacity(), 0);
    }
}
