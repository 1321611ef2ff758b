use std::{
    collections::VecDeque,
    io::{self, IoSlice},
    mem,
    sync::Arc,
    task::Waker,
    time::Instant,
};

use tokio::net::TcpStream;

use super::{Bounds, Delivery, Haste, Refused};
use crate::{budget::Budget, close::CloseReason, frame::Frame};

/// Frames given to the kernel in one call.
const BATCH: usize = 64;

/// Unsent control frames held at once; past it the oldest goes (RFC 6455 §5.5.3 asks for the latest pong only).
const CONTROLS: usize = 32;

/// How many times its bounds a queue may grow by publications that its session's task had no turn to write.
const BURST: usize = 16;

/// What an outbox's lock guards.
pub(super) struct State {
    pub(super) queue: VecDeque<Frame>,
    /// Of the data frames in the queue, in full.
    bytes: usize,
    /// Frames on their way through the lane that have a place in the queue.
    pub(super) reserved: Bounds,
    /// Publications in the queue of a stream that only its task writes to, and that it has had no turn to write.
    pub(super) burst: Bounds,
    /// Of the first frame, what the kernel has already.
    pub(super) written: usize,
    /// Control frames in the queue; all but a begun one stand before the data frames.
    controls: usize,
    pub(super) gate: Gate,
    /// Where anyone may write; other streams are written by their task alone.
    pub(super) stream: Option<Arc<TcpStream>>,
    pub(super) latch: Option<Box<CloseReason>>,
    /// The close frame is queued, if there is one: nothing goes behind it.
    pub(super) sealed: bool,
    pub(super) haste: Haste,
    /// The session's task, while it sleeps.
    pub(super) sleeper: Option<Waker>,
}

/// Whether the stream takes bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Not open yet.
    Shut,
    Clear,
    /// It took no more, for so many ticks of the heartbeat.
    Blocked {
        ticks: u32,
    },
}

impl Bounds {
    const NOTHING: Self = Self { messages: 0, bytes: 0 };

    pub(super) fn add(&mut self, frame: &Frame) {
        self.messages += 1;
        self.bytes += frame.len();
    }

    pub(super) fn subtract(&mut self, frame: &Frame) {
        self.messages -= 1;
        self.bytes -= frame.len();
    }

    fn times(self, factor: usize) -> Self {
        Self { messages: self.messages.saturating_mul(factor), bytes: self.bytes.saturating_mul(factor) }
    }
}

impl State {
    pub(super) fn new() -> Self {
        Self {
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
        }
    }

    /// What has been queued, or has a place in the queue.
    pub(super) fn waiting(&self) -> Bounds {
        Bounds { messages: self.messages(), bytes: self.bytes + self.reserved.bytes }
    }

    pub(super) fn waits_since(&self) -> Option<Instant> {
        self.queue.iter().find_map(Frame::waits_since)
    }

    fn messages(&self) -> usize {
        self.queue.len() - self.controls + self.reserved.messages
    }

    /// Whether a frame has room, some of what is there left aside.
    fn has_room(&self, frame: &Frame, bounds: Bounds, aside: Bounds) -> bool {
        let messages = self.messages() - aside.messages;
        let bytes = self.charged(bounds).saturating_sub(aside.bytes);
        messages == 0 || messages < bounds.messages && bytes + frame.len() <= bounds.bytes
    }

    pub(super) fn is_over(&self, bounds: Bounds) -> bool {
        self.messages() > bounds.messages.max(1) || self.charged(bounds) > bounds.bytes
    }

    /// The bytes that count: an empty queue takes any one frame, and one past the bound must not doom the next.
    fn charged(&self, bounds: Bounds) -> usize {
        let first = self.queue.iter().find(|frame| !frame.is_control()).map_or(0, Frame::len);
        self.bytes + self.reserved.bytes - if first > bounds.bytes { first } else { 0 }
    }

