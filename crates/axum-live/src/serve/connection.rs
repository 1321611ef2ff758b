use std::{any::Any, convert::Infallible, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::{ConnectInfo, Request},
    response::{IntoResponse, Response},
};
use http::{Method, StatusCode, Version, header::CONNECTION};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch::{self, error::RecvError},
    time,
};
use tower::ServiceExt;
use tracing::{debug, trace};

use super::{
    Server,
    activity::{Activity, Tracked, UnderWay},
    connections::Connections,
};
use crate::census::Place;

/// One connection, from the moment it is let in until it ends or becomes a session.
pub(super) struct Connection {
    peer: SocketAddr,
    place: Place,
    terms: Terms,
    connections: Connections,
}

/// How far a server is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Phase {
    Serving,
    /// What is under way comes to its end.
    Stopping,
    /// What is under way is dropped.
    Over,
}

/// What a connection has to keep to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    pub(super) header_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) header_limit: usize,
}

/// What a session holds of the server that it came by, until its end: its place, and on HTTP/2, where the connection goes
/// on beneath it with a place of its own, the request, so that it is not idle. It comes with the request.
#[derive(Clone)]
pub(crate) struct Held(pub(crate) Arc<dyn Any + Send + Sync>);

impl Connection {
    pub(super) fn new(peer: SocketAddr, place: Place, terms: Terms, connections: Connections) -> Self {
        Self { peer, place, terms, connections }
    }

    pub(super) async fn run<Io>(self, io: Io, server: Arc<Server>, router: Router, mut phase: watch::Receiver<Phase>)
    where
        Io: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let activity = Activity::default();
        let service = service_fn(|request: Request<Incoming>| {
            let under_way = Arc::new(activity.begin());
            answer(router.clone(), request, self.peer, self.place.clone(), under_way, self.terms.header_limit)
        });
        let mut connection = pin!(server.serve_connection_with_upgrades(TokioIo::new(io), service));
        let mut deadline = pin!(time::sleep(self.terms.header_timeout));
        let mut is_late = false;
        loop {
            tokio::select! {
                // What a request's end does to the deadline comes before the deadline.
                biased;
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        trace!(target: "axum_live", peer = %self.peer, %error, "a connection failed");
                    }
                    return;
                }
                () = activity.ceased() => deadline.set(time::sleep(self.terms.idle_timeout)),
                // Whoever ends a request tells of it a moment before it has ended, maybe in another thread.
                () = &mut deadline => {
                    if !activity.is_idle() {
                        deadline.set(time::sleep(self.terms.idle_timeout));
                        continue;
                    }
                    if is_late || !activity.has_begun() {
                        debug!(target: "axum_live", peer = %self.peer, "a connection was closed: no request came");
                        self.connections.count_timeout();
                        return;
                    }
                    // A proper end first, for who is merely idle.
                    is_late = true;
                    connection.as_mut().graceful_shutdown();
                    deadline.set(time::sleep(FAREWELL));
                }
                Ok(reached) = next(&mut phase) => match reached {
                    Phase::Serving => {}
                    Phase::Stopping => connection.as_mut().graceful_shutdown(),
                    Phase::Over => return,
                },
            }
        }
    }
}

impl Terms {
    /// hyper, set up for these terms.
    pub(super) fn server(&self) -> Server {
        let mut server = Server::new(TokioExecutor::new());
        // Times are kept by us: hyper's count on HTTP/1.1 alone, and only once a byte has come.
        server.http1().header_read_timeout(None).max_buf_size(HEAD_BUFFER);
        let list = u32::try_from(self.header_limit).unwrap_or(u32::MAX);
        server.http2().enable_connect_protocol().max_header_list_size(list).max_concurrent_streams(STREAMS);
        server
    }
}

impl Default for Terms {
    fn default() -> Self {
        Self { header_timeout: Duration::from_secs(10), idle_timeout: Duration::from_secs(75), header_limit: 16 << 10 }
    }
}

async fn next(phase: &mut watch::Receiver<Phase>) -> Result<Phase, RecvError> {
    phase.changed().await?;
    Ok(*phase.borrow_and_update())
}

async fn answer(
    router: Router,
    mut request: Request<Incoming>,
    peer: SocketAddr,
    place: Place,
    under_way: Arc<UnderWay>,
    header_limit: usize,
) -> Result<Response, Infallible> {
    if let Some(status) = over_limit(&request, header_limit) {
        return Ok((status, [(CONNECTION, "close")]).into_response());
    }
    let is_tunnel = request.method() == Method::CONNECT;
    request.extensions_mut().insert(ConnectInfo(peer));
    let held = if request.version() == Version::HTTP_2 { Held(under_way.clone()) } else { Held(place.shared()) };
    request.extensions_mut().insert(held);
    let response = router.oneshot(request.map(Body::new)).await?;
    if is_tunnel && response.status().is_success() && Arc::strong_count(&under_way) == 1 {
        // Somebody else's tunnel, of whose end nobody tells: its connection is never idle again.
        under_way.for_good();
    }
    Ok(response.map(|body| Body::new(Tracked::new(body, under_way))))
}

/// The status for a head that is too large.
fn over_limit<B>(request: &Request<B>, limit: usize) -> Option<StatusCode> {
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    // With `: ` and the line's end.
    let headers: usize = request.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if address > limit {
        Some(StatusCode::URI_TOO_LONG)
    } else if headers > limit {
        Some(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
    } else {
        None
    }
}

/// The most that is read of a head on HTTP/1.1: an address is told to be too long when it has come.
const HEAD_BUFFER: usize = 128 << 10;

/// Streams at a time on an HTTP/2 connection: hyper's default, stated for what it bounds.
const STREAMS: u32 = 200;

/// How long an idle connection has to end by itself once it is asked to.
const FAREWELL: Duration = Duration::from_secs(1);
