//! Server frames: whole, unmasked, encoded once.

use std::{fmt, sync::Arc, time::Instant};

use bytes::{Buf, Bytes};

use super::{CONTROL_MAX, FIN, Opcode};
use crate::budget::{Budget, Charge};

/// One data message as it goes over the wire: encoded once, shared by every session it is sent to.
///
/// A server's frames are not masked, so they are the same bytes for every receiver. Cloning a frame
/// counts a reference and copies nothing: build it once and send it to as many sessions as you like.
/// Two frames are equal if their kind and payload are.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use axum_live::Frame;
///
/// let frame = Frame::text("hello");
/// assert!(frame.is_text());
/// assert_eq!(frame.as_text(), Some("hello"));
/// assert_eq!(frame.clone(), frame);
/// ```
#[derive(Clone)]
pub struct Frame {
    /// Header and payload; the second byte tells where the header ends.
    wire: Bytes,
    /// Its share of the node's memory, while it waits for a client.
    charge: Option<Arc<Charge>>,
}

impl Frame {
    /// A text message.
    ///
    /// # Examples
    ///
    /// ```
    /// # extern crate axum_live_core as axum_live;
    /// use axum_live::Frame;
    ///
    /// assert_eq!(Frame::text("hello").payload(), b"hello");
    /// ```
    pub fn text(payload: impl AsRef<str>) -> Frame {
        Frame::encode(Opcode::Text, &[payload.as_ref().as_bytes()])
    }

    /// A binary message.
    ///
    /// # Examples
    ///
    /// ```
    /// # extern crate axum_live_core as axum_live;
    /// use axum_live::Frame;
    ///
    /// assert_eq!(Frame::binary([1, 2, 3]).payload(), [1, 2, 3]);
    /// ```
    pub fn binary(payload: impl AsRef<[u8]>) -> Frame {
        Frame::encode(Opcode::Binary, &[payload.as_ref()])
    }

    /// What the message carries.
    pub fn payload(&self) -> &[u8] {
        &self.wire[self.header_len()..]
    }

    /// What the message carries, shared with the frame's clones and not copied.
    ///
    /// # Examples
    ///
    /// ```
    /// # extern crate axum_live_core as axum_live;
    /// use axum_live::Frame;
    ///
    /// let payload = Frame::binary([1, 2, 3]).into_payload();
    /// assert_eq!(&payload[..], [1, 2, 3]);
    /// ```
    pub fn into_payload(mut self) -> Bytes {
        self.wire.advance(self.header_len());
        self.wire
    }

    /// Whether this is a text message.
    pub fn is_text(&self) -> bool {
        self.opcode() == Opcode::Text
    }

    /// Whether this is a binary message.
    pub fn is_binary(&self) -> bool {
        self.opcode() == Opcode::Binary
    }

    /// The payload of a text message, `None` for a binary one.
    ///
    /// Each call checks the payload's UTF-8 anew, so keep the answer where you need it twice.
    ///
    /// # Examples
    ///
    /// ```
    /// # extern crate axum_live_core as axum_live;
    /// use axum_live::Frame;
    ///
    /// assert_eq!(Frame::text("hello").as_text(), Some("hello"));
    /// assert_eq!(Frame::binary("hello").as_text(), None);
    /// ```
    pub fn as_text(&self) -> Option<&str> {
        self.is_text().then(|| str::from_utf8(self.payload()).ok()).flatten()
    }

    /// A text message, written where it stays.
    ///
    /// The caller vouches that what it appends is UTF-8.
    ///
    /// # Errors
    ///
    /// Those of `write`.
    pub(crate) fn text_by<E>(write: impl FnOnce(&mut Vec<u8>) -> Result<(), E>) -> Result<Frame, E> {
        let mut buffer = Vec::with_capacity(256);
        buffer.resize(HEADER_ROOM, 0);
        write(&mut buffer)?;
        let frame = Frame::in_place(Opcode::Text, buffer);
        debug_assert!(frame.as_text().is_some(), "the text is not UTF-8");
        Ok(frame)
    }

