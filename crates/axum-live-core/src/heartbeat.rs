use std::{
    sync::atomic::{AtomicBool, AtomicU16, AtomicU32, Ordering::Relaxed},
    time::Duration,
};

/// How a session that fell silent is found out: a ping after so long without a byte from the client, and the end
/// (4012) after so long without an answer. A client that is sent more than it can take at once, and takes it bit by
/// bit, is there, though it say nothing.
///
/// The default is 25 seconds and 10 seconds: below the minute after which most proxies drop a silent connection. Both
/// are kept to within an eighth of the shorter one, at most a second, for one sweep looks after all sessions.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use std::time::Duration;
/// use axum_live::{Heartbeat, Live};
///
/// let beat = Heartbeat::every(Duration::from_secs(15)).timeout(Duration::from_secs(5));
/// let live = Live::<()>::builder().heartbeat(beat).build();
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    pub(crate) every: Duration,
    pub(crate) timeout: Duration,
}

impl Heartbeat {
    /// Pings a client that has sent nothing for this long.
    pub fn every(every: Duration) -> Self {
        Self { every, ..Self::default() }
    }

    /// Ends a session whose client sends nothing for this long after a ping; 10 seconds by default.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// No pings: a client that vanished is noticed when a write fails, or never.
    pub fn danger_off() -> Self {
        Self { every: Duration::MAX, timeout: Duration::MAX }
    }
}

impl Default for Heartbeat {
    fn default() -> Self {
        Self { every: Duration::from_secs(25), timeout: Duration::from_secs(10) }
    }
}

/// The times of the sweep, in ticks of it.
///
/// Counting ticks instead of reading clocks spares a timer per session, and a process that was stopped for a minute
/// finds its sessions one tick older, not dead.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rhythm {
    pub(crate) tick: Duration,
    ping_after: u32,
    dead_after: u32,
    /// Ticks without a byte written after which a session with something to write is closed.
    pub(crate) write_patience: u32,
    /// Ticks after which a message that was begun has to have come.
    message_patience: u32,
}

impl Rhythm {
    pub(crate) fn new(heartbeat: Heartbeat, write_timeout: Duration, message_timeout: Duration) -> Self {
        let shortest = heartbeat.every.min(heartbeat.timeout).min(write_timeout).min(message_timeout);
        let tick = (shortest / 8).clamp(Duration::from_millis(1), Duration::from_secs(1));
        let ticks =
            |time: Duration| u32::try_from(time.as_nanos().div_ceil(tick.as_nanos())).unwrap_or(u32::MAX).max(1);
        Self {
            tick,
            ping_after: ticks(heartbeat.every),
            dead_after: ticks(heartbeat.every).saturating_add(ticks(heartbeat.timeout)),
            write_patience: ticks(write_timeout),
            message_patience: ticks(message_timeout),
        }
    }
}

/// The signs of life of one session.
#[derive(Default)]
pub(crate) struct Pulse {
    heard: AtomicBool,
    /// We do not read, so that we cannot hear.
    deaf: AtomicBool,
    /// For how many ticks a message has been under way, and one; zero where none is.
    unfinished: AtomicU16,
    silent: AtomicU32,
}

/// What a tick asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Alive,
    Ping,
    Dead,
    /// A message was begun and has not come to its end.
    Unfinished,
}

impl Pulse {
    /// Bytes came, or ours were taken where there had been no room for them.
    pub(crate) fn heard(&self) {
        self.heard.store(true, Relaxed);
    }

    /// For how many ticks no byte has come, or since the last ping where we do not read.
    pub(crate) fn silent_ticks(&self) -> u32 {
        if self.heard.load(Relaxed) { 0 } else { self.silent.load(Relaxed) }
    }

    /// Reading stops or goes on; while it stands still, so does the clock, and only pings go out.
    pub(crate) fn set_deaf(&self, deaf: bool) {
        self.deaf.store(deaf, Relaxed);
    }

    /// No message is under way.
    pub(crate) fn finished(&self) {
        if self.unfinished.load(Relaxed) != 0 {
            self.unfinished.store(0, Relaxed);
        }
    }

    /// A message is under way, since now or since before.
    pub(crate) fn unfinished(&self) {
        if self.unfinished.load(Relaxed) == 0 {
            self.unfinished.store(1, Relaxed);
        }
    }

