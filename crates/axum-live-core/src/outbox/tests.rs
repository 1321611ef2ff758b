use super::*;
use crate::{
    backlog::Load,
    budget::Budget,
    fanout::{Audience, Fanout, RunLimit, Urgency},
};

fn outbox() -> (Fanout, Arc<Outbox>) {
    let (run_limit, limit) = (RunLimit { messages: 1, bytes: 1 }, Load { deliveries: 1, bytes: 1 });
    let fanout =
        Fanout::new(1, Bounds { messages: 100, bytes: 10_000 }, run_limit, limit, &Arc::new(Budget::new(1 << 20)));
    let id = SessionId::random();
    let outbox = Outbox::new(id, Arc::clone(fanout.lane(&id)));
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
    assert!(outbox.state.lock().holds_nothing());
}

#[test]
fn outbox_without_a_stream_keeps_nothing_that_comes() {
    let (fanout, outbox) = outbox();
    let mut audience = Audience::default();
    audience.insert(&outbox);
    outbox.detach();
    fanout.publish(&audience, &Frame::text("late"), None, Urgency::Refusable).unwrap();
    fanout.ring();
    assert!(outbox.state.lock().holds_nothing());
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
