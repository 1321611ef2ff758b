//! Everywhere a route can be, and on every listener that axum serves.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Path, Request as HttpRequest},
    http::StatusCode,
    middleware::{self, Next},
    routing::{any, get},
    serve::Listener,
};
use axum_live::{CloseReason, Live, LiveLayer, Session, accept};
use axum_live_test::{RawSocket, Request};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    sync::mpsc::{self, UnboundedReceiver},
    time::Instant,
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
    },
    server::TlsStream,
};
use tower::{
    ServiceBuilder,
    layer::util::{Identity, Stack},
};
use tower_http::{
    compression::CompressionLayer,
    cors::{Any, CorsLayer},
    timeout::{ResponseBodyTimeoutLayer, TimeoutLayer},
    trace::TraceLayer,
};

use crate::app::{Witness, assert_echoes, assert_echoes_and_closes, echo, serve, serve_on, settles, soon};

/// Asserts that a session on this path lives and ends as it should.
async fn assert_live(addr: SocketAddr, path: &str) {
    assert_echoes_and_closes(RawSocket::open(addr, path).await.unwrap()).await;
}

/// A [`LiveLayer`] over another layer.
fn over<L>(live: &Live<()>, other: L) -> ServiceBuilder<Stack<L, Stack<LiveLayer<()>, Identity>>> {
    ServiceBuilder::new().layer(LiveLayer::anonymous(live)).layer(other)
}

#[tokio::test]
async fn on_a_route_by_handler() {
    let addr = serve(Router::new().route("/ws", LiveLayer::anonymous(&echo()).handler(accept))).await;
    assert_live(addr, "/ws").await;
}

#[tokio::test]
async fn on_a_route_as_a_plain_layer() {
    let live = echo();
    let app = Router::new()
        .route("/any", any(async || "a body that nobody sees").layer(LiveLayer::anonymous(&live)))
        .route("/get", get(accept).layer(LiveLayer::anonymous(&live)))
        .route("/route_layer", get(accept).route_layer(LiveLayer::anonymous(&live)))
        .route("/not_live", get(async || "plain"));
    let addr = serve(app).await;
    for path in ["/any", "/get", "/route_layer"] {
        assert_live(addr, path).await;
    }
    let reply = RawSocket::connect(addr).await.unwrap().request(&Request::plain("/not_live")).await.unwrap();
    assert_eq!((reply.status(), reply.text().as_str()), (200, "plain"));
}

#[tokio::test]
async fn over_a_whole_router() {
    let app = Router::new().route("/a", any(accept)).route("/b", any(accept)).layer(LiveLayer::anonymous(&echo()));
    let addr = serve(app).await;
    assert_live(addr, "/a").await;
    assert_live(addr, "/b").await;
    // The router below says that there is nothing, and that is the answer.
    let reply = RawSocket::connect(addr).await.unwrap().request(&Request::new("/c")).await.unwrap();
    assert_eq!(reply.status(), 404);
}

#[tokio::test]
async fn under_nest_and_behind_path_parameters() {
    let live = echo();
    let handler = async |session: Session<()>, Path((room, seat)): Path<(String, u32)>| {
        session.send("place", &(room, seat, session.path())).unwrap();
    };
    let rooms = Router::new().route("/rooms/{room}/{seat}", LiveLayer::anonymous(&live).handler(handler));
    let addr = serve(Router::new().nest("/api", rooms)).await;

    let mut socket = RawSocket::open(addr, "/api/rooms/blue%20room/7?seat=8").await.unwrap();
    let place = socket.expect_json("place").await.unwrap();
    assert_eq!(place, serde_json::json!(["blue room", 7, "/api/rooms/{room}/{seat}"]));
    assert_echoes_and_closes(socket).await;

    // An extractor that refuses has the last word, and no session opens.
    settles("an empty node", || live.is_empty()).await;
    let refused = RawSocket::connect(addr).await.unwrap().request(&Request::new("/api/rooms/blue/x")).await.unwrap();
    assert_eq!(refused.status(), 400);
    assert!(live.is_empty());
}

#[tokio::test]
async fn under_and_over_trace() {
    let live = echo();
    let app = Router::new()
        .route("/under", LiveLayer::anonymous(&live).handler(accept).layer(TraceLayer::new_for_http()))
        .route("/over", any(accept).layer(over(&live, TraceLayer::new_for_http())));
    let addr = serve(app).await;
    assert_live(addr, "/under").await;
    assert_live(addr, "/over").await;
}

