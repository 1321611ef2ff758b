//! A page that shows what a node is doing.

mod ask;
mod page;
mod report;

use std::{convert::Infallible, fmt, pin::Pin, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Path, Query, Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use axum_live_core::{CloseCode, Live, Session, SessionId};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
    request::Parts,
};
use serde::Deserialize;
use tokio::{sync::Semaphore, task};

use self::{
    ask::{Ask, Payloads},
    report::{Detail, Report},
};
use crate::{
    auth::{Auth, Authenticate, Intent},
    origin::Origins,
};

/// How long its authentication may take.
const AUTH_TIMEOUT: Duration = Duration::from_secs(5);

/// What the browser says of where a request comes from. It cannot be forged by a page.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A page for operators: the sessions of a [`Live`] with their queues, the slowest clients first, its topics, its rates
/// drawn, who closed and why, what a session did of late where [`Builder::journal`](crate::Builder::journal) keeps it,
/// and a button to disconnect.
///
/// It is one file without anything from elsewhere, under a strict content security policy. It asks for figures once a
/// second while it is looked at; with nobody there it costs nothing, and however many look, one report is made at a time,
/// beside the threads that serve sessions.
///
/// Everything behind it, the page, its data and the disconnecting, passes the authentication it is made with, an async
/// function of extractors as [`LiveLayer::new`](crate::LiveLayer::new) takes: `Ok`, of whatever, is an operator, `Err`
/// the answer. A disconnect that another site's page has made a browser send is refused.
///
/// # Examples
///
/// ```
/// use axum::{Router, http::{HeaderMap, StatusCode}};
/// use axum_live::{Inspector, Live};
///
/// async fn operator(headers: HeaderMap) -> Result<(), StatusCode> {
///     // Set by a proxy that knows who is asking.
///     match headers.get("x-role") {
///         Some(role) if role == "operator" => Ok(()),
///         _ => Err(StatusCode::FORBIDDEN),
///     }
/// }
///
/// let live = Live::<()>::builder().journal(50).build();
/// let app: Router = Router::new().nest("/inspect", Inspector::new(&live, operator).router());
/// ```
pub struct Inspector<V: Send + Sync + 'static> {
    desk: Desk<V>,
    guard: Arc<Guard>,
}

/// Lets an operator's request through, or answers it.
type Guard = dyn Fn(Parts) -> Pin<Box<dyn Future<Output = Result<Parts, Response>> + Send>> + Send + Sync;

/// What the routes share.
struct Desk<V: Send + Sync + 'static> {
    live: Live<V>,
    origins: Origins,
    /// One report is made at a time.
    turn: Semaphore,
}

/// How a session is to be ended.
#[derive(Deserialize)]
struct Disconnect {
    code: u16,
}

