use std::time::SystemTime;

/// The time of day: for what is told to people, and for the end of a [`Grant`](crate::Grant). It may jump. Timeouts,
/// deadlines and heartbeats are measured by clocks that only go forward.
pub(crate) fn wall_clock() -> SystemTime {
    SystemTime::now()
}
