use std::time::Duration;

use super::{
    dialect::due,
    failure::Failure,
    histogram::Histogram,
    listener::{Calm, Heard, Listener},
    pace::Pace,
    swarm::{SILENCE, Swarm},
    target::Target,
};
use crate::{
    meter::{Meter, Usage},
    metric::{Figure, Metric},
};

/// Between the last subscription and the first publication.
const CALM: Duration = Duration::from_millis(100);
/// One subscriber of so many reads the time off its messages.
const SAMPLE: usize = 16;

/// Publications that reach all subscribers of their topic.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fanout {
    /// Spread evenly over the topics, with at least one in each.
    pub(crate) subscribers: usize,
    pub(crate) topics: usize,
    pub(crate) publishers: usize,
    /// Bytes of a publication's text.
    pub(crate) size: usize,
    pub(crate) flow: Flow,
}

/// When the next publication goes out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Flow {
    /// So many are outstanding at any time.
    Window(u64),
    /// So many a second, whatever the server makes of it.
    Rate(u32),
}

impl Fanout {
    pub(crate) const CPU: Metric = Metric::new("CPU per delivery", "µs", 2);
    pub(crate) const P50: Metric = Metric::new("p50", "ms", 2);
    pub(crate) const P99: Metric = Metric::new("p99", "ms", 2);
    pub(crate) const RATE: Metric = Metric::new("deliveries", "1/s", 0);
    pub(crate) const LOST: Metric = Metric::new("lost", "", 0);

    pub(crate) fn measure(&self, target: &Target, pace: &Pace) -> Result<(Vec<Figure>, Usage), Failure> {
        let per_topic = (self.subscribers / self.topics).max(1);
        let subscribers = per_topic * self.topics;
        let topics = (0..subscribers).map(|number| Some(number % self.topics));
        let mut swarm = Swarm::new(target, topics.chain(std::iter::repeat_n(None, self.publishers)))?;
        swarm.open_all(0..subscribers + self.publishers)?;
        swarm.settle(CALM, &mut Calm)?;

        let mut publishing = Publishing {
            fanout: self,
            per_topic: per_topic as u64,
            published: 0,
            deliveries: Deliveries::of(subscribers),
            swarm,
        };
        publishing.run(pace.warm_up)?;
        publishing.drain()?;
        publishing.deliveries.latencies.clear();
        let before = publishing.deliveries.count;
        let published = publishing.published;
        let meter = Meter::start(target.pid)?;
        publishing.run(pace.window)?;
        publishing.drain()?;
        let usage = meter.stop()?;

        let deliveries = publishing.deliveries;
        let count = deliveries.count - before;
        if count == 0 {
            return Err(Failure::Stuck { awaited: "a first delivery".to_owned(), after: pace.window });
        }
        let lost = (publishing.published - published) * publishing.per_topic - count;
        let mut figures = vec![Self::CPU.of(usage.cost().as_secs_f64() * 1e6 / count as f64)];
        figures.extend(quantile(&deliveries.latencies, Self::P50, 0.5));
        figures.extend(quantile(&deliveries.latencies, Self::P99, 0.99));
        figures.push(Self::RATE.of(count as f64 / usage.elapsed().as_secs_f64()));
        figures.push(Self::LOST.of(lost as f64));
        Ok((figures, usage))
    }
}

/// A quantile in milliseconds.
pub(super) fn quantile(latencies: &Histogram, metric: Metric, share: f64) -> Option<Figure> {
    latencies.quantile(share).map(|latency| metric.of(latency.as_secs_f64() * 1e3))
}

struct Publishing<'a> {
    fanout: &'a Fanout,
    per_topic: u64,
    published: u64,
    deliveries: Deliveries,
    swarm: Swarm,
}

