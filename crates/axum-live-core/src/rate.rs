/// How much of something may come in a second, and how much of it at once.
///
/// What was not used is kept, up to the burst: a client that was quiet may say much in one go.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use axum_live::{Limits, Rate};
///
/// let limits = Limits::default().message_rate(Rate::per_second(20).burst(100));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    per_second: u32,
    burst: u32,
}

impl Rate {
    /// So many a second, at least one, and twice as many at once.
    pub fn per_second(amount: u32) -> Self {
        Self { per_second: amount.max(1), burst: amount.max(1).saturating_mul(2) }
    }

    /// So many at once. Less than a twentieth of what may come in a second makes that less too: a client that was slowed
    /// down is read from twenty times a second, and each time no more than this.
    #[must_use]
    pub fn burst(self, amount: u32) -> Self {
        Self { burst: amount, ..self }
    }

    /// No bound that anybody reaches: whoever sends without end is read without end.
    pub fn danger_unlimited() -> Self {
        Self { per_second: u32::MAX, burst: u32::MAX }
    }

    /// What is left of a debt after some seconds.
    pub(crate) fn settle(self, debt: f32, seconds: f32) -> f32 {
        (debt - self.per_second as f32 * seconds).max(0.0)
    }

    /// How far a debt is over what may come at once.
    pub(crate) fn excess(self, debt: f32) -> f32 {
        (debt - self.burst as f32).max(0.0)
    }

    /// In how many seconds a debt is no longer over what may come at once.
    pub(crate) fn seconds_over(self, debt: f32) -> f32 {
        self.excess(debt) / self.per_second as f32
    }
}
