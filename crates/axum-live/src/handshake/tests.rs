use std::time::{Duration, Instant};

use axum::response::IntoResponse;
use http::Request;
use proptest::prelude::*;

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const GOOD: [(&str, &str); 5] = [
    ("host", "example.com"),
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", KEY),
];

fn parts(version: Version, method: &str, headers: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder().version(version).method(method).uri("/ws");
    for (name, value) in headers {
        request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    request.body(()).unwrap().into_parts().0
}

/// The good handshake, `name` replaced by these values.
fn with(name: &str, values: &[&str]) -> Result<Ask, Refusal> {
    let mut headers: Vec<_> = GOOD.into_iter().filter(|(other, _)| *other != name).collect();
    headers.extend(values.iter().map(|value| (name, *value)));
    read(&parts(Version::HTTP_11, "GET", &headers))
}

fn handshake(asked: Result<Ask, Refusal>) -> Handshake {
    match asked {
        Ok(Ask::Upgrade(handshake)) => handshake,
        other => panic!("not a handshake: {other:?}"),
    }
}

fn extended_connect(protocol: Option<&'static str>, headers: &[(&str, &str)]) -> Result<Ask, Refusal> {
    let mut parts = parts(Version::HTTP_2, "CONNECT", headers);
    if let Some(protocol) = protocol {
        parts.extensions.insert(Protocol::from_static(protocol));
    }
    read(&parts)
}

#[test]
fn the_example_of_the_rfc_is_answered_as_the_rfc_says() {
    let response = handshake(with("", &[])).answer(HeaderMap::new(), None);
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    let headers = response.headers();
    assert_eq!(headers["upgrade"], "websocket");
    assert_eq!(headers["connection"], "upgrade");
    assert_eq!(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(headers.len(), 3);
}

#[test]
fn method_comes_first_then_upgrade_asked_then_handshake() {
    let version = Version::HTTP_11;
    assert_eq!(read(&parts(version, "POST", &[])).unwrap_err(), Refusal::Method(version));
    assert_eq!(read(&parts(version, "HEAD", &GOOD)).unwrap_err(), Refusal::Method(version));
    assert_eq!(read(&parts(version, "CONNECT", &GOOD)).unwrap_err(), Refusal::Method(version));
    assert!(matches!(read(&parts(version, "GET", &[])), Ok(Ask::Probe)));
    assert_eq!(read(&parts(Version::HTTP_10, "GET", &GOOD)).unwrap_err(), Refusal::HttpVersion);
    let post = read(&parts(Version::HTTP_10, "POST", &GOOD));
    assert_eq!(post.unwrap_err(), Refusal::Method(Version::HTTP_10));
}

#[test]
fn a_get_is_a_probe_only_without_any_upgrade_header() {
    let probe = |headers: &[(&str, &str)]| read(&parts(Version::HTTP_11, "GET", headers));
    assert!(matches!(probe(&[("connection", "keep-alive, xupgradex"), ("sec-websocket-key", "abc")]), Ok(Ask::Probe)));
    assert_eq!(probe(&[("host", "a"), ("connection", "upgrade")]).unwrap_err(), Refusal::Upgrade);
    assert_eq!(probe(&[("host", "a"), ("upgrade", "websocket")]).unwrap_err(), Refusal::Connection);
    assert_eq!(probe(&[("host", "a"), ("upgrade", "h2c"), ("connection", "upgrade")]).unwrap_err(), Refusal::Upgrade);
}

#[test]
fn upgrade_and_connection_are_lists_of_tokens_in_any_case() {
    for good in [&["WebSocket"][..], &["h2c, websocket"], &["h2c", " ,websocket\t,"]] {
        handshake(with("upgrade", good));
    }
    for bad in ["", "websockets", "web socket", "websocket/13", "\"websocket\"", "websocket; q=1"] {
        assert_eq!(with("upgrade", &[bad]).unwrap_err(), Refusal::Upgrade, "{bad}");
    }
    for good in [&["keep-alive, UPGRADE"][..], &["keep-alive", "upgrade"], &["upgrade", "keep-alive"]] {
        handshake(with("connection", good));
    }
    for bad in [&[][..], &["xupgradex"], &["up", "grade"], &["keep-alive upgrade"]] {
        assert_eq!(with("connection", bad).unwrap_err(), Refusal::Connection, "{bad:?}");
    }
}

#[test]
fn a_host_there_is_one() {
    for good in ["localhost:80", "[::1]:8080", "xn--bcher-kva.example", "under_score.example:"] {
        handshake(with("host", &[good]));
    }
    assert_eq!(with("host", &[]).unwrap_err(), Refusal::HostMissing);
    assert_eq!(with("host", &["a", "a"]).unwrap_err(), Refusal::HostRepeated);
    for bad in ["", "a b", "a, b", "user@a", "http://a", "a/b", "a:b:c", "\u{fc}"] {
        assert_eq!(with("host", &[bad]).unwrap_err(), Refusal::HostInvalid, "{bad}");
    }
}

#[test]
fn a_key_is_sixteen_bytes_in_canonical_base64() {
    assert_eq!(with("sec-websocket-key", &[]).unwrap_err(), Refusal::KeyMissing);
    assert_eq!(with("sec-websocket-key", &[KEY, KEY]).unwrap_err(), Refusal::KeyRepeated);
    let long = "A".repeat(10_000);
    let bad = [
        "",
        "abc",
        &long,
        "dGhlIHNhbXBsZSBub25jZQ",   // no padding
        "dGhlIHNhbXBsZSBub25jZR==", // bits set that no byte holds
        "dGhlIHNhbXBsZSBub25jZTE=", // 17 bytes
        "dGhlIHNhbXBsZSBub25jZTEy", // 18 bytes
        "dGhlIHNhbXBsZSBub25j",     // 15 bytes
        "dGhlIHNhbXBsZSBub25j_-==", // the URL's alphabet
        "dGhlIHNhbXBs ZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
    ];
    for bad in bad {
        assert_eq!(with("sec-websocket-key", &[bad]).unwrap_err(), Refusal::KeyInvalid, "{bad}");
    }
}

#[test]
fn the_version_is_thirteen() {
    assert_eq!(with("sec-websocket-version", &[]).unwrap_err(), Refusal::WebSocketVersionMissing);
    for bad in [&["8"][..], &["013"], &["13, 8"], &["13", "13"], &[""]] {
        assert_eq!(
            with("sec-websocket-version", bad).unwrap_err(),
            Refusal::WebSocketVersion(Version::HTTP_11),
            "{bad:?}"
        );
    }
}

#[test]
fn a_body_is_refused_and_the_connection_closed() {
    handshake(with("content-length", &["0"]));
    for (name, value) in [("content-length", "5"), ("content-length", "x"), ("transfer-encoding", "chunked")] {
        assert_eq!(with(name, &[value]).unwrap_err(), Refusal::Body, "{name}: {value}");
    }
    assert_eq!(Refusal::Body.into_response().headers()["connection"], "close");
}

#[test]
fn http2_wants_extended_connect_with_websocket() {
    let good = [("sec-websocket-version", "13")];
    let response = handshake(extended_connect(Some("websocket"), &good)).answer(HeaderMap::new(), None);
    assert_eq!(response.status(), StatusCode::OK);
    assert!(response.headers().is_empty());
    handshake(extended_connect(Some("WebSocket"), &good));
    assert_eq!(extended_connect(Some("connect-udp"), &good).unwrap_err(), Refusal::ConnectProtocol);
    assert_eq!(extended_connect(None, &good).unwrap_err(), Refusal::ConnectProtocol);
    assert_eq!(extended_connect(Some("websocket"), &[]).unwrap_err(), Refusal::WebSocketVersionMissing);
    assert!(matches!(read(&parts(Version::HTTP_2, "GET", &[])), Ok(Ask::Probe)));
    assert_eq!(read(&parts(Version::HTTP_2, "POST", &good)).unwrap_err(), Refusal::Method(Version::HTTP_2));
}

#[test]
fn a_subprotocol_is_chosen_by_the_servers_preference_among_those_offered() {
    let supported = [HeaderValue::from_static("v2"), HeaderValue::from_static("v1")];
    let chosen = |offers: &[&str]| handshake(with("sec-websocket-protocol", offers)).choose_protocol(&supported);
    assert_eq!(chosen(&["v1, v2"]).unwrap(), "v2");
    assert_eq!(chosen(&["x", "v1 , y"]).unwrap(), "v1");
    assert_eq!(chosen(&["V1", "v", "v12", "\u{fc}"]), None);
    assert_eq!(chosen(&[&",".repeat(10_000)]), None);
    assert_eq!(chosen(&[]), None);
    let response = handshake(with("sec-websocket-protocol", &["v1"])).answer(HeaderMap::new(), chosen(&["v1"]));
    assert_eq!(response.headers()["sec-websocket-protocol"], "v1");
}

#[test]
fn c11_ten_thousand_commas_take_less_than_a_millisecond() {
    let commas = ",".repeat(10_000);
    let supported = ["chat.v2", "chat.v1"].map(HeaderValue::from_static);
    let headers: Vec<_> = GOOD.into_iter().chain([("sec-websocket-protocol", &*commas)]).collect();
    let parts = parts(Version::HTTP_11, "GET", &headers);
    let judge = |_| {
        let start = Instant::now();
        assert_eq!(handshake(read(&parts)).choose_protocol(&supported), None);
        start.elapsed()
    };
    // The fastest, for on a busy machine any may be interrupted.
    let took = (0..100).map(judge).min().unwrap();
    assert!(took < Duration::from_millis(1), "{took:?}");
}

#[test]
fn the_handlers_headers_are_kept_save_those_of_body_and_upgrade() {
    let mut kept = HeaderMap::new();
    for (name, value) in [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-request-id", "7"),
        ("content-type", "text/plain"),
        ("content-length", "3"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("upgrade", "h2c"),
        ("sec-websocket-accept", "forged"),
        ("sec-websocket-protocol", "forged"),
        ("sec-websocket-extensions", "permessage-deflate"),
    ] {
        kept.append(name, HeaderValue::from_static(value));
    }
    let response = handshake(with("", &[])).answer(kept, None);
    let headers = response.headers();
    assert_eq!(headers.get_all("set-cookie").iter().collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!(headers["x-request-id"], "7");
    assert_eq!(headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["connection", "sec-websocket-accept", "set-cookie", "upgrade", "x-request-id"]);
}

/// Any header name of interest, and some of none.
fn any_name() -> impl Strategy<Value = HeaderName> {
    let known = prop::sample::select(vec![
        HOST,
        CONNECTION,
        UPGRADE,
        CONTENT_LENGTH,
        TRANSFER_ENCODING,
        SEC_WEBSOCKET_KEY,
        SEC_WEBSOCKET_VERSION,
        SEC_WEBSOCKET_PROTOCOL,
    ]);
    prop_oneof![3 => known, 1 => "x-[a-z]{1,8}".prop_map(|name| HeaderName::try_from(name).unwrap())]
}

fn any_value() -> impl Strategy<Value = HeaderValue> {
    let good = prop::sample::select(GOOD.map(|(_, value)| HeaderValue::from_static(value)).to_vec());
    let bytes = prop::collection::vec(prop_oneof![Just(b','), Just(b' '), b'\x20'..=b'\x7e', 0x80..=0xff_u8], 0..40);
    prop_oneof![1 => good, 1 => bytes.prop_map(|bytes| HeaderValue::from_bytes(&bytes).unwrap())]
}

/// The text with its letters' case flipped where the mask says so.
fn cased(text: &str, mask: u32) -> String {
    let flip = |(i, letter): (usize, char)| {
        if mask >> (i % 32) & 1 == 1 { letter.to_ascii_uppercase() } else { letter.to_ascii_lowercase() }
    };
    text.chars().enumerate().map(flip).collect()
}

proptest! {
    #[test]
    fn no_header_makes_it_panic(
        http2 in any::<bool>(),
        method in prop::sample::select(vec!["GET", "CONNECT", "PUT"]),
        headers in prop::collection::vec((any_name(), any_value()), 0..12),
    ) {
        let mut parts = parts(if http2 { Version::HTTP_2 } else { Version::HTTP_11 }, method, &[]);
        parts.extensions.insert(Protocol::from_static("websocket"));
        for (name, value) in headers {
            parts.headers.append(name, value);
        }
        match read(&parts) {
            Ok(Ask::Upgrade(handshake)) => {
                let protocol = handshake.choose_protocol(&[HeaderValue::from_static("13")]);
                handshake.answer(parts.headers, protocol);
            }
            Ok(Ask::Probe) => {}
            Err(refusal) => prop_assert!(refusal.into_response().status().is_client_error()),
        }
    }

    #[test]
    fn a_good_handshake_is_accepted_whatever_its_case_and_company(
        mask in any::<u32>(),
        key in any::<[u8; 16]>(),
        tokens in prop::collection::vec("[a-z]{1,12}", 0..4),
        first in any::<bool>(),
        others in prop::collection::vec(("x-[a-z]{1,8}", any_value()), 0..12),
    ) {
        let list = |token: &str| {
            let mut tokens = tokens.clone();
            tokens.insert(if first { 0 } else { tokens.len() }, cased(token, mask));
            tokens.join(" , ")
        };
        let key = STANDARD.encode(key);
        let connection = list("upgrade");
        let upgrade = list("websocket");
        let host = cased("localhost:3000", mask);
        let mut parts = parts(Version::HTTP_11, "GET", &[
            (&cased("host", mask), &host),
            (&cased("connection", mask), &connection),
            (&cased("upgrade", mask), &upgrade),
            (&cased("sec-websocket-version", mask), "13"),
            (&cased("sec-websocket-key", mask), &key),
        ]);
        for (name, value) in others {
            parts.headers.append(HeaderName::try_from(name).unwrap(), value);
        }
        prop_assert!(matches!(read(&parts), Ok(Ask::Upgrade(_))));
    }
}
