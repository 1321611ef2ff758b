//! A session on a stream in memory, and what its client says.

use std::time::Duration;

use axum_live_core::{Builder, CloseReason, Live, Session, SessionInfo, Stream};
use bytes::Bytes;
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
};

pub(crate) const PING: [u8; 2] = [0x89, 0];
pub(crate) const PONG: [u8; 6] = [0x8A, 0x80, 0, 0, 0, 0];

/// An open session, with the client's end of its stream and the reasons that `on_close` got.
pub(crate) struct Opened {
    pub(crate) live: Live<()>,
    pub(crate) session: Session<()>,
    pub(crate) client: DuplexStream,
    pub(crate) reasons: mpsc::UnboundedReceiver<CloseReason>,
}

/// Opens a session on a node that is made for it.
pub(crate) fn open(builder: Builder<()>) -> Opened {
    let (tell, reasons) = mpsc::unbounded_channel();
    let live = builder.on_close(async move |_: Session<()>, reason: CloseReason| tell.send(reason).unwrap()).build();
    let (session, client) = connect(&live, 256);
    Opened { live, session, client, reasons }
}

/// Opens a session, whose stream holds so many bytes that are not read, either way.
pub(crate) fn connect(live: &Live<()>, room: usize) -> (Session<()>, DuplexStream) {
    let pending = live.accept((), SessionInfo::default()).unwrap();
    let session = pending.session().clone();
    let (client, server) = duplex(room);
    pending.open(Stream::Other(Box::new(server)), Bytes::new());
    (session, client)
}

/// A client's frame; the mask is all zeros.
pub(crate) fn frame(first: u8, payload: &str) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | u8::try_from(payload.len()).unwrap(), 0, 0, 0, 0];
    frame.extend_from_slice(payload.as_bytes());
    frame
}

pub(crate) fn text(payload: &str) -> Vec<u8> {
    frame(0x81, payload)
}

pub(crate) fn ping(payload: &str) -> Vec<u8> {
    frame(0x89, payload)
}

pub(crate) fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Within a tick or two of the sweep.
pub(crate) fn assert_about(elapsed: Duration, expected: u64) {
    assert!((seconds(expected)..=seconds(expected + 2)).contains(&elapsed), "{elapsed:?} is not about {expected} s");
}
