//! HTTP/2's extended CONNECT (RFC 8441), with a genuine client: the catalogue's case 13.

use std::net::SocketAddr;

use axum::{Router, body::Bytes, http::Version};
use axum_live::{Live, LiveLayer, Message, Origins, RefusalReason, Session, accept};
use axum_live_test::RawSocket;
use h2::{
    RecvStream, SendStream,
    client::{self, SendRequest},
    ext::Protocol,
};
use http::{Request, Response, StatusCode};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt, DuplexStream},
    net::TcpStream,
};

use crate::{
    app::{Witness, assert_echoes_and_closes, echo, serve, soon},
    serve as server,
};

/// Connects, and waits until the server has said that it knows extended CONNECT.
pub(crate) async fn connect(addr: SocketAddr) -> SendRequest<Bytes> {
    let tcp = TcpStream::connect(addr).await.unwrap();
    let (client, connection) = client::handshake(tcp).await.unwrap();
    tokio::spawn(connection);
    let mut client = client.ready().await.unwrap();
    // The answer to any request comes after the server's settings.
    ask(&mut client, get("/settings")).await;
    assert!(client.is_extended_connect_protocol_enabled());
    client
}

async fn ask(client: &mut SendRequest<Bytes>, request: Request<()>) -> (Response<RecvStream>, SendStream<Bytes>) {
    let ends = request.method() != "CONNECT";
    let (response, stream) = client.send_request(request, ends).unwrap();
    (soon("the answer", response).await.unwrap(), stream)
}

fn get(path: &str) -> Request<()> {
    let uri = format!("http://localhost{path}");
    Request::builder().version(Version::HTTP_2).uri(uri).body(()).unwrap()
}

fn extended_connect(protocol: &'static str) -> Request<()> {
    let mut request = get("/ws");
    *request.method_mut() = http::Method::CONNECT;
    request.extensions_mut().insert(Protocol::from_static(protocol));
    request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    request
}

/// The stream as one that a raw socket can stand on.
fn socket((response, mut send): (Response<RecvStream>, SendStream<Bytes>)) -> RawSocket<DuplexStream> {
    let (near, far) = io::duplex(64 << 10);
    let (mut from_near, mut to_near) = io::split(far);
    tokio::spawn(async move {
        let mut buffer = vec![0; 4096];
        while let Ok(count @ 1..) = from_near.read(&mut buffer).await {
            send.send_data(Bytes::copy_from_slice(&buffer[..count]), false).unwrap();
        }
    });
    tokio::spawn(async move {
        let mut body = response.into_body();
        while let Some(Ok(data)) = body.data().await {
            body.flow_control().release_capacity(data.len()).unwrap();
            to_near.write_all(&data).await.unwrap();
        }
        to_near.shutdown().await.unwrap();
    });
    RawSocket::over(near)
}

/// A session of its own on the connection.
pub(crate) async fn open(client: &mut SendRequest<Bytes>) -> RawSocket<DuplexStream> {
    socket(ask(client, extended_connect("websocket")).await)
}

#[tokio::test]
async fn c13_extended_connect_is_200_and_carries_a_session() {
    let live = echo();
    let handler = async |session: Session<()>| {
        session.send("welcome", "over HTTP/2").unwrap();
        [("x-room", "7"), ("content-type", "text/plain")]
    };
    let layer = LiveLayer::anonymous(&live).subprotocols(["chat"]);
    let addr = serve(Router::new().route("/ws", layer.handler(handler))).await;
    let mut client = connect(addr).await;

    let mut request = extended_connect("websocket");
    request.headers_mut().insert("sec-websocket-protocol", "chat".parse().unwrap());
    let answer = ask(&mut client, request).await;
    assert_eq!(answer.0.status(), StatusCode::OK);
    let headers = answer.0.headers();
    assert_eq!(headers["sec-websocket-protocol"], "chat");
    assert_eq!(headers["x-room"], "7");
    assert!(!headers.contains_key("content-type"));
    assert!(!headers.contains_key("sec-websocket-accept"));

    let mut first = socket(answer);
    assert_eq!(first.expect_json("welcome").await.unwrap(), "over HTTP/2");
    // Two sessions on one connection.
    let mut second = socket(ask(&mut client, extended_connect("websocket")).await);
    assert_eq!(second.expect_json("welcome").await.unwrap(), "over HTTP/2");
    assert_echoes_and_closes(first).await;
    assert_echoes_and_closes(second).await;
}

