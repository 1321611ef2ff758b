//! How many sessions one address may have, and whose address it is: the catalogue's case 72.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::{ConnectInfo, Query, Request as HttpRequest},
    http::{StatusCode, request::Parts},
    middleware::{self, Next},
};
use axum_live::{CloseReason, Connections, Live, LiveLayer, RefusalReason, Session, SessionLimit, accept};
use axum_live_test::{RawSocket, Reply, Request};
use serde::Deserialize;
use tokio::{sync::Semaphore, task::JoinSet};

use crate::{
    app::{self, Witness, assert_echoes, echo, open_from, settles, soon},
    captured::Captured,
    serve::serve,
};

/// What becomes of a request, by its query.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Script {
    auth: Step,
    handler: Step,
    on_close: Step,
    user: Option<String>,
}

#[derive(Default, Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Step {
    #[default]
    Pass,
    Refuse,
    Panic,
    /// Goes on when the gate lets it.
    Wait,
}

/// Where the steps are played.
#[derive(Clone)]
struct Stage {
    witness: Witness,
    gate: Arc<Semaphore>,
}

impl Stage {
    async fn play(&self, name: &'static str, step: Step) -> StatusCode {
        self.witness.saw(name);
        match step {
            Step::Pass => {}
            Step::Refuse => return StatusCode::FORBIDDEN,
            Step::Panic => panic!("as the test wants"),
            Step::Wait => self.gate.acquire().await.unwrap().forget(),
        }
        StatusCode::OK
    }
}

/// A door that lets one session in from each address.
struct Door {
    addr: SocketAddr,
    connections: Connections,
    live: Live<Script>,
    stage: Stage,
}

impl Door {
    async fn start() -> Self {
        let stage = Stage { witness: Witness::default(), gate: Arc::new(Semaphore::new(0)) };
        let (at_auth, at_handler, at_close) = (stage.clone(), stage.clone(), stage.clone());
        let live = Live::builder()
            .maybe_user(|script: &Script| script.user.clone())
            .sessions_per_user(SessionLimit::refuse(0))
            .on_close(async move |session: Session<Script>, _: CloseReason| {
                at_close.play("on_close", session.value().on_close).await;
            })
            .build();
        let authenticate = async move |Query(script): Query<Script>| match at_auth.play("auth", script.auth).await {
            StatusCode::OK => Ok(script),
            status => Err(status),
        };
        let handler = async move |session: Session<Script>| at_handler.play("handler", session.value().handler).await;
        let take = async |mut request: HttpRequest, next: Next| {
            let peer = request.extensions_mut().remove::<ConnectInfo<SocketAddr>>().unwrap();
            request.extensions_mut().clear();
            request.extensions_mut().insert(peer);
            next.run(request).await
        };
        let replace = async |request: HttpRequest, next: Next| {
            next.run(request).await;
            StatusCode::IM_A_TEAPOT
        };
        let layer = LiveLayer::new(&live, authenticate).max_sessions_per_address(1);
        let impatient = layer.clone().auth_timeout(Duration::from_millis(50));
        let app = Router::new()
            .route("/impatient", impatient.handler(handler.clone()))
            .route("/taken", layer.clone().handler(handler.clone()).layer(middleware::from_fn(take)))
            .route("/replaced", layer.clone().handler(handler.clone()).layer(middleware::from_fn(replace)))
            .route("/ws", layer.handler(handler));
        let (addr, connections) = serve(app, |server| server).await;
        Self { addr, connections, live, stage }
    }

    async fn ask(&self, request: &Request) -> Reply {
        RawSocket::connect(self.addr).await.unwrap().request(request).await.unwrap()
    }

    /// Asserts that nobody else is let in from this address, and that it is not even asked who they are.
    async fn assert_full(&self) {
        for request in [Request::new("/ws"), Request::plain("/ws")] {
            let (seen, refused) = (self.stage.witness.seen(), self.refused());
            let reply = self.ask(&request).await;
            assert_eq!((reply.status(), reply.header("retry-after")), (429, Some("5")), "{}", reply.text());
            assert!(reply.text().starts_with("too many sessions from this address"), "{}", reply.text());
            assert_eq!((self.stage.witness.seen(), self.refused()), (seen, refused + 1));
        }
    }

    /// Asserts that, once nothing is left of what was there, one more is let in, and only one.
    async fn assert_free(&self, after: &str) {
        settles("the end of all connections", || self.connections.open() == 0).await;
        let mut socket = RawSocket::connect(self.addr).await.unwrap();
        let reply = socket.request(&Request::new("/ws")).await.unwrap();
        assert_eq!(reply.status(), 101, "after {after}: {}", reply.text());
        self.assert_full().await;
        drop(socket);
        settles("the end of all connections", || self.connections.open() == 0).await;
    }

