use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    sync::Arc,
    task::{Context, Waker},
    time::Instant,
};

use tokio::net::TcpStream;

use crate::{
    budget::Budget,
    close::CloseReason,
    fanout::{Lane, Run},
    frame::Frame,
    id::SessionId,
    sync::Mutex,
};

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
    /// What comes by its fan-out task comes in this; while that has not all been delivered, the rest goes behind it.
    lane: Arc<Lane>,
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

struct State {
    queue: VecDeque<Frame>,
    /// Of the data frames in the queue, in full.
    bytes: usize,
    /// Frames on their way through the lane that have a place in the queue.
    reserved: Bounds,
    /// Publications in the queue of a stream that only its task writes to, and that it has had no turn to write.
    burst: Bounds,
    /// Of the first frame, what the kernel has already.
    written: usize,
    /// Control frames in the queue; all but a begun one stand before the data frames.
    controls: usize,
    gate: Gate,
    /// Where anyone may write; other streams are written by their task alone.
    stream: Option<Arc<TcpStream>>,
    latch: Option<Box<CloseReason>>,
    /// The close frame is queued, if there is one: nothing goes behind it.
    sealed: bool,
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
    pub(crate) fn new(id: SessionId, bounds: Bounds, lane: Arc<Lane>) -> Self {
        let state = State {
            queue: VecDeque::new(),
            bytes: 0,
            reserved: Bounds::NOTHING,
            burst: Bounds::NOTHING,
            written: 0,
            controls: 0,
            gate: Gate::Shut,
            stream: None,
            latch: None,
            sealed: false,
            haste: Haste::Calm,
            sleeper: None,
        };
        Self { id, bounds, lane, state: Mutex::new(state) }
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
            let room = state.make_room(&frame, self.bounds, Delivery::Send);
            if room.is_ok() && self.lane.is_clear() {
                state.push(frame);
                if state.gate != Gate::Clear {
                    state.charge(self.lane.budget());
                }
            } else if room.is_ok() {
                state.reserved.add(&frame);
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
                if taken == 0 && state.make_room(frame, self.bounds, Delivery::Publish).is_err() {
                    break;
                }
                if !state.is_stuck() {
                    state.burst.add(frame);
                }
                state.push(frame.clone());
                state.written += mem::take(&mut taken);
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
            state.reserved.subtract(&frame);
            if state.sealed {
                return;
            }
            let was_blocked = state.is_blocked();
            state.push(frame);
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
        Flushed { empty: state.queue.is_empty() && closed == state.sealed, closed, haste: state.haste }
    }

    /// From when on its first frame has waited.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        self.state.lock().queue.iter().find_map(Frame::waits_since)
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

    /// A tick of the heartbeat: past `patience` of them without a byte taken, the session is closed.
    pub(crate) fn tick(self: &Arc<Self>, patience: u32) {
        let reason = {
            let mut state = self.state.lock();
            let Gate::Blocked { ticks } = &mut state.gate else { return };
            *ticks += 1;
            match *ticks >= patience {
                true => CloseReason::WriteTimeout,
                false if state.is_over(self.bounds) => CloseReason::QueueFull,
                false => return,
            }
        };
        self.close(reason);
    }
}

impl Bounds {
    const NOTHING: Self = Self { messages: 0, bytes: 0 };

    fn add(&mut self, frame: &Frame) {
        self.messages += 1;
        self.bytes += frame.len();
    }

    fn subtract(&mut self, frame: &Frame) {
        self.messages -= 1;
        self.bytes -= frame.len();
    }

    fn times(self, factor: usize) -> Self {
        Self { messages: self.messages.saturating_mul(factor), bytes: self.bytes.saturating_mul(factor) }
    }
}

impl State {
    fn messages(&self) -> usize {
        self.queue.len() - self.controls + self.reserved.messages
    }

    /// Whether a frame has room, some of what is there left aside.
    fn has_room(&self, frame: &Frame, bounds: Bounds, aside: Bounds) -> bool {
        let messages = self.messages() - aside.messages;
        let bytes = self.charged(bounds).saturating_sub(aside.bytes);
        messages == 0 || messages < bounds.messages && bytes + frame.len() <= bounds.bytes
    }

    fn is_over(&self, bounds: Bounds) -> bool {
        self.messages() > bounds.messages.max(1) || self.charged(bounds) > bounds.bytes
    }

