//! The opening handshake (RFC 6455 §4.2, RFC 8441), strict, and its answers; no IO.

mod refusal;
#[cfg(test)]
mod tests;

use axum::{body::Body, response::Response};
use base64::{Engine, engine::general_purpose::STANDARD};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL,
        SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE,
    },
    request::Parts,
    uri::Authority,
};
use hyper::ext::Protocol;
use sha1::{Digest, Sha1};

pub(crate) use refusal::Refusal;

/// What a request at the door asks for.
#[derive(Debug)]
pub(crate) enum Ask {
    /// A GET without any upgrade header: somebody looks whether anything is here. Its answer, should authentication
    /// let it pass, is [`Refusal::Probe`].
    Probe,
    /// A handshake without fault.
    Upgrade(Handshake),
}

/// A handshake found right: what its answer needs.
#[derive(Debug)]
pub(crate) struct Handshake {
    reply: Reply,
    /// The `Sec-WebSocket-Protocol` headers as they came; they are taken apart only when the server knows a protocol.
    offered: Vec<HeaderValue>,
}

#[derive(Debug)]
enum Reply {
    /// HTTP/1.1: a 101 that proves, by the client's key, that the handshake was understood.
    SwitchingProtocols { accept: HeaderValue },
    /// HTTP/2: an empty 200; the stream itself is the socket.
    Stream,
}

/// Reads what a request asks for, in the order that decides which fault is told: method, upgrade asked, handshake.
pub(crate) fn read(parts: &Parts) -> Result<Ask, Refusal> {
    match parts.version {
        Version::HTTP_2 => read_http2(parts),
        Version::HTTP_11 => read_http1(parts),
        _ if parts.method == Method::GET => Err(Refusal::HttpVersion),
        version => Err(Refusal::Method(version)),
    }
}

impl Handshake {
    /// The first of the server's subprotocols, in its order of preference, that the client offered.
    pub(crate) fn choose_protocol(&self, supported: &[HeaderValue]) -> Option<HeaderValue> {
        supported
            .iter()
            .find(|supported| self.offered.iter().flat_map(elements).any(|offered| offered == supported.as_bytes()))
            .cloned()
    }

    /// Turns the headers that the handler left into the answer that opens the WebSocket.
    pub(crate) fn answer(self, kept: HeaderMap, protocol: Option<HeaderValue>) -> Response {
        let mut headers = kept;
        strip(&mut headers);
        if let Some(protocol) = protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        let mut response = Response::new(Body::empty());
        if let Reply::SwitchingProtocols { accept } = self.reply {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        }
        *response.headers_mut() = headers;
        response
    }
}

fn read_http1(parts: &Parts) -> Result<Ask, Refusal> {
    let headers = &parts.headers;
    if parts.method != Method::GET {
        return Err(Refusal::Method(parts.version));
    }
    let connection_asks = names(headers, &CONNECTION, b"upgrade");
    if !connection_asks && !headers.contains_key(UPGRADE) {
        return Ok(Ask::Probe);
    }
    // Before the rest, whatever else is wrong: only this refusal closes the connection, on which a body follows.
    if has_body(headers) {
        return Err(Refusal::Body);
    }
    check_host(headers)?;
    if !names(headers, &UPGRADE, b"websocket") {
        return Err(Refusal::Upgrade);
    }
    if !connection_asks {
        return Err(Refusal::Connection);
    }
    // Before the key: another version of the protocol may have another idea of a key.
    check_version(parts)?;
    let accept = accept(headers)?;
    Ok(upgrade(Reply::SwitchingProtocols { accept }, headers))
}

fn read_http2(parts: &Parts) -> Result<Ask, Refusal> {
    match parts.method {
        Method::GET => return Ok(Ask::Probe),
        Method::CONNECT => {}
        _ => return Err(Refusal::Method(parts.version)),
    }
    let protocol = parts.extensions.get::<Protocol>().map_or("", Protocol::as_str);
    if !protocol.eq_ignore_ascii_case("websocket") {
        return Err(Refusal::ConnectProtocol);
    }
    check_version(parts)?;
    Ok(upgrade(Reply::Stream, &parts.headers))
}

fn upgrade(reply: Reply, headers: &HeaderMap) -> Ask {
    let offered = headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter().cloned().collect();
    Ask::Upgrade(Handshake { reply, offered })
}

fn has_body(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING) || headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0")
}

fn check_host(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = single(headers, &HOST, Refusal::HostMissing, Refusal::HostRepeated)?;
    match Authority::try_from(host.as_bytes()) {
        // Nobody logs in by a Host header.
        Ok(authority) if !authority.as_str().contains('@') => Ok(()),
        _ => Err(Refusal::HostInvalid),
    }
}

fn check_version(parts: &Parts) -> Result<(), Refusal> {
    let unsupported = Refusal::WebSocketVersion(parts.version);
    let version = single(&parts.headers, &SEC_WEBSOCKET_VERSION, Refusal::WebSocketVersionMissing, unsupported)?;
    if version == "13" { Ok(()) } else { Err(unsupported) }
}

/// The value of `Sec-WebSocket-Accept`, if there is one good key.
fn accept(headers: &HeaderMap) -> Result<HeaderValue, Refusal> {
    const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

    let key = single(headers, &SEC_WEBSOCKET_KEY, Refusal::KeyMissing, Refusal::KeyRepeated)?;
    // 18: the decoder wants room for the padding too. It refuses what is not canonical.
    if STANDARD.decode_slice(key, &mut [0; 18]) != Ok(16) {
        return Err(Refusal::KeyInvalid);
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    Ok(HeaderValue::try_from(STANDARD.encode(digest)).expect("base64 is visible ASCII"))
}

/// Drops the headers that describe a body, which is not sent, or the upgrade, which is not the handler's to negotiate.
fn strip(headers: &mut HeaderMap) {
    let stripped: Vec<HeaderName> = headers.keys().filter(|name| is_stripped(name)).cloned().collect();
    for name in stripped {
        headers.remove(name);
    }
}

fn is_stripped(name: &HeaderName) -> bool {
    let text = name.as_str();
    [TRANSFER_ENCODING, CONNECTION, UPGRADE].contains(name)
        || text.starts_with("content-")
        || text.starts_with("sec-websocket-")
}

fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    missing: Refusal,
    repeated: Refusal,
) -> Result<&'a HeaderValue, Refusal> {
    let mut values = headers.get_all(name).iter();
    let value = values.next().ok_or(missing)?;
    if values.next().is_some() { Err(repeated) } else { Ok(value) }
}

/// Whether one of the headers `name`, each a list, holds the token, whatever its case.
fn names(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    headers.get_all(name).iter().flat_map(elements).any(|element| element.eq_ignore_ascii_case(token))
}

/// The elements of a comma-separated header. On bytes: a value need not be UTF-8.
fn elements(list: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    list.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii)
}
