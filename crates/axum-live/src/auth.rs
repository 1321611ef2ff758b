use std::{panic::AssertUnwindSafe, pin::Pin, sync::Arc, time::Duration};

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use axum_live_core::{Grant, RefusalReason};
use futures_util::FutureExt;
use http::{StatusCode, header::RETRY_AFTER, request::Parts};
use tokio::time;

/// What a request that is being authenticated is for; an extractor for authentication functions.
///
/// A one-time ticket must not be spent on a probe.
///
/// # Examples
///
/// ```
/// use axum::{extract::Query, http::StatusCode};
/// use axum_live::Intent;
/// # #[derive(serde::Deserialize)] struct Login { ticket: String }
/// # fn look_at(ticket: &str) -> Option<u64> { None }
/// # fn spend(ticket: &str) -> Option<u64> { None }
///
/// async fn authenticate(intent: Intent, Query(login): Query<Login>) -> Result<u64, StatusCode> {
///     let user = match intent {
///         Intent::Probe => look_at(&login.ticket),
///         Intent::Upgrade => spend(&login.ticket),
///     };
///     user.ok_or(StatusCode::UNAUTHORIZED)
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Intent {
    /// A plain GET, which asks whether it would be let in, as a browser client does that wants to know why its
    /// WebSocket failed. The answer is what authentication answers, or 426.
    Probe,
    /// A handshake without fault: a session follows.
    Upgrade,
}

/// An [`Intent`] was asked for where no [`LiveLayer`](crate::LiveLayer) has told one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no intent here: it is for the authentication of a LiveLayer, and the handler under it")]
pub struct NoIntent;

/// A function that authenticates: `async fn(extractors…) -> Result<V, impl IntoResponse>`, of up to eight extractors
/// that read the request's head.
///
/// `Ok` is the session's value, or a [`Grant`] of it that tells until when; `Err` is the HTTP answer, which becomes a 401
/// if it says that all is well.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not authenticate",
    label = "must be an async fn of extractors that returns `Result<V, impl IntoResponse>`, `V` being the `Live<V>`'s",
    note = "the extractors must implement `FromRequestParts`: the body of a handshake cannot be read"
)]
pub trait Authenticate<T, S, V>: Clone + Send + Sync + 'static {
    /// Runs the extractors and the function, and gives the request's head back.
    fn authenticate(
        self,
        parts: Parts,
        state: Arc<S>,
    ) -> impl Future<Output = (Parts, Result<Grant<V>, Response>)> + Send + 'static;
}

/// An [`Authenticate`] with its types erased.
pub(crate) struct Auth<V> {
    call: Box<dyn Fn(Parts) -> AuthFuture<V> + Send + Sync>,
}

type AuthFuture<V> = Pin<Box<dyn Future<Output = (Parts, Result<Grant<V>, Response>)> + Send>>;

impl<V: 'static> Auth<V> {
    pub(crate) fn new<T, S, A>(auth: A, state: S) -> Self
    where
        A: Authenticate<T, S, V>,
        S: Send + Sync + 'static,
    {
        let state = Arc::new(state);
        Self { call: Box::new(move |parts| Box::pin(auth.clone().authenticate(parts, Arc::clone(&state)))) }
    }

    /// The request's head with what is granted, or why there is none and the answer that says so.
    pub(crate) async fn run(
        &self,
        mut parts: Parts,
        intent: Intent,
        limit: Duration,
    ) -> Result<(Parts, Grant<V>), (RefusalReason, Response)> {
        parts.extensions.insert(intent);
        let answer = AssertUnwindSafe(async { (self.call)(parts).await }).catch_unwind();
        match time::timeout(limit, answer).await {
            Ok(Ok((_, Ok(grant)))) if grant.has_ended() => {
                let answer = (StatusCode::UNAUTHORIZED, "the credentials have expired").into_response();
                Err((RefusalReason::Expired, answer))
            }
            Ok(Ok((parts, Ok(grant)))) => Ok((parts, grant)),
            Ok(Ok((_, Err(mut refusal)))) => {
                if refusal.status().is_success() {
                    *refusal.status_mut() = StatusCode::UNAUTHORIZED;
                }
                Err((RefusalReason::Denied, refusal))
            }
            Ok(Err(_)) => Err((RefusalReason::AuthPanicked, panicked())),
            Err(_) => {
                tracing::warn!(target: "axum_live", "authentication took too long");
                let answer = (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, "1")], "authentication took too long");
                Err((RefusalReason::AuthTimeout, answer.into_response()))
            }
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Intent {
    type Rejection = NoIntent;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoIntent> {
        parts.extensions.get().copied().ok_or(NoIntent)
    }
}

impl IntoResponse for NoIntent {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}

fn panicked() -> Response {
    // Not what it panicked with, which may hold what the client came with.
    tracing::error!(target: "axum_live", "authentication panicked");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

macro_rules! authenticate_with {
    ($($T:ident),*) => {
        impl<F, Fut, S, V, G, R, $($T,)*> Authenticate<($($T,)*), S, V> for F
        where
            F: FnOnce($($T,)*) -> Fut + Clone + Send + Sync + 'static,
            Fut: Future<Output = Result<G, R>> + Send + 'static,
            S: Send + Sync + 'static,
            V: Send + 'static,
            G: Into<Grant<V>> + 'static,
            R: IntoResponse + 'static,
            $($T: FromRequestParts<S> + Send + 'static,)*
        {
            #[allow(non_snake_case, unused_mut, unused_variables)]
            async fn authenticate(self, mut parts: Parts, state: Arc<S>) -> (Parts, Result<Grant<V>, Response>) {
                $(
                    let $T = match $T::from_request_parts(&mut parts, &state).await {
                        Ok(value) => value,
                        Err(rejection) => return (parts, Err(rejection.into_response())),
                    };
                )*
                let answer = self($($T,)*).await;
                (parts, answer.map(Into::into).map_err(IntoResponse::into_response))
            }
        }
    };
}

authenticate_with!();
authenticate_with!(T1);
authenticate_with!(T1, T2);
authenticate_with!(T1, T2, T3);
authenticate_with!(T1, T2, T3, T4);
authenticate_with!(T1, T2, T3, T4, T5);
authenticate_with!(T1, T2, T3, T4, T5, T6);
authenticate_with!(T1, T2, T3, T4, T5, T6, T7);
authenticate_with!(T1, T2, T3, T4, T5, T6, T7, T8);
