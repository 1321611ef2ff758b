//! A door that tells who passed it, and the answer of what stands behind it.

use std::{convert::Infallible, net::SocketAddr};

use axum::{Router, http::StatusCode, response::AppendHeaders};
use axum_live::{CloseReason, Intent, Live, LiveLayer, Session, accept};
use axum_live_test::{RawSocket, Reply, Request};

use crate::app::{Witness, assert_echoes, echo, serve, settles};

/// A server whose every step into user code is witnessed.
pub(crate) struct Door {
    addr: SocketAddr,
    pub(crate) live: Live<()>,
    pub(crate) witness: Witness,
}

impl Door {
    pub(crate) async fn new() -> Self {
        Self::with(|layer| layer).await
    }

    pub(crate) async fn with(settings: impl FnOnce(LiveLayer<()>) -> LiveLayer<()>) -> Self {
        let witness = Witness::default();
        let (opened, closed, authenticated, handled) =
            (witness.clone(), witness.clone(), witness.clone(), witness.clone());
        let live = Live::builder()
            .on_connect(async move |_: Session<()>| opened.saw("open"))
            .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
            .build();
        let authenticate = async move |intent: Intent| {
            authenticated.saw(match intent {
                Intent::Probe => "probe",
                Intent::Upgrade => "auth",
            });
            Ok::<_, Infallible>(())
        };
        let layer = settings(LiveLayer::new(&live, authenticate));
        let handler = async move || handled.saw("handler");
        let addr = serve(Router::new().route("/ws", layer.handler(handler))).await;
        Self { addr, live, witness }
    }

    pub(crate) async fn connect(&self) -> RawSocket {
        RawSocket::connect(self.addr).await.unwrap()
    }

    async fn ask(&self, request: &Request) -> Reply {
        self.connect().await.request(request).await.unwrap()
    }

    /// Asserts that a request is refused with this status, before any user code.
    pub(crate) async fn refuses(&self, request: &Request, status: u16) -> Reply {
        let before = self.witness.seen();
        let reply = self.ask(request).await;
        assert_eq!(reply.status(), status, "{request:?}: {}", reply.text());
        assert!(!reply.body().is_empty(), "{request:?}: the refusal does not say what to mend");
        assert_eq!(self.witness.seen(), before, "{request:?}: user code ran");
        assert!(self.live.is_empty());
        reply
    }

    /// Asserts that a request opens a session, and ends it.
    pub(crate) async fn opens(&self, request: &Request) -> Reply {
        let mut socket = self.connect().await;
        let reply = socket.upgrade(request).await.unwrap();
        socket.close(1000, "").await.unwrap();
        assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
        socket.expect_eof().await.unwrap();
        reply
    }
}

pub(crate) fn handshake() -> Request {
    Request::new("/ws")
}

#[tokio::test]
async fn a_good_handshake_runs_auth_then_handler_then_the_hooks_once_each() {
    let door = Door::new().await;
    door.opens(&handshake()).await;
    door.witness.sees("close").await;
    assert_eq!(door.witness.seen(), ["auth", "handler", "open", "close"]);
    settles("an empty node", || door.live.is_empty()).await;
}

#[tokio::test]
async fn a_handlers_headers_are_on_the_101_save_those_of_its_body() {
    let handler = async || {
        let cookies = AppendHeaders([("set-cookie", "a=1"), ("set-cookie", "b=2"), ("connection", "close")]);
        (StatusCode::CREATED, cookies, "a body that is dropped")
    };
    let layer = LiveLayer::anonymous(&echo());
    let addr = serve(Router::new().route("/ws", layer.handler(handler))).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    let reply = socket.upgrade(&handshake()).await.unwrap();
    assert_eq!(reply.headers("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(reply.headers("connection").collect::<Vec<_>>(), ["upgrade"]);
    assert_eq!((reply.header("content-type"), reply.header("content-length")), (None, None));
    assert_echoes(&mut socket).await;
}

#[tokio::test]
async fn a_handler_that_does_not_answer_2xx_is_the_answer_and_no_session_opens() {
    let witness = Witness::default();
    let (opened, closed) = (witness.clone(), witness.clone());
    let live = Live::builder()
        .on_connect(async move |_: Session<()>| opened.saw("open"))
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    let refuse = async |session: Session<()>| {
        session.subscribe("a").unwrap();
        session.send("never", "sent").unwrap();
        (StatusCode::FOUND, [("location", "/elsewhere")], "moved")
    };
    let layer = LiveLayer::anonymous(&live);
    let addr =
        serve(Router::new().route("/no", layer.clone().handler(refuse)).route("/ws", layer.handler(accept))).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    let reply = socket.request(&Request::new("/no")).await.unwrap();
    assert_eq!((reply.status(), reply.text().as_str()), (302, "moved"));
    assert_eq!(reply.header("location"), Some("/elsewhere"));
    assert_eq!((live.len(), live.stats().topics()), (0, 0));

    socket.upgrade(&handshake()).await.unwrap();
    socket.close(1000, "").await.unwrap();
    witness.sees("close").await;
    assert_eq!(witness.seen(), ["open", "close"]);
}
