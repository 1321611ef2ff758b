//! Client frames: bytes in, messages and control frames out.

use std::mem;

use bytes::Bytes;

use super::{
    Frame, Opcode, Violation,
    encode::HEADER_ROOM,
    incoming::{Bounds, Incoming},
};

/// Decodes what one client sends.
///
/// It refuses whatever RFC 6455 lets it refuse, and as early as it can: from the header where the header
/// tells, from the first bad byte of a text otherwise. Between messages it holds no heap memory.
pub(crate) struct Decoder {
    /// The most bytes of one message.
    limit: usize,
    /// The most frames of one message.
    max_fragments: u32,
    /// What has come in part, which is rarely anything.
    partial: Option<Box<Partial>>,
}

/// A message of which something has come, and not all.
#[derive(Default)]
struct Partial {
    /// Its frames.
    fragments: u32,
    /// Its kind, once it is known.
    message: Option<Opcode>,
    /// How many bytes at the end of a text begin a character that they do not end.
    unfinished: u8,
    /// Its payload after [`HEADER_ROOM`] spare bytes, then a control frame that came between.
    /// Empty until a payload comes in pieces.
    buffer: Vec<u8>,
    state: State,
}

/// What a client has sent: at most one per call to [`Decoder::decode`].
#[cfg_attr(any(test, fuzzing), derive(Clone, Debug, PartialEq))]
pub(crate) enum Event {
    /// A whole message, as a frame that can go out as it is.
    Message(Frame),
    /// A ping, to be answered by a pong with the same payload.
    Ping(Bytes),
    /// A pong, asked for or not: a sign of life whatever it carries.
    Pong,
    /// The last thing a client says: its code and reason, if it gave one.
    Close(Option<(u16, String)>),
}

impl Decoder {
    /// A decoder of messages of at most `limit` bytes in at most `max_fragments` frames.
    pub(crate) fn new(limit: usize, max_fragments: u32) -> Decoder {
        Decoder { limit, max_fragments, partial: None }
    }

    /// Whether no message and no frame is under way.
    pub(crate) fn is_idle(&self) -> bool {
        self.partial.is_none()
    }

    /// What is held of the message under way, in bytes.
    #[cfg(any(test, fuzzing))]
    fn capacity(&self) -> usize {
        self.partial.as_ref().map_or(0, |partial| partial.buffer.capacity())
    }

    /// Consumes from the front of `input`, unmasking in place: answers how many bytes, and at most one event.
    ///
    /// No event means that all of `input` was consumed and more is needed. After [`Event::Close`] or a
    /// violation the stream has no meaning any more: the caller decodes nothing after it.
    ///
    /// # Errors
    ///
    /// The first rule that the client breaks.
    pub(crate) fn decode(&mut self, input: &mut [u8]) -> Result<(usize, Option<Event>), Violation> {
        if let Some(partial) = &mut self.partial {
            let decoded = partial.decode(self.limit, self.max_fragments, input)?;
            if partial.is_none() {
                self.partial = None;
            }
            return Ok(decoded);
        }
        let mut partial = Partial::default();
        let decoded = partial.decode(self.limit, self.max_fragments, input)?;
        if !partial.is_none() {
            self.partial = Some(Box::new(partial));
        }
        Ok(decoded)
    }
}

impl Partial {
    /// Whether nothing has come of a message.
    fn is_none(&self) -> bool {
        self.message.is_none() && matches!(self.state, State::Header { have: 0, .. })
    }

    fn decode(
        &mut self,
        limit: usize,
        max_fragments: u32,
        input: &mut [u8],
    ) -> Result<(usize, Option<Event>), Violation> {
        let mut taken = 0;
        loop {
            let mut frame = match self.state {
                State::Payload(frame) => frame,
                State::Header { mut bytes, have } => {
                    let have = usize::from(have);
                    let fresh = (input.len() - taken).min(Incoming::HEADER_MAX - have);
                    bytes[have..have + fresh].copy_from_slice(&input[taken..taken + fresh]);
                    let bounds = Bounds {
                        message: self.message,
                        frames: max_fragments - self.fragments,
                        bytes: limit - self.buffer.len().saturating_sub(HEADER_ROOM),
                    };
                    match Incoming::parse(&bytes[..have + fresh], &bounds)? {
                        Some((len, frame)) => {
                            taken += len - have;
                            self.fragments += u32::from(!frame.opcode.is_control());
                            frame
                        }
                        None => {
                            self.state = State::Header { bytes, have: (have + fresh) as u8 };
                            return Ok((taken + fresh, None));
                        }
                    }
                }
            };

            let chunk_len = frame.left.min(input.len() - taken);
            let chunk = &mut input[taken..taken + chunk_len];
            taken += chunk_len;
            frame.left -= chunk_len;
            frame.mask.apply(chunk);

            let event =
                if frame.opcode.is_control() { self.control(&frame, chunk)? } else { self.data(&frame, chunk)? };
            if frame.left > 0 {
                self.state = State::Payload(frame);
                return Ok((taken, None));
            }
            self.state = State::START;
            if event.is_some() {
                return Ok((taken, event));
            }
        }
    }

