//! A server as a process of its own: the reference server, or the soak's.

use std::{
    fs,
    io::{BufRead, BufReader, Lines},
    net::SocketAddr,
    process::{self, ChildStdout, Command, Stdio},
    time::Duration,
};

use tokio::task;

pub(crate) struct Child {
    pub(crate) addr: SocketAddr,
    process: process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(crate) async fn start(options: &[&str]) -> Self {
        Self::spawn(Command::new(REFERENCE).args(options)).await
    }

    /// The soak's.
    pub(crate) async fn soaked() -> Self {
        Self::spawn(&mut Command::new(SOAKED)).await
    }

    /// One that may have so many files open.
    pub(crate) async fn limited(descriptors: u32, options: &[&str]) -> Self {
        let script = format!("ulimit -n {descriptors} && exec \"$0\" \"$@\"");
        Self::spawn(Command::new("sh").args(["-c", &script, REFERENCE]).args(options)).await
    }

    async fn spawn(command: &mut Command) -> Self {
        let mut process = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let (line, lines) = task::spawn_blocking(move || (lines.next().unwrap().unwrap(), lines)).await.unwrap();
        let addr = line.rsplit('/').next().unwrap().parse().unwrap();
        Self { addr, process, lines }
    }

    pub(crate) fn pause(&self) {
        self.signal("STOP");
    }

    pub(crate) fn resume(&self) {
        self.signal("CONT");
    }

    /// The CPU time that it has used.
    pub(crate) fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap();
        let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        fields.map(|ticks| Duration::from_millis(10) * ticks.parse().unwrap()).sum()
    }

    /// The memory that is in RAM, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.process.id())).unwrap().count()
    }

    /// Asks it to stop, and answers what it says of how that went.
    pub(crate) async fn drain(mut self) -> String {
        self.signal("TERM");
        task::spawn_blocking(move || {
            let report = self.lines.next().unwrap().unwrap();
            assert!(self.process.wait().unwrap().success());
            report
        })
        .await
        .unwrap()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([format!("-{name}"), self.process.id().to_string()]).status();
        assert!(status.unwrap().success());
    }
}

/// Should the test have failed, it goes with it.
impl Drop for Child {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

const REFERENCE: &str = env!("CARGO_BIN_EXE_reference");

const SOAKED: &str = env!("CARGO_BIN_EXE_soaked");
