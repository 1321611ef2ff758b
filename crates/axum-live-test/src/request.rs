/// A request's head, by default a faultless WebSocket handshake, in which a test breaks what it likes.
///
/// Nothing is checked: names and values are written as given.
///
/// ```
/// # use axum_live_test::Request;
/// let request = Request::new("/ws")
///     .header("Sec-WebSocket-Version", "8")
///     .header_too("Connection", "keep-alive")
///     .without("Host");
/// ```
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    version: String,
    headers: Vec<(String, Vec<u8>)>,
}

impl Request {
    /// The example of RFC 6455 §1.2: every request has the same key.
    pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
    /// What a server answers to that key.
    pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    /// A WebSocket handshake by HTTP/1.1.
    pub fn new(target: &str) -> Self {
        Self::plain(target)
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", Self::KEY)
    }

    /// A GET that asks for no upgrade.
    pub fn plain(target: &str) -> Self {
        Self {
            method: "GET".to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1".to_owned(),
            headers: Vec::new(),
        }
        .header("Host", "localhost")
    }

    /// The method; GET by default.
    pub fn method(mut self, method: &str) -> Self {
        method.clone_into(&mut self.method);
        self
    }

    /// The version as the request line spells it; `HTTP/1.1` by default.
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// Sets a header, in place of all of that name.
    pub fn header(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.without(name).header_too(name, value)
    }

    /// Adds a header to those of that name.
    pub fn header_too(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Removes all headers of that name.
    pub fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self
    }

    /// The bytes on the wire, with the empty line at their end.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} {}\r\n", self.method, self.target, self.version).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes.extend_from_slice(b"\r\n");
        bytes
    }
}
