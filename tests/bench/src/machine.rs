//! The machine that is measured on.

use std::{fs, io, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What it is, in a line.
pub(crate) fn describe() -> String {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!(
        "{} × {}, Linux {}",
        thread::available_parallelism().map_or(1, |cpus| cpus.get()),
        model.map_or("an unnamed CPU", |(_, name)| name.trim()),
        kernel.trim(),
    )
}

/// Raises the limit of open files as far as this process may; the servers that it starts inherit it.
pub(crate) fn allow_open_files() -> io::Result<()> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}