#[tokio::test]
async fn under_and_over_cors() {
    let live = echo();
    let cors = CorsLayer::new().allow_origin(Any);
    let app = Router::new()
        .route("/under", LiveLayer::anonymous(&live).handler(accept).layer(cors.clone()))
        .route("/over", any(accept).layer(over(&live, cors)));
    let addr = serve(app).await;
    for path in ["/under", "/over"] {
        let mut socket = RawSocket::connect(addr).await.unwrap();
        let reply = socket.upgrade(&Request::new(path).header("Origin", "http://localhost")).await.unwrap();
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{path}");
        assert_echoes_and_closes(socket).await;
        // What CORS allows to read, it does not allow to connect.
        let foreign = Request::new(path).header("Origin", "http://evil.com");
        let reply = RawSocket::connect(addr).await.unwrap().request(&foreign).await.unwrap();
        assert_eq!(reply.status(), 403, "{path}");
    }
}

#[tokio::test]
async fn under_and_over_a_timeout_that_ends_no_session() {
    let live = echo();
    let limit = Duration::from_millis(100);
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, limit);
    let app = Router::new()
        .route("/under", LiveLayer::anonymous(&live).handler(accept).layer(timeout))
        .route("/over", any(accept).layer(over(&live, timeout)));
    let addr = serve(app).await;
    for path in ["/under", "/over"] {
        let mut socket = RawSocket::open(addr, path).await.unwrap();
        let opened = Instant::now();
        while opened.elapsed() < 3 * limit {
            assert_echoes(&mut socket).await;
        }
        assert_echoes_and_closes(socket).await;
    }
}

#[tokio::test]
async fn a_timeout_over_the_layer_ends_a_handler_that_takes_too_long() {
    let live = echo();
    let timeout = TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, Duration::from_millis(1));
    let handler = async |session: Session<()>| {
        session.subscribe("a").unwrap();
        std::future::pending::<()>().await;
    };
    let addr = serve(Router::new().route("/ws", LiveLayer::anonymous(&live).handler(handler).layer(timeout))).await;
    let reply = RawSocket::connect(addr).await.unwrap().request(&Request::new("/ws")).await.unwrap();
    assert_eq!(reply.status(), 408);
    assert!(live.is_empty());
    assert_eq!(live.stats().topics(), 0);
}

/// A server whose outer layer answers 418 in place of the 101, with this `Connection` header.
async fn replaced(connection: &'static str) -> (SocketAddr, Live<()>, Witness, UnboundedReceiver<Session<()>>) {
    let witness = Witness::default();
    let (opened, closed) = (witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .open_timeout(Duration::from_millis(300))
        .on_connect(async move |_: Session<()>| opened.saw("open"))
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    let (sessions, told) = mpsc::unbounded_channel();
    let handler = async move |session: Session<()>| {
        session.subscribe("a").unwrap();
        sessions.send(session).unwrap();
    };
    let replace = move |request: HttpRequest, next: Next| async move {
        assert_eq!(next.run(request).await.status(), StatusCode::SWITCHING_PROTOCOLS);
        (StatusCode::IM_A_TEAPOT, [("connection", connection)], "short and stout")
    };
    let app = Router::new()
        .route("/ws", LiveLayer::anonymous(&live).handler(handler))
        .layer(middleware::from_fn(replace))
        .route("/plain", get(async || "plain"));
    (serve(app).await, live, witness, told)
}

#[tokio::test]
async fn a_replaced_101_leaves_no_phantom_session_when_the_client_leaves() {
    let (addr, live, witness, mut sessions) = replaced("keep-alive").await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    assert_eq!(socket.request(&Request::new("/ws")).await.unwrap().status(), 418);
    let session = sessions.recv().await.unwrap();
    // The connection goes on, and only its end makes hyper say that it is upgraded.
    assert_eq!(socket.request(&Request::plain("/plain")).await.unwrap().text(), "plain");
    drop(socket);
    soon("the session's end", session.closed()).await;
    settles("an empty node", || live.is_empty() && live.stats().topics() == 0).await;
    assert!(witness.seen().is_empty(), "it never opened: {:?}", witness.seen());
}

#[tokio::test]
async fn a_replaced_101_leaves_no_phantom_session_when_the_server_ends_the_connection() {
    let (addr, live, witness, mut sessions) = replaced("close").await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    assert_eq!(socket.request(&Request::new("/ws")).await.unwrap().text(), "short and stout");
    socket.expect_eof().await.unwrap();
    let session = sessions.recv().await.unwrap();
    soon("the session's end", session.closed()).await;
    settles("an empty node", || live.is_empty() && live.stats().topics() == 0).await;
    assert!(witness.seen().is_empty(), "it never opened: {:?}", witness.seen());
}

#[tokio::test]
async fn a_replaced_101_leaves_no_phantom_session_while_the_client_stays() {
    let (addr, live, witness, mut sessions) = replaced("keep-alive").await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    assert_eq!(socket.request(&Request::new("/ws")).await.unwrap().status(), 418);
    let session = sessions.recv().await.unwrap();
    soon("the session's end", session.closed()).await;
    settles("an empty node", || live.is_empty() && live.stats().topics() == 0).await;
    assert_eq!(socket.request(&Request::plain("/plain")).await.unwrap().text(), "plain");
    assert!(witness.seen().is_empty(), "it never opened: {:?}", witness.seen());
}

/// The layer's body does not tell whether hyper has looked at it, so that it cannot be told from a replaced answer.
#[tokio::test]
async fn over_a_layer_that_hides_the_answers_body_and_not_under_it() {
    let live = echo();
    let hiding = || ResponseBodyTimeoutLayer::new(Duration::from_secs(60));
    let app = Router::new()
        .route("/over", any(accept).layer(over(&live, hiding())))
        .route("/under", LiveLayer::anonymous(&live).handler(accept).layer(hiding()));
    let addr = serve(app).await;
    assert_live(addr, "/over").await;
    RawSocket::open(addr, "/under").await.unwrap().expect_eof().await.unwrap();
    settles("an empty node", || live.is_empty()).await;
}

#[tokio::test]
async fn under_and_over_compression_which_leaves_the_upgrade_alone() {
    let live = echo();
    let app = Router::new()
        .route("/under", LiveLayer::anonymous(&live).handler(accept).layer(CompressionLayer::new()))
        .route("/over", any(async || "x".repeat(1000)).layer(over(&live, CompressionLayer::new())))
        .route("/plain", get(async || "x".repeat(1000)).layer(CompressionLayer::new()));
    let addr = serve(app).await;
    let gzip = |request: Request| request.header("Accept-Encoding", "gzip");
    for path in ["/under", "/over"] {
        let mut socket = RawSocket::connect(addr).await.unwrap();
        let reply = socket.upgrade(&gzip(Request::new(path))).await.unwrap();
        assert_eq!(reply.header("content-encoding"), None, "{path}");
        assert_eq!(reply.header("transfer-encoding"), None, "{path}");
        assert_echoes_and_closes(socket).await;
    }
    let reply = RawSocket::connect(addr).await.unwrap().request(&gzip(Request::plain("/plain"))).await.unwrap();
    assert_eq!(reply.header("content-encoding"), Some("gzip"), "the layer was at work");
}

#[tokio::test]
async fn on_plain_tcp_with_the_peers_address() {
    let live = Live::<()>::builder()
        .on_connect(async |session: Session<()>| session.send("peer", &session.peer_addr()).unwrap())
        .build();
    let app = Router::new().route("/ws", LiveLayer::anonymous(&live).handler(accept));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let service = app.into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });

    let tcp = TcpStream::connect(addr).await.unwrap();
    let mine = tcp.local_addr().unwrap();
    let mut socket = RawSocket::over(tcp);
    socket.upgrade(&Request::new("/ws")).await.unwrap();
    assert_eq!(socket.expect_json("peer").await.unwrap(), mine.to_string());
}

