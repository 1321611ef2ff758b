use std::{
    fmt, mem,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    body::Body,
    extract::{MatchedPath, Request},
    response::{IntoResponse, Response},
};
use axum_live_core::{AcceptError, CloseReason, RefusalReason, SessionInfo};
use http::{HeaderValue, request::Parts};
use hyper::upgrade::OnUpgrade;
use tower::Service;

use crate::{
    addresses,
    answer::AnswerBody,
    auth::Intent,
    handshake::{self, Ask, Refusal},
    layer::Door,
    serve::Held,
    upgrade,
};

/// The service of a [`LiveLayer`](crate::LiveLayer).
pub struct LiveService<S, V: Send + Sync + 'static> {
    inner: S,
    door: Arc<Door<V>>,
}

impl<S, V: Send + Sync + 'static> LiveService<S, V> {
    pub(crate) fn new(inner: S, door: Door<V>) -> Self {
        Self { inner, door: Arc::new(door) }
    }
}

impl<S, V> Service<Request> for LiveService<S, V>
where
    S: Service<Request, Response: IntoResponse, Future: Send> + Clone + Send + 'static,
    V: Send + Sync + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let door = Arc::clone(&self.door);
        let next = self.inner.clone();
        let ready = mem::replace(&mut self.inner, next);
        Box::pin(async move { door.admit(ready, request).await })
    }
}

impl<V: Send + Sync + 'static> Door<V> {
    /// One request's way through the door. Whatever ends it early drops the pending session, which refuses it.
    async fn admit<S>(&self, mut inner: S, request: Request) -> Result<Response, S::Error>
    where
        S: Service<Request, Response: IntoResponse>,
    {
        let (parts, body) = request.into_parts();
        let ask = match handshake::read(&parts) {
            Ok(ask) => ask,
            Err(refusal) => return Ok(self.refuse(refusal)),
        };
        if !self.origins.allows(&parts) {
            return Ok(self.refuse(Refusal::Origin));
        }
        let intent = match ask {
            Ask::Probe => Intent::Probe,
            Ask::Upgrade(_) => Intent::Upgrade,
        };
        let client = self.addresses.client(&parts);
        let place = match self.addresses.enter(client) {
            Ok(place) => place,
            Err(address) => return Ok(self.refuse_from(address)),
        };
        let Ok(permit) = self.auths.try_acquire() else {
            return Ok(self.refuse(Refusal::TooManyAuths));
        };
        let (mut parts, grant) = match self.auth.run(parts, intent, self.auth_timeout).await {
            Ok(passed) => passed,
            Err((reason, answer)) => {
                self.live.refused(reason, answer.status());
                return Ok(answer);
            }
        };
        drop(permit);
        let Ask::Upgrade(handshake) = ask else {
            return Ok(self.refuse(Refusal::Probe(parts.version)));
        };
        let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return Ok(self.refuse(Refusal::NotUpgradable));
        };

        let protocol = handshake.choose_protocol(&self.subprotocols);
        let held = parts.extensions.remove::<Held>();
        let mut pending = match self.live.accept(grant, info(&parts, client, protocol.as_ref())) {
            Ok(pending) => pending,
            Err(error) => return Ok(error.into_response()),
        };
        if let Some(Held(held)) = held {
            pending.hold(held);
        }
        if let Some(place) = place {
            pending.hold(place.shared());
        }
        parts.extensions.insert(pending.session().clone());
        let version = parts.version;
        let answer = inner.call(Request::from_parts(parts, body)).await?.into_response();
        if !answer.status().is_success() {
            pending.refuse(RefusalReason::Handler);
            return Ok(answer);
        }
        if pending.session().close_reason() == Some(CloseReason::Shutdown) {
            pending.refuse(RefusalReason::ShuttingDown);
            return Ok(AcceptError::ShuttingDown.into_response());
        }
        let (body, sent) = AnswerBody::new();
        pending.open_after(upgrade::stream(on_upgrade, version, sent));
        let (answer, _) = answer.into_parts();
        let mut response = handshake.answer(answer.headers, protocol).map(|_| Body::new(body));
        *response.extensions_mut() = answer.extensions;
        Ok(response)
    }

    fn refuse(&self, refusal: Refusal) -> Response {
        self.live.refused(refusal.reason(), refusal);
        refusal.into_response()
    }

    /// Refuses one more from an address that has enough, and tells in the log which.
    fn refuse_from(&self, address: IpAddr) -> Response {
        let refusal = Refusal::AddressLimit;
        self.live.refused(refusal.reason(), format_args!("too many sessions from {address}"));
        refusal.into_response()
    }
}

fn info(parts: &Parts, client: Option<IpAddr>, protocol: Option<&HeaderValue>) -> SessionInfo {
    let path = parts.extensions.get().map_or(parts.uri.path(), MatchedPath::as_str);
    SessionInfo::new(path)
        .addresses(addresses::peer(parts), client)
        .subprotocol(protocol.and_then(|protocol| protocol.to_str().ok()))
}

impl<S: Clone, V: Send + Sync + 'static> Clone for LiveService<S, V> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), door: Arc::clone(&self.door) }
    }
}

impl<S: fmt::Debug, V: Send + Sync + 'static> fmt::Debug for LiveService<S, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
