use std::{fmt, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use axum::{Router, serve::Listener};
use axum_live_core::{Drain, Live, ShutdownReport};
use futures_util::future::{self, BoxFuture};
use hyper_util::{rt::TokioExecutor, server::conn::auto};
use tokio::{
    sync::{Semaphore, watch},
    time::{self, Instant},
};

mod activity;
mod connection;
mod connections;
mod report;
mod turned_away;

pub(crate) use connection::Held;
use connection::{Connection, Phase, Terms};
pub use connections::Connections;
pub use report::DrainReport;

use crate::census::Caps;

/// Serves a router as `axum::serve` does, with what strangers make necessary: time limits for connections that say
/// nothing or half of something, limits on what a request's head may be and on how many connections there are, and an
/// end that loses no message.
///
/// Handlers find the client's address as `ConnectInfo<SocketAddr>`, and a session as
/// [`peer_addr`](crate::Session::peer_addr). TLS and the like are for the listener, as under `axum::serve`.
///
/// # Examples
///
/// ```no_run
/// # // It serves until the process is told to stop.
/// use axum::Router;
/// use axum_live::{Live, LiveLayer, accept, stop_signal};
/// use tokio::net::TcpListener;
///
/// #[tokio::main]
/// async fn main() -> std::io::Result<()> {
///     let live = Live::<()>::builder().build();
///     let app = Router::new().route("/ws", LiveLayer::anonymous(&live).handler(accept));
///     let listener = TcpListener::bind("127.0.0.1:3000").await?;
///     let report = axum_live::serve(listener, app).drain(&live).with_graceful_shutdown(stop_signal()).await?;
///     println!("{report}");
///     Ok(())
/// }
/// ```
pub fn serve<L: Listener<Addr = SocketAddr>>(listener: L, router: Router) -> Serve<L> {
    Serve {
        listener,
        router,
        terms: Terms::default(),
        caps: connections::default_caps(),
        connections: Connections::default(),
        drains: Vec::new(),
        pace: Drain::default(),
        request_grace: Duration::from_secs(8),
        signal: Box::pin(future::pending()),
    }
}

/// A server that is set up, and runs when it is awaited: [`serve`].
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve<L> {
    listener: L,
    router: Router,
    terms: Terms,
    caps: Caps,
    connections: Connections,
    drains: Vec<Drainer>,
    pace: Drain,
    request_grace: Duration,
    signal: BoxFuture<'static, ()>,
}

/// A node to drain, whatever its sessions' value.
type Drainer = Box<dyn FnOnce(Drain) -> BoxFuture<'static, ShutdownReport> + Send>;

impl<L: Listener<Addr = SocketAddr>> Serve<L> {
    /// How long a new connection may take until the head of its first request is there; 10 seconds by default. After it
    /// the connection is closed without an answer.
    pub fn header_timeout(mut self, time: Duration) -> Self {
        self.terms.header_timeout = time;
        self
    }

    /// How long a connection may be kept after its last answer without another request, the head of which has to be
    /// there by then; 75 seconds by default, as with nginx: proxies want theirs to be the shorter one. Connections that
    /// became sessions have their [`heartbeat`](crate::Builder::heartbeat).
    pub fn idle_timeout(mut self, time: Duration) -> Self {
        self.terms.idle_timeout = time;
        self
    }

    /// How many bytes a request's address, and how many its headers, may have; 16 KiB each by default. More is answered
    /// 414 and 431, and so are more than 100 headers on HTTP/1.1. Up to 128 KiB are read before that on HTTP/1.1.
    pub fn header_limit(mut self, bytes: usize) -> Self {
        self.terms.header_limit = bytes;
        self
    }

    /// How many connections there may be, sessions included; by default nine tenths of the descriptors that the process
    /// may have open (`ulimit -n`), since a server without descriptors can tell nobody. One more is answered 503 with
    /// `Retry-After`, without a look at its request. It costs a session some 80 bytes.
    ///
    /// HTTP/2 carries up to 200 sessions on a connection.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.caps.total = connections;
        self
    }

    /// How many connections there may be from one address, sessions included; as many as
    /// [`max_connections`](Self::max_connections) by default, for behind a proxy all come from the proxy's. One more is
    /// answered 429 with `Retry-After`. Of IPv6 a network of 64 bits counts as one address: it is what one subscriber has.
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.caps.per_address = connections;
        self
    }

    /// Drains this node when the server ends. Call it once for each node that the router's layers lead to; those that
    /// it is not called for are cut off.
    pub fn drain<V: Send + Sync + 'static>(mut self, live: &Live<V>) -> Self {
        let live = live.clone();
        self.drains.push(Box::new(move |pace| Box::pin(async move { live.drain(pace).await })));
        self
    }

    /// At which pace sessions are closed when the server ends; see [`Drain`] for the default.
    pub fn pace(mut self, pace: Drain) -> Self {
        self.pace = pace;
        self
    }

    /// How long requests that are under way when the server is told to end may take until their connections are closed;
    /// 8 seconds by default, and as long as sessions are drained in any case.
    pub fn request_grace(mut self, time: Duration) -> Self {
        self.request_grace = time;
        self
    }

    /// What tells the server to end, as [`stop_signal`](crate::stop_signal) does; nothing by default.
    ///
    /// Then no connection is accepted any more, and no session: upgrades that are under way are answered 503 with
    /// `Retry-After`. The nodes given to [`drain`](Self::drain) are drained, each session with what is queued for it
    /// written first; requests under way are answered. When all is done, the server's future is ready.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.signal = Box::pin(signal);
        self
    }

    /// The server's connections, to look at while it runs.
    pub fn connections(&self) -> Connections {
        self.connections.clone()
    }

    /// Where it listens.
    ///
    /// # Errors
    ///
    /// As the listener's own.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    async fn run(mut self) -> DrainReport {
        let (phases, phase) = watch::channel(Phase::Serving);
        let server = Arc::new(self.terms.server());
        let doorkeepers = Arc::new(Semaphore::new(DOORKEEPERS));
        loop {
            let (io, peer) = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut self.signal => break,
            };
            match self.connections.enter(peer, self.caps) {
                Ok(place) => {
                    let connection = Connection::new(peer, place, self.terms, self.connections.clone());
                    tokio::spawn(connection.run(io, Arc::clone(&server), self.router.clone(), phase.clone()));
                }
                Err(full) => {
                    // With all of them at it, the connection is closed without a word.
                    if let Ok(doorkeeper) = Arc::clone(&doorkeepers).try_acquire_owned() {
                        tokio::spawn(async move {
                            turned_away::tell(io, full).await;
                            drop(doorkeeper);
                        });
                    }
                }
            }
        }
        drop((self.listener, self.router, phase));

        let start = Instant::now();
        phases.send_replace(Phase::Stopping);
        let drains = self.drains.into_iter().map(|drain| drain(self.pace));
        let nodes = future::join_all(drains).await;
        let mut dropped = 0;
        if time::timeout_at(start + self.request_grace, phases.closed()).await.is_err() {
            dropped = phases.receiver_count();
            phases.send_replace(Phase::Over);
            phases.closed().await;
        }
        DrainReport::new(&nodes, dropped, start.elapsed())
    }
}

impl<L: Listener<Addr = SocketAddr>> IntoFuture for Serve<L> {
    /// As with `axum::serve`, an error never comes; and without
    /// [`with_graceful_shutdown`](Serve::with_graceful_shutdown) nothing does.
    type Output = io::Result<DrainReport>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { Ok(self.run().await) })
    }
}

impl<L: fmt::Debug> fmt::Debug for Serve<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve").field("listener", &self.listener).finish_non_exhaustive()
    }
}

/// Connections that are told at the same time why they are not let in: a flood of them holds no more descriptors.
const DOORKEEPERS: usize = 64;

/// How hyper is set up.
type Server = auto::Builder<TokioExecutor>;
