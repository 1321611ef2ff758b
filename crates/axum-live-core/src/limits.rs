use std::time::Duration;

use crate::rate::Rate;

/// What one client may do, set by [`Builder::limits`](crate::Builder::limits).
///
/// The defaults are for strangers on the open internet, and far from what an application's own clients do: a page that
/// tells of each move of a mouse on a display of 240 Hz sends half of what it may.
///
/// A client that sends more than its rates allow is slowed down first: it is not read from until what is over has been
/// made up for, so that TCP makes it wait, and nothing is lost. Only one that keeps on for
/// [`throttle_timeout`](Self::throttle_timeout) is closed. Beside a few bytes that each session holds for its rates, none
/// of the limits costs anything until it is reached.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use std::time::Duration;
/// use axum_live::{Limits, Live, Rate};
///
/// let limits = Limits::default()
///     .read_limit(16 << 10)
///     .message_rate(Rate::per_second(20).burst(100))
///     .hook_timeout(Duration::from_secs(10));
/// let live = Live::<()>::builder().limits(limits).build();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(crate) read_limit: usize,
    pub(crate) fragment_limit: u32,
    pub(crate) subscription_limit: usize,
    pub(crate) message_timeout: Duration,
    pub(crate) hook_timeout: Option<Duration>,
    pub(crate) message_rate: Rate,
    pub(crate) byte_rate: Rate,
    pub(crate) control_rate: Rate,
    pub(crate) throttle_timeout: Duration,
}

impl Limits {
    /// The largest message that a client may send, in bytes; 64 KiB by default. A larger one ends the session with
    /// 1009 before it is read. Where it is raised to megabytes, [`byte_rate`](Self::byte_rate) has to be as well.
    #[must_use]
    pub fn read_limit(self, bytes: usize) -> Self {
        Self { read_limit: bytes, ..self }
    }

    /// In how many frames a client may send one message; 1,024 by default. One more ends the session with 1009.
    #[must_use]
    pub fn fragment_limit(self, frames: u32) -> Self {
        Self { fragment_limit: frames, ..self }
    }

    /// How many topics one session may subscribe to; 128 by default. One more is refused with
    /// [`SubscribeError::Limit`](crate::SubscribeError::Limit).
    #[must_use]
    pub fn subscription_limit(self, topics: usize) -> Self {
        Self { subscription_limit: topics, ..self }
    }

    /// How long a client may take for one message, from its first byte to its last; 60 seconds by default. The session
    /// of one that takes longer ends with 4011. It is kept to within a tick of the [`Heartbeat`](crate::Heartbeat), a
    /// second by default, and stands still while we do not read.
    #[must_use]
    pub fn message_timeout(self, time: Duration) -> Self {
        Self { message_timeout: time, ..self }
    }

    /// How long `on_connect` and `on_message` may take for one call, their waiting included; as long as they like by
    /// default, for nobody but you knows what they do. One that takes longer is dropped at its await, and its session ends
    /// with 4014. A timer runs for each hook that waits.
    #[must_use]
    pub fn hook_timeout(self, time: Duration) -> Self {
        Self { hook_timeout: Some(time), ..self }
    }

    /// How many messages a client may send; 500 a second by default, and 1,000 at once.
    #[must_use]
    pub fn message_rate(self, rate: Rate) -> Self {
        Self { message_rate: rate, ..self }
    }

    /// How many bytes a client may send, those of frames' headers included; 1 MiB a second by default, and 4 MiB at once.
    #[must_use]
    pub fn byte_rate(self, rate: Rate) -> Self {
        Self { byte_rate: rate, ..self }
    }

    /// How many pings and pongs a client may send; 50 a second by default, and 200 at once.
    #[must_use]
    pub fn control_rate(self, rate: Rate) -> Self {
        Self { control_rate: rate, ..self }
    }

    /// How long a client may be made to wait for its rates before its session ends with 4013; 30 seconds by default,
    /// which are enough for whatever Linux holds of one burst of bytes, 10 MB. The waiting adds up until the client has
    /// made up for all that it sent, at its rates' pace, and then starts anew.
    #[must_use]
    pub fn throttle_timeout(self, time: Duration) -> Self {
        Self { throttle_timeout: time, ..self }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            read_limit: 64 << 10,
            fragment_limit: 1024,
            subscription_limit: 128,
            message_timeout: Duration::from_secs(60),
            hook_timeout: None,
            message_rate: Rate::per_second(500),
            byte_rate: Rate::per_second(1 << 20).burst(4 << 20),
            control_rate: Rate::per_second(50).burst(200),
            throttle_timeout: Duration::from_secs(30),
        }
    }
}
