//! Where the figures come from.

use std::{
    collections::hash_map::DefaultHasher,
    fs,
    hash::{Hash, Hasher},
};

use axum_live::Live;
use serde::Serialize;
use tokio::time::Instant;

use crate::TICK;

/// What can be watched; the page makes its charts of the list of them.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Metric {
    pub(crate) topic: &'static str,
    label: &'static str,
    unit: &'static str,
    /// Whether it is of a shop that does not exist.
    simulated: bool,
    #[serde(skip)]
    read: Read,
}

type Read = fn(&mut Figures) -> Option<f64>;

pub(crate) const METRICS: [Metric; 12] = [
    measured("metric:cpu", "Processors", "%", Figures::cpu),
    measured("metric:memory", "Memory", "%", |_| memory()),
    measured("metric:load", "Load", "", |_| numbers(&proc("loadavg")?).next()),
    measured("metric:network", "Network", "KiB/s", Figures::network),
    measured("metric:server:memory", "This server's memory", "MiB", |_| Some(field("self/status", "VmRSS:")? / 1024.0)),
    measured("metric:server:sessions", "This server's sessions", "", |all| Some(all.live.len() as f64)),
    simulated("metric:requests", "Requests", "/s", |all| Some(1200.0 * all.business())),
    simulated("metric:errors", "Errors", "/s", |all| Some((1.0 + all.chance("errors")).powi(6) / 8.0 * all.business())),
    simulated("metric:queue", "Queue", "", |all| Some((90.0 * (all.business() - 0.4)).max(0.0).round())),
    simulated("metric:latency:p50", "Latency, p50", "ms", |all| Some(all.latency(1.0))),
    simulated("metric:latency:p90", "Latency, p90", "ms", |all| Some(all.latency(1.9))),
    simulated("metric:latency:p99", "Latency, p99", "ms", |all| Some(all.latency(3.7))),
];

const fn measured(topic: &'static str, label: &'static str, unit: &'static str, read: Read) -> Metric {
    Metric { topic, label, unit, simulated: false, read }
}

const fn simulated(topic: &'static str, label: &'static str, unit: &'static str, read: Read) -> Metric {
    Metric { topic, label, unit, simulated: true, read }
}

/// What it takes to look them up.
pub(crate) struct Figures {
    live: Live<()>,
    /// The time of the shop.
    ticks: u32,
    /// At the last look, how long the processors were busy, and how long they have been there.
    cpu: Option<(f64, f64)>,
    /// At the last look, how many bytes came and went, and when that was.
    network: Option<(f64, Instant)>,
}

impl Figures {
    pub(crate) fn new(live: Live<()>) -> Self {
        Self { live, ticks: 0, cpu: None, network: None }
    }

    pub(crate) fn tick(&mut self) {
        self.ticks = self.ticks.wrapping_add(1);
    }

    /// A figure as it is now; none where the machine does not tell, or at the first look at what is a rate.
    pub(crate) fn read(&mut self, metric: &Metric) -> Option<f64> {
        (metric.read)(self).map(|figure| (figure * 100.0).round() / 100.0)
    }

    fn cpu(&mut self) -> Option<f64> {
        let times: Vec<f64> = numbers(proc("stat")?.lines().next()?).take(8).collect(); // user nice system idle iowait …
        let all: f64 = times.iter().sum();
        let busy = all - times.get(3)? - times.get(4)?;
        let (busy_before, all_before) = self.cpu.replace((busy, all))?;
        (all > all_before).then(|| (busy - busy_before) / (all - all_before) * 100.0)
    }

    fn network(&mut self) -> Option<f64> {
        let dev = proc("net/dev")?;
        let counts = dev.lines().filter_map(|line| Some(line.split_once(':')?.1));
        let bytes = counts.filter_map(|counts| Some(numbers(counts).next()? + numbers(counts).nth(8)?)).sum(); // in, out
        let (bytes_before, then) = self.network.replace((bytes, Instant::now()))?;
        let seconds = then.elapsed().as_secs_f64();
        (seconds > 0.0).then(|| (bytes - bytes_before) / 1024.0 / seconds)
    }

    /// How much the shop has to do, from 0 to 1: in waves of minutes, of seconds, and of chance.
    fn business(&self) -> f64 {
        let seconds = f64::from(self.ticks) * TICK.as_secs_f64();
        0.5 + 0.28 * (seconds / 29.0).sin() + 0.12 * (seconds / 7.3).sin() + 0.06 * self.chance("business")
    }

    fn latency(&self, times: f64) -> f64 {
        (9.0 + 34.0 * self.business().powi(2)) * times * (1.0 + 0.08 * times * self.chance("latency"))
    }

    /// From -1 to 1, another at each tick.
    fn chance(&self, of: &str) -> f64 {
        let mut hasher = DefaultHasher::new();
        (of, self.ticks).hash(&mut hasher);
        hasher.finish() as f64 / u64::MAX as f64 * 2.0 - 1.0
    }
}

fn memory() -> Option<f64> {
    Some((1.0 - field("meminfo", "MemAvailable:")? / field("meminfo", "MemTotal:")?) * 100.0)
}

/// The kernel answers from memory, so reading this blocks no worker.
fn proc(file: &str) -> Option<String> {
    fs::read_to_string(format!("/proc/{file}")).ok()
}

fn numbers(line: &str) -> impl Iterator<Item = f64> {
    line.split_whitespace().filter_map(|word| word.parse().ok())
}

/// The number behind a name, in a file of lines that begin with names.
fn field(file: &str, name: &str) -> Option<f64> {
    proc(file)?.lines().find_map(|line| numbers(line.strip_prefix(name)?).next())
}