    /// The bytes that count: an empty queue takes any one frame, and one past the bound must not doom the next.
    fn charged(&self, bounds: Bounds) -> usize {
        let first = self.queue.iter().find(|frame| !frame.is_control()).map_or(0, Frame::len);
        self.bytes + self.reserved.bytes - if first > bounds.bytes { first } else { 0 }
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

    /// Sees whether a frame has room, after writing what waits if need be. Without room the session is closed: what
    /// came before the frame is all that it gets.
    fn make_room(&mut self, frame: &Frame, bounds: Bounds, delivery: Delivery) -> Result<(), Refused> {
        let is_plain = |state: &Self| !state.sealed && state.has_room(frame, bounds, Bounds::NOTHING);
        if is_plain(self) {
            return Ok(());
        }
        self.write_through();
        if is_plain(self) {
            return Ok(());
        }
        if self.sealed {
            return Err(Refused::Closed);
        }
        // A backlog of ours is no fault of the client's.
        let (bounds, aside) = match delivery {
            _ if self.is_stuck() => (bounds, Bounds::NOTHING),
            Delivery::Publish => (bounds.times(BURST), Bounds::NOTHING),
            Delivery::Send => (bounds, self.burst),
        };
        if !self.has_room(frame, bounds, aside) {
            self.latch.get_or_insert_with(|| Box::new(CloseReason::QueueFull));
            self.seal();
            return Err(Refused::Full);
        }
        Ok(())
    }

    fn push(&mut self, frame: Frame) {
        self.bytes += frame.len();
        self.queue.push_back(frame);
    }

    fn seal(&mut self) {
        if !mem::replace(&mut self.sealed, true) {
            self.queue.extend(self.latch.as_ref().and_then(|reason| reason.frame()));
        }
    }

    fn is_blocked(&self) -> bool {
        matches!(self.gate, Gate::Blocked { .. })
    }

    /// The session's task, if it sleeps and has something to do. A stream that was blocked before wakes it by itself
    /// when it takes bytes again.
    fn sleeper_with_work(&mut self, was_blocked: bool) -> Option<Waker> {
        let has_bytes = !was_blocked && self.gate != Gate::Shut && !self.queue.is_empty();
        if has_bytes || self.latch.is_some() { self.sleeper.take() } else { None }
    }

    /// Charges what waits to the node's memory, for it may wait for long. The last frame tells of all before it.
    fn charge(&mut self, budget: &Arc<Budget>) {
        let uncharged = self.queue.iter_mut().rev().take_while(|frame| frame.waits_since().is_none());
        uncharged.filter(|frame| !frame.is_control()).for_each(|frame| frame.charge(budget));
    }

    /// Drops what waits, but for a frame that has begun, whose end the stream has to see, and the close frame.
    fn drop_waiting(&mut self) {
        let begun = usize::from(self.written > 0);
        let end = self.queue.len().saturating_sub(usize::from(self.sealed));
        self.queue.drain(begun..end.max(begun));
        self.queue.shrink_to_fit();
        let (controls, data): (Vec<_>, Vec<_>) = self.queue.iter().partition(|frame| frame.is_control());
        (self.controls, self.bytes) = (controls.len(), data.iter().map(|frame| frame.len()).sum());
    }

    /// Drops what waits, and whatever comes.
    fn discard(&mut self) {
        self.sealed = true;
        self.queue = VecDeque::new();
        (self.bytes, self.written, self.controls) = (0, 0, 0);
        self.burst = Bounds::NOTHING;
    }

    /// Writes what waits, where anyone may.
    fn write_through(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        if let Some(stream) = self.stream.clone() {
            self.write(|slices| stream.try_write_vectored(slices));
        }
    }

    /// Writes bytes that are in no queue, where anyone may and nothing waits; answers how many the stream took.
    fn write_past_queue(&mut self, bytes: &[u8]) -> usize {
        match &self.stream {
            Some(stream) if self.gate == Gate::Clear && self.queue.is_empty() => {
                let result = stream.try_write(bytes);
                self.heed(result).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Writes what waits: all but what goes [past the queue](Self::write_past_queue) goes through here.
    fn write(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) {
        if self.gate == Gate::Shut {
            return;
        }
        self.burst = Bounds::NOTHING;
        while !self.queue.is_empty() {
            let mut slices = [IoSlice::new(&[]); BATCH];
            let mut skip = self.written;
            let mut filled = 0;
            for (slice, frame) in slices.iter_mut().zip(&self.queue) {
                *slice = IoSlice::new(&frame.wire()[skip..]);
                skip = 0;
                filled += 1;
            }
            let result = write(&slices[..filled]);
            match self.heed(result) {
                Some(count) => self.advance(count),
                None => return,
            }
        }
        self.queue = VecDeque::new();
    }

    /// Takes note of what the stream made of a write; answers how much it took, unless it takes no more.
    fn heed(&mut self, result: io::Result<usize>) -> Option<usize> {
        match result {
            Ok(0) => self.fail(io::ErrorKind::WriteZero),
            Ok(count) => {
                self.gate = Gate::Clear;
                return Some(count);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Some(0),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if self.gate == Gate::Clear {
                    self.gate = Gate::Blocked { ticks: 0 };
                }
            }
            Err(error) => self.fail(error.kind()),
        }
        None
    }

    fn advance(&mut self, count: usize) {
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
        self.latch.get_or_insert_with(|| Box::new(CloseReason::Io(kind)));
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
    use crate::{
        backlog::Load,
        fanout::{Audience, Fanout, RunLimit, Urgency},
    };

    fn outbox() -> (Fanout, Arc<Outbox>) {
        let (run_limit, limit) = (RunLimit { messages: 1, bytes: 1 }, Load { deliveries: 1, bytes: 1 });
        let fanout = Fanout::new(1, run_limit, limit, &Arc::new(Budget::new(1 << 20)));
        let id = SessionId::random();
        let outbox = Outbox::new(id, Bounds { messages: 100, bytes: 10_000 }, Arc::clone(fanout.lane(&id)));
        (fanout, Arc::new(outbox))
    }

    #[test]
    fn outbox_that_is_written_empty_holds_no_memory() {
        let (_fanout, outbox) = outbox();
        outbox.open(None);
        for _ in 0..100 {
            outbox.send(Frame::text("x")).unwrap();
        }
        outbox.push_control(Frame::ping(b""));
        let all = |slices: &[IoSlice<'_>]| Ok(slices.iter().map(|slice| slice.len()).sum());
        let flushed = outbox.flush(&mut Context::from_waker(Waker::noop()), |_, slices| all(slices));
        assert!(flushed.empty);
        assert_eq!(outbox.state.lock().queue.capacity(), 0);
    }

    #[test]
    fn outbox_without_a_stream_keeps_nothing_that_comes() {
        let (fanout, outbox) = outbox();
        let mut audience = Audience::default();
        audience.insert(&outbox);
        outbox.detach();
        fanout.publish(&audience, &Frame::text("late"), None, Urgency::Refusable).unwrap();
        fanout.ring();
        assert!(outbox.state.lock().queue.is_empty());
    }

    #[test]
    fn evicted_outbox_ends_the_frame_that_has_begun_and_drops_the_rest() {
        let (_fanout, outbox) = outbox();
        outbox.open(None);
        for text in ["begun", "waiting"] {
            outbox.send(Frame::text(text)).unwrap();
        }
        let mut written = Vec::new();
        let mut flush = |room: usize| {
            outbox.flush(&mut Context::from_waker(Waker::noop()), |_, slices| {
                let count = slices[0].len().min(room.saturating_sub(written.len()));
                written.extend_from_slice(&slices[0][..count]);
                if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
            })
        };
        flush(3);
        assert!(outbox.lane.budget().held() > 0 && outbox.waits_since().is_some());
        outbox.evict();
        assert_eq!(outbox.reason(), Some(CloseReason::Overloaded));
        assert!(flush(usize::MAX).empty);
        let close = CloseReason::Overloaded.frame().unwrap();
        assert_eq!(written, [&Frame::text("begun").wire()[..], close.wire()].concat());
        assert_eq!(outbox.lane.budget().held(), 0);
    }

    #[test]
    fn all_that_waits_is_charged_whatever_way_it_came() {
        let (fanout, outbox) = outbox();
        let mut audience = Audience::default();
        audience.insert(&outbox);
        outbox.open(None);
        let (sent, published) = (Frame::text("sent"), Frame::text("published"));
        outbox.send(sent.clone()).unwrap();
        fanout.publish(&audience, &published, None, Urgency::Refusable).unwrap();
        fanout.ring();
        outbox.flush(&mut Context::from_waker(Waker::noop()), |_, _| Err(io::ErrorKind::WouldBlock.into()));
        assert_eq!(outbox.lane.budget().held(), sent.len() + published.len());
    }

    #[test]
    fn evicted_outbox_that_is_closing_keeps_its_close_frame_only() {
        let (_fanout, outbox) = outbox();
        outbox.open(None);
        outbox.send(Frame::text("waiting")).unwrap();
        outbox.push_control(Frame::ping(b""));
        outbox.close(CloseReason::Shutdown);
        let mut written = Vec::new();
        let mut flush = |room: usize| {
            outbox.flush(&mut Context::from_waker(Waker::noop()), |_, slices| {
                let count = slices[0].len().min(room.saturating_sub(written.len()));
                written.extend_from_slice(&slices[0][..count]);
                if count == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(count) }
            })
        };
        flush(0);
        assert!(outbox.lane.budget().held() > 0);
        outbox.evict();
        assert_eq!(outbox.lane.budget().held(), 0);
        assert_eq!(outbox.reason(), Some(CloseReason::Shutdown));
        let close = CloseReason::Shutdown.frame().unwrap();
        flush(1);
        outbox.evict();
        assert!(flush(usize::MAX).empty);
        assert_eq!(written, &close.wire()[..]);
    }

    #[test]
    fn what_was_published_before_its_task_could_write_leaves_what_is_sent_its_room() {
        let (fanout, outbox) = outbox();
        outbox.open(None);
        let mut audience = Audience::default();
        audience.insert(&outbox);
        for _ in 0..150 {
            fanout.publish(&audience, &Frame::text("x"), None, Urgency::Certain).unwrap();
            fanout.ring();
        }
        for _ in 0..100 {
            outbox.send(Frame::text("x")).unwrap();
        }
        assert_eq!(outbox.send(Frame::text("x")), Err(Refused::Full));
    }
}
