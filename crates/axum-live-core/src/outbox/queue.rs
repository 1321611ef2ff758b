use std::{collections::VecDeque, io::IoSlice, mem, sync::Arc};

use super::Bounds;
use crate::{budget::Budget, frame::Frame};

/// Unsent control frames held at once; past it the oldest goes (RFC 6455 §5.5.3 asks for the latest pong only).
const CONTROLS: usize = 32;

/// The frames that wait for a stream.
#[derive(Default)]
pub(super) struct Queue {
    frames: VecDeque<Frame>,
    /// Of the data frames, in full.
    bytes: usize,
    /// Frames on their way through the lane that have a place here.
    pub(super) reserved: Bounds,
    /// Publications to a stream that only its task writes to, and that it has had no turn to write.
    pub(super) burst: Bounds,
    /// Of the first frame, what the kernel has already.
    written: usize,
    /// Control frames; all but a begun one stand before the data frames.
    controls: usize,
}

impl Bounds {
    pub(super) fn add(&mut self, frame: &Frame) {
        self.messages += 1;
        self.bytes += frame.len();
    }

    pub(super) fn subtract(&mut self, frame: &Frame) {
        self.messages -= 1;
        self.bytes -= frame.len();
    }

    pub(super) fn times(self, factor: usize) -> Self {
        Self { messages: self.messages.saturating_mul(factor), bytes: self.bytes.saturating_mul(factor) }
    }
}

impl Queue {
    pub(super) fn frames(&self) -> &VecDeque<Frame> {
        &self.frames
    }

    /// Whether it can go: no frame waits, and none has a place.
    pub(super) fn is_idle(&self) -> bool {
        self.frames.is_empty() && self.reserved.messages == 0
    }

    /// Whether a frame has room, some of what is there left aside.
    pub(super) fn has_room(&self, frame: &Frame, bounds: Bounds, aside: Bounds) -> bool {
        let messages = self.messages() - aside.messages;
        let bytes = self.charged(bounds).saturating_sub(aside.bytes);
        messages == 0 || messages < bounds.messages && bytes + frame.len() <= bounds.bytes
    }

    /// Whether more is in it than may be.
    pub(super) fn is_over(&self, bounds: Bounds) -> bool {
        self.messages() > bounds.messages.max(1) || self.charged(bounds) > bounds.bytes
    }

    pub(super) fn push(&mut self, frame: Frame) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    /// Queues a frame of which the stream has the beginning already.
    pub(super) fn push_begun(&mut self, frame: Frame, written: usize) {
        self.push(frame);
        self.written += written;
    }

    /// Queues a control frame before the data that waits, and behind one that has begun.
    pub(super) fn push_control(&mut self, frame: Frame) {
        let begun = usize::from(self.written > 0);
        let first_is_begun_data = begun == 1 && !self.frames[0].is_control();
        if self.controls == CONTROLS {
            self.frames.remove(begun);
            self.controls -= 1;
        }
        self.frames.insert(self.controls + usize::from(first_is_begun_data), frame);
        self.controls += 1;
    }

    /// Queues the close frame, which comes last, behind the data, and is counted nowhere.
    pub(super) fn push_close(&mut self, frame: Frame) {
        self.frames.push_back(frame);
    }

    /// Charges what waits to the node's memory, for it may wait for long. The last frame tells of all before it.
    pub(super) fn charge(&mut self, budget: &Arc<Budget>) {
        let uncharged = self.frames.iter_mut().rev().take_while(|frame| frame.waits_since().is_none());
        uncharged.filter(|frame| !frame.is_control()).for_each(|frame| frame.charge(budget));
    }

    /// Fills slices with what is next, and answers with how many.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let mut skip = self.written;
        let mut filled = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            *slice = IoSlice::new(&frame.wire()[mem::take(&mut skip)..]);
            filled += 1;
        }
        filled
    }

    /// The stream has taken so many bytes.
    pub(super) fn advance(&mut self, count: usize) {
        self.written += count;
        while let Some(frame) = self.frames.front() {
            let length = frame.len();
            if self.written < length {
                break;
            }
            self.written -= length;
            if frame.is_control() {
                self.controls = self.controls.saturating_sub(1);
            } else {
                self.bytes -= length;
            }
            self.frames.pop_front();
        }
    }

    /// Drops what waits, but for a frame that has begun, whose end the stream has to see, and the `last` frames.
    pub(super) fn drop_waiting(&mut self, last: usize) {
        let begun = usize::from(self.written > 0);
        let end = self.frames.len().saturating_sub(last);
        self.frames.drain(begun..end.max(begun));
        self.frames.shrink_to_fit();
        let (controls, data): (Vec<_>, Vec<_>) = self.frames.iter().partition(|frame| frame.is_control());
        (self.controls, self.bytes) = (controls.len(), data.iter().map(|frame| frame.len()).sum());
    }

    /// Drops all frames; the places stay.
    pub(super) fn clear(&mut self) {
        *self = Self { reserved: self.reserved, ..Self::default() };
    }

    /// The messages that wait, those included that have a place and are on their way.
    pub(super) fn queued(&self) -> Bounds {
        Bounds { messages: self.messages(), bytes: self.bytes + self.reserved.bytes }
    }

    fn messages(&self) -> usize {
        self.frames.len() - self.controls + self.reserved.messages
    }

    /// The bytes that count: an empty queue takes any one frame, and one past the bound must not doom the next.
    fn charged(&self, bounds: Bounds) -> usize {
        let first = self.frames.iter().find(|frame| !frame.is_control()).map_or(0, Frame::len);
        self.bytes + self.reserved.bytes - if first > bounds.bytes { first } else { 0 }
    }
}
