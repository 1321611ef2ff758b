//! The opening handshake, on a raw socket: the catalogue's cases 1 to 9, 11 and 12.

use axum::{Router, http::StatusCode};
use axum_live::{Live, LiveLayer, accept};
use axum_live_test::{RawSocket, Reply, Request};

use crate::{
    app::{serve, settles},
    door::{Door, handshake},
};

fn asks_for_an_upgrade(reply: &Reply) {
    assert_eq!(reply.header("upgrade"), Some("websocket"));
    assert_eq!(reply.header("connection"), Some("upgrade"));
    assert_eq!(reply.header("sec-websocket-version"), Some("13"));
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
    assert_eq!(door.opens(&commas).await.header("sec-websocket-protocol"), None);
}

#[tokio::test]
async fn c12_what_is_not_http_is_400() {
    let door = Door::new().await;
    // All but the first two are good handshakes save for one thing, which a lenient reader might let pass.
    let good = String::from_utf8(handshake().to_bytes()).unwrap();
    let odd = |right: &str, wrong: &str| {
        assert!(good.contains(right), "{right}");
        good.replace(right, wrong).into_bytes()
    };
    for garbage in [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\xd1\x9b\x0a\x55\xc2\x11".to_vec(),
        b"garbage\r\n\r\n".to_vec(),
        odd("GET ", "\0GET "),
        odd("Host: ", "Host: \0"),
        odd("Host: ", "Host : "),
        odd("Connection: ", "Connection: keep-alive,\r\n "),
    ] {
        let mut socket = door.connect().await;
        socket.write(&garbage).await.unwrap();
        let reply = socket.reply().await.unwrap();
        assert_eq!(reply.status(), 400, "{}", garbage.escape_ascii());
        socket.expect_eof().await.unwrap();
    }
    assert!(door.witness.seen().is_empty());
    door.opens(&handshake()).await;
}
