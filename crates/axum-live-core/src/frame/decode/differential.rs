//! Our decoder and tungstenite's before the same bytes: every difference that is tolerated stands here, with its reason.

use std::io::{self, Cursor, Read, Write};

use tungstenite::{
    Error, Message, WebSocket,
    protocol::{CloseFrame, Role, WebSocketConfig},
};

use super::{
    Event, Violation,
    caller::{LIMIT, decode},
};
use crate::frame::Frame;

/// Panics where the two differ.
pub(super) fn compare(wire: &[u8]) {
    let (ours, violation) = decode(wire, &[usize::MAX]);
    // Tungstenite judges a frame when all of it has come, and we as early as we can.
    let (theirs, code) = match violation {
        Some(_) => tungstenite(&completed(wire)),
        None => tungstenite(wire),
    };
    let (same, rest) = theirs.split_at(ours.len().min(theirs.len()));

    match (violation, code, rest) {
        (None, None, []) if ends_with_code(&ours, 1014) => {
            // It does not know 1014, which came into IANA's registry after the RFC.
            let (close, before) = ours.split_last().expect("it ends with a close");
            assert_eq!(same, [before, &[replaced_close()]].concat(), "for {close:?}");
        }
        (Some(Violation::BadCloseCode), None, [close]) => {
            // It answers a bad code with a close of its own, and shows the caller that one.
            assert_eq!((same, close), (&ours[..], &replaced_close()));
        }
        // It checks a close frame's reason before the code.
        (Some(Violation::BadCloseCode), Some(1007), []) => assert_eq!(same, ours),
        // It weighs the declared length before it looks at the rest of the header. A length past 63
        // bits is to it a length over the limit.
        (Some(violation), Some(1009), []) if violation.code() == 1002 => assert_eq!(same, ours),
        // It accepts a length in a longer form than it needs, which in a control frame we take for an
        // oversized one.
        (Some(Violation::NonMinimalLength | Violation::OversizedControl), _, _) => assert_eq!(same, ours),
        // It counts no fragments.
        (Some(Violation::TooManyFragments), _, _) => assert_eq!(same, ours),
        _ => assert_eq!((&theirs, code), (&ours, violation.map(Violation::code))),
    }
}

/// What tungstenite makes of `wire`: the events, and the code of the error that ended them.
fn tungstenite(wire: &[u8]) -> (Vec<Event>, Option<u16>) {
    let config =
        WebSocketConfig::default().read_buffer_size(4096).max_message_size(Some(LIMIT)).max_frame_size(Some(LIMIT));
    let mut socket = WebSocket::from_raw_socket(Wire(Cursor::new(wire)), Role::Server, Some(config));
    let mut events = Vec::new();
    loop {
        let event = match socket.read() {
            Ok(Message::Text(text)) => Event::Message(Frame::text(text)),
            Ok(Message::Binary(payload)) => Event::Message(Frame::binary(payload)),
            Ok(Message::Ping(payload)) => Event::Ping(payload),
            Ok(Message::Pong(_)) => Event::Pong,
            Ok(Message::Close(body)) => {
                let body = body.map(|CloseFrame { code, reason }| (code.into(), reason.to_string()));
                events.push(Event::Close(body));
                return (events, None);
            }
            Ok(Message::Frame(_)) => unreachable!("not given to readers"),
            Err(Error::Protocol(error)) if error == END => return (events, None),
            Err(Error::Protocol(_)) => return (events, Some(1002)),
            Err(Error::Utf8(_)) => return (events, Some(1007)),
            Err(Error::Capacity(_)) => return (events, Some(1009)),
            Err(error) => panic!("{error}"),
        };
        events.push(event);
    }
}

/// How tungstenite says that the bytes have come to their end.
const END: tungstenite::error::ProtocolError = tungstenite::error::ProtocolError::ResetWithoutClosingHandshake;

/// What tungstenite makes of a close whose code it does not allow.
fn replaced_close() -> Event {
    Event::Close(Some((1002, "Protocol violation".to_owned())))
}

fn ends_with_code(events: &[Event], code: u16) -> bool {
    matches!(events.last(), Some(Event::Close(Some((last, _)))) if *last == code)
}

/// `wire`, and zeros up to the end of the frame in which it ends.
fn completed(wire: &[u8]) -> Vec<u8> {
    let mut wire = wire.to_vec();
    let mut start = 0;
    while start < wire.len() {
        let mut byte = |at: usize| {
            wire.resize(wire.len().max(start + at + 1), 0);
            wire[start + at]
        };
        let second = byte(1);
        let long = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let len = (0..long).fold(0, |len, at| len << 8 | u64::from(byte(2 + at)));
        let len = if long == 0 { u64::from(second & 0x7F) } else { len };
        let header = 2 + long + usize::from(second >> 7) * 4;
        byte(header - 1);
        if len > LIMIT as u64 {
            // The header is enough to refuse it.
            return wire;
        }
        start += header + len as usize;
    }
    wire.resize(start, 0);
    wire
}

/// A socket that gives `wire` to its reader and takes whatever is written.
struct Wire<'a>(Cursor<&'a [u8]>);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::client::{hostile, legal},
        *,
    };

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1000))]

        #[test]
        fn legal_streams_mean_the_same_to_tungstenite(sent in legal()) {
            let wire: Vec<u8> = sent.into_iter().flat_map(|(wire, _)| wire).collect();
            compare(&wire);
        }

        #[test]
        fn hostile_streams_mean_the_same_to_tungstenite(wire in hostile()) {
            compare(&wire);
        }
    }
}
