//! `axum_live::serve` and HTTP/2: clients that abuse it (case 14), frame by frame, and when a connection is idle.

use std::{future::pending, mem, net::SocketAddr, pin::pin, time::Duration};

use axum::{
    Extension, Router,
    routing::{any, get},
};
use axum_live::{Connections, LiveLayer, Serve, accept};
use hyper::upgrade::OnUpgrade;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
};

use crate::{
    app::{assert_echoes_and_closes, echo, settles, soon},
    door_http2,
};

// RFC 9113 §6.
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// What a client may have sent until it is told to go.
const MOST: usize = 8 << 20;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `GET / HTTP/2` of `http://a`, from HPACK's static table.
const REQUEST: &[u8] = b"\x82\x86\x84\x41\x01a";

/// How long a connection may be idle, where that is what a test is about.
const IDLE: Duration = Duration::from_millis(100);

fn app() -> Router {
    Router::new().route("/", get(async || "hello")).route("/ws", LiveLayer::anonymous(&echo()).handler(accept))
}

fn soon_idle(server: Serve<TcpListener>) -> Serve<TcpListener> {
    server.idle_timeout(IDLE)
}

async fn serve(app: Router, set: impl FnOnce(Serve<TcpListener>) -> Serve<TcpListener>) -> (SocketAddr, Connections) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = set(axum_live::serve(listener, app));
    let (addr, connections) = (server.local_addr().unwrap(), server.connections());
    tokio::spawn(server.into_future());
    (addr, connections)
}

/// Connects, and begins to speak HTTP/2.
async fn connect(set: impl FnOnce(Serve<TcpListener>) -> Serve<TcpListener>) -> (TcpStream, Connections) {
    let (addr, connections) = serve(app(), set).await;
    let mut tcp = TcpStream::connect(addr).await.unwrap();
    tcp.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    tcp.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    (tcp, connections)
}

/// Reads up to a GOAWAY, and answers its error code.
async fn goaway(mut stream: OwnedReadHalf) -> u32 {
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.expect("a GOAWAY before the end");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).await.unwrap();
        if head[3] == GOAWAY {
            return u32::from_be_bytes(*payload[4..].first_chunk().unwrap());
        }
    }
}

/// Floods until the server says GOAWAY; its error code, and how many bytes it took.
async fn flood(tcp: TcpStream, mut next: impl FnMut() -> Vec<u8>) -> (u32, usize) {
    let (reader, mut writer) = tcp.into_split();
    let mut said = pin!(goaway(reader));
    let mut written = 0;
    let flooded = async {
        loop {
            let frames = next();
            tokio::select! {
                biased;
                code = &mut said => return code,
                result = writer.write_all(&frames) => match result {
                    Ok(()) => written += frames.len(),
                    Err(_) => return said.await,
                },
            }
            assert!(written < MOST, "it takes all");
        }
    };
    let code = soon("a GOAWAY", flooded).await;
    (code, written)
}

const ENHANCE_YOUR_CALM: u32 = 11;

#[tokio::test]
async fn c14_who_opens_and_resets_streams_in_a_flood_is_told_to_go() {
    let (tcp, connections) = connect(|server| server).await;
    let mut stream = 1;
    let burst = || {
        let mut frames = Vec::new();
        for _ in 0..100 {
            frames.extend(frame(HEADERS, END_HEADERS | END_STREAM, stream, REQUEST));
            frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            stream += 2;
        }
        frames
    };
    let (code, _) = flood(tcp, burst).await;
    assert_eq!(code, ENHANCE_YOUR_CALM);
    settles("its end", || connections.open() == 0).await;
}

#[tokio::test]
async fn c14_a_connection_may_have_two_hundred_streams_at_a_time() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;

    let (mut tcp, _) = connect(|server| server).await;
    let mut head = [0; 9];
    soon("the settings", tcp.read_exact(&mut head)).await.unwrap();
    assert_eq!(head[3], SETTINGS);
    let mut settings = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
    tcp.read_exact(&mut settings).await.unwrap();
    let most = settings.chunks_exact(6).find(|setting| setting[..2] == MAX_CONCURRENT_STREAMS.to_be_bytes());
    assert_eq!(most.unwrap()[2..], 200_u32.to_be_bytes());
}

#[tokio::test]
async fn c14_a_head_of_endless_continuations_is_ended() {
    let (tcp, connections) = connect(|server| server).await;
    // A header that is never indexed, `x: …`, of 1,000 bytes a frame.
    let header = [b"\x10\x01x\x7f\xe9\x06".as_slice(), &[b'x'; 1000]].concat();
    let mut is_first = true;
    let next = || {
        if mem::take(&mut is_first) {
            return frame(HEADERS, END_STREAM, 1, REQUEST);
        }
        frame(CONTINUATION, 0, 1, &header)
    };
    let (code, written) = flood(tcp, next).await;
    assert_eq!(code, ENHANCE_YOUR_CALM);
    assert!(written < 1 << 20, "{written}");
    settles("its end", || connections.open() == 0).await;
}

/// Waits for twice as long as a connection may be idle, in which another comes and goes, and again.
async fn outlast_idleness(addr: SocketAddr) {
    for _ in 0..2 {
        let mut other = TcpStream::connect(addr).await.unwrap();
        other.write_all(b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        soon("its end", other.read_to_end(&mut Vec::new())).await.unwrap();
    }
}

#[tokio::test]
async fn a_connection_with_a_session_is_not_idle_and_is_when_the_session_has_ended() {
    let (addr, connections) = serve(app(), soon_idle).await;
    let mut client = door_http2::connect(addr).await;
    let socket = door_http2::open(&mut client).await;
    outlast_idleness(addr).await;
    // It has not been told to go either, or would take no second one.
    assert_echoes_and_closes(door_http2::open(&mut client).await).await;
    assert_echoes_and_closes(socket).await;
    settles("the end of an idle connection", || connections.open() == 0).await;
}

#[tokio::test]
async fn a_connection_with_a_tunnel_of_somebody_elses_is_never_idle() {
    let tunnel = any(async |Extension(upgrade): Extension<OnUpgrade>| {
        tokio::spawn(async {
            let _tunnel = upgrade.await.unwrap();
            pending::<()>().await;
        });
    });
    let (addr, connections) = serve(Router::new().route("/ws", tunnel), soon_idle).await;
    let mut client = door_http2::connect(addr).await;
    let _tunnel = door_http2::open(&mut client).await;
    outlast_idleness(addr).await;
    door_http2::open(&mut client).await;
    assert_eq!(connections.open(), 1);
}

#[tokio::test]
async fn c16_who_is_idle_and_does_not_go_when_asked_to_is_closed() {
    let (mut tcp, connections) = connect(|server| server.header_timeout(IDLE).idle_timeout(IDLE)).await;
    tcp.write_all(&frame(HEADERS, END_HEADERS | END_STREAM, 1, REQUEST)).await.unwrap();
    let mut said = Vec::new();
    // It never answers the ping that comes with the GOAWAY.
    soon("the end", tcp.read_to_end(&mut said)).await.unwrap();
    assert!(said.windows(5).any(|bytes| bytes == b"hello"));
    assert_eq!(connections.timed_out(), 1);
}