    /// Takes the next payload bytes of a message; its last ones complete it.
    fn data(&mut self, frame: &Incoming, chunk: &[u8]) -> Result<Option<Event>, Violation> {
        let last = frame.ends_message();
        if last {
            self.message = None;
            self.fragments = 0;
        } else {
            self.message = Some(frame.opcode);
        }

        if last && self.buffer.is_empty() {
            // The whole message lies in the input: one copy, into an allocation that fits.
            if frame.opcode == Opcode::Text && str::from_utf8(chunk).is_err() {
                return Err(Violation::InvalidUtf8);
            }
            return Ok(Some(Event::Message(Frame::copied(frame.opcode, chunk))));
        }
        if self.buffer.is_empty() && !chunk.is_empty() {
            self.buffer.reserve(HEADER_ROOM + chunk.len());
            self.buffer.resize(HEADER_ROOM, 0);
        }
        self.buffer.extend_from_slice(chunk);
        if frame.opcode == Opcode::Text {
            self.check_text(chunk.len())?;
            if last && self.unfinished > 0 {
                return Err(Violation::InvalidUtf8);
            }
        }
        Ok(last.then(|| Event::Message(Frame::in_place(frame.opcode, mem::take(&mut self.buffer)))))
    }

    /// Checks the `fresh` last bytes of the text under way, and the character that they may end.
    fn check_text(&mut self, fresh: usize) -> Result<(), Violation> {
        let checked = self.buffer.len() - fresh - usize::from(self.unfinished);
        let unchecked = &self.buffer[checked..];
        self.unfinished = match str::from_utf8(unchecked) {
            Ok(_) => 0,
            Err(error) if error.error_len().is_none() => (unchecked.len() - error.valid_up_to()) as u8,
            Err(_) => return Err(Violation::InvalidUtf8),
        };
        Ok(())
    }

    /// Takes the next payload bytes of a control frame; its last ones complete it.
    fn control(&mut self, frame: &Incoming, chunk: &[u8]) -> Result<Option<Event>, Violation> {
        let payload = if chunk.len() == frame.len {
            Bytes::copy_from_slice(chunk)
        } else {
            self.buffer.extend_from_slice(chunk);
            if frame.left > 0 {
                return Ok(None);
            }
            let start = self.buffer.len() - frame.len;
            let payload = Bytes::copy_from_slice(&self.buffer[start..]);
            self.buffer.truncate(start);
            if start == 0 {
                self.buffer = Vec::new();
            }
            payload
        };
        match frame.opcode {
            Opcode::Ping => Ok(Some(Event::Ping(payload))),
            Opcode::Pong => Ok(Some(Event::Pong)),
            _ => parse_close(&payload).map(|body| Some(Event::Close(body))),
        }
    }
}

#[derive(Clone, Copy)]
enum State {
    /// Before or in a header: the bytes of it that have come.
    Header { bytes: [u8; Incoming::HEADER_MAX], have: u8 },
    /// In a payload.
    Payload(Incoming),
}

impl State {
    const START: State = State::Header { bytes: [0; Incoming::HEADER_MAX], have: 0 };
}

impl Default for State {
    fn default() -> Self {
        Self::START
    }
}

/// Reads a close frame's payload, which is not of one byte: the header would have been refused.
fn parse_close(payload: &[u8]) -> Result<Option<(u16, String)>, Violation> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        return Ok(None);
    };
    let code = u16::from_be_bytes(*code);
    if !matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999) {
        return Err(Violation::BadCloseCode);
    }
    let reason = str::from_utf8(reason).map_err(|_| Violation::InvalidUtf8)?;
    Ok(Some((code, reason.to_owned())))
}

/// Holds the decoder to tungstenite's verdict on these bytes, in whatever pieces they come; panics where they differ.
#[cfg(fuzzing)]
pub(crate) fn check(wire: &[u8], pieces: &[usize]) {
    differential::compare(wire);
    assert_eq!(caller::decode(wire, pieces), caller::decode(wire, &[usize::MAX]), "in pieces of {pieces:?}");
}

#[cfg(any(test, fuzzing))]
mod caller;
#[cfg(test)]
mod client;
#[cfg(any(test, fuzzing))]
mod differential;
#[cfg(test)]
mod tests;
