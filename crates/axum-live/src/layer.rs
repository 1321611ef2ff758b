use std::{convert::Infallible, fmt, net::IpAddr, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    handler::Handler,
    routing::{MethodRouter, any},
};
use axum_live_core::Live;
use http::{HeaderValue, request::Parts};
use tokio::sync::Semaphore;
use tower::Layer;

use crate::{
    addresses::Addresses,
    auth::{Auth, Authenticate},
    origin::Origins,
    service::LiveService,
};

/// The door to a [`Live`]: checks the handshake and the origin, authenticates, lets the handler under it prepare the
/// session or refuse it, and upgrades.
///
/// [`handler`](Self::handler) makes a route of it. It is an ordinary [`tower::Layer`] as well, which belongs on a route
/// and answers every request there.
///
/// Layers outside of it may read its answer and add to it. One that puts another answer in its place keeps the session
/// from opening, and so does one that wraps the answer's body and does not forward `Body::is_end_stream`, as
/// tower-http's `ResponseBodyTimeoutLayer`: mount such a layer inside.
///
/// # Examples
///
/// ```
/// use axum::{Router, extract::{Path, Query}, http::StatusCode};
/// use axum_live::{Live, LiveLayer, Session, SubscribeError};
///
/// struct User {
///     name: String,
/// }
/// # #[derive(serde::Deserialize)]
/// # struct Login { name: String }
///
/// async fn authenticate(Query(login): Query<Login>) -> Result<User, StatusCode> {
///     if login.name.is_empty() { Err(StatusCode::UNAUTHORIZED) } else { Ok(User { name: login.name }) }
/// }
///
/// async fn join_room(session: Session<User>, Path(room): Path<String>) -> Result<(), SubscribeError> {
///     session.subscribe(format!("room:{room}"))
/// }
///
/// let live = Live::<User>::builder().build();
/// let app: Router = Router::new()
///     .route("/rooms/{room}", LiveLayer::new(&live, authenticate).handler(join_room));
/// ```
pub struct LiveLayer<V: Send + Sync + 'static> {
    door: Door<V>,
}

/// What the services of a layer share.
pub(crate) struct Door<V: Send + Sync + 'static> {
    pub(crate) live: Live<V>,
    pub(crate) auth: Arc<Auth<V>>,
    pub(crate) origins: Origins,
    pub(crate) addresses: Addresses,
    pub(crate) auth_timeout: Duration,
    /// A permit for each request that may be authenticated at once.
    pub(crate) auths: Arc<Semaphore>,
    pub(crate) subprotocols: Arc<[HeaderValue]>,
}

/// Lets every session in that authentication let through: the handler where there is nothing to prepare.
///
/// # Examples
///
/// ```
/// use axum::Router;
/// use axum_live::{Live, LiveLayer, accept};
///
/// let live = Live::<()>::builder().build();
/// let app: Router = Router::new().route("/live", LiveLayer::anonymous(&live).handler(accept));
/// ```
pub async fn accept() {}

