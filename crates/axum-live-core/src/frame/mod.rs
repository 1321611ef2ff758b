//! RFC 6455, server side, without IO: client bytes in, one encoded [`Frame`] out.

mod decode;
mod encode;
mod incoming;
mod mask;
mod violation;

#[cfg(fuzzing)]
pub(crate) use decode::check;
pub(crate) use decode::{Decoder, Event};
pub use encode::Frame;
pub(crate) use violation::Violation;

/// What a frame carries: the low four bits of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

impl Opcode {
    /// The opcode of a frame's first byte, unless it is one that the RFC reserves.
    fn of(first: u8) -> Option<Opcode> {
        Some(match first & 0x0F {
            0x0 => Opcode::Continuation,
            0x1 => Opcode::Text,
            0x2 => Opcode::Binary,
            0x8 => Opcode::Close,
            0x9 => Opcode::Ping,
            0xA => Opcode::Pong,
            _ => return None,
        })
    }

    fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }
}

/// The bit of a frame's first byte that ends its message.
const FIN: u8 = 0x80;

/// The most that a control frame may carry.
const CONTROL_MAX: usize = 125;