    fn refused(&self) -> u64 {
        self.live.stats().refused_for(RefusalReason::AddressLimit)
    }

    /// Sends a request, and waits until it is at this step.
    async fn reach(&self, step: &'static str, target: &str) -> RawSocket {
        let before = self.stage.witness.times(step);
        let mut socket = RawSocket::connect(self.addr).await.unwrap();
        socket.write(Request::new(target).to_bytes()).await.unwrap();
        settles(step, || self.stage.witness.times(step) > before).await;
        socket
    }
}

#[tokio::test]
async fn c72_the_place_of_an_address_is_taken_from_the_request_to_the_end_of_the_session() {
    let door = Door::start().await;
    let mut socket = door.reach("auth", "/ws?auth=wait&handler=wait&on_close=wait").await;
    door.assert_full().await;
    door.stage.gate.add_permits(1);
    door.stage.witness.sees("handler").await;
    door.assert_full().await;
    door.stage.gate.add_permits(1);
    assert_eq!(socket.reply().await.unwrap().status(), 101);
    door.assert_full().await;
    // Somebody else is let in.
    let other = open_from("127.0.0.2", door.addr, &Request::new("/ws")).await;

    socket.close(1000, "").await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    door.stage.witness.sees("on_close").await;
    door.assert_full().await;
    door.stage.gate.add_permits(1);
    drop((socket, other));
    door.assert_free("a session").await;
    assert_eq!(door.live.stats().refused(), door.refused());
}

#[tokio::test]
async fn c72_whatever_ends_a_request_or_a_session_gives_the_place_of_its_address_back() {
    let door = Door::start().await;
    door.assert_free("nothing").await;
    for (target, status) in [
        ("/ws?auth=refuse", 403),
        ("/ws?auth=panic", 500),
        ("/impatient?auth=wait", 503),
        ("/ws?user=nobody", 429),
        ("/taken", 500),
        ("/ws?handler=refuse", 403),
        ("/replaced", 418),
    ] {
        assert_eq!(door.ask(&Request::new(target)).await.status(), status, "{target}");
        door.assert_free(target).await;
    }
    assert_eq!(door.ask(&Request::plain("/ws")).await.status(), 426);
    door.assert_free("a probe").await;

    let mut socket = door.reach("handler", "/ws?handler=panic").await;
    socket.expect_eof().await.unwrap();
    drop(socket);
    door.assert_free("a handler's panic").await;

    for (step, target) in [("auth", "/ws?auth=wait"), ("handler", "/ws?handler=wait")] {
        door.reach(step, target).await.abort().unwrap();
        door.assert_free(target).await;
    }

    RawSocket::open(door.addr, "/ws").await.unwrap().abort().unwrap();
    door.assert_free("a reset").await;

    let mut socket = RawSocket::open(door.addr, "/ws?on_close=panic").await.unwrap();
    settles("the session", || door.live.stats().open_sessions() == 1).await;
    door.live.sessions()[0].close();
    assert_eq!(socket.expect_close().await.unwrap().0, Some(1000));
    drop(socket);
    door.assert_free("a close of ours").await;
}

/// The last entry of the last `X-Forwarded-For`, as the guide has it.
fn client_addr(parts: &Parts) -> Option<IpAddr> {
    let header = parts.headers.get_all("x-forwarded-for").iter().next_back()?;
    let last = header.as_bytes().rsplit(|&byte| byte == b',').next()?;
    str::from_utf8(last.trim_ascii()).ok()?.parse().ok()
}

/// A door behind a proxy, for one session from each address.
fn behind_a_proxy(live: &Live<()>) -> Router {
    let layer = LiveLayer::anonymous(live).client_addr(client_addr).max_sessions_per_address(1);
    Router::new().route("/ws", layer.handler(accept))
}

fn forwarded_for(header: impl AsRef<[u8]>) -> Request {
    Request::new("/ws").header("X-Forwarded-For", header)
}

async fn status(addr: SocketAddr, request: &Request) -> u16 {
    RawSocket::connect(addr).await.unwrap().request(request).await.unwrap().status()
}

async fn open(addr: SocketAddr, request: &Request) -> RawSocket {
    let mut socket = RawSocket::connect(addr).await.unwrap();
    socket.upgrade(request).await.unwrap();
    socket
}