    /// A ping of at most 125 bytes.
    pub(crate) fn ping(payload: &[u8]) -> Frame {
        Frame::control(Opcode::Ping, &[payload])
    }

    /// The answer to a ping: its own payload.
    pub(crate) fn pong(payload: &[u8]) -> Frame {
        Frame::control(Opcode::Pong, &[payload])
    }

    /// A close frame; a reason past 123 bytes is cut at a character boundary.
    pub(crate) fn close(code: u16, reason: &str) -> Frame {
        let code = code.to_be_bytes();
        let mut end = reason.len().min(CONTROL_MAX - code.len());
        while !reason.is_char_boundary(end) {
            end -= 1;
        }
        Frame::control(Opcode::Close, &[&code, &reason.as_bytes()[..end]])
    }

    /// A close frame without a body: the answer to a close that names no code.
    pub(crate) fn close_empty() -> Frame {
        Frame::control(Opcode::Close, &[])
    }

    /// Whether this is a ping, a pong or a close.
    pub(crate) fn is_control(&self) -> bool {
        self.opcode().is_control()
    }

    /// The bytes to write.
    pub(crate) fn wire(&self) -> &Bytes {
        &self.wire
    }

    /// The number of bytes to write.
    pub(crate) fn len(&self) -> usize {
        self.wire.len()
    }

    /// Charges the frame, and the clones made of it from now on, to a node's memory; once.
    pub(crate) fn charge(&mut self, budget: &Arc<Budget>) {
        let bytes = self.len();
        self.charge.get_or_insert_with(|| Arc::new(budget.charge(bytes)));
    }

    /// From when on it has waited, if it does.
    pub(crate) fn waits_since(&self) -> Option<Instant> {
        self.charge.as_ref().map(|charge| charge.since())
    }

    /// A frame of a copied payload, in one allocation that fits.
    pub(super) fn copied(opcode: Opcode, payload: &[u8]) -> Frame {
        Frame::encode(opcode, &[payload])
    }

    /// A frame made where its payload lies: `buffer` is [`HEADER_ROOM`] spare bytes, then the payload.
    pub(super) fn in_place(opcode: Opcode, mut buffer: Vec<u8>) -> Frame {
        let len = buffer.len() - HEADER_ROOM;
        let room = buffer.first_chunk_mut().expect("the caller left room for a header");
        let start = write_header(room, opcode, len);
        // A boxed slice gives back what the buffer had grown too much.
        let mut wire = Bytes::from(buffer.into_boxed_slice());
        wire.advance(start);
        Frame { wire, charge: None }
    }

    fn control(opcode: Opcode, parts: &[&[u8]]) -> Frame {
        let frame = Frame::encode(opcode, parts);
        debug_assert!(frame.payload().len() <= CONTROL_MAX, "a control frame past 125 bytes");
        frame
    }

    fn encode(opcode: Opcode, parts: &[&[u8]]) -> Frame {
        let len = parts.iter().map(|part| part.len()).sum();
        let mut room = [0; HEADER_ROOM];
        let header = write_header(&mut room, opcode, len);
        let header = &room[header..];
        let mut wire = Vec::with_capacity(header.len() + len);
        wire.extend_from_slice(header);
        for part in parts {
            wire.extend_from_slice(part);
        }
        Frame { wire: wire.into(), charge: None }
    }

    fn opcode(&self) -> Opcode {
        Opcode::of(self.wire[0]).expect("every constructor writes an opcode")
    }

    fn header_len(&self) -> usize {
        match self.wire[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        }
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        self.wire == other.wire
    }
}

impl Eq for Frame {}

impl fmt::Debug for Frame {
    /// The kind and the length: a payload has no place in a log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Frame").field("opcode", &self.opcode()).field("len", &self.payload().len()).finish()
    }
}

/// The longest header of a server frame.
pub(super) const HEADER_ROOM: usize = 10;

