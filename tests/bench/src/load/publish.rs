use std::time::Duration;

use super::{
    dialect::Caller,
    failure::Failure,
    fanout::Deliveries,
    listener::{Calm, Heard, Listener},
    pace::Pace,
    swarm::{SILENCE, Swarm},
    target::Target,
};
use crate::{
    meter::{Meter, Usage},
    metric::{Figure, Metric},
};

/// Calls at least, however short the window: the first few are not what a call costs.
const FEWEST: usize = 12;
const FIRST: usize = 4;

/// How long `publish` holds its caller up, by the server's own clock, when nothing else is under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publish {
    pub(crate) subscribers: usize,
    pub(crate) size: usize,
}

impl Publish {
    pub(crate) const BY_HANDLER: Metric = Metric::new("publish, called by a handler", "µs", 2);
    pub(crate) const BY_THREAD: Metric = Metric::new("publish, called by another thread", "µs", 2);

    pub(crate) fn measure(&self, target: &Target, pace: &Pace) -> Result<(Vec<Figure>, Usage), Failure> {
        let subscribers = self.subscribers;
        let mut swarm = Swarm::new(target, std::iter::repeat_n(Some(0), subscribers).chain([None]))?;
        swarm.open_all(0..subscribers + 1)?;
        swarm.settle(pace.settle, &mut Calm)?;

        let mut asking = Asking { deliveries: Deliveries::of(subscribers), answer: None };
        let meter = Meter::start(target.pid)?;
        let mut figures = Vec::new();
        for (caller, metric) in [(Caller::Handler, Self::BY_HANDLER), (Caller::Thread, Self::BY_THREAD)] {
            let times = self.call(caller, &mut swarm, &mut asking, pace.window / 2)?;
            figures.extend(median(times).map(|time| metric.of(time.as_secs_f64() * 1e6)));
        }
        Ok((figures, meter.stop()?))
    }

    /// The times of calls that follow each other when all has been delivered; none if the server has no such caller.
    fn call(
        &self,
        caller: Caller,
        swarm: &mut Swarm,
        asking: &mut Asking,
        time: Duration,
    ) -> Result<Vec<Duration>, Failure> {
        let request = swarm.dialect().measure(0, caller, self.size);
        let subscribers = asking.deliveries.subscribers;
        let end = swarm.now() + time;
        let mut times = Vec::new();
        while times.len() < FEWEST || swarm.now() < end {
            asking.answer = None;
            asking.deliveries.count = 0;
            swarm.text(subscribers, &request)?;
            let deadline = swarm.now() + SILENCE;
            loop {
                match asking.answer {
                    Some(None) => return Ok(Vec::new()),
                    Some(Some(time)) if asking.deliveries.count == subscribers as u64 => {
                        times.push(time);
                        break;
                    }
                    _ => {}
                }
                let left = deadline.saturating_sub(swarm.now());
                if left.is_zero() {
                    let awaited = "the answer to `measure` and its deliveries".to_owned();
                    return Err(Failure::Stuck { awaited, after: SILENCE });
                }
                swarm.poll(left, asking)?;
            }
        }
        times.drain(..FIRST);
        Ok(times)
    }
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

struct Asking {
    deliveries: Deliveries,
    answer: Option<Option<Duration>>,
}

impl Listener for Asking {
    fn hear(&mut self, swarm: &mut Swarm, number: usize, heard: Heard<'_>) -> Result<(), Failure> {
        if let Heard::Message(Some(text)) = heard
            && number == self.deliveries.subscribers
            && let Some(answer) = swarm.dialect().measured(text)
        {
            self.answer = Some(answer);
            return Ok(());
        }
        self.deliveries.hear(swarm, number, heard)
    }
}
