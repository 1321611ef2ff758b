use axum_core::{
    extract::{FromRequestParts, OptionalFromRequestParts},
    response::{IntoResponse, Response},
};
use http::{StatusCode, request::Parts};

use crate::session::Session;

/// A handler asked for a [`Session`] where no layer has made one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no session here: mount the handler under a LiveLayer of the same value type, as LiveLayer::new(…).handler(f)")]
pub struct NoSession;

impl<V: Send + Sync + 'static, S: Sync> FromRequestParts<S> for Session<V> {
    type Rejection = NoSession;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, NoSession> {
        parts.extensions.get().cloned().ok_or(NoSession)
    }
}

/// `None` outside a layer.
impl<V: Send + Sync + 'static, S: Sync> OptionalFromRequestParts<S> for Session<V> {
    type Rejection = NoSession;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, NoSession> {
        Ok(parts.extensions.get().cloned())
    }
}

impl IntoResponse for NoSession {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, self.to_string()).into_response()
    }
}
