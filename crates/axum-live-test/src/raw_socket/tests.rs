use tokio::{
    io::{DuplexStream, duplex},
    net::TcpListener,
};

use super::*;

/// A socket to which the server has sent this, and that it then left.
async fn after(sent: &[u8]) -> RawSocket<DuplexStream> {
    let (client, mut server) = duplex(1024);
    server.write_all(sent).await.unwrap();
    RawSocket::over(client)
}

#[tokio::test]
async fn a_reply_has_a_body_by_length_by_chunks_or_until_eof() {
    for reply in [
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\nno",
        "HTTP/1.1 403 Forbidden\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a\r\nset-cookie: b\r\n\r\n\
         1\r\nn\r\n1\r\no\r\n0\r\n\r\n",
        "HTTP/1.0 403 Forbidden\r\nset-cookie: a\r\nset-cookie: b\r\n\r\nno",
    ] {
        let mut socket = after(reply.as_bytes()).await;
        let reply = socket.reply().await.unwrap();
        assert_eq!((reply.status(), reply.body()), (403, &b"no"[..]));
        assert_eq!(reply.headers("set-cookie").collect::<Vec<_>>(), ["a", "b"]);
        socket.expect_eof().await.unwrap();
    }
}

#[tokio::test]
async fn frames_behind_a_101_are_not_its_body() {
    let head = b"HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    let frames = [&Frame::ping("").unmasked(), &Frame::text(r#"{"topic":"a","data":1}"#).unmasked()];
    let frames: Vec<u8> = frames.into_iter().flat_map(Frame::to_bytes).collect();
    let (client, mut server) = duplex(1024);
    server.write_all(&[&head[..], &frames].concat()).await.unwrap();
    let mut socket = RawSocket::over(client);
    assert_eq!(socket.upgrade(&Request::new("/")).await.unwrap().status(), 101);
    assert_eq!(socket.expect_json("a").await.unwrap(), 1);
}

#[tokio::test]
async fn an_upgrade_without_the_right_accept_is_none() {
    let (client, mut server) = duplex(1024);
    server.write_all(b"HTTP/1.1 101 Switching Protocols\r\n\r\n").await.unwrap();
    let refused = RawSocket::over(client).upgrade(&Request::new("/")).await;
    assert!(matches!(refused, Err(RawSocketError::Unexpected { .. })));
}

#[tokio::test]
async fn what_came_instead_is_told() {
    let mut socket = after(&Frame::close(4008, "queue full").unmasked().to_bytes()).await;
    let error = socket.expect_text().await.unwrap_err();
    assert_eq!(error.to_string(), r#"expected a text frame, got a close frame with Some(4008) "queue full""#);
    assert!(matches!(socket.frame().await, Err(RawSocketError::Ended { .. })));
}

#[tokio::test]
async fn a_masked_frame_is_not_what_a_server_sends() {
    let mut socket = after(&Frame::text("a").to_bytes()).await;
    assert!(matches!(socket.expect_text().await, Err(RawSocketError::Unexpected { .. })));
}

enum Leaving {
    Properly,
    ByReset,
}

/// A socket to which a server has sent this, and that it then left.
async fn left(leaving: Leaving, sent: &[u8]) -> RawSocket {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let socket = RawSocket::connect(listener.local_addr().unwrap()).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    server.write_all(sent).await.unwrap();
    if let Leaving::ByReset = leaving {
        server.set_zero_linger().unwrap();
    }
    socket
}

#[tokio::test]
async fn a_proper_end_and_a_reset_are_told_apart() {
    left(Leaving::Properly, b"").await.expect_eof().await.unwrap();
    left(Leaving::ByReset, b"").await.expect_reset().await.unwrap();
    assert!(matches!(left(Leaving::ByReset, b"").await.expect_eof().await, Err(RawSocketError::Io { .. })));
    assert!(matches!(left(Leaving::Properly, b"").await.expect_reset().await, Err(RawSocketError::Unexpected { .. })));
    assert!(matches!(
        left(Leaving::Properly, b"more").await.expect_reset().await,
        Err(RawSocketError::Unexpected { .. })
    ));
    assert!(matches!(
        left(Leaving::Properly, b"more").await.expect_eof().await,
        Err(RawSocketError::Unexpected { .. })
    ));
}

#[tokio::test(start_paused = true)]
async fn every_wait_ends() {
    let (client, _server) = duplex(16);
    let mut socket = RawSocket::over(client);
    assert!(matches!(socket.frame().await, Err(RawSocketError::TimedOut { .. })));
    assert!(matches!(socket.expect_eof().await, Err(RawSocketError::TimedOut { .. })));
    assert!(matches!(socket.expect_reset().await, Err(RawSocketError::TimedOut { .. })));
    assert!(matches!(socket.write([0; 17]).await, Err(RawSocketError::TimedOut { .. })));
}
