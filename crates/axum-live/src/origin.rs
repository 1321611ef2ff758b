//! Which web pages may connect.

mod page_origin;

use std::{fmt, sync::Arc};

use http::{header::ORIGIN, request::Parts};

use page_origin::{HostPort, PageOrigin};

/// Which web pages may open a session, judged by the `Origin` header that every browser sends with a handshake.
///
/// A browser sends the user's cookies with a WebSocket handshake to anybody, and no CORS rule holds it back: without
/// this check, any page the user visits could open a session in the user's name. The default is
/// [`same_host`](Self::same_host).
///
/// A request without an `Origin` header does not come from a browser and is let through, whatever is set here: it can
/// only use what it knows itself, which is for authentication to judge. Two `Origin` headers are refused by all but
/// [`danger_any`](Self::danger_any).
///
/// # Examples
///
/// ```
/// # use axum_live::Origins;
/// # fn main() -> Result<(), axum_live::OriginError> {
/// let origins = Origins::list(["https://app.example.com", "http://localhost:3000"])?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Origins {
    rule: Rule,
}

#[derive(Clone)]
enum Rule {
    SameHost,
    List(Arc<[PageOrigin]>),
    Matching(Arc<Predicate>),
    Any,
}

type Predicate = dyn Fn(&str, &Parts) -> bool + Send + Sync;

/// Why [`Origins::list`] refuses a text; an origin is a scheme, a host and an optional port, as in
/// `https://app.example.com:8443`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// There is no scheme, or none that a page can have: a page that opens `wss://…` is itself of `https://…`.
    #[error("origin {0:?} must start with the scheme of the page, as in https://app.example.com")]
    Scheme(String),
    /// The host is empty or malformed, a user name stands before it, or its port is not a number up to 65535.
    #[error("origin {0:?} has no valid host and port after its scheme")]
    Host(String),
    /// A path, a query or a fragment follows; an `Origin` header has none, so it could never match.
    #[error("origin {0:?} must end with its host or port, without a slash or anything behind it")]
    Path(String),
}

impl Origins {
    /// Allows the pages of the host that the request is for; the default.
    ///
    /// The origin's host and port must be those of the request: of `Host`, or of `:authority` on HTTP/2. A missing port
    /// is the default of the origin's scheme, so `https://a.com` matches both `a.com` and `a.com:443`. The schemes
    /// themselves are not compared, since behind a TLS terminator the server does not know its own. Behind a proxy that
    /// rewrites `Host` nothing would match: there, use [`list`](Self::list).
    pub fn same_host() -> Self {
        Self { rule: Rule::SameHost }
    }

    /// Allows exactly these origins, and not the server's own unless it is among them; an empty list keeps every
    /// browser out.
    ///
    /// Scheme, host and port must all match; a port left out is the default of `http` or `https`.
    ///
    /// # Errors
    ///
    /// When one of them is not an origin.
    pub fn list<I>(origins: I) -> Result<Self, OriginError>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let origins: Result<_, _> = origins.into_iter().map(|origin| PageOrigin::parse(origin.as_ref())).collect();
        Ok(Self { rule: Rule::List(origins?) })
    }

    /// Allows the requests for which the predicate, given the one `Origin` header as it came and the request's head,
    /// answers true.
    ///
    /// The text is the client's: it may be `null` or no origin at all. Beware of suffixes: `https://evil-example.com`
    /// ends with `example.com` too.
    ///
    /// # Examples
    ///
    /// ```
    /// # use axum_live::Origins;
    /// let tenants = Origins::matching(|origin, _| origin.starts_with("https://") && origin.ends_with(".example.com"));
    /// ```
    pub fn matching(predicate: impl Fn(&str, &Parts) -> bool + Send + Sync + 'static) -> Self {
        Self { rule: Rule::Matching(Arc::new(predicate)) }
    }

    /// Allows every page on the web to open a session with the cookies of the user who visits it.
    ///
    /// Sound only where nothing a browser sends by itself, neither cookies nor the network it is in, lets anybody in.
    pub fn danger_any() -> Self {
        Self { rule: Rule::Any }
    }

    /// Whether the request may go on.
    pub(crate) fn allows(&self, parts: &Parts) -> bool {
        let mut origins = parts.headers.get_all(ORIGIN).iter();
        let only = match (origins.next(), origins.next()) {
            (None, _) => return true,
            (Some(origin), None) => origin.to_str().ok(),
            (Some(_), Some(_)) => None,
        };
        match (&self.rule, only) {
            (Rule::Any, _) => true,
            (_, None) => false,
            (Rule::SameHost, Some(origin)) => PageOrigin::parse(origin)
                .is_ok_and(|page| HostPort::of_request(parts).is_some_and(|own| page.is_of(&own))),
            (Rule::List(allowed), Some(origin)) => PageOrigin::parse(origin).is_ok_and(|page| allowed.contains(&page)),
            (Rule::Matching(predicate), Some(origin)) => predicate(origin, parts),
        }
    }
}

impl Default for Origins {
    fn default() -> Self {
        Self::same_host()
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.rule {
            Rule::SameHost => f.write_str("Origins::same_host"),
            Rule::List(origins) => f.debug_tuple("Origins::list").field(origins).finish(),
            Rule::Matching(_) => f.write_str("Origins::matching"),
            Rule::Any => f.write_str("Origins::danger_any"),
        }
    }
}

#[cfg(test)]
mod tests {
    use http::{Request, header::HOST};

    use super::*;

