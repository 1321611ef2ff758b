use std::time::Duration;

/// How long a measurement takes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    /// Under load before anything counts.
    pub(crate) warm_up: Duration,
    /// Under load while it counts.
    pub(crate) window: Duration,
    /// Silence before memory is read.
    pub(crate) settle: Duration,
}
