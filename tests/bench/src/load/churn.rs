use std::time::Duration;

use super::{
    failure::Failure,
    listener::{Heard, Listener},
    pace::Pace,
    swarm::Swarm,
    target::Target,
};
use crate::{
    meter::{Meter, Usage},
    metric::{Figure, Metric},
};

/// Clients that connect, subscribe, close and come again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Churn {
    /// How many do so at the same time.
    pub(crate) clients: usize,
}

impl Churn {
    pub(crate) const CPU: Metric = Metric::new("CPU per connect and close", "µs", 1);
    pub(crate) const PER_CPU: Metric = Metric::new("cycles", "1/CPU-s", 0);
    pub(crate) const RATE: Metric = Metric::new("cycles", "1/s", 0);

    pub(crate) fn measure(&self, target: &Target, pace: &Pace) -> Result<(Vec<Figure>, Usage), Failure> {
        let mut swarm = Swarm::new(target, std::iter::repeat_n(Some(0), self.clients))?;
        let mut cycles = Cycles { count: 0 };
        for number in 0..self.clients {
            swarm.open(number)?;
        }
        swarm.settle(pace.warm_up, &mut cycles)?;

        cycles.count = 0;
        let meter = Meter::start(target.pid)?;
        swarm.settle_until(pace.window, &mut cycles, |cycles| cycles.count > 0)?;
        let usage = meter.stop()?;
        let count = cycles.count as f64;
        let cpu = usage.cost().max(Duration::from_nanos(1)).as_secs_f64();
        let figures = vec![
            Self::CPU.of(cpu * 1e6 / count),
            Self::PER_CPU.of(count / cpu),
            Self::RATE.of(count / usage.elapsed().as_secs_f64()),
        ];
        Ok((figures, usage))
    }
}

struct Cycles {
    count: u64,
}

impl Listener for Cycles {
    fn hear(&mut self, swarm: &mut Swarm, number: usize, heard: Heard<'_>) -> Result<(), Failure> {
        match heard {
            Heard::Ready => swarm.close(number),
            Heard::Closed => {
                self.count += 1;
                swarm.open(number)
            }
            Heard::Lost => Err(Failure::Disconnected),
            Heard::Message(_) => Ok(()),
        }
    }
}
