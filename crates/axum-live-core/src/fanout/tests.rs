//! How lanes carry, and when.

use tokio::{runtime, task};

use super::{shift::QUOTA, *};

const LANES: usize = 2;

/// Each publication alone.
const SINGLE: RunLimit = RunLimit { messages: 1, bytes: 1 };

/// A fan-out without tasks, and an audience of a session in each lane.
fn unmanned(run_limit: RunLimit) -> (Fanout, Audience) {
    let limit = Load { deliveries: usize::MAX, bytes: usize::MAX };
    let fanout = Fanout::new(LANES, Bounds::default(), run_limit, limit, &Arc::new(Budget::new(usize::MAX)));
    let mut audience = Audience::default();
    while audience.len() < LANES {
        let id = SessionId::random();
        let lane = fanout.lane(&id);
        if audience.rosters.get(lane.index).is_none_or(|roster| roster.len() == 0) {
            audience.insert(&Arc::new(Outbox::new(id, Arc::clone(lane))));
        }
    }
    (fanout, audience)
}

/// The same, whose lanes carry when they are told to.
fn halted(run_limit: RunLimit) -> (Fanout, Audience) {
    let (fanout, audience) = unmanned(run_limit);
    fanout.lanes.iter().for_each(|lane| lane.manned.store(true, SeqCst));
    (fanout, audience)
}

/// A frame like no other, of this size.
fn frame(number: usize, size: usize) -> Frame {
    Frame::text(format!("{number}:{}", "x".repeat(size)))
}

fn publish(fanout: &Fanout, audience: &Audience, frame: &Frame) {
    fanout.publish(audience, frame, None, Urgency::Refusable).unwrap();
}

#[test]
fn a_publication_weighs_on_the_backlog_until_the_last_lane_is_done_with_it() {
    let (fanout, audience) = halted(SINGLE);
    let frame = frame(0, 100);
    publish(&fanout, &audience, &frame);
    for lane in &fanout.lanes {
        assert_eq!(fanout.backlog().load().bytes, frame.len());
        lane.carry(usize::MAX);
    }
    assert_eq!(fanout.backlog().load(), Load { deliveries: 0, bytes: 0 });
}

#[test]
fn a_lane_keeps_no_memory_of_a_burst() {
    let (fanout, audience) = halted(SINGLE);
    for number in 0..10_000 {
        publish(&fanout, &audience, &frame(number, 0));
    }
    for lane in &fanout.lanes {
        lane.carry(usize::MAX);
        assert!(lane.jobs.lock().capacity() + lane.cart.lock().jobs.capacity() < 1000);
    }
}

#[test]
fn a_publication_that_is_for_nobody_is_no_load_and_counts_for_nothing() {
    let (fanout, _) = halted(SINGLE);
    let receivers = fanout.publish(&Audience::default(), &frame(0, 0), None, Urgency::Refusable);
    assert_eq!((receivers, fanout.backlog().handed_over().publications), (Ok(0), 0));
}

#[test]
fn other_tasks_have_their_turn_between_large_deliveries() {
    let (fanout, audience) = halted(SINGLE);
    publish(&fanout, &audience, &frame(0, QUOTA * DELIVERY_BYTES));
    for lane in &fanout.lanes {
        assert!(lane.carry(QUOTA));
        assert!(!lane.carry(QUOTA));
    }
}

#[test]
fn other_tasks_have_their_turn_after_so_many_small_deliveries_and_not_before() {
    for (publications, is_more_left) in [(8, false), (QUOTA, true)] {
        let (fanout, audience) = halted(SINGLE);
        (0..publications).for_each(|number| publish(&fanout, &audience, &frame(number, 0)));
        for lane in &fanout.lanes {
            assert_eq!(lane.carry(QUOTA), is_more_left, "of {publications}");
        }
    }
}

#[test]
fn a_lane_is_handed_nothing_that_is_for_none_of_its_sessions() {
    let (fanout, mut audience) = halted(SINGLE);
    let members: Vec<_> = audience.iter().filter(|outbox| outbox.lane().index == 1).cloned().collect();
    members.iter().for_each(|outbox| audience.remove(outbox));
    publish(&fanout, &audience, &frame(0, 0));
    assert_eq!(fanout.lanes.iter().map(|lane| lane.is_clear()).collect::<Vec<_>>(), [false, true]);
}

/// Asserts how many of nine publications of twelve bytes go out together.
fn assert_run(run_limit: RunLimit, excepts: bool, expected: usize) {
    let (fanout, audience) = halted(run_limit);
    let except = audience.iter().next().filter(|_| excepts);
    let frames: Vec<_> = (0..9).map(|number| frame(number, 8)).collect();
    for frame in &frames {
        assert_eq!(frame.len(), 12);
        fanout.publish(&audience, frame, except, Urgency::Refusable).unwrap();
    }
    for lane in &fanout.lanes {
        lane.carry(1);
        let run = &lane.cart.lock().run;
        assert_eq!(run.frames, frames[..expected]);
        assert_eq!(run.wire(), frames[..expected].iter().map(|frame| &frame.wire()[..]).collect::<Vec<_>>().concat());
        assert_eq!(run.joined.is_empty(), expected == 1, "what goes out alone is copied for nothing");
    }
}

#[test]
fn publications_to_the_same_receivers_are_one_run_within_its_limits() {
    for excepts in [false, true] {
        assert_run(RunLimit { messages: 100, bytes: 1000 }, excepts, 9);
        assert_run(RunLimit { messages: 4, bytes: 1000 }, excepts, 4);
        assert_run(RunLimit { messages: 100, bytes: 60 }, excepts, 5);
        assert_run(RunLimit { messages: 100, bytes: 59 }, excepts, 4);
        assert_run(RunLimit { messages: 100, bytes: 12 }, excepts, 1);
    }
}

#[tokio::test]
async fn the_tasks_of_a_fan_out_end_with_it() {
    let (fanout, _) = unmanned(SINGLE);
    let alive = || runtime::Handle::current().metrics().num_alive_tasks();
    fanout.start();
    fanout.start();
    task::yield_now().await;
    assert_eq!(alive(), LANES);
    drop(fanout);
    for _ in 0..LANES {
        task::yield_now().await;
    }
    assert_eq!(alive(), 0);
}

#[test]
fn a_fan_out_whose_tasks_have_ended_carries_all_the_same() {
    let (fanout, audience) = unmanned(SINGLE);
    let runtime = runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { fanout.start() });
    publish(&fanout, &audience, &frame(0, 0));
    fanout.ring();
    let is_clear = || fanout.lanes.iter().all(|lane| lane.is_clear());
    assert!(!is_clear(), "it is for the tasks to carry");
    drop(runtime);
    assert!(is_clear());

    publish(&fanout, &audience, &frame(1, 0));
    fanout.ring();
    assert!(is_clear());
}
