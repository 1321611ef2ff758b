use std::{fmt, time::Duration};

use serde_json::Value;

/// What the requests of the load generator look like. The README describes both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `{"topic": …, "data": …}`, axum-live's envelope.
    Plain,
    /// Events of Socket.IO over Engine.IO 4.
    SocketIo,
}

/// Who calls `publish` in a server that is asked to time it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Caller {
    /// The handler of the message that asks.
    Handler,
    /// A thread that runs no connections.
    Thread,
}

impl Dialect {
    /// Asks for a topic's publications; any message is the acknowledgement.
    pub(crate) fn subscribe(self, topic: usize) -> String {
        self.message("subscribe", format_args!(r#"{{"topic":"t{topic}"}}"#))
    }

    /// Publishes a text of this size that begins with the time it was due.
    pub(crate) fn publish(self, topic: usize, due: Duration, size: usize) -> String {
        let stamp = format!("@{:016x}#", due.as_nanos());
        let padding = filler(size.saturating_sub(stamp.len()));
        self.message("publish", format_args!(r#"{{"topic":"t{topic}","data":"{stamp}{padding}"}}"#))
    }

    /// Asks for the same message back.
    pub(crate) fn echo(self, size: usize) -> String {
        self.message("echo", format_args!(r#""{}""#, filler(size)))
    }

    /// Asks the server to publish and to tell how long its caller was held up.
    pub(crate) fn measure(self, topic: usize, caller: Caller, size: usize) -> String {
        let from = match caller {
            Caller::Handler => "handler",
            Caller::Thread => "thread",
        };
        let padding = filler(size);
        self.message("measure", format_args!(r#"{{"topic":"t{topic}","from":"{from}","data":"{padding}"}}"#))
    }

    /// The answer to [`measure`](Self::measure): the time, or that the server has no such caller. `None` if the text is
    /// no such answer.
    pub(crate) fn measured(self, text: &[u8]) -> Option<Option<Duration>> {
        let mut data = match self {
            Self::Plain => {
                let mut message: Value = serde_json::from_slice(text).ok()?;
                (message["topic"] == "measured").then(|| message["data"].take())?
            }
            Self::SocketIo => {
                let mut event: Value = serde_json::from_slice(text.strip_prefix(b"42")?).ok()?;
                (event[0] == "measured").then(|| event[1].take())?
            }
        };
        match data.take() {
            Value::Null => Some(None),
            data => data.as_u64().map(|nanoseconds| Some(Duration::from_nanos(nanoseconds))),
        }
    }

    fn message(self, topic: &str, data: impl fmt::Display) -> String {
        match self {
            Self::Plain => format!(r#"{{"topic":"{topic}","data":{data}}}"#),
            Self::SocketIo => format!(r#"42["{topic}",{data}]"#),
        }
    }
}

/// When the publication in this text was due, if it is one.
pub(crate) fn due(text: &[u8]) -> Option<Duration> {
    let at = text.iter().take(64).position(|byte| *byte == b'@')?;
    let stamp = text.get(at + 1..at + 17)?;
    u64::from_str_radix(str::from_utf8(stamp).ok()?, 16).ok().map(Duration::from_nanos)
}

fn filler(size: usize) -> String {
    ('a'..='z').cycle().take(size).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publication_tells_when_it_was_due_and_has_its_size() {
        for dialect in [Dialect::Plain, Dialect::SocketIo] {
            let at = Duration::from_nanos(0x1234_5678_9abc);
            let message = dialect.publish(7, at, 128);
            assert_eq!(due(message.as_bytes()), Some(at), "{message}");
            let stamped = &message[message.find('@').expect("the stamp")..message.rfind('"').expect("its end")];
            assert_eq!(stamped.len(), 128, "{message}");
        }
    }

    #[test]
    fn messages_are_json() {
        for text in [
            Dialect::Plain.subscribe(0),
            Dialect::Plain.publish(0, Duration::ZERO, 32),
            Dialect::Plain.echo(8),
            Dialect::Plain.measure(0, Caller::Thread, 8),
        ] {
            let message: Value = serde_json::from_str(&text).expect("it is JSON");
            assert!(message["topic"].is_string() && !message["data"].is_null(), "{text}");
        }
        let event = Dialect::SocketIo.measure(3, Caller::Handler, 2);
        assert_eq!(event, r#"42["measure",{"topic":"t3","from":"handler","data":"ab"}]"#);
    }

    #[test]
    fn answers_are_told_from_other_messages() {
        let measured = |dialect: Dialect, text: &str| dialect.measured(text.as_bytes());
        let time = Some(Some(Duration::from_nanos(1234)));
        assert_eq!(measured(Dialect::Plain, r#"{"topic":"measured","data":1234}"#), time);
        assert_eq!(measured(Dialect::Plain, r#"{"topic":"measured","data":null}"#), Some(None));
        assert_eq!(measured(Dialect::Plain, r#"{"topic":"error","data":1234}"#), None);
        assert_eq!(measured(Dialect::Plain, "oops"), None);
        assert_eq!(measured(Dialect::SocketIo, r#"42["measured",1234]"#), time);
        assert_eq!(measured(Dialect::SocketIo, "2"), None);
        assert_eq!(due(br#"{"topic":"t0","data":"@12"}"#), None);
    }
}
