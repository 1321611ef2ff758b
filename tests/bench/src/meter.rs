use std::{
    fs,
    path::PathBuf,
    process,
    sync::LazyLock,
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use crate::{
    load::Failure,
    process::{TICK, cpu_time, scheduled},
};

/// Reads clocks of CPU time twice.
pub(crate) struct Meter {
    pid: u32,
    begin: Reading,
}

/// Who used the CPUs between the two readings of a [`Meter`].
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Usage {
    elapsed: Duration,
    server: Duration,
    /// The kernel's threads that receive what was sent over loopback, where that was not done at the sender's expense.
    softirq: Duration,
    generator: Duration,
    /// All CPUs, whoever used them.
    machine: Duration,
    /// What the hypervisor gave to other machines.
    stolen: Duration,
    cpus: u32,
}

struct Reading {
    at: Instant,
    server: Duration,
    softirq: Duration,
    generator: Duration,
    machine: Duration,
    stolen: Duration,
}

impl Meter {
    pub(crate) fn start(pid: u32) -> Result<Self, Failure> {
        Ok(Self { pid, begin: Reading::take(pid)? })
    }

    pub(crate) fn stop(self) -> Result<Usage, Failure> {
        let (begin, end) = (self.begin, Reading::take(self.pid)?);
        Ok(Usage {
            elapsed: end.at - begin.at,
            server: end.server.saturating_sub(begin.server),
            softirq: end.softirq.saturating_sub(begin.softirq),
            generator: end.generator.saturating_sub(begin.generator),
            machine: end.machine.saturating_sub(begin.machine),
            stolen: end.stolen.saturating_sub(begin.stolen),
            cpus: thread::available_parallelism().map_or(1, |cpus| cpus.get() as u32),
        })
    }
}

impl Usage {
    /// What the server's work cost.
    pub(crate) fn cost(&self) -> Duration {
        self.server + self.softirq
    }

    pub(crate) fn server(&self) -> Duration {
        self.server
    }

    pub(crate) fn elapsed(&self) -> Duration {
        self.elapsed
    }

    /// The share of the CPUs that went to processes which have nothing to do with the measurement.
    pub(crate) fn others(&self) -> f64 {
        let ours = self.server + self.softirq + self.generator;
        self.share(self.machine.saturating_sub(ours))
    }

    /// The share of the CPUs that the hypervisor withheld.
    pub(crate) fn stolen(&self) -> f64 {
        self.share(self.stolen)
    }

    fn share(&self, time: Duration) -> f64 {
        let all = (self.elapsed * self.cpus).as_secs_f64();
        // The machine's times come in ticks, which may be more than a short measurement took.
        if all > 0.0 { (time.as_secs_f64() / all).min(1.0) } else { 0.0 }
    }
}

impl Reading {
    fn take(pid: u32) -> Result<Self, Failure> {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let (machine, stolen) = machine_times(&stat);
        Ok(Self {
            server: cpu_time(pid)?,
            softirq: softirq_threads().iter().map(|task| scheduled(task)).sum(),
            generator: cpu_time(process::id())?,
            machine,
            stolen,
            at: Instant::now(),
        })
    }
}

/// Busy and stolen time of all CPUs in `/proc/stat`.
fn machine_times(stat: &str) -> (Duration, Duration) {
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let times: Vec<Duration> = fields.map(|field| TICK * field.parse().unwrap_or(0)).collect();
    match times[..] {
        [user, nice, system, _idle, _waiting, irq, softirq, stolen, ..] => {
            (user + nice + system + irq + softirq, stolen)
        }
        _ => (Duration::ZERO, Duration::ZERO),
    }
}

/// The folders of the ksoftirqd threads; none where a container hides them.
fn softirq_threads() -> &'static [PathBuf] {
    static THREADS: LazyLock<Vec<PathBuf>> = LazyLock::new(|| {
        let is_one =
            |folder: &PathBuf| fs::read_to_string(folder.join("comm")).is_ok_and(|name| name.starts_with("ksoftirqd/"));
        fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path()).filter(is_one).collect()
    });
    &THREADS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machines_times_leave_out_idleness() {
        let stat = "cpu  100 10 200 5000 300 1 2 7 0 0\ncpu0 1 2 3\n";
        assert_eq!(machine_times(stat), (TICK * 313, TICK * 7));
    }

    #[test]
    fn shares_are_of_all_cpus() {
        let second = Duration::from_secs(1);
        let usage = Usage {
            elapsed: 2 * second,
            server: second,
            softirq: second / 4,
            generator: second / 4,
            machine: 2 * second,
            stolen: second / 5,
            cpus: 2,
        };
        assert_eq!(usage.cost(), second * 5 / 4);
        assert!((usage.others() - 0.125).abs() < 1e-9, "{}", usage.others());
        assert!((usage.stolen() - 0.05).abs() < 1e-9, "{}", usage.stolen());
    }
}
