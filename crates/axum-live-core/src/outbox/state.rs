use std::{
    io::{self, IoSlice},
    mem,
    sync::Arc,
    task::Waker,
};

use socket2::SockRef;
use tokio::net::TcpStream;

use super::{Bounds, Delivery, Haste, Refused, queue::Queue};
use crate::{budget::Budget, close::CloseReason, frame::Frame};

/// Frames given to the kernel in one call.
const BATCH: usize = 64;

/// How many times its bounds a queue may grow by publications that its session's task had no turn to write.
const BURST: usize = 16;

/// What an outbox's lock guards.
pub(super) struct State {
    /// `None` while nothing waits.
    queue: Option<Box<Queue>>,
    /// Where anyone may write; other streams are written by their task alone.
    pub(super) stream: Option<Arc<TcpStream>>,
    pub(super) latch: Option<Box<CloseReason>>,
    /// The session's task, while it sleeps.
    pub(super) sleeper: Option<Waker>,
    pub(super) gate: Gate,
    /// A stream that was blocked has taken bytes, since the last tick of the heartbeat.
    pub(super) has_moved: bool,
    /// The close frame is queued, if there is one: nothing goes behind it.
    pub(super) sealed: bool,
    pub(super) haste: Haste,
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

impl State {
    pub(super) fn new() -> Self {
        Self {
            queue: None,
            stream: None,
            latch: None,
            sleeper: None,
            gate: Gate::Shut,
            has_moved: false,
            sealed: false,
            haste: Haste::Calm,
        }
    }

    /// The queue, made if need be.
    pub(super) fn queue(&mut self) -> &mut Queue {
        self.queue.get_or_insert_default()
    }

    /// What waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Frame> {
        self.queue.iter().flat_map(|queue| queue.frames())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.frames().is_empty())
    }

    #[cfg(test)]
    pub(super) fn holds_nothing(&self) -> bool {
        self.queue.is_none()
    }

    pub(super) fn is_over(&self, bounds: Bounds) -> bool {
        self.queue.as_ref().is_some_and(|queue| queue.is_over(bounds))
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
        let is_plain = |state: &Self| !state.sealed && state.has_room(frame, bounds, Bounds::default());
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
            _ if self.is_stuck() => (bounds, Bounds::default()),
            Delivery::Publish => (bounds.times(BURST), Bounds::default()),
            Delivery::Send => (bounds, self.queue().burst),
        };
        if !self.has_room(frame, bounds, aside) {
            self.latch.get_or_insert_with(|| Box::new(CloseReason::QueueFull));
            self.seal();
            return Err(Refused::Full);
        }
        Ok(())
    }

    fn has_room(&self, frame: &Frame, bounds: Bounds, aside: Bounds) -> bool {
        self.queue.as_ref().is_none_or(|queue| queue.has_room(frame, bounds, aside))
    }

    pub(super) fn seal(&mut self) {
        if !mem::replace(&mut self.sealed, true)
            && let Some(last) = self.latch.as_ref().and_then(|reason| reason.frame())
        {
            self.queue().push_close(last);
        }
    }

    pub(super) fn is_blocked(&self) -> bool {
        matches!(self.gate, Gate::Blocked { .. })
    }

    /// The session's task, if it sleeps and has something to do. A stream that was blocked before wakes it by itself
    /// when it takes bytes again.
    pub(super) fn sleeper_with_work(&mut self, was_blocked: bool) -> Option<Waker> {
        let has_bytes = !was_blocked && self.gate != Gate::Shut && !self.is_empty();
        if has_bytes || self.latch.is_some() { self.sleeper.take() } else { None }
    }

    /// Charges what waits to the node's memory.
    pub(super) fn charge(&mut self, budget: &Arc<Budget>) {
        if let Some(queue) = &mut self.queue {
            queue.charge(budget);
        }
    }

    /// What waits, and what has a place.
    pub(super) fn queued(&self) -> Bounds {
        self.queue.as_ref().map_or_else(Bounds::default, |queue| queue.queued())
    }

    /// Drops what waits, but for a frame that has begun, whose end the stream has to see, and the close frame.
    pub(super) fn drop_waiting(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.drop_waiting(self.sealed.into());
        }
    }

    /// Drops what waits, and whatever comes.
    pub(super) fn discard(&mut self) {
        self.sealed = true;
        self.drop_queue();
    }

    /// Drops what waits; places that are kept in the queue stay.
    fn drop_queue(&mut self) {
        if let Some(queue) = &mut self.queue {
            queue.clear();
        }
        self.tidy();
    }

    /// Lets go of a queue in which there is nothing and no place.
    pub(super) fn tidy(&mut self) {
        self.queue.take_if(|queue| queue.is_idle());
    }

    /// Writes what waits, where anyone may.
    pub(super) fn write_through(&mut self) {
        if self.is_empty() {
            return;
        }
        if let Some(stream) = self.stream.clone() {
            self.write(|slices| stream.try_write_vectored(slices));
        }
    }

    /// Writes bytes that are in no queue, where anyone may and nothing waits; answers how many the stream took.
    pub(super) fn write_past_queue(&mut self, bytes: &[u8]) -> usize {
        match &self.stream {
            Some(stream) if self.gate == Gate::Clear && self.is_empty() => {
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
        if let Some(queue) = &mut self.queue {
            queue.burst = Bounds::default();
        }
        while let Some(queue) = self.queue.as_deref().filter(|queue| !queue.frames().is_empty()) {
            let mut slices = [IoSlice::new(&[]); BATCH];
            let filled = queue.slices(&mut slices);
            let result = write(&slices[..filled]);
            match self.heed(result) {
                Some(count) => self.queue().advance(count),
                None => return,
            }
        }
        self.drop_queue();
    }

    /// Asks the kernel itself whether it takes more, and answers whether it did. It has the runtime told that it does
    /// only when a third of its buffer is free, and on a thin line that takes longer than a client may take no byte.
    pub(super) fn press(&mut self) -> bool {
        let Some(stream) = self.stream.clone() else { return false };
        let mut is_taken = false;
        self.write(|slices| {
            let result = SockRef::from(&*stream).send_vectored(slices);
            is_taken |= result.is_ok();
            result
        });
        is_taken
    }

    /// Counts a tick during which the stream took no byte; answers how many there were, one after the other.
    pub(super) fn tick(&mut self) -> u32 {
        let Gate::Blocked { ticks } = &mut self.gate else { return 0 };
        *ticks += 1;
        *ticks
    }

    /// Takes note of what the stream made of a write; answers how much it took, unless it takes no more.
    fn heed(&mut self, result: io::Result<usize>) -> Option<usize> {
        match result {
            Ok(0) => self.fail(io::ErrorKind::WriteZero),
            Ok(count) => {
                self.has_moved |= self.is_blocked();
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

    fn fail(&mut self, kind: io::ErrorKind) {
        self.latch.get_or_insert_with(|| Box::new(CloseReason::Io(kind)));
        self.discard();
    }
}
