use std::{
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Once},
};

use axum::extract::ConnectInfo;
use http::request::Parts;

use crate::census::{Caps, Census, Place};

/// The addresses that clients come from: how one is found, and how many sessions each may have.
#[derive(Clone, Default)]
pub(crate) struct Addresses {
    reader: Option<Arc<Reader>>,
    limit: Option<Arc<Limit>>,
}

type Reader = dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync;

struct Limit {
    caps: Caps,
    census: Census,
    /// That nobody can be counted is told once.
    told: Once,
}

impl Addresses {
    pub(crate) fn set_reader(&mut self, reader: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) {
        self.reader = Some(Arc::new(reader));
    }

    pub(crate) fn set_limit(&mut self, sessions: usize) {
        let caps = Caps { total: usize::MAX, per_address: sessions };
        self.limit = Some(Arc::new(Limit { caps, census: Census::default(), told: Once::new() }));
    }

    /// The address of the client whose request this is.
    pub(crate) fn client(&self, parts: &Parts) -> Option<IpAddr> {
        let read = self.reader.as_ref().and_then(|read| read(parts));
        read.or_else(|| peer(parts).map(|peer| peer.ip()))
    }

    /// A place for one more session from there, if sessions are counted; or the address that has as many as it may.
    pub(crate) fn enter(&self, client: Option<IpAddr>) -> Result<Option<Place>, IpAddr> {
        let Some(limit) = &self.limit else { return Ok(None) };
        // Where addresses are read, who hides theirs must not escape.
        let Some(address) = client.or(self.reader.as_ref().map(|_| NOBODYS)) else {
            limit.told.call_once(|| {
                tracing::warn!(
                    target: "axum_live",
                    "max_sessions_per_address counts nobody: there is neither ConnectInfo<SocketAddr> nor a client_addr"
                );
            });
            return Ok(None);
        };
        limit.census.enter(address, limit.caps).map(Some).map_err(|_| address)
    }
}

/// The other end of the connection.
pub(crate) fn peer(parts: &Parts) -> Option<SocketAddr> {
    parts.extensions.get().map(|ConnectInfo::<SocketAddr>(peer)| *peer)
}

/// Stands for all addresses that nobody knows: no packet comes from it (RFC 1122 §3.2.1.3).
const NOBODYS: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