impl<V: Send + Sync + 'static> LiveLayer<V> {
    /// Authenticates by an async function of extractors, whose `Ok` is the session's value and whose `Err` is the
    /// answer.
    pub fn new<T, A: Authenticate<T, (), V>>(live: &Live<V>, auth: A) -> Self {
        Self::with_state(live, (), auth)
    }

    /// As [`new`](Self::new), with the state that the function's extractors take theirs from.
    pub fn with_state<T, S, A>(live: &Live<V>, state: S, auth: A) -> Self
    where
        S: Send + Sync + 'static,
        A: Authenticate<T, S, V>,
    {
        Self {
            door: Door {
                live: live.clone(),
                auth: Arc::new(Auth::new(auth, state)),
                origins: Origins::same_host(),
                addresses: Addresses::default(),
                auth_timeout: Duration::from_secs(5),
                auths: Arc::new(Semaphore::new(1024)),
                subprotocols: Arc::default(),
            },
        }
    }

    /// Authenticates by an extractor that there is already; its rejection is the answer.
    ///
    /// The session's value is all that an extractor can give. For a [`Grant`](crate::Grant), which says until when it
    /// holds, have [`new`](Self::new) take a function of the extractor:
    /// `async |user: User| Ok::<_, Infallible>(Grant::new(user).until(end))`.
    ///
    /// # Examples
    ///
    /// ```
    /// use axum::http::{StatusCode, request::Parts};
    /// use axum_live::{Live, LiveLayer};
    ///
    /// struct User(String);
    ///
    /// impl<S: Sync> axum::extract::FromRequestParts<S> for User {
    ///     type Rejection = StatusCode;
    ///
    ///     async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
    ///         let name = parts.headers.get("x-user").and_then(|name| name.to_str().ok());
    ///         name.map(|name| User(name.into())).ok_or(StatusCode::UNAUTHORIZED)
    ///     }
    /// }
    ///
    /// let live = Live::<User>::builder().build();
    /// let layer = LiveLayer::from_extractor::<User>(&live);
    /// ```
    pub fn from_extractor<E>(live: &Live<V>) -> Self
    where
        E: FromRequestParts<()> + Into<V> + Send + 'static,
    {
        Self::from_extractor_with_state::<E, _>(live, ())
    }

    /// As [`from_extractor`](Self::from_extractor), with the state that the extractor takes its own from.
    pub fn from_extractor_with_state<E, S>(live: &Live<V>, state: S) -> Self
    where
        E: FromRequestParts<S> + Into<V> + Send + 'static,
        S: Send + Sync + 'static,
    {
        Self::with_state(live, state, async |extracted: E| Ok::<V, Infallible>(extracted.into()))
    }

    /// Which pages a browser may connect from; those of the same host by default. Other clients send no `Origin`.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.door.origins = origins;
        self
    }

    /// Where a client's address is found in a request; by default it is the connection's other end, as
    /// `ConnectInfo<SocketAddr>` tells it, which behind a proxy is the proxy's.
    /// [`max_sessions_per_address`](Self::max_sessions_per_address) counts by it, and
    /// [`Session::client_addr`](crate::Session::client_addr) answers it.
    ///
    /// Read what your own proxy has written and nothing else, and let nobody reach the server but the proxy. `None` is
    /// for a request without it: its address is that of the connection's other end, so whoever leaves a header out, or
    /// fills it with nonsense, counts as the proxy and escapes no limit. Where the connection has no address either, as
    /// on a Unix socket, all of these count as one.
    ///
    /// # Examples
    ///
    /// Behind one proxy, which adds to `X-Forwarded-For`:
    ///
    /// ```
    /// use std::net::IpAddr;
    /// use axum::http::request::Parts;
    /// use axum_live::{Live, LiveLayer};
    ///
    /// /// The last entry of the last such header: what stands before is a stranger's word, and need not even be text.
    /// fn client_addr(parts: &Parts) -> Option<IpAddr> {
    ///     let header = parts.headers.get_all("x-forwarded-for").iter().next_back()?;
    ///     let last = header.as_bytes().rsplit(|&byte| byte == b',').next()?;
    ///     str::from_utf8(last.trim_ascii()).ok()?.parse().ok()
    /// }
    ///
    /// # let live = Live::<()>::builder().build();
    /// let layer = LiveLayer::anonymous(&live).client_addr(client_addr).max_sessions_per_address(100);
    /// ```
    #[must_use]
    pub fn client_addr(mut self, read: impl Fn(&Parts) -> Option<IpAddr> + Send + Sync + 'static) -> Self {
        self.door.addresses.set_reader(read);
        self
    }

    /// How many sessions there may be from one address; without a limit by default, for behind a proxy all come from
    /// the proxy's until [`client_addr`](Self::client_addr) says where their own is. One more is answered 429 with
    /// `Retry-After`, before authentication. Of IPv6 a network of 64 bits counts as one address: it is what one
    /// subscriber has.
    ///
    /// A place is taken by the request, so those who are being authenticated count too, and is free again once the
    /// request is refused, or the session has ended and its `on_close` with it. It costs a session some 100 bytes.
    ///
    /// Whose address is not known, since there is no `ConnectInfo<SocketAddr>` and no `client_addr`, is not counted, and
    /// a warning says so once. [`serve`](crate::serve()) tells addresses; `axum::serve` does for
    /// `app.into_make_service_with_connect_info::<SocketAddr>()`.
    ///
    /// The routes of a layer and of its later clones share the count.
    ///
    /// # Panics
    ///
    /// When it is 0, with which nobody would be let in.
    #[must_use]
    pub fn max_sessions_per_address(mut self, sessions: usize) -> Self {
        assert!(sessions > 0, "with no session for any address nobody is let in");
        self.door.addresses.set_limit(sessions);
        self
    }

    /// How long authentication may take before the answer is 503; 5 seconds by default.
    #[must_use]
    pub fn auth_timeout(mut self, time: Duration) -> Self {
        self.door.auth_timeout = time;
        self
    }

    /// How many requests may be authenticated at once; 1024 by default. One more is answered 503 with `Retry-After` at
    /// once, before any code of the application's. So what hangs behind authentication, as a database, does not pile
    /// requests up: each holds its head and the function's future, for [`auth_timeout`](Self::auth_timeout) at most.
    ///
    /// The routes of a layer and of its later clones share the number.
    ///
    /// # Panics
    ///
    /// When it is 0, with which nobody would be let in.
    #[must_use]
    pub fn max_auths(mut self, requests: usize) -> Self {
        assert!(requests > 0, "with no authentication at all nobody is let in");
        self.door.auths = Arc::new(Semaphore::new(requests.min(Semaphore::MAX_PERMITS)));
        self
    }

    /// The subprotocols that the application speaks, the preferred one first; none by default. The first that the
    /// client offers is agreed on, and [`Session::subprotocol`](crate::Session::subprotocol) tells it; with none in
    /// common the session opens without.
    ///
    /// # Panics
    ///
    /// When a name is no token of RFC 9110, as it would be in the answer.
    #[must_use]
    pub fn subprotocols<I>(mut self, names: I) -> Self
    where
        I: IntoIterator<Item: AsRef<str>>,
    {
        let token = |name: &str| !name.is_empty() && name.bytes().all(is_token);
        let header = |name: &str| HeaderValue::from_str(name).ok().filter(|_| token(name));
        self.door.subprotocols = names
            .into_iter()
            .map(|name| header(name.as_ref()).unwrap_or_else(|| panic!("{:?} names no subprotocol", name.as_ref())))
            .collect();
        self
    }

    /// A route: this layer over a handler, which runs after authentication and before the upgrade with the
    /// [`Session`](crate::Session) among its extractors. Its 2xx opens the session; any other answer is the client's.
    ///
    /// Requests that are neither a GET nor an extended CONNECT of HTTP/2 are answered 405.
    pub fn handler<H, T, S>(self, handler: H) -> MethodRouter<S>
    where
        H: Handler<T, S>,
        T: 'static,
        S: Clone + Send + Sync + 'static,
    {
        any(handler).layer(self)
    }
}

