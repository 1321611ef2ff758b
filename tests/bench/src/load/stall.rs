use std::time::Duration;

use super::{
    failure::Failure,
    fanout::{Deliveries, Fanout, quantile},
    listener::{Calm, Heard, Listener},
    pace::Pace,
    swarm::{SILENCE, Swarm},
    target::Target,
};
use crate::{
    meter::{Meter, Usage},
    metric::{Figure, Metric},
    process::resident,
};

const SMALL: usize = 128;
const LARGE: usize = 16 << 10;
/// One publication to all, then so many large ones to the one that is to stall.
const LARGE_PER_SMALL: u32 = 5;
/// How often memory is read, in publications to all.
const READ_EVERY: u32 = 16;

/// One subscriber among many that gets a lot besides and stops reading; what the others notice of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stall {
    pub(crate) others: usize,
    /// Publications to all in a second.
    pub(crate) rate: u32,
}

impl Stall {
    pub(crate) const P99: Metric = Metric::new("p99 of the others", "ms", 2);
    pub(crate) const P99_BEFORE: Metric = Metric::new("p99 before", "ms", 2);
    pub(crate) const SLOWER: Metric = Metric::new("p99 against before", "×", 2);
    pub(crate) const MEMORY: Metric = Metric::new("memory grew by", "KiB", 0);

    pub(crate) fn measure(&self, target: &Target, pace: &Pace) -> Result<(Vec<Figure>, Usage), Failure> {
        let others = self.others;
        // Behind them the one that will stall, and the publisher.
        let mut swarm = Swarm::new(target, std::iter::repeat_n(Some(0), others + 1).chain([None]))?;
        let stalling = others;
        swarm.open_all(0..others + 2)?;
        swarm.text(stalling, &swarm.dialect().subscribe(1))?;
        swarm.settle(pace.settle, &mut Calm)?;

        let mut watching = Watching { stalling, deliveries: Deliveries::of(others) };
        self.publish(&mut swarm, &mut watching, pace.warm_up)?;
        watching.deliveries.latencies.clear();
        self.publish(&mut swarm, &mut watching, pace.window)?;
        let before = quantile(&watching.deliveries.latencies, Self::P99_BEFORE, 0.99);
        let memory = resident(target.pid)?;

        swarm.stall(stalling)?;
        watching.deliveries.latencies.clear();
        let meter = Meter::start(target.pid)?;
        let peak = self.publish(&mut swarm, &mut watching, pace.window)?;
        let usage = meter.stop()?;

        let after = quantile(&watching.deliveries.latencies, Self::P99, 0.99);
        let (Some(before), Some(after)) = (before, after) else {
            return Err(Failure::Stuck { awaited: "a first delivery".to_owned(), after: pace.window });
        };
        let figures = vec![
            after,
            Self::SLOWER.of(after.value / before.value),
            before,
            quantile(&watching.deliveries.latencies, Fanout::P50, 0.5).unwrap_or(after),
            Self::MEMORY.of(peak.saturating_sub(memory) as f64),
        ];
        Ok((figures, usage))
    }

    /// Publishes to all and to the one, and answers the server's memory at its highest.
    fn publish(&self, swarm: &mut Swarm, watching: &mut Watching, time: Duration) -> Result<u64, Failure> {
        let publisher = watching.stalling + 1;
        let interval = Duration::from_secs(1) / (self.rate * (1 + LARGE_PER_SMALL));
        let (mut due, mut peak, mut expected) = (swarm.now(), 0, 0);
        watching.deliveries.count = 0;
        let end = due + time;
        for turn in 0.. {
            if due >= end {
                break;
            }
            while let left @ 1.. = due.saturating_sub(swarm.now()).as_nanos() {
                swarm.poll(Duration::from_nanos(left as u64), watching)?;
            }
            let is_to_all = turn % (1 + LARGE_PER_SMALL) == 0;
            let (topic, size) = if is_to_all { (0, SMALL) } else { (1, LARGE) };
            expected += if is_to_all { self.others as u64 } else { 0 };
            swarm.text(publisher, &swarm.dialect().publish(topic, due, size))?;
            if turn % (READ_EVERY * (1 + LARGE_PER_SMALL)) == 0 {
                peak = peak.max(resident(swarm.target().pid)?);
            }
            due += interval;
        }
        // What comes late is this time's, not the next one's.
        let deadline = swarm.now() + SILENCE;
        while watching.deliveries.count < expected && swarm.now() < deadline {
            swarm.poll(deadline.saturating_sub(swarm.now()), watching)?;
        }
        Ok(peak.max(resident(swarm.target().pid)?))
    }
}

/// Who stalls may be thrown out; the others may not.
struct Watching {
    stalling: usize,
    deliveries: Deliveries,
}

impl Listener for Watching {
    fn hear(&mut self, swarm: &mut Swarm, number: usize, heard: Heard<'_>) -> Result<(), Failure> {
        if number == self.stalling { Ok(()) } else { self.deliveries.hear(swarm, number, heard) }
    }
}
