use std::net::SocketAddr;

/// What a session keeps of the request it came from.
#[derive(Debug, Clone, Default)]
pub struct SessionInfo {
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) path: Box<str>,
    pub(crate) subprotocol: Option<Box<str>>,
}

impl SessionInfo {
    /// What is known of a request that came to this path.
    pub fn new(path: impl Into<Box<str>>) -> Self {
        Self { path: path.into(), ..Self::default() }
    }

    /// The address of the client's end of the connection.
    #[must_use]
    pub fn peer_addr(self, peer: Option<SocketAddr>) -> Self {
        Self { peer, ..self }
    }

    /// The subprotocol agreed on.
    #[must_use]
    pub fn subprotocol(self, subprotocol: Option<&str>) -> Self {
        Self { subprotocol: subprotocol.map(Into::into), ..self }
    }
}
