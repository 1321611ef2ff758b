use std::time::Duration;

use super::{
    Fanout,
    failure::Failure,
    fanout::quantile,
    frame::{TEXT, client_frame},
    histogram::Histogram,
    listener::{Heard, Listener},
    pace::Pace,
    swarm::Swarm,
    target::Target,
};
use crate::{
    meter::{Meter, Usage},
    metric::{Figure, Metric},
};

/// Requests that are answered with themselves, one outstanding at each connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Echo {
    pub(crate) connections: usize,
    /// Bytes of a request's text.
    pub(crate) size: usize,
}

impl Echo {
    pub(crate) const CPU: Metric = Metric::new("CPU per request", "µs", 2);
    pub(crate) const RATE: Metric = Metric::new("requests", "1/s", 0);

    pub(crate) fn measure(&self, target: &Target, pace: &Pace) -> Result<(Vec<Figure>, Usage), Failure> {
        let mut swarm = Swarm::new(target, std::iter::repeat_n(None, self.connections))?;
        let request = client_frame(TEXT, swarm.dialect().echo(self.size).as_bytes());
        let mut asking = Asking { request, asked: Vec::new(), answers: 0, latencies: Histogram::new() };
        swarm.open_all(0..self.connections)?;
        for number in 0..self.connections {
            asking.asked.push(swarm.now());
            swarm.send(number, &asking.request)?;
        }
        swarm.settle(pace.warm_up, &mut asking)?;

        asking.latencies.clear();
        asking.answers = 0;
        let meter = Meter::start(target.pid)?;
        swarm.settle_until(pace.window, &mut asking, |asking| asking.answers > 0)?;
        let usage = meter.stop()?;
        let answers = asking.answers as f64;
        let mut figures = vec![Self::CPU.of(usage.cost().as_secs_f64() * 1e6 / answers)];
        figures.extend(quantile(&asking.latencies, Fanout::P50, 0.5));
        figures.extend(quantile(&asking.latencies, Fanout::P99, 0.99));
        figures.push(Self::RATE.of(answers / usage.elapsed().as_secs_f64()));
        Ok((figures, usage))
    }
}

struct Asking {
    request: Vec<u8>,
    /// When each client asked.
    asked: Vec<Duration>,
    answers: u64,
    latencies: Histogram,
}

impl Listener for Asking {
    fn hear(&mut self, swarm: &mut Swarm, number: usize, heard: Heard<'_>) -> Result<(), Failure> {
        match heard {
            Heard::Message(_) => {
                let now = swarm.now();
                self.answers += 1;
                self.latencies.add(now - self.asked[number]);
                self.asked[number] = now;
                swarm.send(number, &self.request)
            }
            Heard::Lost => Err(Failure::Disconnected),
            Heard::Ready | Heard::Closed => Ok(()),
        }
    }
}