impl LiveLayer<()> {
    /// Lets everybody in.
    pub fn anonymous(live: &Live<()>) -> Self {
        Self::new(live, async || Ok::<_, Infallible>(()))
    }
}

impl<S, V: Send + Sync + 'static> Layer<S> for LiveLayer<V> {
    type Service = LiveService<S, V>;

    fn layer(&self, inner: S) -> Self::Service {
        LiveService::new(inner, self.door.clone())
    }
}

impl<V: Send + Sync + 'static> Clone for LiveLayer<V> {
    fn clone(&self) -> Self {
        Self { door: self.door.clone() }
    }
}

impl<V: Send + Sync + 'static> Clone for Door<V> {
    fn clone(&self) -> Self {
        Self {
            live: self.live.clone(),
            auth: Arc::clone(&self.auth),
            origins: self.origins.clone(),
            addresses: self.addresses.clone(),
            auth_timeout: self.auth_timeout,
            auths: Arc::clone(&self.auths),
            subprotocols: Arc::clone(&self.subprotocols),
        }
    }
}

impl<V: Send + Sync + 'static> fmt::Debug for LiveLayer<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveLayer").field("live", &self.door.live).finish_non_exhaustive()
    }
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer() -> LiveLayer<()> {
        LiveLayer::anonymous(&Live::builder().build())
    }

    #[test]
    #[should_panic(expected = "nobody is let in")]
    fn no_authentication_at_all_is_a_mistake() {
        let _layer = layer().max_auths(0);
    }

    #[test]
    #[should_panic(expected = "nobody is let in")]
    fn no_session_for_any_address_is_a_mistake() {
        let _layer = layer().max_sessions_per_address(0);
    }
}