    pub(crate) fn tick(&self, rhythm: &Rhythm) -> Verdict {
        if self.tick_message() > rhythm.message_patience {
            return Verdict::Unfinished;
        }
        if self.heard.swap(false, Relaxed) {
            self.silent.store(0, Relaxed);
            return Verdict::Alive;
        }
        let silent = self.silent.fetch_add(1, Relaxed).saturating_add(1);
        if self.deaf.load(Relaxed) && silent >= rhythm.ping_after {
            // An answer could not be heard, but pings also keep what lies between from closing the connection.
            self.silent.store(0, Relaxed);
            return Verdict::Ping;
        }
        if silent >= rhythm.dead_after {
            Verdict::Dead
        } else if silent == rhythm.ping_after {
            Verdict::Ping
        } else {
            Verdict::Alive
        }
    }

    /// Counts a tick of the message under way, if there is one that we read; answers for how many it has been, this one
    /// included. Past what can be counted, 18 hours of ticks of a second, there is no end to it.
    fn tick_message(&self) -> u32 {
        if self.deaf.load(Relaxed) {
            return 0;
        }
        // It is no tick of a message that has come to its end meanwhile.
        let count = |ticks: u16| ticks.checked_add(1).filter(|_| ticks > 0);
        self.unfinished.fetch_update(Relaxed, Relaxed, count).map_or(0, u32::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn silent_until(pulse: &Pulse, rhythm: &Rhythm, verdict: &Verdict) -> u32 {
        (1..).find(|_| pulse.tick(rhythm) == *verdict).unwrap()
    }

    #[test]
    fn silence_is_answered_by_a_ping_and_then_by_the_end() {
        let rhythm = Rhythm::new(Heartbeat::default(), Duration::from_secs(10), Duration::from_secs(60));
        let pulse = Pulse::default();
        assert_eq!(silent_until(&pulse, &rhythm, &Verdict::Ping), 25);
        assert_eq!(silent_until(&pulse, &rhythm, &Verdict::Dead), 10);
    }

    #[test]
    fn any_byte_starts_the_count_again_and_deafness_leaves_only_the_pings() {
        let rhythm = Rhythm::new(Heartbeat::default(), Duration::from_secs(10), Duration::from_secs(60));
        let pulse = Pulse::default();
        silent_until(&pulse, &rhythm, &Verdict::Ping);
        pulse.set_deaf(true);
        let verdicts: Vec<_> = (0..1000).map(|_| pulse.tick(&rhythm)).collect();
        assert!(!verdicts.contains(&Verdict::Dead));
        assert!(verdicts.iter().filter(|verdict| **verdict == Verdict::Ping).count() >= 1000 / 25);
        pulse.set_deaf(false);
        pulse.heard();
        assert_eq!(pulse.tick(&rhythm), Verdict::Alive);
        assert_eq!(silent_until(&pulse, &rhythm, &Verdict::Ping), 25);
    }

    #[test]
    fn message_is_unfinished_after_its_time_and_each_has_a_time_of_its_own() {
        let rhythm = Rhythm::new(Heartbeat::danger_off(), Duration::from_secs(10), Duration::from_secs(60));
        let pulse = Pulse::default();
        let ticks_until_late = || (1..1000).find(|_| pulse.tick(&rhythm) == Verdict::Unfinished);
        assert_eq!(ticks_until_late(), None);
        pulse.unfinished();
        assert_eq!(ticks_until_late(), Some(61));

        pulse.finished();
        assert_eq!(ticks_until_late(), None);
        pulse.unfinished();
        for _ in 0..50 {
            assert_eq!(pulse.tick(&rhythm), Verdict::Alive);
        }
        pulse.unfinished();
        pulse.set_deaf(true);
        assert_eq!(ticks_until_late(), None);
        pulse.set_deaf(false);
        assert_eq!(ticks_until_late(), Some(11));
    }

    #[test]
    fn message_without_a_deadline_is_never_late() {
        let rhythm = Rhythm::new(Heartbeat::default(), Duration::from_secs(10), Duration::MAX);
        let pulse = Pulse::default();
        pulse.unfinished();
        for _ in 0..1 << 17 {
            pulse.heard();
            assert_eq!(pulse.tick(&rhythm), Verdict::Alive);
        }
    }

    #[test]
    fn a_heartbeat_that_is_off_never_ends_a_session() {
        let rhythm = Rhythm::new(Heartbeat::danger_off(), Duration::from_secs(10), Duration::MAX);
        let pulse = Pulse::default();
        assert!((0..100_000).all(|_| pulse.tick(&rhythm) == Verdict::Alive));
    }
}