    /// Whether the stream's refusal to take more is the client's. A kernel buffer that is full is; a channel between
    /// us and HTTP/2 may be full for a moment only.
    pub(super) fn is_stuck(&self) -> bool {
        match self.gate {
            Gate::Shut => true,
            Gate::Clear => false,
            Gate::Blocked { ticks } => self.stream.is_some() || ticks > 0,
        }
    }

    /// Sees whether a frame has room, after writing what waits if need be. Without room the session is closed: what
    /// came before the frame is all that it gets.
    pub(super) fn make_room(&mut self, frame: &Frame, bounds: Bounds, delivery: Delivery) -> Result<(), Refused> {
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

    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.len();
        self.queue.push_back(frame);
    }

    /// Queues a control frame before the data that waits, and behind one that has begun.
    pub(super) fn push_control(&mut self, frame: Frame) {
        let begun = usize::from(self.written > 0);
        let first_is_begun_data = begun == 1 && !self.queue[0].is_control();
        if self.controls == CONTROLS {
            self.queue.remove(begun);
            self.controls -= 1;
        }
        self.queue.insert(self.controls + usize::from(first_is_begun_data), frame);
        self.controls += 1;
    }

    pub(super) fn seal(&mut self) {
        if !mem::replace(&mut self.sealed, true) {
            self.queue.extend(self.latch.as_ref().and_then(|reason| reason.frame()));
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.gate, Gate::Blocked { .. })
    }

    /// The session's task, if it sleeps and has something to do. A stream that was blocked before wakes it by itself
    /// when it takes bytes again.
    pub(super) fn sleeper_with_work(&mut self, was_blocked: bool) -> Option<Waker> {
        let has_bytes = !was_blocked && self.gate != Gate::Shut && !self.queue.is_empty();
        if has_bytes || self.latch.is_some() { self.sleeper.take() } else { None }
    }

    /// Charges what waits to the node's memory, for it may wait for long. The last frame tells of all before it.
    pub(super) fn charge(&mut self, budget: &Arc<Budget>) {
        let uncharged = self.queue.iter_mut().rev().take_while(|frame| frame.waits_since().is_none());
        uncharged.filter(|frame| !frame.is_control()).for_each(|frame| frame.charge(budget));
    }

    /// Drops what waits, but for a frame that has begun, whose end the stream has to see, and the close frame.
    pub(super) fn drop_waiting(&mut self) {
        let begun = usize::from(self.written > 0);
        let end = self.queue.len().saturating_sub(usize::from(self.sealed));
        self.queue.drain(begun..end.max(begun));
        self.queue.shrink_to_fit();
        let (controls, data): (Vec<_>, Vec<_>) = self.queue.iter().partition(|frame| frame.is_control());
        (self.controls, self.bytes) = (controls.len(), data.iter().map(|frame| frame.len()).sum());
    }

    /// Drops what waits, and whatever comes.
    pub(super) fn discard(&mut self) {
        self.sealed = true;
        self.queue = VecDeque::new();
        (self.bytes, self.written, self.controls) = (0, 0, 0);
        self.burst = Bounds::NOTHING;
    }

    /// Writes what waits, where anyone may.
    pub(super) fn write_through(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        if let Some(stream) = self.stream.clone() {
            self.write(|slices| stream.try_write_vectored(slices));
        }
    }

    /// Writes bytes that are in no queue, where anyone may and nothing waits; answers how many the stream took.
    pub(super) fn write_past_queue(&mut self, bytes: &[u8]) -> usize {
        match &self.stream {
            Some(stream) if self.gate == Gate::Clear && self.queue.is_empty() => {
                let result = stream.try_write(bytes);
                self.heed(result).unwrap_or(0)
            }
            _ => 0,
        }
    }

    /// Writes what waits: all but what goes [past the queue](Self::write_past_queue) goes through here.
    pub(super) fn write(&mut self, mut write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) {
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
