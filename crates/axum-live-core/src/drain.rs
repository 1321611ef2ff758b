use std::time::Duration;

use tokio::time::Instant;

/// The pace at which sessions are closed when a node ends: [`Live::drain`](crate::Live::drain).
///
/// Whoever is closed comes back. Fifteen thousand clients that are closed in one moment meet the next server in one
/// moment; at a pace they come as a stream.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use std::time::Duration;
/// use axum_live::{Drain, Live};
///
/// # async fn end(live: Live<()>) {
/// let report = live.drain(Drain::default().rate(500).grace(Duration::from_secs(20))).await;
/// println!("{} sessions ended", report.closed());
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drain {
    rate: u32,
    grace: Duration,
}

/// A drain under way: how many are due.
pub(crate) struct Pace {
    /// Sessions a second.
    rate: f64,
    /// Sessions that may go now, and the part of one that may not yet.
    due: f64,
    since: Instant,
}

impl Drain {
    /// How many sessions are closed in a second; 2,000 by default, which is what one core of the next server takes in
    /// with ease. They go in batches of uneven size, at uneven times, some twenty a second. More are closed where the
    /// [`grace`](Self::grace) would not suffice for all.
    #[must_use]
    pub fn rate(mut self, sessions: u32) -> Self {
        self.rate = sessions;
        self
    }

    /// Within what time the last session is closed, whatever the rate; 8 seconds by default, since Docker kills a
    /// container 10 seconds after it has asked it to stop. Zero closes all at once. Hooks have their own time beyond it:
    /// [`shutdown_timeout`](crate::Builder::shutdown_timeout).
    #[must_use]
    pub fn grace(mut self, time: Duration) -> Self {
        self.grace = time;
        self
    }

    /// As fast as it goes.
    pub(crate) fn at_once() -> Self {
        Self::default().grace(Duration::ZERO)
    }

    pub(crate) fn pace(&self, sessions: usize) -> Pace {
        // Within a beat all go at once. An endless rate would be no number while the clock stands.
        let least = sessions as f64 / self.grace.max(BEAT).as_secs_f64();
        let rate = f64::from(self.rate.max(1)).max(least);
        // Who has few sessions is not made to wait for a batch.
        Pace { rate, due: 1.0 + rate * BEAT.as_secs_f64(), since: Instant::now() }
    }
}

impl Default for Drain {
    fn default() -> Self {
        Self { rate: 2000, grace: Duration::from_secs(8) }
    }
}

impl Pace {
    /// How many sessions may go now, since the last time that this was asked.
    pub(crate) fn take(&mut self) -> usize {
        let now = Instant::now();
        self.due += self.rate * (now - self.since).as_secs_f64();
        self.since = now;
        let batch = self.due.floor();
        self.due -= batch;
        batch as usize
    }

    /// Until the next batch: from half a [`BEAT`] to one and a half.
    pub(crate) fn pause(&self) -> Duration {
        // Without a source of chance the batches are even, and no more is lost.
        let chance = getrandom::u32().map_or(0.5, |bits| f64::from(bits) / f64::from(u32::MAX));
        BEAT.mul_f64(0.5 + chance)
    }
}

/// How far batches are apart in the mean.
const BEAT: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use tokio::time;

    use super::*;

    /// Batches, with the time of each.
    async fn play(drain: Drain, sessions: usize) -> Vec<(Duration, usize)> {
        let (start, mut pace) = (Instant::now(), drain.pace(sessions));
        let mut batches = Vec::new();
        let mut left = sessions;
        loop {
            let batch = pace.take().min(left);
            left -= batch;
            batches.push((start.elapsed(), batch));
            if left == 0 {
                return batches;
            }
            time::sleep(pace.pause()).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_go_at_the_rate_in_uneven_batches() {
        let batches = play(Drain::default(), 15_000).await;
        let (end, _) = *batches.last().unwrap();
        assert!((7.2..7.6).contains(&end.as_secs_f64()), "{end:?}");
        let mut sizes: Vec<_> = batches[1..batches.len() - 1].iter().map(|(_, size)| *size).collect();
        sizes.sort_unstable();
        assert!(sizes[0] >= 50 && *sizes.last().unwrap() <= 155, "{sizes:?}");
        sizes.dedup();
        assert!(sizes.len() > 10, "{sizes:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_rate_rises_where_the_grace_would_not_suffice() {
        let batches = play(Drain::default().rate(10).grace(Duration::from_secs(2)), 10_000).await;
        let (end, _) = *batches.last().unwrap();
        assert!((1.8..2.1).contains(&end.as_secs_f64()), "{end:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_rate_is_kept_though_a_beat_is_shorter_than_one_session() {
        let batches = play(Drain::default().rate(2).grace(Duration::from_secs(60)), 11).await;
        let (end, _) = *batches.last().unwrap();
        assert!((4.5..5.1).contains(&end.as_secs_f64()), "{end:?}");
        assert!(batches.iter().all(|(_, size)| *size <= 1), "{batches:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_grace_all_go_at_once() {
        let batches = play(Drain::default().grace(Duration::ZERO), 15_000).await;
        assert_eq!(batches, [(Duration::ZERO, 15_000)]);
    }
}
