//! What two threads may do to outbox, topic set and hub, in every order: the loom models (CONTRIBUTING.md).

use std::{
    io::IoSlice,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Wake, Waker},
};

use loom::{sync::Notify, thread};

use crate::{
    attendance::{Attendance, Attendee, Tracks},
    backlog::{Backlog, Load},
    budget::Budget,
    close::CloseReason,
    fanout::{Fanout, RunLimit, Urgency},
    frame::Frame,
    hub::Hub,
    id::SessionId,
    message::Payload,
    outbox::{Bounds, Flushed, Outbox, Refused},
    subscriptions::{SubscribeError, Subscriptions},
    topic::Topic,
    user::UserId,
};

/// What a session is to the hub.
#[derive(Clone)]
struct Client {
    outbox: Arc<Outbox>,
    subscriptions: Arc<Subscriptions>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// What a task that has a thread to itself is woken by.
struct Alarm(Notify);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.notify();
    }
}

/// A node without tasks: whoever hands something over carries it.
struct Bench {
    fanout: Arc<Fanout>,
    hub: Arc<Hub>,
}

impl Bench {
    fn new() -> Self {
        let budget = Arc::new(Budget::new(10_000));
        let limit = Load { deliveries: 100, bytes: 10_000 };
        let fanout =
            Fanout::new(1, Bounds { messages: 4, bytes: 1024 }, RunLimit { messages: 4, bytes: 1024 }, limit, &budget);
        let fanout = Arc::new(fanout);
        Self { hub: Arc::new(Hub::new(Arc::clone(&fanout))), fanout }
    }

    fn client(&self, name: &str) -> Client {
        Client::new(name, &self.fanout)
    }

    fn subscriber(&self, name: &str) -> Client {
        let client = self.client(name);
        client.subscribe(&self.hub).unwrap();
        client
    }

    fn publish(hub: &Hub, text: &str) -> usize {
        hub.publish(&topic(), &Frame::text(text), None, Urgency::Refusable).unwrap()
    }

    /// Publishes in a thread of its own.
    fn publisher(&self, text: &'static str) -> thread::JoinHandle<usize> {
        let hub = Arc::clone(&self.hub);
        thread::spawn(move || Self::publish(&hub, text))
    }
}

impl Client {
    fn new(name: &str, fanout: &Fanout) -> Self {
        let id = SessionId::try_from(name).unwrap();
        let outbox = Outbox::new(id, Arc::clone(fanout.lane(&id)));
        outbox.open(None);
        Self { outbox: Arc::new(outbox), subscriptions: Arc::new(Subscriptions::default()) }
    }

    fn subscribe(&self, hub: &Hub) -> Result<(), SubscribeError> {
        self.subscriptions.subscribe(hub, &self.outbox, &topic(), 8)
    }

    /// What its task does when it finds the latch set.
    fn end(&self, hub: &Hub) {
        self.outbox.close(CloseReason::Lost);
        self.subscriptions.leave(hub, &self.outbox);
    }

    fn written(&self) -> Vec<u8> {
        let mut written = Vec::new();
        flush(&self.outbox, Waker::noop(), &mut written);
        written
    }
}

fn topic() -> Topic {
    Topic::try_from("t").unwrap()
}

fn attendee() -> Attendee {
    Attendee { user: UserId::new("ana"), session: SessionId::try_from("b").unwrap() }
}

fn flush(outbox: &Outbox, waker: &Waker, written: &mut Vec<u8>) -> Flushed {
    outbox.flush(&mut Context::from_waker(waker), |_, slices: &[IoSlice<'_>]| {
        slices.iter().for_each(|slice| written.extend_from_slice(slice));
        Ok(slices.iter().map(|slice| slice.len()).sum())
    })
}