impl<V: Send + Sync + 'static> Inspector<V> {
    /// Lets in whom an async function of extractors answers `Ok`; its `Err` is the answer to others, or a 401 where it
    /// says that all is well. It runs for each request of the page, [`Intent::Probe`] among its extractors, and has five
    /// seconds.
    pub fn new<T, U, A>(live: &Live<V>, auth: A) -> Self
    where
        A: Authenticate<T, (), U>,
        U: Send + 'static,
    {
        Self::with_state(live, (), auth)
    }

    /// As [`new`](Self::new), with the state that the function's extractors take theirs from.
    pub fn with_state<T, S, U, A>(live: &Live<V>, state: S, auth: A) -> Self
    where
        A: Authenticate<T, S, U>,
        S: Send + Sync + 'static,
        U: Send + 'static,
    {
        let auth = Arc::new(Auth::new(auth, state));
        let guard = move |parts| -> Pin<Box<dyn Future<Output = _> + Send>> {
            let auth = Arc::clone(&auth);
            Box::pin(async move {
                auth.run(parts, Intent::Probe, AUTH_TIMEOUT).await.map(|(parts, _)| parts).map_err(|(_, answer)| answer)
            })
        };
        let desk = Desk { live: live.clone(), origins: Origins::same_host(), turn: Semaphore::new(1) };
        Self { desk, guard: Arc::new(guard) }
    }

    /// Lets everybody in who reaches it, to see all and disconnect anyone.
    ///
    /// Sound only where a layer around it, or the network, keeps others out.
    pub fn danger_anyone(live: &Live<V>) -> Self {
        Self::new(live, async || Ok::<_, Infallible>(()))
    }

    /// From which pages a browser that does not tell by `Sec-Fetch-Site` may disconnect; those of the same host by
    /// default. For the inspector behind a proxy that changes `Host`, seen in an old browser.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.desk.origins = origins;
        self
    }

    /// The routes, to be nested under a path of their own.
    pub fn router<S>(self) -> Router<S>
    where
        S: Clone + Send + Sync + 'static,
    {
        let Self { desk, guard } = self;
        let desk = Arc::new(desk);
        let admit = {
            let desk = Arc::clone(&desk);
            move |request: Request, next: Next| {
                let (desk, guard) = (Arc::clone(&desk), Arc::clone(&guard));
                async move {
                    let (parts, body) = request.into_parts();
                    match guard(parts).await {
                        Err(answer) => answer,
                        Ok(parts) if !desk.is_meant(&parts) => StatusCode::FORBIDDEN.into_response(),
                        Ok(parts) => next.run(Request::from_parts(parts, body)).await,
                    }
                }
            }
        };
        Router::new()
            .route("/", get(page::page))
            .route("/data", get(data::<V>))
            .route("/sessions/{id}", get(detail::<V>))
            .route("/sessions/{id}/disconnect", post(disconnect::<V>))
            .route_layer(middleware::from_fn(admit))
            .layer(middleware::map_response(seal))
            .with_state(desk)
    }
}

impl<V: Send + Sync + 'static> Desk<V> {
    /// Makes a report, beside the threads that serve sessions.
    async fn report<R, F>(self: Arc<Self>, make: F) -> Result<R, StatusCode>
    where
        R: Send + 'static,
        F: FnOnce(&Live<V>) -> R + Send + 'static,
    {
        let _turn = self.turn.acquire().await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        let live = self.live.clone();
        task::spawn_blocking(move || make(&live)).await.map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)
    }

    fn session(&self, id: &str) -> Option<Session<V>> {
        self.live.session(&SessionId::try_from(id).ok()?)
    }

    /// Whether a request is none that another site's page makes a browser send. Who sends neither header is no browser,
    /// or one so old that it cannot send JSON to another site unasked.
    fn is_meant(&self, parts: &Parts) -> bool {
        match parts.headers.get(SEC_FETCH_SITE) {
            _ if parts.method.is_safe() => true,
            Some(site) => site == "same-origin",
            None => self.origins.allows(parts),
        }
    }
}

async fn data<V>(State(desk): State<Arc<Desk<V>>>, Query(ask): Query<Ask>) -> Result<Json<Report>, StatusCode>
where
    V: Send + Sync + 'static,
{
    desk.report(move |live| Report::make(live, &ask)).await.map(Json)
}

async fn detail<V>(
    State(desk): State<Arc<Desk<V>>>,
    Path(id): Path<String>,
    Query(payloads): Query<Payloads>,
) -> Result<Json<Detail>, StatusCode>
where
    V: Send + Sync + 'static,
{
    let detail = desk.report(move |live| Detail::make(live, &id, payloads)).await?;
    detail.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn disconnect<V>(
    State(desk): State<Arc<Desk<V>>>,
    Path(id): Path<String>,
    Json(Disconnect { code }): Json<Disconnect>,
) -> Response
where
    V: Send + Sync + 'static,
{
    let Ok(code) = CloseCode::try_from(code) else {
        return (StatusCode::BAD_REQUEST, "no close code").into_response();
    };
    match desk.session(&id) {
        Some(session) => {
            tracing::info!(target: "axum_live", session_id = %session.id(), %code, "disconnected from the inspector");
            session.close_with(code, "disconnected by an operator");
            StatusCode::NO_CONTENT.into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

/// What an operator sees is for nobody else: no cache, no address given away.
async fn seal(mut response: Response) -> Response {
    for (name, value) in
        [(CACHE_CONTROL, "no-store"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (REFERRER_POLICY, "no-referrer")]
    {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

impl<V: Send + Sync + 'static> fmt::Debug for Inspector<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inspector").field("live", &self.desk.live).finish_non_exhaustive()
    }
}
