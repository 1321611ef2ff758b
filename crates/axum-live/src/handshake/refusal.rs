use axum::response::{IntoResponse, Response};
use axum_live_core::RefusalReason;
use http::{
    HeaderName, HeaderValue, StatusCode, Version,
    header::{ALLOW, CONNECTION, RETRY_AFTER, SEC_WEBSOCKET_VERSION, UPGRADE},
};

/// Why a request is refused before any user code runs; as a response, its text tells a developer what to mend.
///
/// The variants whose answer is not the same on HTTP/1.1 and on HTTP/2 carry the request's version: HTTP/2 forbids
/// the `Upgrade` and `Connection` headers that RFC 9110 asks of a 426.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Neither a GET nor, on HTTP/2, an extended CONNECT.
    #[error("a WebSocket is opened by GET on HTTP/1.1 and by extended CONNECT on HTTP/2")]
    Method(Version),
    /// HTTP/1.0 knows no upgrade.
    #[error("a WebSocket needs HTTP/1.1 or HTTP/2: a proxy in front may have to be told to speak HTTP/1.1 upstream")]
    HttpVersion,
    /// A plain GET that got past authentication: there is nothing here but a WebSocket.
    #[error("this is a WebSocket endpoint: connect with a WebSocket client")]
    Probe(Version),
    /// HTTP/2's CONNECT asks for something else, or for a tunnel.
    #[error("CONNECT needs the pseudo-header :protocol with the value websocket (RFC 8441)")]
    ConnectProtocol,
    /// A handshake has no body, and what follows it would be read as frames.
    #[error("a WebSocket handshake has no body: remove Content-Length and Transfer-Encoding")]
    Body,
    /// No `Host` header.
    #[error("the Host header is missing")]
    HostMissing,
    /// More than one `Host` header.
    #[error("there is more than one Host header")]
    HostRepeated,
    /// A `Host` header that names no host and port.
    #[error("the Host header is not a host with an optional port")]
    HostInvalid,
    /// `Connection` asks for an upgrade, `Upgrade` does not say to what, or names other protocols only.
    #[error("the Upgrade header must name websocket")]
    Upgrade,
    /// `Upgrade` without the `Connection` that belongs to it.
    #[error(
        "the Connection header must name upgrade: if the client sent it, a proxy dropped it (nginx wants \
         `proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;`)"
    )]
    Connection,
    /// No `Sec-WebSocket-Version` header.
    #[error("the Sec-WebSocket-Version header is missing: it must be 13")]
    WebSocketVersionMissing,
    /// Another version of the WebSocket protocol, or several.
    #[error("the Sec-WebSocket-Version header must be 13")]
    WebSocketVersion(Version),
    /// No `Sec-WebSocket-Key` header.
    #[error("the Sec-WebSocket-Key header is missing")]
    KeyMissing,
    /// More than one `Sec-WebSocket-Key` header.
    #[error("there is more than one Sec-WebSocket-Key header")]
    KeyRepeated,
    /// A key that is not 16 bytes in base64.
    #[error("the Sec-WebSocket-Key header must be 16 random bytes in base64, 24 characters with the padding")]
    KeyInvalid,
    /// The request did not come by a connection of hyper's that can change its protocol.
    #[error("the connection cannot be upgraded: something before this layer took the upgrade, or there is no server")]
    NotUpgradable,
    /// The page that connects is of an origin that `Origins` does not allow.
    #[error(
        "the page's origin is not allowed: allow other sites, or this one behind a proxy that rewrites Host, by \
         `LiveLayer::origins(Origins::list([\"https://app.example.com\"])?)`"
    )]
    Origin,
    /// The client's address has as many sessions as `LiveLayer::max_sessions_per_address` allows.
    #[error(
        "too many sessions from this address: come back later; if it is a proxy's, `LiveLayer::client_addr` has to say \
         where its clients' are"
    )]
    AddressLimit,
    /// As many requests as `LiveLayer::max_auths` allows are being authenticated.
    #[error("too many requests are being authenticated: come back later")]
    TooManyAuths,
}