#[test]
fn c53_late_subscribe_does_not_leak() {
    loom::model(|| {
        let bench = Bench::new();
        let (hub, client) = (Arc::clone(&bench.hub), bench.client("a"));
        let subscriber = thread::spawn({
            let (hub, client) = (Arc::clone(&hub), client.clone());
            move || client.subscribe(&hub)
        });
        client.end(&hub);
        let subscribed = subscriber.join().unwrap();

        assert_eq!(hub.len(), 0);
        assert_eq!(client.subscribe(&hub), Err(SubscribeError::Closed));
        assert_eq!(client.subscriptions.topics().len(), usize::from(subscribed.is_ok()));
    });
}

#[test]
fn topic_that_empties_while_another_joins_keeps_the_other() {
    loom::model(|| {
        let bench = Bench::new();
        let (hub, leaver, joiner) = (Arc::clone(&bench.hub), bench.client("a"), bench.client("b"));
        leaver.subscribe(&hub).unwrap();
        let joining = thread::spawn({
            let (hub, joiner) = (Arc::clone(&hub), joiner.clone());
            move || joiner.subscribe(&hub).unwrap()
        });
        leaver.subscriptions.unsubscribe(&hub, &leaver.outbox, &topic());
        joining.join().unwrap();

        assert_eq!(Bench::publish(&hub, "x"), 1);
        assert!(leaver.written().is_empty());
        assert!(!joiner.written().is_empty());
        joiner.end(&hub);
        assert_eq!(hub.len(), 0);
    });
}

#[test]
fn who_has_unsubscribed_is_sent_nothing_more() {
    loom::model(|| {
        let bench = Bench::new();
        let (hub, client) = (Arc::clone(&bench.hub), bench.subscriber("a"));
        let publisher = bench.publisher("published");
        client.subscriptions.unsubscribe(&hub, &client.outbox, &topic());
        client.outbox.send(Frame::text("sent")).unwrap();
        let received = publisher.join().unwrap();

        let wire =
            |frames: &[&str]| frames.iter().flat_map(|text| Frame::text(text).wire().to_vec()).collect::<Vec<_>>();
        let expected = if received == 1 { wire(&["published", "sent"]) } else { wire(&["sent"]) };
        assert_eq!(client.written(), expected);
    });
}

#[test]
fn c51_frame_sent_while_the_session_closes_is_written_or_refused() {
    loom::model(|| {
        let client = Bench::new().client("a");
        let pusher = thread::spawn({
            let client = client.clone();
            move || client.outbox.send(Frame::text("x"))
        });
        client.outbox.close(CloseReason::Shutdown);
        let pushed = pusher.join().unwrap();

        let close = CloseReason::Shutdown.frame().unwrap();
        let expected = match pushed {
            Ok(()) => [&Frame::text("x").wire()[..], close.wire()].concat(),
            Err(refused) => {
                assert_eq!(refused, Refused::Closed);
                close.wire().to_vec()
            }
        };
        assert_eq!(client.written(), expected);
    });
}

#[test]
fn c51_frame_published_while_the_session_closes_is_written_before_the_close_frame_or_not_at_all() {
    loom::model(|| {
        let bench = Bench::new();
        let client = bench.subscriber("a");
        let publisher = bench.publisher("x");
        // The latch comes first, as it does when the engine closes: the publication may be on its way.
        client.outbox.close(CloseReason::NoPong);
        let mut written = client.written();
        assert_eq!(publisher.join().unwrap(), 1, "it was subscribed all the time");
        written.extend(client.written());

        let close = CloseReason::NoPong.frame().unwrap();
        let whole = [&Frame::text("x").wire()[..], close.wire()].concat();
        assert!(written == close.wire()[..] || written == whole);
        assert_eq!(bench.fanout.backlog().load(), Load { deliveries: 0, bytes: 0 });
    });
}