#[tokio::test]
async fn c72_behind_a_proxy_a_client_is_who_the_proxy_says_whatever_it_says_itself() {
    let live = echo();
    let (addr, _) = serve(behind_a_proxy(&live), |server| server).await;
    let _socket = open(addr, &forwarded_for("203.0.113.9")).await;
    let session = live.sessions().pop().unwrap();
    assert_eq!(session.client_addr(), Some("203.0.113.9".parse().unwrap()));
    assert_eq!(session.peer_addr().unwrap().ip().to_string(), "127.0.0.1");

    for header in ["203.0.113.9", "6.6.6.6, 203.0.113.9", ",203.0.113.9 ", "::ffff:203.0.113.9"] {
        assert_eq!(status(addr, &forwarded_for(header)).await, 429, "{header}");
    }
    let not_text = forwarded_for([b"\xff, ".as_slice(), b"203.0.113.9"].concat());
    let lines = forwarded_for("6.6.6.6").header_too("X-Forwarded-For", "203.0.113.9");
    for request in [not_text, lines] {
        assert_eq!(status(addr, &request).await, 429, "{request:?}");
    }
    let mut other = open(addr, &forwarded_for("203.0.113.9, 203.0.113.10")).await;
    assert_echoes(&mut other).await;
    assert_eq!(live.stats().refused_for(RefusalReason::AddressLimit), 6);
}

#[tokio::test]
async fn c72_who_hides_its_address_from_the_reader_counts_as_the_proxy() {
    let live = echo();
    let (addr, _) = serve(behind_a_proxy(&live), |server| server).await;
    let _socket = open(addr, &Request::new("/ws")).await;
    assert_eq!(live.sessions()[0].client_addr(), Some("127.0.0.1".parse().unwrap()));
    for header in ["", "unknown", "203.0.113.9,", "203.0.113.9, _hidden", "203.0.113.9:443"] {
        assert_eq!(status(addr, &forwarded_for(header)).await, 429, "{header}");
    }
    open_from("127.0.0.2", addr, &Request::new("/ws")).await;
}

#[tokio::test]
async fn c72_where_connections_have_no_address_all_who_hide_theirs_count_as_one() {
    let live = echo();
    // As on a Unix socket.
    let addr = app::serve(behind_a_proxy(&live)).await;
    let _socket = open(addr, &Request::new("/ws")).await;
    assert_eq!(live.sessions()[0].client_addr(), None);
    for header in ["unknown", "203.0.113.9, "] {
        assert_eq!(status(addr, &forwarded_for(header)).await, 429, "{header}");
    }
    open(addr, &forwarded_for("203.0.113.9")).await;
}

#[tokio::test]
async fn c72_a_network_of_ipv6_has_as_many_sessions_as_one_address() {
    let addr = app::serve(behind_a_proxy(&echo())).await;
    let _socket = open(addr, &forwarded_for("2001:db8:1:2::3")).await;
    assert_eq!(status(addr, &forwarded_for("2001:db8:1:2:ffff::")).await, 429);
    open(addr, &forwarded_for("2001:db8:1:3::3")).await;
}

#[tokio::test]
async fn c72_where_nobodys_address_is_known_nobody_is_counted_and_a_warning_says_so_once() {
    let captured = Captured::start();
    let live = echo();
    let layer = LiveLayer::anonymous(&live).max_sessions_per_address(1);
    let addr = app::serve(Router::new().route("/ws", layer.handler(accept))).await;
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(open(addr, &Request::new("/ws")).await);
    }
    assert!(captured.line("max_sessions_per_address counts nobody").starts_with("WARN axum_live "));
    assert_eq!(live.stats().refused(), 0);
}

#[tokio::test]
async fn c72_the_routes_of_a_layer_share_the_count_and_another_layer_has_its_own() {
    let live = echo();
    let (one, other) = (LiveLayer::anonymous(&live).max_sessions_per_address(2), LiveLayer::anonymous(&live));
    let app = Router::new()
        .route("/a", one.clone().handler(accept))
        .route("/b", one.handler(accept))
        .route("/c", other.max_sessions_per_address(1).handler(accept));
    let (addr, _) = serve(app, |server| server).await;
    let _sockets = [open(addr, &Request::new("/a")).await, open(addr, &Request::new("/b")).await];
    for (target, expected) in [("/a", 429), ("/b", 429), ("/c", 101)] {
        assert_eq!(status(addr, &Request::new(target)).await, expected, "{target}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c72_of_many_that_come_at_once_from_an_address_no_more_are_let_in_than_may() {
    let live = echo();
    let layer = LiveLayer::anonymous(&live).max_sessions_per_address(5);
    let (addr, _) = serve(Router::new().route("/ws", layer.handler(accept)), |server| server).await;
    let mut asking = JoinSet::new();
    for _ in 0..100 {
        asking.spawn(async move {
            let mut socket = RawSocket::connect(addr).await.unwrap();
            let status = socket.request(&Request::new("/ws")).await.unwrap().status();
            (status, socket)
        });
    }
    // The sockets stay until all have come.
    let answers = soon("the answers", asking.join_all()).await;
    assert_eq!(answers.iter().filter(|(status, _)| *status == 101).count(), 5);
    assert_eq!(answers.iter().filter(|(status, _)| *status == 429).count(), 95);
}
