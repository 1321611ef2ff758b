//! The handshake and authentication, on a raw socket: the catalogue's cases 1 to 9, 11, 12, 15, 18, 20, 21.

use std::{convert::Infallible, future, net::SocketAddr, time::Instant};

use axum::{
    Router,
    extract::Request as HttpRequest,
    http::{HeaderMap, StatusCode},
    middleware::{self, Next},
    response::{AppendHeaders, IntoResponse},
};
use axum_live::{CloseReason, Intent, Live, LiveLayer, Origins, Session, accept};
use axum_live_test::{RawSocket, Reply, Request};
use tokio::sync::mpsc;

use crate::app::{Witness, assert_echoes, echo, serve, settles, soon};

/// A server whose every step into user code is witnessed.
struct Door {
    addr: SocketAddr,
    live: Live<()>,
    witness: Witness,
}

impl Door {
    async fn new() -> Self {
        Self::with(|layer| layer).await
    }

    async fn with(settings: impl FnOnce(LiveLayer<()>) -> LiveLayer<()>) -> Self {
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

    async fn connect(&self) -> RawSocket {
        RawSocket::connect(self.addr).await.unwrap()
    }

    async fn ask(&self, request: &Request) -> Reply {
        self.connect().await.request(request).await.unwrap()
    }

    /// Asserts that a request is refused with this status, before any user code.
    async fn refuses(&self, request: &Request, status: u16) -> Reply {
        let before = self.witness.seen();
        let reply = self.ask(request).await;
        assert_eq!(reply.status(), status, "{request:?}: {}", reply.text());
        assert!(!reply.body().is_empty(), "{request:?}: the refusal does not say what to mend");
        assert_eq!(self.witness.seen(), before, "{request:?}: user code ran");
        assert!(self.live.is_empty());
        reply
    }

    /// Asserts that a request opens a session, and ends it.
    async fn opens(&self, request: &Request) -> Reply {
        let mut socket = self.connect().await;
        let reply = socket.upgrade(request).await.unwrap();
        socket.close(1000, "").await.unwrap();
        assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
        socket.expect_eof().await.unwrap();
        reply
    }
}

fn handshake() -> Request {
    Request::new("/ws")
}

fn asks_for_an_upgrade(reply: &Reply) {
    assert_eq!(reply.header("upgrade"), Some("websocket"));
    assert_eq!(reply.header("connection"), Some("upgrade"));
    assert_eq!(reply.header("sec-websocket-version"), Some("13"));
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
async fn c01_a_get_without_upgrade_headers_is_426_once_auth_lets_it_pass() {
    let door = Door::new().await;
    let mut socket = door.connect().await;
    let reply = socket.request(&Request::plain("/ws")).await.unwrap();
    assert_eq!(reply.status(), 426);
    asks_for_an_upgrade(&reply);
    assert_eq!(door.witness.seen(), ["probe"]);
    assert!(door.live.is_empty());

    // The connection is good for the upgrade that the answer asks for.
    socket.upgrade(&handshake()).await.unwrap();
    door.witness.sees("open").await;
}

#[tokio::test]
async fn c01_a_probe_is_answered_by_auth_first_and_by_the_origin_before_that() {
    let live = Live::<()>::builder().build();
    let layer = LiveLayer::new(&live, async || Err::<(), _>(StatusCode::UNAUTHORIZED));
    let addr = serve(Router::new().route("/ws", layer.handler(accept))).await;
    let probe = Request::plain("/ws");
    let mut socket = RawSocket::connect(addr).await.unwrap();
    assert_eq!(socket.request(&probe).await.unwrap().status(), 401);
    let foreign = probe.header("Origin", "https://evil.com");
    assert_eq!(socket.request(&foreign).await.unwrap().status(), 403);
}

#[tokio::test]
async fn c02_other_methods_are_405_with_allow() {
    let door = Door::new().await;
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"] {
        for request in [handshake(), Request::plain("/ws")] {
            let reply = door.refuses(&request.method(method).header("Content-Length", "0"), 405).await;
            assert_eq!(reply.header("allow"), Some("GET"), "{method}");
        }
    }
}

#[tokio::test]
async fn c03_http_1_0_is_426() {
    let door = Door::new().await;
    for request in [handshake(), Request::plain("/ws")] {
        let reply = door.refuses(&request.version("HTTP/1.0"), 426).await;
        assert_eq!(reply.header("upgrade"), Some("websocket"));
    }
}

#[tokio::test]
async fn c04_one_host_there_must_be() {
    let door = Door::new().await;
    door.refuses(&handshake().without("Host"), 400).await;
    door.refuses(&handshake().header_too("Host", "localhost"), 400).await;
    door.refuses(&handshake().header_too("Host", "other"), 400).await;
    door.refuses(&handshake().header("Host", ""), 400).await;
    door.refuses(&handshake().header("Host", "user@localhost"), 400).await;
}

#[tokio::test]
async fn c05_upgrade_is_a_list_that_names_websocket() {
    let door = Door::new().await;
    door.refuses(&handshake().without("Upgrade"), 400).await;
    for wrong in ["h2c", "websockets", "web socket", ""] {
        door.refuses(&handshake().header("Upgrade", wrong), 400).await;
    }
    for right in ["WebSocket", "h2c, websocket", "websocket ,foo/2"] {
        door.opens(&handshake().header("Upgrade", right)).await;
    }
    door.opens(&handshake().header("Upgrade", "h2c").header_too("Upgrade", "websocket")).await;
}

#[tokio::test]
async fn c06_connection_is_a_list_over_all_its_headers() {
    let door = Door::new().await;
    for right in ["UPGRADE", "keep-alive, Upgrade", "Upgrade,keep-alive"] {
        door.opens(&handshake().header("Connection", right)).await;
    }
    door.opens(&handshake().header("Connection", "keep-alive").header_too("Connection", "Upgrade")).await;
    door.opens(&handshake().header("Connection", "Upgrade").header_too("Connection", "keep-alive")).await;
    door.refuses(&handshake().header("Connection", "xupgradex"), 400).await;
    let dropped = door.refuses(&handshake().without("Connection"), 400).await;
    assert!(dropped.text().contains("proxy"), "{}", dropped.text());
}

#[tokio::test]
async fn c07_a_key_is_sixteen_bytes_in_base64_and_one() {
    let door = Door::new().await;
    door.refuses(&handshake().without("Sec-WebSocket-Key"), 400).await;
    let long = "A".repeat(10_000);
    for wrong in ["", "abc", &long, "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZR==", "dGhlIHNhbXBsZSBub25jZTE="] {
        door.refuses(&handshake().header("Sec-WebSocket-Key", wrong), 400).await;
    }
    door.refuses(&handshake().header_too("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), 400).await;
}

#[tokio::test]
async fn c08_another_version_is_426_and_told_the_right_one() {
    let door = Door::new().await;
    for wrong in ["8", "0", "14", "013", "13, 8"] {
        let reply = door.refuses(&handshake().header("Sec-WebSocket-Version", wrong), 426).await;
        asks_for_an_upgrade(&reply);
    }
    asks_for_an_upgrade(&door.refuses(&handshake().header_too("Sec-WebSocket-Version", "8"), 426).await);
    door.refuses(&handshake().without("Sec-WebSocket-Version"), 400).await;
}

#[tokio::test]
async fn c09_a_body_is_400_and_the_connection_closed() {
    let door = Door::new().await;
    door.opens(&handshake().header("Content-Length", "0")).await;
    let length = handshake().header("Content-Length", "5");
    let chunked = handshake().header("Transfer-Encoding", "chunked");
    let both = chunked.clone().header("Content-Length", "5");
    let before = door.witness.seen();
    for (request, body) in [(&length, "hello"), (&length, ""), (&chunked, "0\r\n\r\n"), (&both, "0\r\n\r\n")] {
        let mut socket = door.connect().await;
        socket.write([request.to_bytes(), body.into()].concat()).await.unwrap();
        let reply = socket.reply().await.unwrap();
        assert_eq!(reply.status(), 400, "{request:?}");
        assert_eq!(reply.header("connection"), Some("close"), "{request:?}");
        socket.expect_eof().await.unwrap();
    }
    settles("an empty node", || door.live.is_empty()).await;
    assert_eq!(door.witness.times("auth"), 1, "{before:?}");
}

#[tokio::test]
async fn c11_a_subprotocol_is_agreed_on_by_the_servers_preference() {
    let door = Door::with(|layer| layer.subprotocols(["chat.v2", "chat.v1"])).await;
    let offering = |offers: &[&str]| {
        offers.iter().fold(handshake(), |request, offer| request.header_too("Sec-WebSocket-Protocol", offer))
    };
    for (offers, agreed) in [
        (&["chat.v1, chat.v2"][..], Some("chat.v2")),
        (&["other", "chat.v1"], Some("chat.v1")),
        (&["Chat.v1", "chat", "chat.v11"], None),
        (&[], None),
    ] {
        let reply = door.opens(&offering(offers)).await;
        assert_eq!(reply.header("sec-websocket-protocol"), agreed, "{offers:?}");
    }
}

#[tokio::test]
async fn c11_an_absurd_list_of_subprotocols_does_no_harm() {
    let door = Door::with(|layer| layer.subprotocols(["chat.v2", "chat.v1"])).await;
    let non_ascii = handshake().header("Sec-WebSocket-Protocol", b"\xff\xfe, ch\xe4t, chat.v1");
    assert_eq!(door.opens(&non_ascii).await.header("sec-websocket-protocol"), Some("chat.v1"));

    let commas = handshake().header("Sec-WebSocket-Protocol", ",".repeat(10_000));
    let mut fastest = None;
    for _ in 0..10 {
        let started = Instant::now();
        assert_eq!(door.opens(&commas).await.header("sec-websocket-protocol"), None);
        fastest = fastest.into_iter().chain([started.elapsed()]).min();
    }
    // Less than a millisecond of it is ours, the rest is the machine's; a quadratic search would take a second.
    assert!(fastest.unwrap().as_millis() < 300, "{fastest:?}");
}

#[tokio::test]
async fn c12_what_is_not_http_is_400() {
    let door = Door::new().await;
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xd1\x9b\x0a\x55\xc2\x11";
    let obs_fold = b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive,\r\n Upgrade\r\n\r\n";
    for garbage in [
        &tls_hello[..],
        b"garbage\r\n\r\n",
        b"\0\0\0\0\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost: local\0host\r\n\r\n",
        b"GET /ws HTTP/1.1\r\nHost : localhost\r\n\r\n",
        obs_fold,
    ] {
        let mut socket = door.connect().await;
        socket.write(garbage).await.unwrap();
        let reply = socket.reply().await.unwrap();
        assert_eq!(reply.status(), 400, "{}", garbage.escape_ascii());
        socket.expect_eof().await.unwrap();
    }
    assert!(door.witness.seen().is_empty());
    door.opens(&handshake()).await;
}

#[tokio::test]
async fn c15_a_foreign_origin_is_403_before_auth() {
    let door = Door::new().await;
    let at_example = handshake().header("Host", "example.com:3000");
    for origin in [
        "http://evil-example.com:3000",
        "http://example.com.evil.com:3000",
        "http://example.com:3001",
        "http://example.com",
        "https://example.com",
        "http://example.com:3000@evil.com",
        "example.com:3000",
        "null",
        "",
    ] {
        let reply = door.refuses(&at_example.clone().header("Origin", origin), 403).await;
        assert!(reply.text().contains("Origins::list"), "{}", reply.text());
    }
    let own = at_example.clone().header("Origin", "http://example.com:3000");
    door.refuses(&own.clone().header_too("Origin", "http://example.com:3000"), 403).await;
    door.opens(&own).await;
    door.opens(&handshake().header("Host", "[::1]:3000").header("Origin", "http://[::1]:3000")).await;
    // Not a browser.
    door.opens(&at_example).await;
}

#[tokio::test]
async fn c15_a_list_of_origins_is_exact() {
    let origins = Origins::list(["https://app.example.com"]).unwrap();
    let door = Door::with(|layer| layer.origins(origins)).await;
    door.opens(&handshake().header("Origin", "https://app.example.com")).await;
    for origin in ["http://app.example.com", "https://evil-app.example.com", "http://localhost"] {
        door.refuses(&handshake().header("Origin", origin), 403).await;
    }
}

#[tokio::test]
async fn c18_auth_that_denies_is_the_answer_and_nothing_else_runs() {
    let witness = Witness::default();
    let (opened, closed, handled) = (witness.clone(), witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .on_connect(async move |_: Session<()>| opened.saw("open"))
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    let authenticate = async |headers: HeaderMap| match headers.get("x-user") {
        Some(_) => Ok(()),
        None => {
            let cookies = AppendHeaders([("set-cookie", "a=1"), ("set-cookie", "b=2")]);
            Err((StatusCode::UNAUTHORIZED, cookies, "who are you?"))
        }
    };
    let handler = async move || handled.saw("handler");
    let addr = serve(Router::new().route("/ws", LiveLayer::new(&live, authenticate).handler(handler))).await;

    let mut socket = RawSocket::connect(addr).await.unwrap();
    let reply = socket.request(&handshake()).await.unwrap();
    assert_eq!((reply.status(), reply.text().as_str()), (401, "who are you?"));
    assert_eq!(reply.headers("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert!(live.is_empty());

    // The connection is as good as before, and the next client's events are the first.
    socket.upgrade(&handshake().header("X-User", "ann")).await.unwrap();
    socket.close(1000, "").await.unwrap();
    witness.sees("close").await;
    assert_eq!(witness.seen(), ["handler", "open", "close"]);
}

#[tokio::test]
async fn c18_auth_that_denies_with_a_success_is_401() {
    let live = Live::<()>::builder().build();
    let layer = LiveLayer::new(&live, async || Err::<(), _>("no".into_response()));
    let addr = serve(Router::new().route("/ws", layer.handler(accept))).await;
    let reply = RawSocket::connect(addr).await.unwrap().request(&handshake()).await.unwrap();
    assert_eq!(reply.status(), 401);
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

#[tokio::test]
async fn c20_auth_that_panics_is_500_and_others_go_on() {
    let live = echo();
    let authenticate = async |headers: HeaderMap| {
        assert!(!headers.contains_key("x-panic"), "as asked");
        Ok::<_, Infallible>(())
    };
    let addr = serve(Router::new().route("/ws", LiveLayer::new(&live, authenticate).handler(accept))).await;
    let mut before = RawSocket::open(addr, "/ws").await.unwrap();

    let mut socket = RawSocket::connect(addr).await.unwrap();
    assert_eq!(socket.request(&handshake().header("X-Panic", "please")).await.unwrap().status(), 500);
    assert_eq!(live.len(), 1);

    assert_echoes(&mut before).await;
    // Even the one that panicked may try again.
    socket.upgrade(&handshake()).await.unwrap();
    assert_echoes(&mut socket).await;
}

#[tokio::test]
async fn c21_a_client_that_leaves_during_auth_ends_it() {
    struct Dropped(mpsc::UnboundedSender<&'static str>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send("dropped").ok();
        }
    }

    let live = Live::<()>::builder().build();
    let (events, mut told) = mpsc::unbounded_channel();
    let authenticate = async move || {
        events.send("begun").unwrap();
        let _dropped = Dropped(events);
        future::pending::<Result<(), Infallible>>().await
    };
    let addr = serve(Router::new().route("/ws", LiveLayer::new(&live, authenticate).handler(accept))).await;

    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.write(handshake().to_bytes()).await.unwrap();
    assert_eq!(soon("auth", told.recv()).await, Some("begun"));
    socket.abort().unwrap();
    assert_eq!(soon("the end of auth", told.recv()).await, Some("dropped"));
    assert!(live.is_empty());
}

/// What a session that is pending, subscribed to one topic, leaves behind when its client resets the connection.
async fn leaves_while_pending(router: impl FnOnce(LiveLayer<()>, mpsc::UnboundedSender<Session<()>>) -> Router) {
    let witness = Witness::default();
    let (opened, closed) = (witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .on_connect(async move |_: Session<()>| opened.saw("open"))
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    let (sessions, mut told) = mpsc::unbounded_channel();
    let addr = serve(router(LiveLayer::anonymous(&live), sessions)).await;

    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.write(handshake().to_bytes()).await.unwrap();
    let session = soon("the session", told.recv()).await.unwrap();
    assert_eq!((live.len(), live.stats().topics()), (1, 1));
    socket.abort().unwrap();
    soon("the session's end", session.closed()).await;
    settles("an empty node", || live.is_empty() && live.stats().topics() == 0).await;
    assert!(live.sessions().is_empty());
    assert!(witness.seen().is_empty(), "it never opened: {:?}", witness.seen());
}

#[tokio::test]
async fn c21_a_client_that_leaves_while_the_handler_runs_leaves_nothing_behind() {
    leaves_while_pending(|layer, sessions| {
        let handler = async move |session: Session<()>| {
            session.subscribe("a").unwrap();
            sessions.send(session).unwrap();
            future::pending::<()>().await;
        };
        Router::new().route("/ws", layer.handler(handler))
    })
    .await;
}

#[tokio::test]
async fn c21_a_client_that_leaves_before_the_101_is_sent_leaves_nothing_behind() {
    leaves_while_pending(|layer, sessions| {
        let handler = async |session: Session<()>| {
            session.subscribe("a").unwrap();
            let mut response = StatusCode::OK.into_response();
            response.extensions_mut().insert(session);
            response
        };
        let hold_back = move |request: HttpRequest, next: Next| {
            let sessions = sessions.clone();
            async move {
                let response = next.run(request).await;
                assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
                sessions.send(response.extensions().get().cloned().unwrap()).unwrap();
                future::pending::<()>().await;
                response
            }
        };
        Router::new().route("/ws", layer.handler(handler)).layer(middleware::from_fn(hold_back))
    })
    .await;
}

#[tokio::test]
async fn c21_clients_that_leave_at_any_moment_of_the_upgrade_leave_nothing_behind() {
    let door = Door::new().await;
    for round in 0..100 {
        let mut socket = door.connect().await;
        let request = handshake().to_bytes();
        // Before the end of the handshake, at once after it, or when a little of the answer has come.
        let whole = round % 3 > 0;
        socket.write(if whole { &request } else { &request[..request.len() - round] }).await.unwrap();
        for _ in 0..round / 3 * (round % 3) {
            tokio::task::yield_now().await;
        }
        socket.abort().unwrap();
    }
    door.opens(&handshake()).await;
    settles("an empty node", || door.live.is_empty()).await;
    settles("as many ends as beginnings", || door.witness.times("open") == door.witness.times("close")).await;
    assert!(door.witness.times("close") >= 1);
}
