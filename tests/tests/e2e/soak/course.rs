use std::fmt;

/// What a server holds in memory while clients come and go.
#[derive(Default)]
pub(super) struct Course {
    samples: Vec<Sample>,
}

/// One a second.
#[derive(Clone, Copy)]
struct Sample {
    sessions: u64,
    /// KiB.
    memory: u64,
}

/// How it went on in the second half, by the straight line that is closest to all its samples.
#[derive(Clone, Copy)]
pub(super) struct Trend {
    /// KiB a second.
    slope: f64,
    seconds: f64,
    sessions: f64,
    /// At the middle of the second half, KiB.
    level: f64,
}

impl Course {
    pub(super) fn add(&mut self, sessions: u64, memory: u64) {
        self.samples.push(Sample { sessions, memory });
    }

    pub(super) fn trend(&self) -> Trend {
        let half = &self.samples[self.samples.len() / 2..];
        let count = half.len() as f64;
        let mean = |of: &dyn Fn((usize, &Sample)) -> f64| half.iter().enumerate().map(of).sum::<f64>() / count;
        let (second, level) = (mean(&|(second, _)| second as f64), mean(&|(_, sample)| sample.memory as f64));
        let covariance = mean(&|(at, sample)| (at as f64 - second) * (sample.memory as f64 - level));
        let variance = mean(&|(at, _)| (at as f64 - second).powi(2));
        let sessions = half[half.len() - 1].sessions - half[0].sessions;
        Trend { slope: covariance / variance, seconds: count - 1.0, sessions: sessions as f64, level }
    }
}

impl Trend {
    /// KiB, from the middle to the end.
    pub(super) fn growth(self) -> f64 {
        self.slope * self.seconds
    }

    /// Sessions, from the middle to the end.
    pub(super) fn sessions(self) -> f64 {
        self.sessions
    }
}

impl fmt::Display for Course {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let memory = |at: usize| self.samples[at].memory;
        let (last, most) = (self.samples.len() - 1, self.samples.iter().map(|sample| sample.memory).max());
        let [first, quarter, half, three, end] = [0, last / 4, last / 2, last * 3 / 4, last].map(memory);
        write!(f, "KiB at the start {first}, at each quarter {quarter}, {half}, {three}, {end}, ")?;
        write!(f, "at most {}", most.unwrap_or(0))
    }
}

impl fmt::Display for Trend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (each, hour) = (self.growth() / self.sessions, self.slope * 3600.0);
        let share = 100.0 * self.growth() / self.level;
        write!(f, "{:+.0} KiB in the second half, of {:.0} sessions ({share:+.2} %): ", self.growth(), self.sessions)?;
        write!(f, "{hour:+.0} KiB an hour, {:+.0} KiB for 100,000 sessions", each * 1e5)
    }
}

#[test]
fn the_trend_is_that_of_the_second_half() {
    let mut course = Course::default();
    for second in 0..100 {
        let noise = second % 2 * 10;
        course.add(300 * second, if second < 50 { 1000 * second } else { 50_000 + 3 * second + noise });
    }
    let trend = course.trend();
    assert!((trend.growth() - 147.0).abs() < 2.0, "{}", trend.growth());
    assert_eq!(trend.sessions().round() as u64, 300 * 49);
}
