//! What the fuzz targets reach inside for: built with `--cfg fuzzing` only.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, request::Parts};

use crate::handshake::{self, Ask, Refusal};

/// The door's answer to a request that authentication and handler have nothing against, by the handshake alone.
pub fn answer(parts: &Parts, protocols: &[HeaderValue]) -> Response {
    match handshake::read(parts) {
        Ok(Ask::Upgrade(handshake)) => {
            let protocol = handshake.choose_protocol(protocols);
            handshake.answer(HeaderMap::new(), protocol)
        }
        Ok(Ask::Probe) => Refusal::Probe(parts.version).into_response(),
        Err(refusal) => refusal.into_response(),
    }
}
