mod socket;

use std::{
    iter,
    ops::Range,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    task::Wake,
};

use super::*;
use crate::{
    backlog::Load,
    budget::Budget,
    fanout::{Audience, Fanout, RunLimit, Urgency},
};

const BOUNDS: Bounds = Bounds { messages: 100, bytes: 10_000 };

fn outbox() -> (Fanout, Arc<Outbox>) {
    let (run_limit, limit) = (RunLimit { messages: 1, bytes: 1 }, Load { deliveries: 1, bytes: 1 });
    let fanout = Fanout::new(1, BOUNDS, run_limit, limit, &Arc::new(Budget::new(0)));
    let id = SessionId::random();
    let outbox = Outbox::new(id, Arc::clone(fanout.lane(&id)));
    (fanout, Arc::new(outbox))
}

/// One that has a stream which its session's task alone writes to.
fn open_outbox() -> (Fanout, Arc<Outbox>) {
    let (fanout, outbox) = outbox();
    outbox.open(None);
    (fanout, outbox)
}

/// Publishes to one session, which has it when this returns.
fn publish(fanout: &Fanout, outbox: &Arc<Outbox>, frame: &Frame) {
    hand_over(fanout, outbox, frame);
    fanout.ring();
}

fn hand_over(fanout: &Fanout, outbox: &Arc<Outbox>, frame: &Frame) {
    let mut audience = Audience::default();
    audience.insert(outbox);
    fanout.publish(&audience, frame, None, Urgency::Certain).unwrap();
}