#[test]
fn c51_what_is_sent_behind_a_publication_while_the_session_closes_is_written_or_refused() {
    loom::model(|| {
        let bench = Bench::new();
        let (hub, client) = (Arc::clone(&bench.hub), bench.subscriber("a"));
        let sender = thread::spawn({
            let (hub, client) = (Arc::clone(&hub), client.clone());
            move || {
                Bench::publish(&hub, "published");
                client.outbox.send(Frame::text("sent"))
            }
        });
        // Set while the lane is not clear, the latch comes before the close frame.
        client.outbox.close(CloseReason::NoPong);
        let sent = sender.join().unwrap();

        let written = client.written();
        let is_written = written.windows(4).any(|window| window == b"sent");
        assert_eq!(is_written, sent.is_ok(), "{sent:?}");
    });
}

#[test]
fn c52_nothing_is_sent_to_a_session_that_has_ended_while_others_publish() {
    loom::model(|| {
        let bench = Bench::new();
        let (hub, client) = (Arc::clone(&bench.hub), bench.subscriber("a"));
        let publisher = bench.publisher("x");
        client.end(&hub);
        client.outbox.detach();
        assert_eq!(Bench::publish(&hub, "y"), 0);
        assert!(client.written().is_empty());
        publisher.join().unwrap();

        assert!(client.written().is_empty());
        assert_eq!((hub.len(), client.outbox.queued().messages), (0, 0));
        assert_eq!(bench.fanout.backlog().load(), Load { deliveries: 0, bytes: 0 });
    });
}

#[test]
fn c54_the_first_reason_to_close_wins() {
    loom::model(|| {
        let client = Bench::new().client("a");
        let other = thread::spawn({
            let client = client.clone();
            move || client.outbox.close(CloseReason::NoPong)
        });
        let first = client.outbox.close(CloseReason::Shutdown);
        assert_ne!(first, other.join().unwrap());
        assert_eq!(client.outbox.reason(), Some(if first { CloseReason::Shutdown } else { CloseReason::NoPong }));
    });
}

#[test]
fn task_that_falls_asleep_misses_no_push_and_no_close() {
    loom::model(|| {
        let client = Bench::new().client("a");
        let woken = Arc::new(Woken::default());
        let pusher = thread::spawn({
            let client = client.clone();
            move || {
                client.outbox.send(Frame::text("x")).unwrap();
                client.outbox.close(CloseReason::Shutdown);
            }
        });
        let mut written = Vec::new();
        let seen = flush(&client.outbox, &Waker::from(Arc::clone(&woken)), &mut written);
        pusher.join().unwrap();

        assert!(seen.closed || woken.0.load(SeqCst));
    });
}

#[test]
fn publications_have_one_order_for_all() {
    loom::model(|| {
        let bench = Bench::new();
        let (hub, one, other) = (Arc::clone(&bench.hub), bench.subscriber("a"), bench.subscriber("b"));
        let publisher = bench.publisher("x");
        Bench::publish(&hub, "y");
        publisher.join().unwrap();

        assert_eq!(one.written(), other.written());
    });
}

#[test]
fn snapshot_and_what_follows_it_miss_nobody() {
    loom::model(|| {
        let bench = Bench::new();
        let (hub, attendance, client) = (Arc::clone(&bench.hub), Arc::new(Attendance::default()), bench.client("a"));
        let arrival = thread::spawn({
            let (hub, attendance) = (Arc::clone(&hub), Arc::clone(&attendance));
            move || attendance.track(&hub, &topic(), &attendee(), Payload::default())
        });
        attendance.snapshot(&topic(), |snapshot| {
            client.subscribe(&hub).unwrap();
            client.outbox.send(snapshot).unwrap();
        });
        arrival.join().unwrap();

        let told = String::from_utf8_lossy(&client.written()).matches("ana").count();
        assert_eq!((told, attendance.count(&topic())), (1, 1));
    });
}

