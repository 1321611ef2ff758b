use std::{io, time::Duration};

/// Why a [`RawSocket`](crate::RawSocket) did not get what it awaited.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RawSocketError {
    /// Nothing, or not enough, came in time.
    #[error("waited {after:?} for {awaited}")]
    TimedOut {
        /// What was awaited.
        awaited: String,
        /// The socket's patience.
        after: Duration,
    },
    /// The server ended the connection before.
    #[error("the server ended the connection instead of {awaited}")]
    Ended {
        /// What was awaited.
        awaited: String,
    },
    /// Something else came.
    #[error("expected {awaited}, got {got}")]
    Unexpected {
        /// What was awaited.
        awaited: String,
        /// What came, for people to read.
        got: String,
    },
    /// The connection failed.
    #[error("the connection failed during {awaited}")]
    Io {
        /// What was awaited.
        awaited: String,
        /// How it failed.
        source: io::Error,
    },
}

impl RawSocketError {
    pub(crate) fn unexpected(awaited: &str, got: impl Into<String>) -> Self {
        Self::Unexpected { awaited: awaited.to_owned(), got: got.into() }
    }
}
