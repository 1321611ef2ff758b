use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use parking_lot::Mutex;

use crate::{grant::Grant, session::Session};

/// Chunks, each twice as long as the one before: for 4,095 values.
const CHUNKS: usize = 12;

/// The values that took the place of a session's first one, the newest of which counts. They are lent for as long as a
/// handle is borrowed, so none is dropped before the session.
pub(crate) struct Renewals<V> {
    chunks: [OnceLock<Box<[OnceLock<V>]>>; CHUNKS],
    count: AtomicUsize,
    /// Held by who adds one.
    turn: Mutex<()>,
}

/// A session's grant was not renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RenewError {
    /// The session is closed, be it for the end of the grant before.
    #[error("the session is closed")]
    Closed,
    /// The new grant has ended already.
    #[error("the grant has ended")]
    Expired,
    /// The session has been renewed 4,095 times.
    #[error("the session was renewed too often")]
    Limit,
    /// The new value is another user's, or nobody's: [`Builder::user`](crate::Builder::user) tells.
    #[error("the grant is another user's")]
    OtherUser,
}

/// A value was not added.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum NotAdded {
    /// There are as many as may be.
    Full,
    Refused,
}

impl<V> Renewals<V> {
    pub(crate) fn newest(&self) -> Option<&V> {
        let (chunk, at) = place(self.count.load(SeqCst).checked_sub(1)?);
        self.chunks[chunk].get()?[at].get()
    }

    /// Adds a value, if it is admitted when its turn has come.
    pub(crate) fn add(&self, value: V, admit: impl FnOnce() -> bool) -> Result<(), NotAdded> {
        let _turn = self.turn.lock();
        let count = self.count.load(SeqCst);
        let (chunk, at) = place(count);
        let chunk = self.chunks.get(chunk).ok_or(NotAdded::Full)?;
        if !admit() {
            return Err(NotAdded::Refused);
        }
        let chunk = chunk.get_or_init(|| (0..(count + 1).next_power_of_two()).map(|_| OnceLock::new()).collect());
        chunk[at].set(value).map_err(|_| NotAdded::Full)?;
        self.count.store(count + 1, SeqCst);
        Ok(())
    }
}

impl<V> Session<V> {
    /// Takes a new grant in place of the one that authentication returned: from now on [`value`](Self::value) answers
    /// the new value, and the session ends when the new grant does. For clients that hand in a fresh token in a message,
    /// and so stay connected.
    ///
    /// The values before it are kept until the session ends, for they may be borrowed: 4,095 of them at most.
    ///
    /// # Errors
    ///
    /// See [`RenewError`]; all leave the session as it was.
    pub fn renew(&self, grant: impl Into<Grant<V>>) -> Result<(), RenewError> {
        let grant = grant.into();
        if grant.has_ended() {
            return Err(RenewError::Expired);
        }
        let (value, lease) = grant.into_parts();
        if self.shared.node.hooks.user_of(&value).as_ref() != self.user() {
            return Err(RenewError::OtherUser);
        }
        let renewals = self.shared.rare().renewals.get_or_init(Box::default);
        let admit = || !self.is_closed() && self.shared.lease.renew(&lease);
        renewals.add(value, admit).map_err(|not_added| match not_added {
            NotAdded::Full => RenewError::Limit,
            NotAdded::Refused => RenewError::Closed,
        })
    }
}

impl<V> Default for Renewals<V> {
    fn default() -> Self {
        Self { chunks: [const { OnceLock::new() }; CHUNKS], count: AtomicUsize::new(0), turn: Mutex::default() }
    }
}

impl IntoResponse for RenewError {
    fn into_response(self) -> Response {
        let status = match self {
            Self::Closed => StatusCode::GONE,
            Self::Expired => StatusCode::UNAUTHORIZED,
            Self::OtherUser => StatusCode::FORBIDDEN,
            Self::Limit => StatusCode::TOO_MANY_REQUESTS,
        };
        (status, self.to_string()).into_response()
    }
}

/// The chunk of the value of this number, and its place in it.
fn place(number: usize) -> (usize, usize) {
    let chunk = (number + 1).ilog2();
    (chunk as usize, number + 1 - (1 << chunk))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_counts_and_older_ones_stay_where_they_are() {
        let renewals = Renewals::default();
        assert_eq!(renewals.newest(), None::<&String>);
        let mut lent = Vec::new();
        for number in 0..100 {
            renewals.add(number.to_string(), || true).unwrap();
            lent.push(renewals.newest().unwrap());
        }
        assert_eq!(renewals.add(String::new(), || false), Err(NotAdded::Refused));
        assert!(lent.iter().enumerate().all(|(number, lent)| **lent == number.to_string()));
        assert_eq!(renewals.newest().unwrap(), "99");
    }

    #[test]
    fn there_are_so_many_and_no_more() {
        let renewals = Renewals::default();
        assert!((0..4095).all(|number| renewals.add(number, || true).is_ok()));
        assert_eq!(renewals.add(4095, || true), Err(NotAdded::Full));
        assert_eq!(renewals.newest(), Some(&4094));
    }
}