#[tokio::test]
async fn c13_a_handshake_with_a_fault_is_refused_before_auth() {
    let witness = Witness::default();
    let live = Live::<()>::builder().build();
    let authenticated = witness.clone();
    let authenticate = async move || {
        authenticated.saw("auth");
        Ok::<_, StatusCode>(())
    };
    let origins = Origins::list(["https://app.example.com"]).unwrap();
    let layer = LiveLayer::new(&live, authenticate).origins(origins);
    let addr = serve(Router::new().route("/ws", layer.handler(accept))).await;
    let mut client = connect(addr).await;

    let wrong_protocol = extended_connect("connect-udp");
    assert_eq!(ask(&mut client, wrong_protocol).await.0.status(), StatusCode::BAD_REQUEST);

    let mut wrong_version = extended_connect("websocket");
    wrong_version.headers_mut().insert("sec-websocket-version", "8".parse().unwrap());
    let (answer, _) = ask(&mut client, wrong_version).await;
    assert_eq!(answer.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(answer.headers()["sec-websocket-version"], "13");

    let mut foreign = extended_connect("websocket");
    foreign.headers_mut().insert("origin", "http://localhost".parse().unwrap());
    assert_eq!(ask(&mut client, foreign).await.0.status(), StatusCode::FORBIDDEN);

    let mut post = get("/ws");
    *post.method_mut() = http::Method::POST;
    let (answer, _) = ask(&mut client, post).await;
    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()["allow"], "GET, CONNECT");

    assert!(witness.seen().is_empty());
    assert!(live.is_empty());

    // A probe is authenticated, as on HTTP/1.1.
    assert_eq!(ask(&mut client, get("/ws")).await.0.status(), StatusCode::UPGRADE_REQUIRED);
    assert_eq!(witness.seen(), ["auth"]);
}

#[tokio::test]
async fn c13_the_origin_is_compared_with_the_authority() {
    let live = Live::<()>::builder().build();
    let addr =
        serve(Router::new().nest("/api", Router::new().route("/ws", LiveLayer::anonymous(&live).handler(accept))))
            .await;
    let mut client = connect(addr).await;
    for (origin, status) in [("http://localhost", 200), ("http://localhost:81", 403), ("http://evil.com", 403)] {
        let mut request = extended_connect("websocket");
        *request.uri_mut() = "http://localhost/api/ws".parse().unwrap();
        request.headers_mut().insert("origin", origin.parse().unwrap());
        assert_eq!(ask(&mut client, request).await.0.status(), status, "{origin}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_reads_is_not_closed_by_a_burst_of_ours() {
    let live = Live::<()>::builder()
        .on_connect(async |session: Session<()>| session.subscribe("t").unwrap())
        .on_message(async |session: Session<()>, message: Message| {
            let count: u32 = message.json().unwrap();
            (0..count).for_each(|n| assert_eq!(session.live().publish("t", &n).unwrap(), 1));
        })
        .build();
    let addr = serve(Router::new().route("/ws", LiveLayer::anonymous(&live).handler(accept))).await;
    let mut client = connect(addr).await;
    let mut socket = socket(ask(&mut client, extended_connect("websocket")).await);
    for burst in [50, 300, 2000] {
        socket.send_json("publish", burst).await.unwrap();
        for n in 0..burst {
            assert_eq!(socket.expect_json("t").await.unwrap(), n);
        }
    }
}

#[tokio::test]
async fn c72_the_sessions_of_one_http2_connection_count_one_by_one() {
    let live = echo();
    let layer = LiveLayer::anonymous(&live).max_sessions_per_address(2);
    let app = Router::new().route("/ws", layer.handler(accept));
    let (addr, _) = server::serve(app, |server| server).await;
    let mut client = connect(addr).await;
    let mut open = async || ask(&mut client, extended_connect("websocket")).await;
    let (first, _second) = (socket(open().await), socket(open().await));
    let (refused, _) = open().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "5");
    assert_eq!(live.stats().refused_for(RefusalReason::AddressLimit), 1);

    assert_echoes_and_closes(first).await;
    let free = async {
        loop {
            let answer = open().await;
            if answer.0.status() == StatusCode::OK {
                return socket(answer);
            }
        }
    };
    assert_echoes_and_closes(soon("a free place", free).await).await;
}
