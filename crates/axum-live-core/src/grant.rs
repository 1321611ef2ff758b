use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::clock::wall_clock;

/// What authentication grants: the session's value, and until when.
///
/// An authentication function may return one in place of the value, and [`Session::renew`](crate::Session::renew) takes
/// one. At its end the session is closed with 4001, which tells the client to come back with fresh credentials.
///
/// The end is a time of the wall clock, as the `exp` of a token is: set the clock, and it moves. All other times of the
/// engine are durations on a clock that only goes forward.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use std::time::{Duration, SystemTime, UNIX_EPOCH};
/// use axum_live::Grant;
///
/// struct User {
///     id: u64,
/// }
///
/// # struct Claims { sub: u64, exp: u64 }
/// fn grant(claims: &Claims) -> Grant<User> {
///     Grant::new(User { id: claims.sub }).until(UNIX_EPOCH + Duration::from_secs(claims.exp))
/// }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Grant<V> {
    value: V,
    until: Option<SystemTime>,
}

impl<V> Grant<V> {
    /// A grant without an end.
    pub fn new(value: V) -> Self {
        Self { value, until: None }
    }

    /// Ends the grant at a time of the wall clock, give or take a second.
    #[must_use]
    pub fn until(self, end: SystemTime) -> Self {
        Self { until: Some(end), ..self }
    }

    /// Whether it has ended already.
    pub fn has_ended(&self) -> bool {
        self.until.is_some_and(|end| end <= wall_clock())
    }

    pub(crate) fn into_parts(self) -> (V, Lease) {
        (self.value, Lease::new(self.until))
    }
}

impl<V> From<V> for Grant<V> {
    fn from(value: V) -> Self {
        Self::new(value)
    }
}

impl<V> fmt::Debug for Grant<V> {
    /// Without the value, which is the user's.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant").field("until", &self.until).finish_non_exhaustive()
    }
}

/// Until when a session's grant holds: milliseconds of the wall clock since 1970.
pub(crate) struct Lease(AtomicU64);

impl Lease {
    const NEVER: u64 = u64::MAX;
    /// It has ended for good.
    const OVER: u64 = 0;

    fn new(until: Option<SystemTime>) -> Self {
        Self(AtomicU64::new(until.map_or(Self::NEVER, millis)))
    }

    /// Ends it, if its end has come by now; from then on it cannot be renewed.
    pub(crate) fn end_if_due(&self, now: SystemTime) -> bool {
        let now = millis(now);
        self.0.fetch_update(SeqCst, SeqCst, |until| (until <= now).then_some(Self::OVER)).is_ok()
    }

    /// Takes over the end of another, unless this has ended.
    pub(crate) fn renew(&self, with: &Self) -> bool {
        let end = with.0.load(SeqCst);
        self.0.fetch_update(SeqCst, SeqCst, |until| (until != Self::OVER).then_some(end)).is_ok()
    }
}

/// From 1 on, since the first is [`Lease::OVER`].
fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(Lease::NEVER).clamp(1, Lease::NEVER - 1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn c73_a_grant_ends_by_the_wall_clock_wherever_that_jumps() {
        let end = wall_clock() + HOUR / 2;
        let (_, lease) = Grant::new(()).until(end).into_parts();
        assert!(!lease.end_if_due(wall_clock()));
        assert!(!lease.end_if_due(wall_clock() - HOUR));
        assert!(lease.end_if_due(wall_clock() + HOUR));
        let (_, endless) = Grant::new(()).into_parts();
        assert!(!endless.end_if_due(wall_clock() + HOUR * 1_000_000));
    }

    #[test]
    fn a_lease_that_has_ended_is_not_renewed_and_one_that_was_renewed_does_not_end() {
        let now = wall_clock();
        let lease = |end| Grant::new(()).until(end).into_parts().1;
        let ended = lease(now);
        assert!(ended.end_if_due(now));
        assert!(!ended.renew(&lease(now + HOUR)));
        let renewed = lease(now);
        assert!(renewed.renew(&lease(now + HOUR)));
        assert!(!renewed.end_if_due(now));
    }

    #[test]
    fn a_renewal_gives_a_lease_the_end_of_the_new_grant_be_it_sooner_later_or_none() {
        let now = wall_clock();
        let ends = [Some(now + HOUR / 2), Some(now + 2 * HOUR), None];
        for before in ends {
            for after in ends {
                let lease = Lease::new(before);
                assert!(lease.renew(&Lease::new(after)));
                assert_eq!(lease.end_if_due(now + HOUR), after == ends[0], "from {before:?} to {after:?}");
            }
        }
    }
}
