use std::time::Duration;

/// Sub-buckets for each power of two: what is read off is at most 1.6 % too low.
const FINE: usize = 64;
const BITS: usize = FINE.trailing_zeros() as usize;

/// Counts durations, and tells their quantiles.
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
}

impl Histogram {
    pub(crate) fn new() -> Self {
        Self { buckets: vec![0; FINE * 64], count: 0 }
    }

    pub(crate) fn add(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.buckets[bucket(nanoseconds)] += 1;
        self.count += 1;
    }

    pub(crate) fn clear(&mut self) {
        self.buckets.fill(0);
        self.count = 0;
    }

    /// The duration that this share of them does not exceed; `None` if there are none.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        let rank = ((self.count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        let bucket = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        })?;
        Some(Duration::from_nanos(lower_bound(bucket)))
    }
}

fn bucket(value: u64) -> usize {
    if value < FINE as u64 {
        return value as usize;
    }
    let power = value.ilog2() as usize;
    (power - BITS + 1) * FINE + (value >> (power - BITS)) as usize - FINE
}

fn lower_bound(bucket: usize) -> u64 {
    if bucket < FINE { bucket as u64 } else { ((bucket % FINE + FINE) as u64) << (bucket / FINE - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_right_to_a_sixtieth() {
        let mut histogram = Histogram::new();
        (1..=10_000).for_each(|micros| histogram.add(Duration::from_micros(micros)));
        for share in [0.01, 0.5, 0.99, 1.0] {
            let expected = 10_000.0 * share;
            let found = histogram.quantile(share).expect("it holds durations").as_secs_f64() * 1e6;
            assert!(found <= expected && found > expected * (1.0 - 1.0 / 60.0), "{share}: {found}, not {expected}");
        }
    }

    #[test]
    fn every_duration_has_a_bucket() {
        for value in [0, 63, 64, 65, 1 << 20, u64::MAX] {
            let bound = lower_bound(bucket(value));
            assert!(bound <= value && value - bound <= value / 64, "{value} in the bucket of {bound}");
        }
    }

    #[test]
    fn nothing_has_no_quantile() {
        assert_eq!(Histogram::new().quantile(0.5), None);
    }
}
