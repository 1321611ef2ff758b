use axum_live_test::Frame;

use crate::page::Block;

/// An example of the page: who sends what, in order.
#[derive(Clone)]
pub(crate) struct Example {
    /// Where the clients connect to.
    pub(crate) path: &'static str,
    pub(crate) lines: Vec<Line>,
}

#[derive(Clone)]
pub(crate) struct Line {
    number: usize,
    text: &'static str,
    /// The client that says it or hears it.
    pub(crate) client: &'static str,
    pub(crate) is_heard: bool,
    pub(crate) act: Act,
}

#[derive(Clone)]
pub(crate) enum Act {
    Bytes(Vec<u8>),
    /// A line of HTTP up to what differs each time.
    HttpStart(String),
    HangUp,
}

impl Example {
    pub(crate) fn parse(block: Block) -> Self {
        let path = match block.info {
            "text wire" => "/ws",
            "text wire restless" => "/restless",
            other => panic!("```{other} is no example"),
        };
        let line = |(number, text)| Line::parse(number, text).unwrap_or_else(|| panic!("line {number} says {text:?}"));
        Self { path, lines: block.lines.into_iter().map(line).collect() }
    }
}

impl Line {
    fn parse(number: usize, text: &'static str) -> Option<Self> {
        let (speaker, said) = text.split_once(": ")?;
        let (client, is_heard) = match (speaker, speaker.strip_prefix("to ")) {
            ("server", _) => ("client", true),
            (_, Some(client)) => (client, true),
            (client, None) => (client, false),
        };
        Some(Self { number, text, client, is_heard, act: Act::parse(said, is_heard)? })
    }

    /// Whether the client speaks HTTP, so that nothing opens a WebSocket for it.
    pub(crate) fn is_http(&self) -> bool {
        self.text.contains(": http")
    }

    /// Where it stands, for people.
    pub(crate) fn show(&self) -> String {
        format!("docs/wire.md:{}: {}", self.number, self.text)
    }
}

impl Act {
    fn parse(said: &str, is_heard: bool) -> Option<Self> {
        if let Some((count, said)) = said.split_once(" × ") {
            let Self::Bytes(bytes) = Self::parse(said, is_heard)? else { return None };
            return Some(Self::Bytes(bytes.repeat(count.parse().ok()?)));
        }
        let (verb, rest) = said.split_once(' ').unwrap_or((said, ""));
        let frame = match verb {
            "text" => Frame::text(rest),
            "binary" => Frame::binary(rest),
            "begin" => Frame::text(rest).unfinished(),
            "continue" => Frame::new(Frame::CONTINUATION, rest).unfinished(),
            "end" => Frame::new(Frame::CONTINUATION, rest),
            "ping" => Frame::ping(rest),
            "pong" => Frame::pong(rest),
            "close" if rest.is_empty() => Frame::new(Frame::CLOSE, ""),
            "close" => {
                let (code, words) = rest.split_once(' ').unwrap_or((rest, ""));
                Frame::close(code.parse().ok()?, words)
            }
            _ => return Self::parse_bytes(verb, rest),
        };
        let frame = if is_heard { frame.unmasked() } else { frame };
        Some(Self::Bytes(frame.to_bytes()))
    }

    fn parse_bytes(verb: &str, rest: &str) -> Option<Self> {
        Some(match (verb, rest.strip_suffix('…')) {
            ("http", Some(start)) => Self::HttpStart(start.to_owned()),
            ("http", None) => Self::Bytes(format!("{rest}\r\n").into_bytes()),
            ("body", _) => Self::Bytes(rest.into()),
            ("hex", _) => {
                let bytes: Result<_, _> = rest.split(' ').map(|byte| u8::from_str_radix(byte, 16)).collect();
                Self::Bytes(bytes.ok()?)
            }
            ("hang", _) if rest == "up" => Self::HangUp,
            _ => return None,
        })
    }
}
