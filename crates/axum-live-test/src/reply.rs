/// The answer to an HTTP/1.1 request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// How long the body is, by the head's word.
pub(crate) enum Length {
    Bytes(usize),
    Chunked,
    UntilEof,
}

impl Reply {
    /// Reads a head, given without the empty line at its end; the body is still to come.
    pub(crate) fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let (version, status) = lines.next()?.split_once(' ')?;
        if !version.starts_with("HTTP/1.") {
            return None;
        }
        let status = status.get(..3)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self { status, headers: lines.map(header).collect::<Option<_>>()?, body: Vec::new() })
    }

    pub(crate) fn length(&self) -> Option<Length> {
        if matches!(self.status, 100..200 | 204 | 304) {
            return Some(Length::Bytes(0));
        }
        match (self.header("transfer-encoding"), self.header("content-length")) {
            (Some("chunked"), None) => Some(Length::Chunked),
            (None, Some(length)) => length.parse().ok().map(Length::Bytes),
            (None, None) => Some(Length::UntilEof),
            _ => None,
        }
    }

    pub(crate) fn with_body(self, body: Vec<u8>) -> Self {
        Self { body, ..self }
    }

    /// The status code.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The first header of that name, in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers(name).next()
    }

    /// All headers of that name, in lower case.
    pub fn headers<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.headers.iter().filter(move |(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// The body; empty after a 101.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body as text, with what is not UTF-8 replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}
