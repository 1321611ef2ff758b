use std::time::Duration;

/// How long and how big a measurement is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Under load before anything counts.
    pub(crate) warm_up: Duration,
    /// Under load while it counts.
    pub(crate) window: Duration,
    /// Silence before memory is read.
    pub(crate) settle: Duration,
    /// Connections at most, whatever the case says.
    pub(crate) connections: usize,
}
