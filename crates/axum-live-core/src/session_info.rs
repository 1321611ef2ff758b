use std::net::{IpAddr, SocketAddr};

use crate::session::Session;

/// What a session keeps of the request it came from.
#[derive(Debug, Clone, Default)]
pub struct SessionInfo {
    source: Source,
    path: Box<str>,
    subprotocol: Option<Box<str>>,
}

/// Whose the connection is.
#[derive(Debug, Clone, Default)]
enum Source {
    #[default]
    Unknown,
    /// The client's own.
    Client(SocketAddr),
    /// In a box, so that sessions without a proxy do not pay for it.
    Proxy(Box<Proxied>),
}

/// A client behind a proxy.
#[derive(Debug, Clone)]
struct Proxied {
    proxy: Option<SocketAddr>,
    client: IpAddr,
}

impl SessionInfo {
    /// What is known of a request that came to this path.
    pub fn new(path: impl Into<Box<str>>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// The connection's other end, and the client's address, which behind a proxy is another.
    #[must_use]
    pub fn addresses(self, peer: Option<SocketAddr>, client: Option<IpAddr>) -> Self {
        let source = match (peer, client) {
            (None, None) => Source::Unknown,
            (Some(peer), None) => Source::Client(peer),
            (Some(peer), Some(client)) if client == peer.ip() => Source::Client(peer),
            (proxy, Some(client)) => Source::Proxy(Box::new(Proxied { proxy, client })),
        };
        Self { source, ..self }
    }

    /// The subprotocol agreed on.
    #[must_use]
    pub fn subprotocol(self, subprotocol: Option<&str>) -> Self {
        Self { subprotocol: subprotocol.map(Into::into), ..self }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match &self.source {
            Source::Unknown => None,
            Source::Client(peer) => Some(*peer),
            Source::Proxy(proxied) => proxied.proxy,
        }
    }

    pub(crate) fn client_addr(&self) -> Option<IpAddr> {
        let address = match &self.source {
            Source::Unknown => return None,
            Source::Client(peer) => peer.ip(),
            Source::Proxy(proxied) => proxied.client,
        };
        Some(address.to_canonical())
    }
}

impl<V> Session<V> {
    /// The client's address: what `LiveLayer::client_addr` finds in the request, or else the address of the connection's
    /// other end. `None` where neither is known. An IPv4 address that came mapped into IPv6 is told as what it is.
    pub fn client_addr(&self) -> Option<IpAddr> {
        self.shared.info.client_addr()
    }

    /// The connection's other end, under `axum_live::serve` or a service that was made with
    /// `into_make_service_with_connect_info::<SocketAddr>()`. Behind a proxy it is the proxy's:
    /// [`client_addr`](Self::client_addr) is the client's own.
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared.info.peer_addr()
    }

    /// The route that the request matched, as `/rooms/{room}`, or the path of its URI where the layer is on no route.
    pub fn path(&self) -> &str {
        self.shared.info.path()
    }

    /// The subprotocol that was agreed on.
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared.info.subprotocol.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(peer: Option<&str>, client: Option<&str>) -> (Option<String>, Option<String>) {
        let (peer, client) = (peer.map(|peer| peer.parse().unwrap()), client.map(|client| client.parse().unwrap()));
        let info = SessionInfo::new("/ws").addresses(peer, client);
        (info.peer_addr().map(|peer| peer.to_string()), info.client_addr().map(|client| client.to_string()))
    }

    #[test]
    fn a_clients_address_is_what_was_found_and_else_the_connections_other_end() {
        let (peer, behind) = (Some("127.0.0.1:80"), Some("10.0.0.1"));
        let told = |peer: Option<&str>, client: Option<&str>| (peer.map(Into::into), client.map(Into::into));
        assert_eq!(info(None, None), told(None, None));
        assert_eq!(info(peer, None), told(peer, Some("127.0.0.1")));
        assert_eq!(info(peer, Some("127.0.0.1")), told(peer, Some("127.0.0.1")));
        assert_eq!(info(peer, behind), told(peer, behind));
        assert_eq!(info(None, behind), told(None, behind));
        assert_eq!(info(Some("[::ffff:10.0.0.1]:80"), None), told(Some("[::ffff:10.0.0.1]:80"), behind));
    }

    #[test]
    fn a_clients_address_costs_a_session_without_a_proxy_nothing() {
        assert_eq!(size_of::<Source>(), size_of::<Option<SocketAddr>>());
    }
}