impl Publishing<'_> {
    fn run(&mut self, time: Duration) -> Result<(), Failure> {
        let start = self.swarm.now();
        match self.fanout.flow {
            Flow::Window(window) => self.keep_outstanding(window, start + time),
            Flow::Rate(rate) => self.keep_pace(Duration::from_secs(1) / rate, start, start + time),
        }
    }

    fn keep_outstanding(&mut self, window: u64, end: Duration) -> Result<(), Failure> {
        let mut progress = (self.deliveries.count, self.swarm.now());
        loop {
            let now = self.swarm.now();
            if now >= end {
                return Ok(());
            }
            if self.deliveries.count != progress.0 {
                progress = (self.deliveries.count, now);
            } else if now - progress.1 > SILENCE {
                return Err(self.stuck());
            }
            while self.published - self.deliveries.count / self.per_topic < window {
                self.publish(self.swarm.now())?;
            }
            self.swarm.poll((end - now).min(SILENCE), &mut self.deliveries)?;
        }
    }

    fn keep_pace(&mut self, interval: Duration, start: Duration, end: Duration) -> Result<(), Failure> {
        let mut due = start;
        while due < end {
            let now = self.swarm.now();
            if now < due {
                self.swarm.poll(due - now, &mut self.deliveries)?;
            } else {
                self.publish(due)?;
                due += interval;
            }
        }
        Ok(())
    }

    fn publish(&mut self, due: Duration) -> Result<(), Failure> {
        let count = self.published as usize;
        let publisher = self.deliveries.subscribers + count % self.fanout.publishers;
        let message = self.swarm.dialect().publish(count % self.fanout.topics, due, self.fanout.size);
        self.published += 1;
        self.swarm.text(publisher, &message)
    }

    /// Waits for what is under way, until nothing comes any more.
    fn drain(&mut self) -> Result<(), Failure> {
        while self.deliveries.count < self.published * self.per_topic {
            let before = self.deliveries.count;
            let deadline = self.swarm.now() + SILENCE;
            while self.deliveries.count == before {
                let left = deadline.saturating_sub(self.swarm.now());
                if left.is_zero() {
                    return match self.fanout.flow {
                        Flow::Window(_) => Err(self.stuck()),
                        Flow::Rate(_) => Ok(()),
                    };
                }
                self.swarm.poll(left, &mut self.deliveries)?;
            }
        }
        Ok(())
    }

    fn stuck(&self) -> Failure {
        let missing = self.published * self.per_topic - self.deliveries.count;
        Failure::Stuck { awaited: format!("{missing} deliveries"), after: SILENCE }
    }
}

/// What the subscribers got; those behind them in the swarm publish.
pub(super) struct Deliveries {
    pub(super) subscribers: usize,
    pub(super) count: u64,
    pub(super) latencies: Histogram,
}

impl Deliveries {
    pub(super) fn of(subscribers: usize) -> Self {
        Self { subscribers, count: 0, latencies: Histogram::new() }
    }
}

impl Listener for Deliveries {
    fn hear(&mut self, swarm: &mut Swarm, number: usize, heard: Heard<'_>) -> Result<(), Failure> {
        match heard {
            Heard::Message(text) if number < self.subscribers => {
                self.count += 1;
                if number.is_multiple_of(SAMPLE)
                    && let Some(due) = text.and_then(due)
                {
                    self.latencies.add(swarm.now().saturating_sub(due));
                }
                Ok(())
            }
            // Publishers subscribe to nothing.
            Heard::Message(text) => {
                Err(Failure::Unexpected(String::from_utf8_lossy(text.unwrap_or_default()).into_owned()))
            }
            Heard::Lost => Err(Failure::Disconnected),
            Heard::Ready | Heard::Closed => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddrV4};

    use super::*;
    use crate::load::Dialect;

    fn hear(number: usize, heard: Heard<'_>) -> (Deliveries, Result<(), Failure>) {
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 1);
        let target = Target { address, path: "/ws".to_owned(), dialect: Dialect::Plain, pid: 0 };
        let mut swarm = Swarm::new(&target, []).expect("no connection is made");
        let mut deliveries = Deliveries::of(1);
        let result = deliveries.hear(&mut swarm, number, heard);
        (deliveries, result)
    }

    #[test]
    fn a_subscribers_message_is_a_delivery() {
        let publication = Dialect::Plain.publish(0, Duration::ZERO, 32);
        let (deliveries, result) = hear(0, Heard::Message(Some(publication.as_bytes())));
        assert!(result.is_ok());
        assert_eq!(deliveries.count, 1);
        assert!(deliveries.latencies.quantile(0.5).is_some());
    }

    #[test]
    fn a_publishers_message_is_an_error_that_is_told() {
        let (deliveries, result) = hear(1, Heard::Message(Some(b"no such topic")));
        assert!(matches!(result, Err(Failure::Unexpected(text)) if text == "no such topic"));
        assert_eq!(deliveries.count, 0);
    }
}
