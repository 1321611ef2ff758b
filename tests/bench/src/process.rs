//! What /proc tells of one process.

use std::{fs, io, path::Path, time::Duration};

use crate::load::Failure;

/// The unit of CPU times in /proc, whatever the kernel's own tick is.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The CPU time that a process has used so far.
///
/// Two sources bound it from below, and the larger is the nearer: its threads' own times are exact but lack those of
/// threads that ended, the process's lacks up to two ticks.
pub(crate) fn cpu_time(pid: u32) -> Result<Duration, Failure> {
    let stat = read(&format!("/proc/{pid}/stat"))?;
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let by_threads = threads.map(|thread| scheduled(&thread.path())).sum();
    Ok(ticks(&stat).max(by_threads))
}

/// The memory of a process that is in RAM, in KiB.
pub(crate) fn resident(pid: u32) -> Result<u64, Failure> {
    let path = format!("/proc/{pid}/smaps_rollup");
    field(&read(&path)?, "Rss:").ok_or_else(|| unreadable(&path, io::ErrorKind::InvalidData.into()))
}

/// The CPU time of a task, whose folder this is; none if it has ended.
pub(crate) fn scheduled(task: &Path) -> Duration {
    let schedstat = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    let nanoseconds = schedstat.split_whitespace().next().and_then(|word| word.parse().ok());
    Duration::from_nanos(nanoseconds.unwrap_or_default())
}

/// The number behind this name in a file of lines like `Rss: 12 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok())
}

/// User and system time in `/proc/PID/stat`.
fn ticks(stat: &str) -> Duration {
    // The second field is the program's name, in parentheses, and may hold anything.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u32 = fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum();
    TICK * ticks
}

fn read(path: &str) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|source| unreadable(path, source))
}

fn unreadable(path: &str, source: io::Error) -> Failure {
    Failure::Unreadable { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::{hint::black_box, time::Instant};

    use super::*;

    #[test]
    fn what_a_thread_used_counts_after_its_end() {
        let pid = std::process::id();
        let before = cpu_time(pid).expect("this process is");
        let used = Duration::from_millis(200);
        std::thread::spawn(move || {
            let start = Instant::now();
            let task = Path::new("/proc/thread-self");
            while scheduled(task) < used && start.elapsed() < used * 100 {
                black_box((0..1_000_000_u64).map(black_box).sum::<u64>());
            }
        })
        .join()
        .expect("it does not panic");
        let counted = cpu_time(pid).expect("this process is") - before;
        assert!(counted + 2 * TICK >= used, "{counted:?}");
    }

    #[test]
    fn a_name_with_parentheses_is_no_obstacle() {
        let stat = "7 (a) b) S 1 7 7 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 3 0 12345";
        assert_eq!(ticks(stat), Duration::from_secs(3));
    }

    #[test]
    fn memory_is_the_named_field() {
        assert_eq!(field("Pss: 1 kB\nRss:            1234 kB\n", "Rss:"), Some(1234));
        assert!(resident(std::process::id()).expect("this process is") > 100);
    }

    #[test]
    fn a_process_that_is_not_cannot_be_measured() {
        assert!(matches!(cpu_time(u32::MAX), Err(Failure::Unreadable { .. })));
        assert!(matches!(resident(u32::MAX), Err(Failure::Unreadable { .. })));
    }
}