    fn request(host: &str, origins: &[&str]) -> Parts {
        let mut request = Request::builder().uri("/ws").header(HOST, host);
        for origin in origins {
            request = request.header(ORIGIN, *origin);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn same_host(host: &str, origin: &str) -> bool {
        Origins::same_host().allows(&request(host, &[origin]))
    }

    fn list(origins: &[&str], origin: &str) -> bool {
        Origins::list(origins).unwrap().allows(&request("example.com", &[origin]))
    }

    #[test]
    fn same_host_allows_the_hosts_own_pages() {
        for (host, origin) in [
            ("example.com", "https://example.com"),
            ("example.com:443", "https://example.com"),
            ("example.com", "https://example.com:443"),
            ("example.com", "http://example.com"),
            ("example.com:80", "http://example.com"),
            ("example.com:", "http://example.com"),
            ("EXAMPLE.com", "HTTPS://Example.COM"),
            ("127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("[::1]:3000", "http://[::1]:3000"),
            ("[0:0::1]", "http://[::1]"),
        ] {
            assert!(same_host(host, origin), "{origin} at {host}");
        }
    }

    #[test]
    fn same_host_refuses_everybody_elses() {
        for (host, origin) in [
            ("example.com", "https://evil-example.com"),
            ("example.com", "https://example.com.evil.com"),
            ("example.com", "https://sub.example.com"),
            ("sub.example.com", "https://example.com"),
            ("example.com", "https://example.com:8443"),
            ("example.com:8443", "https://example.com"),
            ("example.com:80", "https://example.com"),
            ("example.com", "http://example.com:443"),
            ("example.com:443", "http://example.com"),
            ("example.com", "https://example.com@evil.com"),
            ("example.com", "https://evil.com@example.com"),
            ("example.com@evil.com", "https://evil.com"),
            ("example.com", "https://example.com:443@evil.com"),
            ("example.com", "https://example.com:99999"),
            ("example.com", "https://example.com:+443"),
            ("example.com", "https://example.com/"),
            ("example.com", "https://example.com\\.evil.com"),
            ("example.com", "https://example.com evil.com"),
            ("example.com", "chrome-extension://example.com"),
            ("example.com", "wss://example.com"),
            ("example.com", "example.com"),
            ("example.com", "//example.com"),
            ("example.com", "null"),
            ("null", "null"),
            ("example.com", ""),
            ("", ""),
            ("", "https://"),
            ("[::1]", "http://[::2]"),
            ("[::1]:80", "http://[::1:80]"),
            ("[::1", "http://[::1"),
            ("[::1]", "http://[::1]x"),
        ] {
            assert!(!same_host(host, origin), "{origin} at {host}");
        }
    }

    #[test]
    fn same_host_asks_the_targets_authority_before_host() {
        let mut parts = request("forged.com", &["https://example.com"]);
        parts.uri = "https://example.com/ws".parse().unwrap();
        assert!(Origins::same_host().allows(&parts));
        parts.uri = "https://other.com/ws".parse().unwrap();
        assert!(!Origins::same_host().allows(&parts));
    }

    #[test]
    fn same_host_refuses_a_page_where_no_host_is_known() {
        let mut parts = request("example.com", &["https://example.com"]);
        parts.headers.remove(HOST);
        assert!(!Origins::same_host().allows(&parts));
    }

    #[test]
    fn list_matches_scheme_host_and_port() {
        let allowed = ["https://App.example.com", "http://localhost:3000", "capacitor://localhost"];
        for origin in
            ["https://app.example.com", "https://app.example.com:443", "http://localhost:3000", "capacitor://localhost"]
        {
            assert!(list(&allowed, origin), "{origin}");
        }
        for origin in [
            "http://app.example.com",
            "https://app.example.com:8443",
            "https://evil-app.example.com",
            "https://app.example.com.evil.com",
            "https://localhost:3000",
            "http://localhost",
            "http://capacitor",
            // Nothing is implied, not even the own host.
            "https://example.com",
            "null",
        ] {
            assert!(!list(&allowed, origin), "{origin}");
        }
        assert!(!list(&[], "https://example.com"));
    }

    #[test]
    fn list_refuses_what_could_never_match() {
        let error = |origin: &str| Origins::list([origin]).unwrap_err();
        for origin in ["example.com", "null", "", "*", "wss://example.com", "1http://example.com"] {
            assert_eq!(error(origin), OriginError::Scheme(origin.to_owned()));
        }
        for origin in
            ["https://", "https://:80", "https://a@b", "https://a:b", "https://a:65536", "https://[::1", "https://a b"]
        {
            assert_eq!(error(origin), OriginError::Host(origin.to_owned()));
        }
        for origin in
            ["https://example.com/", "https://example.com/app", "https://example.com?a", "https://example.com#a"]
        {
            assert_eq!(error(origin), OriginError::Path(origin.to_owned()));
        }
    }

    #[test]
    fn matching_is_given_the_origin_and_the_request() {
        let origins = Origins::matching(|origin, parts| origin == "https://a.com" && parts.uri.path() == "/ws");
        assert!(origins.allows(&request("b.com", &["https://a.com"])));
        assert!(!origins.allows(&request("b.com", &["https://b.com"])));
    }

    #[test]
    fn two_origins_are_refused_and_none_is_allowed() {
        let yes = Origins::matching(|_, _| true);
        let list = Origins::list(["https://a.com"]).unwrap();
        for origins in [Origins::default(), list, yes] {
            assert!(origins.allows(&request("a.com", &[])), "{origins:?}");
            assert!(origins.allows(&request("a.com", &["https://a.com"])), "{origins:?}");
            assert!(!origins.allows(&request("a.com", &["https://a.com", "https://a.com"])), "{origins:?}");
        }
        assert!(Origins::danger_any().allows(&request("a.com", &["null", "https://evil.com"])));
    }

    #[test]
    fn origins_are_shared_between_threads() {
        fn check<T: Clone + Send + Sync + 'static>() {}
        check::<Origins>();
    }
}