/// A turn of the session's task.
fn turn(outbox: &Outbox, write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> Flushed {
    turn_of(Waker::noop(), outbox, write)
}

fn turn_of(waker: &Waker, outbox: &Outbox, write: impl FnMut(&[IoSlice<'_>]) -> io::Result<usize>) -> Flushed {
    let mut write = write;
    outbox.flush(&mut Context::from_waker(waker), |_, slices| write(slices))
}

/// What a stream makes of a write that takes all.
fn all(slices: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(slices.iter().map(|slice| slice.len()).sum())
}

/// What it makes of one that takes nothing now.
fn none(_: &[IoSlice<'_>]) -> io::Result<usize> {
    Err(io::ErrorKind::WouldBlock.into())
}

/// What came by a stream that has room for so much in all.
#[derive(Default)]
struct Written(Vec<u8>);

impl Written {
    fn turn(&mut self, outbox: &Outbox, room: usize) -> Flushed {
        turn(outbox, |slices| {
            let count = slices[0].len().min(room.saturating_sub(self.0.len()));
            self.0.extend_from_slice(&slices[0][..count]);
            if count == 0 { none(slices) } else { Ok(count) }
        })
    }
}

/// A message that is a frame of so many bytes, header included.
fn frame_of(len: usize) -> Frame {
    let header = if len <= 127 { 2 } else { 4 };
    let frame = Frame::binary(vec![7; len - header]);
    assert_eq!(frame.len(), len);
    frame
}

fn wire(frames: impl IntoIterator<Item = Frame>) -> Vec<u8> {
    frames.into_iter().flat_map(|frame| frame.wire().to_vec()).collect()
}

fn assert_queued(outbox: &Outbox, messages: usize, bytes: usize) {
    let queued = outbox.queued();
    assert_eq!((queued.messages, queued.bytes), (messages, bytes));
}

/// How often a task was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl Woken {
    fn times(&self) -> usize {
        self.0.load(SeqCst)
    }
}

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

#[test]
fn outbox_that_is_written_empty_holds_no_memory() {
    let (_fanout, outbox) = open_outbox();
    for _ in 0..100 {
        outbox.send(Frame::text("x")).unwrap();
    }
    outbox.push_control(Frame::ping(b""));
    assert!(turn(&outbox, all).empty);
    assert!(outbox.state.lock().holds_nothing());
}

#[test]
fn outbox_without_a_stream_keeps_nothing_that_comes() {
    let (fanout, outbox) = outbox();
    outbox.detach();
    publish(&fanout, &outbox, &Frame::text("late"));
    assert!(outbox.state.lock().holds_nothing());
}

#[test]
fn evicted_outbox_ends_the_frame_that_has_begun_and_drops_the_rest() {
    let (_fanout, outbox) = open_outbox();
    for text in ["begun", "waiting"] {
        outbox.send(Frame::text(text)).unwrap();
    }
    let mut written = Written::default();
    written.turn(&outbox, 3);
    assert!(outbox.lane.budget().held() > 0 && outbox.waits_since().is_some());
    outbox.evict();
    assert_eq!(outbox.reason(), Some(CloseReason::Overloaded));
    assert!(written.turn(&outbox, usize::MAX).empty);
    let close = CloseReason::Overloaded.frame().unwrap();
    assert_eq!(written.0, wire([Frame::text("begun"), close]));
    assert_eq!(outbox.lane.budget().held(), 0);
}

#[test]
fn all_that_waits_is_counted_and_charged_whatever_way_it_came() {
    let (fanout, outbox) = open_outbox();
    let (sent, published, behind) = (Frame::text("sent"), Frame::text("published"), Frame::text("sent behind that"));
    let bytes = sent.len() + published.len() + behind.len();
    outbox.send(sent.clone()).unwrap();
    // Until this ends nobody carries.
    let shifts: Vec<_> = fanout.shifts().collect();
    hand_over(&fanout, &outbox, &published);
    outbox.send(behind.clone()).unwrap();
    assert_queued(&outbox, 2, sent.len() + behind.len());
    drop(shifts);
    assert_queued(&outbox, 3, bytes);
    turn(&outbox, none);
    assert_eq!(outbox.lane.budget().held(), bytes);

    let mut written = Written::default();
    written.turn(&outbox, sent.len());
    assert_queued(&outbox, 2, bytes - sent.len());
    written.turn(&outbox, bytes);
    assert_queued(&outbox, 0, 0);
    assert_eq!(outbox.lane.budget().held(), 0);
}

#[test]
fn what_is_sent_while_nothing_can_be_written_is_charged_at_once() {
    let (_fanout, outbox) = outbox();
    let frame = frame_of(1000);
    outbox.send(frame.clone()).unwrap();
    assert_eq!(outbox.lane.budget().held(), 1000, "before it is open");
    outbox.open(None);
    turn(&outbox, all);
    assert_eq!(outbox.lane.budget().held(), 0);
    outbox.send(frame.clone()).unwrap();
    assert_eq!(outbox.lane.budget().held(), 0, "its task has its turn next");
    turn(&outbox, none);
    outbox.send(frame).unwrap();
    assert_eq!(outbox.lane.budget().held(), 2000, "no turn comes until the stream takes bytes");
    assert_queued(&outbox, 2, 2000);
}

#[test]
fn evicted_outbox_that_is_closing_keeps_its_close_frame_only() {
    let (_fanout, outbox) = open_outbox();
    outbox.send(Frame::text("waiting")).unwrap();
    outbox.push_control(Frame::ping(b""));
    outbox.close(CloseReason::Shutdown);
    let mut written = Written::default();
    written.turn(&outbox, 0);
    assert!(outbox.lane.budget().held() > 0);
    outbox.evict();
    assert_eq!(outbox.lane.budget().held(), 0);
    assert_eq!(outbox.reason(), Some(CloseReason::Shutdown));
    written.turn(&outbox, 1);
    outbox.evict();
    assert!(written.turn(&outbox, usize::MAX).empty);
    assert_eq!(written.0, wire(CloseReason::Shutdown.frame()));
}

#[test]
fn what_was_published_before_its_task_could_write_leaves_what_is_sent_its_room() {
    let (fanout, outbox) = open_outbox();
    for _ in 0..150 {
        publish(&fanout, &outbox, &Frame::text("x"));
    }
    for _ in 0..100 {
        outbox.send(Frame::text("x")).unwrap();
    }
    assert_eq!(outbox.send(Frame::text("x")), Err(Refused::Full));
}

#[test]
fn a_queue_takes_what_its_bounds_allow_and_not_a_byte_more() {
    // The last of each has no room. One past the bound alone is not counted, or it would doom the next.
    for sizes in [
        &[2; BOUNDS.messages + 1][..],
        &[1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 2],
        &[4000, 4000, 2001],
        &[BOUNDS.bytes, 2],
        &[BOUNDS.bytes + 1, 5000, 5000, 2],
    ] {
        let (_fanout, outbox) = outbox();
        outbox.push_control(Frame::ping(b"not counted"));
        let (last, fit) = sizes.split_last().unwrap();
        for size in fit {
            outbox.send(frame_of(*size)).unwrap();
        }
        assert_eq!(outbox.send(frame_of(*last)), Err(Refused::Full), "{last} bytes behind {fit:?}");
        assert_eq!(outbox.reason(), Some(CloseReason::QueueFull));
        let mut written = Written::default();
        outbox.open(None);
        written.turn(&outbox, usize::MAX);
        let close = CloseReason::QueueFull.frame();
        let due = iter::once(Frame::ping(b"not counted")).chain(fit.iter().map(|size| frame_of(*size))).chain(close);
        assert!(written.0 == wire(due), "what came before {last} bytes behind {fit:?}");
    }
}

#[test]
fn a_burst_past_the_bounds_of_a_queue_is_borne_until_the_stream_has_taken_nothing_for_a_tick() {
    for (frames, len, is_borne) in [(100, 2, true), (101, 2, false), (10, 1000, true), (11, 1000, false)] {
        let (fanout, outbox) = open_outbox();
        publish(&fanout, &outbox, &frame_of(len));
        turn(&outbox, none);
        for _ in 1..frames {
            publish(&fanout, &outbox, &frame_of(len));
        }
        assert_eq!(outbox.reason(), None);
        outbox.tick(u32::MAX);
        assert_eq!(outbox.reason(), (!is_borne).then_some(CloseReason::QueueFull), "{frames} frames of {len} bytes");
    }
    // From then on it is the client who is slow.
    let (fanout, outbox) = open_outbox();
    outbox.send(Frame::text("x")).unwrap();
    turn(&outbox, none);
    outbox.tick(u32::MAX);
    for _ in 1..BOUNDS.messages {
        publish(&fanout, &outbox, &Frame::text("x"));
    }
    assert_eq!(outbox.reason(), None);
    publish(&fanout, &outbox, &Frame::text("x"));
    assert_eq!(outbox.reason(), Some(CloseReason::QueueFull));
}

#[test]
fn control_frames_go_behind_a_frame_that_has_begun_and_the_latest_of_many_stay() {
    let pings = |numbers: Range<u8>| numbers.map(|number| Frame::ping(&[number]));
    for is_control in [false, true] {
        let (_fanout, outbox) = open_outbox();
        let begun = if is_control { Frame::ping(b"begun") } else { Frame::text("begun") };
        if is_control {
            outbox.push_control(begun.clone());
        } else {
            outbox.send(begun.clone()).unwrap();
        }
        let mut written = Written::default();
        written.turn(&outbox, 3);
        outbox.send(Frame::text("waiting")).unwrap();
        pings(0..100).for_each(|ping| outbox.push_control(ping));
        assert_eq!(outbox.queued().messages, if is_control { 1 } else { 2 });
        assert!(written.turn(&outbox, usize::MAX).empty);
        // Thirty-two in all, the one included that has begun.
        let latest = pings(if is_control { 69..100 } else { 68..100 });
        assert_eq!(written.0, wire(iter::once(begun).chain(latest).chain([Frame::text("waiting")])));

        // And so again, once those have gone.
        pings(0..100).for_each(|ping| outbox.push_control(ping));
        outbox.send(Frame::text("more")).unwrap();
        written.0.clear();
        written.turn(&outbox, usize::MAX);
        assert_eq!(written.0, wire(pings(68..100).chain([Frame::text("more")])));
    }
}

#[test]
fn a_tick_tells_whether_a_stream_that_was_full_has_taken_bytes_since_the_last() {
    let (_fanout, outbox) = open_outbox();
    outbox.send(Frame::text("x")).unwrap();
    turn(&outbox, all);
    assert!(!outbox.tick(u32::MAX), "it was not full");
    outbox.send(Frame::text("x")).unwrap();
    turn(&outbox, none);
    assert!(!outbox.tick(u32::MAX), "it has taken nothing");
    turn(&outbox, all);
    assert!(outbox.tick(u32::MAX));
    assert!(!outbox.tick(u32::MAX), "it has been told");
}

#[test]
fn a_write_that_was_interrupted_is_made_again() {
    let (_fanout, outbox) = open_outbox();
    outbox.send(Frame::text("x")).unwrap();
    let mut is_first = true;
    let flushed = turn(&outbox, |slices| match mem::take(&mut is_first) {
        true => Err(io::ErrorKind::Interrupted.into()),
        false => all(slices),
    });
    assert!(flushed.empty && !flushed.closed);
}

#[test]
fn a_stream_that_fails_or_takes_nothing_for_ever_ends_the_session_and_what_waits() {
    for (result, kind) in
        [(Err(io::ErrorKind::ConnectionReset), io::ErrorKind::ConnectionReset), (Ok(0), io::ErrorKind::WriteZero)]
    {
        let (fanout, outbox) = open_outbox();
        outbox.send(Frame::text("x")).unwrap();
        turn(&outbox, |_| result.map_err(io::Error::from));
        assert_eq!(outbox.reason(), Some(CloseReason::Io(kind)));
        publish(&fanout, &outbox, &Frame::text("late"));
        assert!(outbox.state.lock().holds_nothing());
    }
}

#[test]
fn task_is_woken_by_what_it_can_write_and_not_while_its_stream_takes_no_more() {
    let (fanout, outbox) = open_outbox();
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(Arc::clone(&woken));
    turn_of(&waker, &outbox, all);
    outbox.send(Frame::text("x")).unwrap();
    assert_eq!(woken.times(), 1);
    turn_of(&waker, &outbox, all);
    publish(&fanout, &outbox, &Frame::text("x"));
    assert_eq!(woken.times(), 2);

    turn_of(&waker, &outbox, none);
    outbox.send(Frame::text("x")).unwrap();
    publish(&fanout, &outbox, &Frame::text("x"));
    assert_eq!(woken.times(), 2, "the stream wakes it by itself");
    outbox.close(CloseReason::Shutdown);
    assert_eq!(woken.times(), 3);
}