#[tokio::test]
async fn frames_sent_together_with_the_handshake_are_not_lost() {
    let addr = serve(Router::new().route("/ws", LiveLayer::anonymous(&echo()).handler(accept))).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    let early = axum_live_test::Frame::text(r#"{"topic":"early","data":1}"#);
    socket.write([Request::new("/ws").to_bytes(), early.to_bytes()].concat()).await.unwrap();
    assert_eq!(socket.reply().await.unwrap().status(), 101);
    assert_eq!(socket.expect_json("early").await.unwrap(), 1);
    assert_echoes_and_closes(socket).await;
}

#[tokio::test]
async fn on_a_unix_socket() {
    let path = std::env::temp_dir().join(format!("axum-live-{}.sock", std::process::id()));
    let listener = UnixListener::bind(&path).unwrap();
    serve_on(listener, Router::new().route("/ws", LiveLayer::anonymous(&echo()).handler(accept)));
    let mut socket = RawSocket::over(UnixStream::connect(&path).await.unwrap());
    std::fs::remove_file(&path).unwrap();
    socket.upgrade(&Request::new("/ws")).await.unwrap();
    assert_echoes_and_closes(socket).await;
}

/// Axum's own documentation shows such a listener.
struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (tcp, addr) = Listener::accept(&mut self.tcp).await;
            if let Ok(tls) = self.acceptor.accept(tcp).await {
                return (tls, addr);
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

#[tokio::test]
async fn on_tls() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = own.cert.der().clone();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let server =
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate.clone()], key).unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = tcp.local_addr().unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    serve_on(TlsListener { tcp, acceptor }, Router::new().route("/ws", LiveLayer::anonymous(&echo()).handler(accept)));

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let client = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let tcp = TcpStream::connect(addr).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let tls = TlsConnector::from(Arc::new(client)).connect(name, tcp).await.unwrap();
    let mut socket = RawSocket::over(tls);
    socket.upgrade(&Request::new("/ws")).await.unwrap();
    assert_echoes_and_closes(socket).await;
}
