use std::{
    any::Any,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tracing::debug;

/// The connections of a server that runs: how many there are, and how many were turned away. A cheap handle, which
/// [`Serve::connections`](super::Serve::connections) gives out.
#[derive(Debug, Clone, Default)]
pub struct Connections {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    census: Mutex<Census>,
    accepted: AtomicU64,
    refused: AtomicU64,
    refused_by_address: AtomicU64,
    timed_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Census {
    open: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caps {
    pub(super) total: usize,
    pub(super) per_address: usize,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The server has as many as it may.
    Server,
    /// The client's address has.
    Address,
}

/// A connection's place, until its last clone is dropped.
#[derive(Debug, Clone)]
pub(super) struct Place {
    taken: Arc<Taken>,
}

#[derive(Debug)]
struct Taken {
    shared: Arc<Shared>,
    network: IpAddr,
}

impl Connections {
    /// How many there are, sessions included.
    pub fn open(&self) -> usize {
        self.shared.census().open
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
        let network = network(peer.ip());
        let entered = self.shared.census().enter(network, caps);
        let (count, result) = match entered {
            Ok(()) => {
                let taken = Taken { shared: Arc::clone(&self.shared), network };
                (&self.shared.accepted, Ok(Place { taken: Arc::new(taken) }))
            }
            Err(Full::Server) => (&self.shared.refused, Err(Full::Server)),
            Err(Full::Address) => (&self.shared.refused_by_address, Err(Full::Address)),
        };
        count.fetch_add(1, Relaxed);
        if let Err(full) = result {
            debug!(target: "axum_live", %peer, ?full, "a connection was turned away");
        }
        result
    }

    pub(super) fn count_timeout(&self) {
        self.shared.timed_out.fetch_add(1, Relaxed);
    }
}

impl Place {
    /// The same place, for somebody who need not know what it is.
    pub(super) fn shared(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::<Taken>::clone(&self.taken)
    }
}

impl Shared {
    fn census(&self) -> MutexGuard<'_, Census> {
        // Nothing under this lock panics half-way.
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Census {
    fn enter(&mut self, network: IpAddr, caps: Caps) -> Result<(), Full> {
        if self.open >= caps.total {
            return Err(Full::Server);
        }
        let of_network = self.by_network.get(&network).copied().unwrap_or(0);
        if of_network >= caps.per_address {
            return Err(Full::Address);
        }
        self.by_network.insert(network, of_network + 1);
        self.open += 1;
        Ok(())
    }

    fn leave(&mut self, network: IpAddr) {
        self.open -= 1;
        if let Some(of_network) = self.by_network.get_mut(&network) {
            *of_network -= 1;
            if *of_network == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self { total: descriptors().saturating_mul(9) / 10, per_address: usize::MAX }
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.shared.census().leave(self.network);
    }
}

/// What one subscriber has: an address, or the 64 bits of an IPv6 network (RFC 6177 §2 gives no site less).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
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

    const CAPS: Caps = Caps { total: 3, per_address: 2 };

    fn peer(address: &str) -> SocketAddr {
        SocketAddr::new(address.parse().unwrap(), 4000)
    }

    #[test]
    fn places_are_counted_and_free_again_with_their_last_clone() {
        let connections = Connections::default();
        let place = connections.enter(peer("10.0.0.1"), CAPS).unwrap();
        let _second = connections.enter(peer("10.0.0.1"), CAPS).unwrap();
        assert_eq!(connections.enter(peer("10.0.0.1"), CAPS).unwrap_err(), Full::Address);
        let _third = connections.enter(peer("10.0.0.2"), CAPS).unwrap();
        assert_eq!(connections.enter(peer("10.0.0.3"), CAPS).unwrap_err(), Full::Server);
        let clone = place.clone();
        drop(place);
        assert_eq!(connections.enter(peer("10.0.0.3"), CAPS).unwrap_err(), Full::Server);
        drop(clone);
        let _fourth = connections.enter(peer("10.0.0.1"), CAPS).unwrap();
        let counts = (connections.open(), connections.accepted());
        assert_eq!((counts, connections.refused(), connections.refused_by_address()), ((3, 4), 2, 1));
    }

    #[test]
    fn addresses_without_a_connection_take_no_memory() {
        let connections = Connections::default();
        for last in 1..=100 {
            drop(connections.enter(peer(&format!("10.0.0.{last}")), CAPS));
        }
        assert!(connections.shared.census().by_network.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address_and_a_mapped_ipv4_as_what_it_is() {
        let one = network("2001:db8:1:2:3::4".parse().unwrap());
        assert_eq!(one, network("2001:db8:1:2:ffff::1".parse().unwrap()));
        assert_ne!(one, network("2001:db8:1:3::4".parse().unwrap()));
        assert_eq!(network("::ffff:10.0.0.1".parse().unwrap()), network("10.0.0.1".parse().unwrap()));
        assert_ne!(network("::ffff:10.0.0.1".parse().unwrap()), network("::ffff:10.0.0.2".parse().unwrap()));
    }
}
