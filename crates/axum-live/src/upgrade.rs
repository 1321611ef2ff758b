use axum_live_core::Stream;
use bytes::Bytes;
use http::Version;
use hyper::upgrade::OnUpgrade;
use hyper_util::{rt::TokioIo, server::conn::auto::upgrade::downcast};
use tokio::net::TcpStream;
use tracing::warn;

use crate::answer::Sent;

/// The stream behind an upgrade, and what was read of it already: the plain socket where there is one, hyper's stream
/// otherwise. `None` when the connection ended first, or somebody replaced the answer: over HTTP/2, where the answer's
/// body is not looked at, hyper tells that by itself.
pub(crate) async fn stream(on_upgrade: OnUpgrade, version: Version, sent: Sent) -> Option<(Stream, Bytes)> {
    let upgraded = on_upgrade.await.ok()?;
    if version == Version::HTTP_11 && !sent.is_true() {
        warn!(
            target: "axum_live",
            "no session: a layer outside replaced the answer, or has a body that does not forward `is_end_stream`; \
             such a layer belongs inside of the LiveLayer"
        );
        return None;
    }
    Some(match downcast::<TokioIo<TcpStream>>(upgraded) {
        // A copy, for the original would keep all of hyper's read buffer, 8 KiB a session.
        Ok(parts) => (Stream::Tcp(parts.io.into_inner()), Bytes::copy_from_slice(&parts.read_buf)),
        Err(upgraded) => (Stream::Other(Box::new(TokioIo::new(upgraded))), Bytes::new()),
    })
}
