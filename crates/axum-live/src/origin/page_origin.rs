//! Origins and authorities, parsed into the one spelling in which equal ones are equal.

use std::net::Ipv6Addr;

use http::{header::HOST, request::Parts, uri::Authority};

use super::OriginError;

/// Scheme, host and port of a page, in the one spelling in which equal origins are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PageOrigin {
    scheme: String,
    host: String,
    /// Filled in where the scheme has a default.
    port: Option<u16>,
}

impl PageOrigin {
    pub(super) fn parse(text: &str) -> Result<Self, OriginError> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| OriginError::Scheme(text.to_owned()))?;
        let scheme = scheme.to_ascii_lowercase();
        if !is_page_scheme(&scheme) {
            return Err(OriginError::Scheme(text.to_owned()));
        }
        if rest.contains(['/', '\\', '?', '#']) {
            return Err(OriginError::Path(text.to_owned()));
        }
        let HostPort { host, port } = HostPort::parse(rest).ok_or_else(|| OriginError::Host(text.to_owned()))?;
        let port = port.or(default_port(&scheme));
        Ok(Self { scheme, host, port })
    }

    /// Whether this is a page of the host a request was sent to. Whether the two schemes agree nobody can tell behind
    /// a TLS terminator, so the page's own gives the request's default port too.
    pub(super) fn is_of(&self, own: &HostPort) -> bool {
        match default_port(&self.scheme) {
            Some(default) => self.host == own.host && self.port == Some(own.port.unwrap_or(default)),
            // An extension or an application, not a page of any host.
            None => false,
        }
    }
}

/// Where a request was sent: a host in its normal spelling, and a port unless it is the scheme's default.
pub(super) struct HostPort {
    host: String,
    port: Option<u16>,
}

impl HostPort {
    pub(super) fn parse(text: &str) -> Option<Self> {
        // `a.com@evil.com` is user a.com at evil.com, whom neither an origin nor a Host header may name.
        if text.contains('@') {
            return None;
        }
        let authority = Authority::try_from(text).ok()?;
        let host = authority.host();
        let port = match text.strip_prefix(host)? {
            "" | ":" => None,
            port => Some(port.strip_prefix(':').and_then(parse_port)?),
        };
        let host = match host.strip_prefix('[') {
            Some(address) => format!("[{}]", address.strip_suffix(']')?.parse::<Ipv6Addr>().ok()?),
            None if host.is_empty() => return None,
            None => host.to_ascii_lowercase(),
        };
        Some(Self { host, port })
    }

    /// The request's own: of the target, where it names one (HTTP/2; the absolute form of HTTP/1.1), else of `Host`.
    pub(super) fn of_request(parts: &Parts) -> Option<Self> {
        match parts.uri.authority() {
            Some(authority) => Self::parse(authority.as_str()),
            None => Self::parse(parts.headers.get(HOST)?.to_str().ok()?),
        }
    }
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

fn parse_port(digits: &str) -> Option<u16> {
    // `parse` alone would take `+80`.
    digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())?
}

fn is_page_scheme(scheme: &str) -> bool {
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
        && !["ws", "wss"].contains(&scheme)
}