impl Refusal {
    fn status(self) -> StatusCode {
        match self {
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::HttpVersion | Self::Probe(_) | Self::WebSocketVersion(_) => StatusCode::UPGRADE_REQUIRED,
            Self::ConnectProtocol
            | Self::Body
            | Self::HostMissing
            | Self::HostRepeated
            | Self::HostInvalid
            | Self::Upgrade
            | Self::Connection
            | Self::WebSocketVersionMissing
            | Self::KeyMissing
            | Self::KeyRepeated
            | Self::KeyInvalid => StatusCode::BAD_REQUEST,
            Self::Origin => StatusCode::FORBIDDEN,
            Self::AddressLimit => StatusCode::TOO_MANY_REQUESTS,
            Self::TooManyAuths => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotUpgradable => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What it counts as.
    pub(crate) fn reason(self) -> RefusalReason {
        match self {
            Self::Method(_) => RefusalReason::Method,
            Self::Probe(_) => RefusalReason::Probe,
            Self::Origin => RefusalReason::Origin,
            Self::AddressLimit => RefusalReason::AddressLimit,
            Self::TooManyAuths => RefusalReason::TooManyAuths,
            Self::NotUpgradable => RefusalReason::NotUpgradable,
            _ => RefusalReason::Handshake,
        }
    }

    fn headers(self) -> &'static [(HeaderName, &'static str)] {
        const VERSION: (HeaderName, &str) = (SEC_WEBSOCKET_VERSION, "13");
        const TO_WEBSOCKET: (HeaderName, &str) = (UPGRADE, "websocket");
        const UPGRADING: (HeaderName, &str) = (CONNECTION, "upgrade");
        match self {
            Self::Method(Version::HTTP_2) => const { &[(ALLOW, "GET, CONNECT")] },
            Self::Method(_) => const { &[(ALLOW, "GET")] },
            Self::Probe(Version::HTTP_2) | Self::WebSocketVersion(Version::HTTP_2) => const { &[VERSION] },
            Self::HttpVersion | Self::Probe(_) | Self::WebSocketVersion(_) => {
                const { &[VERSION, TO_WEBSOCKET, UPGRADING] }
            }
            Self::Body => const { &[(CONNECTION, "close")] },
            // As `serve` says of connections: places become free when sessions end, which nobody can foretell.
            Self::AddressLimit => const { &[(RETRY_AFTER, "5")] },
            Self::TooManyAuths => const { &[(RETRY_AFTER, "1")] },
            _ => &[],
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status(), self.to_string()).into_response();
        for (name, value) in self.headers() {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_the_headers_its_status_asks_for() {
        let header = |refusal: Refusal, name: &str| refusal.into_response().headers().get(name).cloned();
        assert_eq!(Refusal::Method(Version::HTTP_11).into_response().status(), 405);
        assert_eq!(header(Refusal::Method(Version::HTTP_11), "allow").unwrap(), "GET");
        assert_eq!(header(Refusal::Method(Version::HTTP_2), "allow").unwrap(), "GET, CONNECT");
        for refusal in
            [Refusal::HttpVersion, Refusal::Probe(Version::HTTP_11), Refusal::WebSocketVersion(Version::HTTP_11)]
        {
            assert_eq!(refusal.into_response().status(), 426);
            assert_eq!(header(refusal, "sec-websocket-version").unwrap(), "13");
            assert_eq!(header(refusal, "upgrade").unwrap(), "websocket");
            assert_eq!(header(refusal, "connection").unwrap(), "upgrade");
        }
        // HTTP/2 has neither header, and hyper would log a warning for each.
        for refusal in [Refusal::Probe(Version::HTTP_2), Refusal::WebSocketVersion(Version::HTTP_2)] {
            assert_eq!(refusal.into_response().status(), 426);
            assert_eq!(header(refusal, "sec-websocket-version").unwrap(), "13");
            assert_eq!((header(refusal, "upgrade"), header(refusal, "connection")), (None, None));
        }
    }
}
