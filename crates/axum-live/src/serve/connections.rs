use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracing::debug;

use crate::census::{Caps, Census, Full, Place};

/// The connections of a server that runs: how many there are, and how many were turned away. A cheap handle, which
/// [`Serve::connections`](super::Serve::connections) gives out.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    census: Census,
    accepted: AtomicU64,
    refused: AtomicU64,
    refused_by_address: AtomicU64,
    timed_out: AtomicU64,
}

impl Connections {
    /// How many there are, sessions included.
    pub fn open(&self) -> usize {
        self.shared.census.all()
    }

    /// How many were let in, since the start.
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Relaxed)
    }

    /// How many were turned away, since the start, because there were as many as there
    /// [may be](super::Serve::max_connections).
    pub fn refused(&self) -> u64 {
        self.shared.refused.load(Relaxed)
    }

    /// How many were turned away, since the start, because there were as many from their address as there
    /// [may be](super::Serve::max_connections_per_address).
    pub fn refused_by_address(&self) -> u64 {
        self.shared.refused_by_address.load(Relaxed)
    }

    /// How many were closed, since the start, because no request came in time.
    pub fn timed_out(&self) -> u64 {
        self.shared.timed_out.load(Relaxed)
    }

    pub(super) fn enter(&self, peer: SocketAddr, caps: Caps) -> Result<Place, Full> {
        let entered = self.shared.census.enter(peer.ip(), caps);
        let count = match entered {
            Ok(_) => &self.shared.accepted,
            Err(Full::Total) => &self.shared.refused,
            Err(Full::Address) => &self.shared.refused_by_address,
        };
        count.fetch_add(1, Relaxed);
        if let Err(full) = entered {
            debug!(target: "axum_live", %peer, ?full, "a connection was turned away");
        }
        entered
    }

    pub(super) fn count_timeout(&self) {
        self.shared.timed_out.fetch_add(1, Relaxed);
    }
}

/// As many as the process may open, but for a tenth, and no fewer from one address: behind a proxy all come from its own.
pub(super) fn default_caps() -> Caps {
    Caps { total: descriptors().saturating_mul(9) / 10, per_address: usize::MAX }
}

/// How many the process may have open.
#[cfg(unix)]
fn descriptors() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
}

#[cfg(not(unix))]
fn descriptors() -> usize {
    usize::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_let_in_and_who_is_turned_away_and_why_is_counted() {
        let connections = Connections::default();
        let enter = |from: &str| connections.enter(from.parse().unwrap(), Caps { total: 2, per_address: 1 });
        let _first = enter("10.0.0.1:4000").unwrap();
        assert_eq!(enter("10.0.0.1:4001").unwrap_err(), Full::Address);
        let _second = enter("10.0.0.2:4000").unwrap();
        for port in 4000..4003 {
            assert_eq!(enter(&format!("10.0.0.3:{port}")).unwrap_err(), Full::Total);
        }
        assert_eq!((connections.open(), connections.accepted()), (2, 2));
        assert_eq!((connections.refused(), connections.refused_by_address()), (3, 1));
    }
}