/// Writes the shortest header at the end of `room` and tells where it starts.
fn write_header(room: &mut [u8; HEADER_ROOM], opcode: Opcode, len: usize) -> usize {
    // Each of the three forms ends in the low bytes of the big-endian length.
    room[2..].copy_from_slice(&(len as u64).to_be_bytes());
    let start = match len {
        0..=125 => 8,
        126..=0xFFFF => {
            room[7] = 126;
            6
        }
        _ => {
            room[1] = 127;
            0
        }
    };
    room[start] = FIN | opcode as u8;
    start
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_takes_the_shortest_form() {
        for (len, header) in [
            (0, &[0x82, 0][..]),
            (125, &[0x82, 125]),
            (126, &[0x82, 126, 0, 126]),
            (65_535, &[0x82, 126, 0xFF, 0xFF]),
            (65_536, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let payload = vec![7; len];
            let frame = Frame::binary(&payload);
            assert_eq!(&frame.wire()[..], [header, &payload].concat());
            assert_eq!(frame.payload(), payload);

            let buffer = [&[0; HEADER_ROOM][..], &payload].concat();
            assert_eq!(Frame::in_place(Opcode::Binary, buffer), frame);
        }
    }

    #[test]
    fn frame_holds_no_more_than_it_sends() {
        let mut buffer = Vec::with_capacity(1000);
        buffer.extend([0; HEADER_ROOM]);
        buffer.extend(b"abc");
        for frame in [Frame::in_place(Opcode::Binary, buffer), Frame::binary("abc")] {
            assert_eq!(frame.len(), 5);
            assert_eq!(frame.wire.try_into_mut().expect("not shared").capacity(), 5);
        }
    }

    #[test]
    fn text_written_in_place_makes_the_same_frame() {
        let written = Frame::text_by(|text| {
            text.extend_from_slice("{\"a\":é}".as_bytes());
            Ok::<(), ()>(())
        });
        assert_eq!(written, Ok(Frame::text("{\"a\":é}")));
        assert_eq!(Frame::text_by(|_| Err("no")), Err("no"));
    }

    #[test]
    fn kinds_differ() {
        assert_ne!(Frame::text("x"), Frame::binary("x"));
        assert!(Frame::text("x").is_text() && !Frame::text("x").is_binary());
        assert!(Frame::binary("x").is_binary() && !Frame::binary("x").is_text());
        for control in [Frame::ping(b""), Frame::pong(b""), Frame::close_empty()] {
            assert!(control.is_control() && !control.is_text() && !control.is_binary());
        }
        assert!(!Frame::text("").is_control() && !Frame::binary("").is_control());
    }

    #[test]
    fn control_frames_are_as_the_rfc_writes_them() {
        assert_eq!(&Frame::ping(b"hi").wire()[..], b"\x89\x02hi");
        assert_eq!(&Frame::pong(b"hi").wire()[..], b"\x8A\x02hi");
        assert_eq!(&Frame::close(1000, "bye").wire()[..], b"\x88\x05\x03\xE8bye");
        assert_eq!(&Frame::close_empty().wire()[..], b"\x88\x00");
    }

    #[test]
    fn close_reason_is_cut_at_a_character() {
        assert_eq!(Frame::close(1000, &"x".repeat(200)).len(), 2 + 125);
        let frame = Frame::close(1000, &"é".repeat(100));
        assert_eq!(&frame.payload()[2..], "é".repeat(61).as_bytes());
    }

    #[test]
    fn debug_keeps_the_payload_to_itself() {
        assert_eq!(format!("{:?}", Frame::text("secret")), "Frame { opcode: Text, len: 6 }");
    }

    #[test]
    fn payload_is_shared_and_not_copied() {
        let frame = Frame::text("hello");
        let payload = frame.clone().into_payload();
        assert_eq!(payload.as_ptr(), frame.payload().as_ptr());
        assert_eq!(payload, "hello");
    }
}
