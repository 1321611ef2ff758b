use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::{
    runtime::Handle,
    task::JoinHandle,
    time::{self, Instant},
};

use crate::{attendance::Attendee, node::Node, topic::Topic};

/// Presences whose sessions have gone, until they are given up. A task waits for that, while there are any.
#[derive(Default)]
pub(crate) struct Lingerer {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they are given up, for all linger equally long.
    absences: VecDeque<Absence>,
    task: Option<JoinHandle<()>>,
}

struct Absence {
    until: Instant,
    topic: Topic,
    attendee: Attendee,
}

impl Lingerer {
    /// Lets a presence linger. Where no runtime is left to wait, it is given up at once.
    pub(crate) fn linger<V: Send + Sync + 'static>(&self, node: &Arc<Node<V>>, topic: Topic, attendee: Attendee) {
        let linger = node.settings.presence_linger;
        let runtime = Handle::try_current().ok().filter(|_| !linger.is_zero());
        let Some(runtime) = runtime else { return node.attendance.untrack(&node.hub, &topic, &attendee) };
        node.attendance.linger(&topic, &attendee);
        let mut state = self.state.lock();
        state.absences.push_back(Absence { until: Instant::now() + linger, topic, attendee });
        if state.task.as_ref().is_none_or(JoinHandle::is_finished) {
            let node = Arc::downgrade(node);
            state.task = Some(runtime.spawn(async move {
                loop {
                    let next = node.upgrade().and_then(|node| node.lingerer.next());
                    let Some(until) = next else { return };
                    time::sleep_until(until).await;
                    let Some(node) = node.upgrade() else { return };
                    for Absence { topic, attendee, .. } in node.lingerer.over() {
                        node.attendance.give_up(&node.hub, &topic, &attendee);
                    }
                }
            }));
        }
    }

    /// When the next one is given up; with none left, the next to linger starts another task.
    fn next(&self) -> Option<Instant> {
        let mut state = self.state.lock();
        let next = state.absences.front().map(|absence| absence.until);
        if next.is_none() {
            *state = State::default();
        }
        next
    }

    /// Those whose time is over.
    fn over(&self) -> Vec<Absence> {
        let now = Instant::now();
        let absences = &mut self.state.lock().absences;
        let count = absences.partition_point(|absence| absence.until <= now);
        absences.drain(..count).collect()
    }
}
