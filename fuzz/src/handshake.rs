//! A request is let through exactly if RFC 6455 §4.2.1 or RFC 8441 lets it, and what is refused is told why.

use arbitrary::{Arbitrary, Result, Unstructured};
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, Version, request::Parts};
use tungstenite::handshake::derive_accept_key;

use crate::short::Short;

const PROTOCOLS: [HeaderValue; 2] = [HeaderValue::from_static("chat.v2"), HeaderValue::from_static("chat")];

/// What the headers are made of, besides any bytes at all.
const NAMES: [&str; 9] = [
    "host",
    "upgrade",
    "connection",
    "sec-websocket-key",
    "sec-websocket-version",
    "sec-websocket-protocol",
    "content-length",
    "transfer-encoding",
    "origin",
];
const VALUES: [&str; 16] = [
    "example.com:8080",
    "user@example.com",
    "WebSocket",
    "h2c, websocket",
    "websocket/13",
    "keep-alive, Upgrade",
    "close",
    "dGhlIHNhbXBsZSBub25jZQ==",
    "dGhlIHNhbXBsZSBub25jZR==",
    "dGhlIHNhbXBsZSBub25j",
    "13",
    "8, 13",
    "chat, chat.v2",
    "superchat",
    "0",
    "chunked",
];
/// A handshake without fault, from which a script departs.
const FAULTLESS: [(&str, &str); 5] = [
    ("host", "example.com"),
    ("upgrade", "websocket"),
    ("connection", "upgrade"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[derive(Debug)]
struct Script<'a> {
    method: u8,
    version: u8,
    changes: Vec<Change<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Change<'a> {
    Remove(u8),
    Known { name: u8, value: u8 },
    Any { name: u8, value: Short<'a> },
}

pub fn check(bytes: &[u8]) {
    let Ok(script) = Script::read(bytes) else { return };
    let parts = script.request();
    let answer = axum_live::fuzzing::answer(&parts, &PROTOCOLS);
    let status = answer.status();
    assert_eq!(status == StatusCode::SWITCHING_PROTOCOLS, is_faultless(&parts), "{status} for {parts:?}");
    if status == StatusCode::SWITCHING_PROTOCOLS {
        let headers = answer.headers();
        let accept = derive_accept_key(parts.headers["sec-websocket-key"].as_bytes());
        assert_eq!(headers["sec-websocket-accept"], accept);
        assert!(headers["connection"] == "upgrade" && headers["upgrade"] == "websocket");
        let chosen = PROTOCOLS.into_iter().find(|known| has(&parts.headers, "sec-websocket-protocol", known, exactly));
        assert_eq!(headers.get("sec-websocket-protocol"), chosen.as_ref());
    } else {
        assert!(status.is_client_error(), "{status} for {parts:?}");
    }
}

impl<'a> Script<'a> {
    /// Reads up to eight changes, as the bytes make them.
    fn read(bytes: &'a [u8]) -> Result<Self> {
        let mut source = Unstructured::new(bytes);
        let mut script = Self { method: source.arbitrary()?, version: source.arbitrary()?, changes: Vec::new() };
        let count: u8 = source.arbitrary()?;
        for _ in 0..count % 9 {
            script.changes.push(source.arbitrary()?);
        }
        Ok(script)
    }

    fn request(&self) -> Parts {
        let methods = [Method::GET, Method::POST, Method::CONNECT];
        let versions = [Version::HTTP_11, Version::HTTP_2, Version::HTTP_10];
        // Most of them right, or nothing would be seen of the rest.
        let (method, version) = (self.method.saturating_sub(0xF0) % 3, self.version.saturating_sub(0xF0) % 3);
        let mut parts = Request::new(()).into_parts().0;
        parts.method = methods[usize::from(method)].clone();
        parts.version = versions[usize::from(version)];
        for (name, value) in FAULTLESS {
            parts.headers.append(name, HeaderValue::from_static(value));
        }
        for change in &self.changes {
            match *change {
                Change::Remove(at) => drop(parts.headers.remove(name(at))),
                Change::Known { name: at, value } => {
                    let value = VALUES[usize::from(value) % VALUES.len()];
                    parts.headers.append(name(at), HeaderValue::from_static(value));
                }
                Change::Any { name: at, value } => {
                    if let Ok(value) = HeaderValue::from_bytes(&value) {
                        parts.headers.append(name(at), value);
                    }
                }
            }
        }
        parts
    }
}

fn name(at: u8) -> &'static str {
    NAMES[usize::from(at) % NAMES.len()]
}

/// RFC 6455 §4.2.1, word by word; of HTTP/2 a script makes no `:protocol`, without which nothing is let through.
fn is_faultless(parts: &Parts) -> bool {
    let headers = &parts.headers;
    parts.method == Method::GET
        && parts.version == Version::HTTP_11
        && only(headers, "host").is_some_and(is_authority)
        && has(headers, "upgrade", b"websocket", <[u8]>::eq_ignore_ascii_case)
        && has(headers, "connection", b"upgrade", <[u8]>::eq_ignore_ascii_case)
        && only(headers, "sec-websocket-version").is_some_and(|version| version == b"13")
        && only(headers, "sec-websocket-key").is_some_and(is_key)
        && !headers.contains_key("transfer-encoding")
        && headers.get_all("content-length").iter().all(|length| length == "0")
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    let value = values.next()?;
    values.next().is_none().then_some(value)
}

/// Whether a header that is a list has the element.
fn has(headers: &HeaderMap, name: &str, element: impl AsRef<[u8]>, is: fn(&[u8], &[u8]) -> bool) -> bool {
    let lists = headers.get_all(name).iter().map(HeaderValue::as_bytes);
    lists.flat_map(|list| list.split(|byte| *byte == b',')).any(|one| is(one.trim_ascii(), element.as_ref()))
}

fn exactly(one: &[u8], other: &[u8]) -> bool {
    one == other
}

/// `uri-host [":" port]`, and nobody's name before it.
fn is_authority(host: &[u8]) -> bool {
    host.iter().all(|byte| *byte != b'@') && http::uri::Authority::try_from(host).is_ok()
}

/// 16 bytes in base64: 22 characters of which the last has four spare bits, which are none, and two of padding.
fn is_key(key: &[u8]) -> bool {
    let Some((digits, b"==")) = key.split_at_checked(22) else { return false };
    digits.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+/".contains(byte)) && b"AQgw".contains(&digits[21])
}
