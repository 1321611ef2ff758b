use std::{
    any::Any,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// How many are here, in all and from each address: the connections of a server, the sessions of a door. A cheap handle.
#[derive(Debug, Clone, Default)]
pub(crate) struct Census {
    counts: Arc<Mutex<Counts>>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// How many there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Caps {
    pub(crate) total: usize,
    pub(crate) per_address: usize,
}

/// Why there is no place for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// There are as many as there may be.
    Total,
    /// There are as many from its address as there may be.
    Address,
}

/// A place, until its last clone is dropped.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    taken: Arc<Taken>,
}

#[derive(Debug)]
struct Taken {
    census: Census,
    network: IpAddr,
}

impl Census {
    pub(crate) fn all(&self) -> usize {
        self.counts().all
    }

    pub(crate) fn enter(&self, address: IpAddr, caps: Caps) -> Result<Place, Full> {
        let network = network(address);
        self.counts().add(network, caps)?;
        Ok(Place { taken: Arc::new(Taken { census: self.clone(), network }) })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        // Nothing under this lock panics half-way.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    fn add(&mut self, network: IpAddr, caps: Caps) -> Result<(), Full> {
        if self.all >= caps.total {
            return Err(Full::Total);
        }
        let of_network = self.by_network.get(&network).copied().unwrap_or(0);
        if of_network >= caps.per_address {
            return Err(Full::Address);
        }
        self.by_network.insert(network, of_network + 1);
        self.all += 1;
        Ok(())
    }

    fn remove(&mut self, network: IpAddr) {
        self.all -= 1;
        if let Some(of_network) = self.by_network.get_mut(&network) {
            *of_network -= 1;
            if *of_network == 0 {
                self.by_network.remove(&network);
            }
        }
    }
}

impl Place {
    /// The same place, for somebody who need not know what it is.
    pub(crate) fn shared(&self) -> Arc<dyn Any + Send + Sync> {
        Arc::<Taken>::clone(&self.taken)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.census.counts().remove(self.network);
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

#[cfg(test)]
mod tests {
    use super::*;

    const CAPS: Caps = Caps { total: 3, per_address: 2 };

    fn address(address: &str) -> IpAddr {
        address.parse().unwrap()
    }

    #[test]
    fn places_are_counted_and_free_again_with_their_last_clone() {
        let census = Census::default();
        let enter = |from| census.enter(address(from), CAPS);
        let place = enter("10.0.0.1").unwrap();
        let _second = enter("10.0.0.1").unwrap();
        assert_eq!(enter("10.0.0.1").unwrap_err(), Full::Address);
        let _third = enter("10.0.0.2").unwrap();
        assert_eq!(enter("10.0.0.3").unwrap_err(), Full::Total);
        let clone = place.clone();
        drop(place);
        assert_eq!(enter("10.0.0.3").unwrap_err(), Full::Total);
        drop(clone);
        let _fourth = enter("10.0.0.1").unwrap();
        assert_eq!(census.all(), 3);
    }

    #[test]
    fn addresses_of_which_nobody_is_here_are_forgotten() {
        let census = Census::default();
        for last in 1..=100 {
            drop(census.enter(address(&format!("10.0.0.{last}")), CAPS));
        }
        assert!(census.counts().by_network.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address_and_a_mapped_ipv4_as_what_it_is() {
        let one = network(address("2001:db8:1:2:3::4"));
        assert_eq!(one, network(address("2001:db8:1:2:ffff::1")));
        assert_ne!(one, network(address("2001:db8:1:3::4")));
        assert_eq!(network(address("::ffff:10.0.0.1")), network(address("10.0.0.1")));
        assert_ne!(network(address("::ffff:10.0.0.1")), network(address("::ffff:10.0.0.2")));
    }
}
