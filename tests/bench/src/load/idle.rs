use super::{failure::Failure, fanout::Deliveries, listener::Calm, pace::Pace, swarm::Swarm, target::Target};
use crate::{
    meter::{Meter, Usage},
    metric::{Figure, Metric},
    process::resident,
};

/// Connections that subscribe and are silent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Idle {
    pub(crate) connections: usize,
}

impl Idle {
    pub(crate) const MEMORY: Metric = Metric::new("memory per idle connection", "KiB", 2);
    pub(crate) const AFTERWARDS: Metric = Metric::new("after a publication", "KiB", 2);
    pub(crate) const OPENING: Metric = Metric::new("CPU to open", "µs", 1);
    pub(crate) const CPU: Metric = Metric::new("CPU for all in a second", "ms", 2);

    pub(crate) fn measure(&self, target: &Target, pace: &Pace) -> Result<(Vec<Figure>, Usage), Failure> {
        let connections = self.connections;
        let subscribers = std::iter::repeat_n(Some(0), connections);
        let mut swarm = Swarm::new(target, subscribers.chain([None]))?;
        // What the first connection brings about is not what a connection costs.
        let publisher = connections;
        swarm.open_all(publisher..publisher + 1)?;
        swarm.settle(pace.settle, &mut Calm)?;

        let before = resident(target.pid)?;
        let meter = Meter::start(target.pid)?;
        swarm.open_all(0..connections)?;
        let opening = meter.stop()?;
        swarm.settle(pace.settle, &mut Calm)?;
        let idle = resident(target.pid)?;
        let meter = Meter::start(target.pid)?;
        swarm.settle(pace.window.max(pace.settle), &mut Calm)?;
        let silence = meter.stop()?;

        let mut deliveries = Deliveries::of(connections);
        swarm.text(publisher, &swarm.dialect().publish(0, swarm.now(), 128))?;
        swarm.settle(pace.settle, &mut deliveries)?;
        let afterwards = resident(target.pid)?;

        let each = |kib: u64| (kib as f64 - before as f64) / connections as f64;
        let figures = vec![
            Self::MEMORY.of(each(idle)),
            Self::AFTERWARDS.of(each(afterwards)),
            Self::OPENING.of(opening.server().as_secs_f64() * 1e6 / connections as f64),
            Self::CPU.of(silence.server().as_secs_f64() * 1e3 / silence.elapsed().as_secs_f64()),
        ];
        Ok((figures, opening))
    }
}