#[test]
fn late_presence_does_not_stay() {
    loom::model(|| {
        let (hub, attendance, tracks) =
            (Bench::new().hub, Arc::new(Attendance::default()), Arc::new(Tracks::default()));
        let late = thread::spawn({
            let (hub, attendance, tracks) = (Arc::clone(&hub), Arc::clone(&attendance), Arc::clone(&tracks));
            move || {
                tracks.enter(&topic(), 8, || attendance.track(&hub, &topic(), &attendee(), Payload::default())).is_ok()
            }
        });
        let left = tracks.leave();
        for topic in &left {
            attendance.untrack(&hub, topic, &attendee());
        }
        let entered = late.join().unwrap();

        assert_eq!(entered, !left.is_empty());
        assert_eq!(attendance.count(&topic()), 0);
    });
}

#[test]
fn who_publishes_and_then_sends_is_heard_in_that_order() {
    loom::model(|| {
        let bench = Bench::new();
        let (hub, client) = (Arc::clone(&bench.hub), bench.subscriber("a"));
        let other = thread::spawn({
            let hub = Arc::clone(&hub);
            move || Bench::publish(&hub, "other")
        });
        Bench::publish(&hub, "published");
        client.outbox.send(Frame::text("sent")).unwrap();
        client.outbox.send(Frame::text("last")).unwrap();
        other.join().unwrap();

        let written = client.written();
        let at = |text: &str| written.windows(text.len()).position(|window| window == text.as_bytes());
        assert!(at("other").is_some());
        assert!(at("published").unwrap() < at("sent").unwrap());
        assert!(at("sent").unwrap() < at("last").unwrap());
    });
}

#[test]
fn c52_what_was_handed_over_before_the_close_goes_before_the_close_frame() {
    loom::model(|| {
        let bench = Bench::new();
        let (hub, client) = (Arc::clone(&bench.hub), bench.subscriber("a"));
        let publisher = bench.publisher("x");
        client.subscriptions.leave(&hub, &client.outbox);
        client.outbox.close(CloseReason::Shutdown);
        let received = publisher.join().unwrap();

        let close = CloseReason::Shutdown.frame().unwrap();
        let expected = match received {
            1 => [&Frame::text("x").wire()[..], close.wire()].concat(),
            _ => close.wire().to_vec(),
        };
        assert_eq!(client.written(), expected);
        assert_eq!(bench.fanout.backlog().load(), Load { deliveries: 0, bytes: 0 });
    });
}

#[test]
fn fan_out_task_that_falls_asleep_misses_nothing_that_is_handed_over() {
    loom::model(|| {
        let bench = Bench::new();
        let client = bench.subscriber("a");
        let shift = bench.fanout.shifts().next().unwrap();
        let task = thread::spawn({
            let client = client.clone();
            move || {
                let alarm = Arc::new(Alarm(Notify::new()));
                let waker = Waker::from(Arc::clone(&alarm));
                let mut work = pin!(shift.work());
                // Not woken, it waits for ever, which the model checker tells.
                while work.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
                    && client.outbox.queued().messages == 0
                {
                    alarm.0.wait();
                }
            }
        });
        Bench::publish(&bench.hub, "x");
        task.join().unwrap();

        assert_eq!(client.written(), Frame::text("x").wire()[..]);
    });
}

#[test]
fn what_is_handed_over_while_the_fan_out_task_ends_is_carried() {
    loom::model(|| {
        let bench = Bench::new();
        let client = bench.subscriber("a");
        let shift = bench.fanout.shifts().next().unwrap();
        let publisher = bench.publisher("x");
        drop(shift);
        publisher.join().unwrap();

        assert_eq!(client.written(), Frame::text("x").wire()[..]);
    });
}

#[test]
fn an_empty_backlog_refuses_only_who_comes_second() {
    loom::model(|| {
        let backlog = Arc::new(Backlog::new(Load { deliveries: 10, bytes: 10 }));
        let load = Load { deliveries: 6, bytes: 6 };
        let other = thread::spawn({
            let backlog = Arc::clone(&backlog);
            move || backlog.admit(load).ok()
        });
        let one = backlog.admit(load).ok();
        assert_ne!(one.is_some(), other.join().unwrap().is_some());
    });
}
