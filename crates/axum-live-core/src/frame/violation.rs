//! What a client may not send.

/// Why a client's bytes are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Violation {
    #[error("unmasked frame")]
    Unmasked,
    #[error("reserved bit set")]
    ReservedBits,
    #[error("reserved opcode")]
    ReservedOpcode,
    #[error("fragmented control frame")]
    FragmentedControl,
    #[error("control frame over 125 bytes")]
    OversizedControl,
    #[error("continuation of no message")]
    StrayContinuation,
    #[error("new message inside a fragmented one")]
    InterleavedData,
    #[error("length not in its shortest form")]
    NonMinimalLength,
    #[error("close payload of one byte")]
    BadClosePayload,
    #[error("close code not allowed on the wire")]
    BadCloseCode,
    #[error("invalid UTF-8")]
    InvalidUtf8,
    #[error("message too big")]
    TooBig,
    #[error("too many fragments")]
    TooManyFragments,
}

impl Violation {
    /// The code to close with.
    pub(crate) fn code(self) -> u16 {
        match self {
            Violation::InvalidUtf8 => 1007,
            Violation::TooBig | Violation::TooManyFragments => 1009,
            _ => 1002,
        }
    }
}
