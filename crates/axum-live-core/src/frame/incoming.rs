//! A client's frame, known by its header.

use super::{CONTROL_MAX, FIN, Opcode, Violation, mask::Mask};

/// A frame whose header has passed every check and whose payload is on its way.
#[derive(Clone, Copy)]
pub(super) struct Incoming {
    /// Whether the frame is its message's last.
    pub(super) fin: bool,
    /// The message's, where the frame continues one.
    pub(super) opcode: Opcode,
    pub(super) mask: Mask,
    /// The payload's length.
    pub(super) len: usize,
    /// How much of the payload is still to come.
    pub(super) left: usize,
}

/// What the message under way leaves to the next frame.
pub(super) struct Bounds {
    /// The kind of the message under way.
    pub(super) message: Option<Opcode>,
    /// The frames that it may still have.
    pub(super) frames: u32,
    /// The bytes that it may still have.
    pub(super) bytes: usize,
}

impl Incoming {
    /// A client's longest header: two bytes, eight of length, four of mask.
    pub(super) const HEADER_MAX: usize = 14;

    /// Reads the header at the front of `bytes` and tells its length; `None` asks for more bytes.
    ///
    /// # Errors
    ///
    /// The first rule that the header breaks, as soon as the byte has come that breaks it: all but the
    /// length's rules are decided on the first two.
    pub(super) fn parse(bytes: &[u8], bounds: &Bounds) -> Result<Option<(usize, Self)>, Violation> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        if first & 0x70 != 0 {
            return Err(Violation::ReservedBits);
        }
        if second & 0x80 == 0 {
            return Err(Violation::Unmasked);
        }
        let fin = first & FIN != 0;
        let short = second & 0x7F;
        let opcode = Opcode::of(*first).ok_or(Violation::ReservedOpcode)?;
        let opcode = match (opcode, bounds.message) {
            (Opcode::Continuation, message) => message.ok_or(Violation::StrayContinuation)?,
            (Opcode::Text | Opcode::Binary, Some(_)) => return Err(Violation::InterleavedData),
            _ => opcode,
        };
        if opcode.is_control() {
            if !fin {
                return Err(Violation::FragmentedControl);
            }
            if usize::from(short) > CONTROL_MAX {
                return Err(Violation::OversizedControl);
            }
            if opcode == Opcode::Close && short == 1 {
                return Err(Violation::BadClosePayload);
            }
        } else if bounds.frames == 0 {
            return Err(Violation::TooManyFragments);
        }

        let (len, rest) = match short {
            126 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from(u16::from_be_bytes(*len)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((len, rest)) => (u64::from_be_bytes(*len), rest),
                None => return Ok(None),
            },
            _ => (u64::from(short), rest),
        };
        if short == 126 && len < 126 || short == 127 && len <= 0xFFFF {
            return Err(Violation::NonMinimalLength);
        }
        if !opcode.is_control() && len > bounds.bytes as u64 {
            return Err(Violation::TooBig);
        }

        let Some((key, rest)) = rest.split_first_chunk() else {
            return Ok(None);
        };
        let len = len as usize;
        let frame = Incoming { fin, opcode, mask: Mask::new(*key), len, left: len };
        Ok(Some((bytes.len() - rest.len(), frame)))
    }

    /// Whether the whole payload has come, and with it the message's end.
    pub(super) fn ends_message(&self) -> bool {
        self.fin && self.left == 0
    }
}
