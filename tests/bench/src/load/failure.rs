use std::{io, time::Duration};

/// Why something could not be measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("could not connect: {0}")]
    Connect(io::Error),
    #[error("the handshake was answered {0:?}")]
    Refused(String),
    #[error("the server ended a connection")]
    Disconnected,
    #[error("waited {after:?} for {awaited}")]
    Stuck { awaited: String, after: Duration },
    #[error("the server said {0}")]
    Unexpected(String),
    #[error("it takes {needed} open files, and `ulimit -n` allows {allowed}")]
    OpenFiles { needed: u64, allowed: u64 },
    #[error("{path} cannot be read: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("the server did not start: {0}")]
    Start(String),
    #[error("sockets failed: {0}")]
    Io(#[from] io::Error),
}

impl From<rustix::io::Errno> for Failure {
    fn from(errno: rustix::io::Errno) -> Self {
        Self::Io(errno.into())
    }
}
