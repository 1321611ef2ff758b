use std::{pin::Pin, task::Context, time::Duration};

use tokio::time::{self, Sleep};

use crate::limits::Limits;

/// What a pause is longer than need be, so that each makes room for more than one message: a flood wakes its session
/// twenty times a second, not a thousand.
const BREATH: Duration = Duration::from_millis(50);

/// What one client has sent of late, held against its rates, and the pause that it takes to make up for it.
#[derive(Default)]
pub(crate) struct Allowance {
    messages: f32,
    bytes: f32,
    controls: f32,
    /// When that was last settled, in the node's milliseconds.
    settled: u32,
    /// From a pause on until all is made up for.
    throttle: Option<Box<Throttle>>,
}

#[derive(Default)]
struct Throttle {
    pause: Option<Pin<Box<Sleep>>>,
    /// The length of all pauses.
    paused: Duration,
}

/// What is to be done about a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    Go,
    /// It is not read from; its task is woken when it is again.
    Pause,
    /// It has been slowed down for too long.
    Over,
}

impl Allowance {
    /// Bytes came.
    pub(crate) fn charge_bytes(&mut self, bytes: usize, millis: u32, limits: &Limits) {
        self.settle(millis, limits);
        if self.messages + self.bytes + self.controls == 0.0 {
            self.throttle = None;
        }
        self.bytes += bytes as f32;
    }

    pub(crate) fn charge_message(&mut self) {
        self.messages += 1.0;
    }

    pub(crate) fn charge_control(&mut self) {
        self.controls += 1.0;
    }

    /// Whether more came than may at once.
    pub(crate) fn is_spent(&self, limits: &Limits) -> bool {
        limits.message_rate.excess(self.messages) > 0.0
            || limits.byte_rate.excess(self.bytes) > 0.0
            || limits.control_rate.excess(self.controls) > 0.0
    }

    /// Whether a pause is under way.
    pub(crate) fn is_paused(&self) -> bool {
        self.throttle.as_ref().is_some_and(|throttle| throttle.pause.is_some())
    }

    /// Whether a client that was slowed down has not made up for all since. That it has nothing more to say for a moment
    /// does not count: so it is with a flood that fills its window.
    pub(crate) fn is_throttled(&self) -> bool {
        self.throttle.is_some()
    }

    /// How much comes no longer matters.
    pub(crate) fn rest(&mut self) {
        self.throttle = None;
    }

    /// Sees whether the client may be read from.
    pub(crate) fn poll_pace(&mut self, cx: &mut Context<'_>, limits: &Limits, millis: impl Fn() -> u32) -> Pace {
        loop {
            if let Some(throttle) = &mut self.throttle
                && let Some(pause) = &mut throttle.pause
            {
                if pause.as_mut().poll(cx).is_pending() {
                    return Pace::Pause;
                }
                throttle.pause = None;
                self.settle(millis(), limits);
            }
            if !self.is_spent(limits) {
                return Pace::Go;
            }
            let wait = self.time_over(limits).saturating_add(BREATH);
            let throttle = self.throttle.get_or_insert_default();
            if throttle.paused >= limits.throttle_timeout {
                return Pace::Over;
            }
            throttle.paused = throttle.paused.saturating_add(wait);
            throttle.pause = Some(Box::pin(time::sleep(wait)));
        }
    }

    fn settle(&mut self, millis: u32, limits: &Limits) {
        // It comes round every 49 days, and a session that was silent for as long is owed less than it might be.
        let seconds = millis.wrapping_sub(self.settled) as f32 / 1000.0;
        self.settled = millis;
        self.messages = limits.message_rate.settle(self.messages, seconds);
        self.bytes = limits.byte_rate.settle(self.bytes, seconds);
        self.controls = limits.control_rate.settle(self.controls, seconds);
    }

    /// In what time all is made up for that is over.
    fn time_over(&self, limits: &Limits) -> Duration {
        let seconds = limits
            .message_rate
            .seconds_over(self.messages)
            .max(limits.byte_rate.seconds_over(self.bytes))
            .max(limits.control_rate.seconds_over(self.controls));
        Duration::try_from_secs_f32(seconds).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, task::Poll};

    use tokio::time::Instant;

    use super::*;
    use crate::rate::Rate;

    #[tokio::test(start_paused = true)]
    async fn a_pause_makes_up_for_all_that_came_and_wakes_the_session_once() {
        let limits = Limits::default()
            .message_rate(Rate::per_second(1).burst(10))
            .byte_rate(Rate::per_second(100).burst(1000))
            .control_rate(Rate::per_second(10).burst(100));
        for (messages, bytes, controls, seconds) in [(18, 0, 0, 8), (0, 1500, 0, 5), (0, 0, 130, 3), (12, 1900, 110, 9)]
        {
            let start = Instant::now();
            let millis = || start.elapsed().as_millis() as u32;
            let mut allowance = Allowance::default();
            allowance.charge_bytes(bytes, millis(), &limits);
            (0..messages).for_each(|_| allowance.charge_message());
            (0..controls).for_each(|_| allowance.charge_control());

            let mut polls = 0;
            let pace = poll_fn(|cx| {
                polls += 1;
                match allowance.poll_pace(cx, &limits, millis) {
                    Pace::Pause => Poll::Pending,
                    pace => Poll::Ready(pace),
                }
            });
            assert_eq!(pace.await, Pace::Go);
            let due = Duration::from_secs(seconds);
            assert!((due..due + 2 * BREATH).contains(&start.elapsed()), "{:?} is not {due:?}", start.elapsed());
            assert_eq!(polls, 2, "of {seconds} seconds");
            assert!(allowance.is_throttled() && !allowance.is_paused());
        }
    }
}
