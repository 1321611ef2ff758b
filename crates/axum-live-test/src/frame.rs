/// A WebSocket frame, right or wrong.
///
/// The constructors make frames as a client must send them: final and masked. The methods after them break one rule
/// each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// FIN, the three reserved bits, the opcode.
    first: u8,
    mask: Option<[u8; 4]>,
    /// In place of the payload's true length.
    declared: Option<u64>,
    payload: Vec<u8>,
}

impl Frame {
    /// The opcode of a fragment that is not the first.
    pub const CONTINUATION: u8 = 0x0;
    /// The opcode of text.
    pub const TEXT: u8 = 0x1;
    /// The opcode of binary data.
    pub const BINARY: u8 = 0x2;
    /// The opcode of a close frame.
    pub const CLOSE: u8 = 0x8;
    /// The opcode of a ping.
    pub const PING: u8 = 0x9;
    /// The opcode of a pong.
    pub const PONG: u8 = 0xa;

    const FIN: u8 = 0x80;
    const MASKED: u8 = 0x80;

    /// A frame with any opcode, of which the low four bits count.
    pub fn new(opcode: u8, payload: impl Into<Vec<u8>>) -> Self {
        let first = Self::FIN | opcode & 0x0f;
        Self { first, mask: Some([0x37, 0xfa, 0x21, 0x3d]), declared: None, payload: payload.into() }
    }

    /// A text frame.
    pub fn text(text: &str) -> Self {
        Self::new(Self::TEXT, text)
    }

    /// A binary frame.
    pub fn binary(data: impl Into<Vec<u8>>) -> Self {
        Self::new(Self::BINARY, data)
    }

    /// A ping.
    pub fn ping(data: impl Into<Vec<u8>>) -> Self {
        Self::new(Self::PING, data)
    }

    /// A pong.
    pub fn pong(data: impl Into<Vec<u8>>) -> Self {
        Self::new(Self::PONG, data)
    }

    /// A close frame.
    pub fn close(code: u16, reason: &str) -> Self {
        Self::new(Self::CLOSE, [&code.to_be_bytes(), reason.as_bytes()].concat())
    }

    /// Clears FIN: more fragments are to follow.
    pub fn unfinished(mut self) -> Self {
        self.first &= !Self::FIN;
        self
    }

    /// Sets the reserved bits: 4 for RSV1, 2 for RSV2, 1 for RSV3, or a sum of them.
    pub fn reserved(mut self, bits: u8) -> Self {
        self.first = self.first & 0x8f | (bits & 0x7) << 4;
        self
    }

    /// Leaves out the mask, as only a server may.
    pub fn unmasked(mut self) -> Self {
        self.mask = None;
        self
    }

    /// Declares another length than that of the payload.
    pub fn declaring(mut self, length: u64) -> Self {
        self.declared = Some(length);
        self
    }

    /// The opcode.
    pub fn opcode(&self) -> u8 {
        self.first & 0x0f
    }

    /// Whether FIN is set.
    pub fn is_final(&self) -> bool {
        self.first & Self::FIN != 0
    }

    /// The reserved bits, as [`reserved`](Self::reserved) takes them.
    pub fn reserved_bits(&self) -> u8 {
        self.first >> 4 & 0x7
    }

    /// Whether it is masked, as a server's frame may not be.
    pub fn is_masked(&self) -> bool {
        self.mask.is_some()
    }

    /// The payload, without the mask.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload, where it is text.
    pub fn as_text(&self) -> Option<&str> {
        let text = self.opcode() == Self::TEXT && self.is_final();
        text.then(|| std::str::from_utf8(&self.payload).ok())?
    }

    /// Code and reason of a close frame; without a payload, it has no code and an empty reason.
    pub fn as_close(&self) -> Option<(Option<u16>, &str)> {
        if self.opcode() != Self::CLOSE {
            return None;
        }
        match self.payload.split_first_chunk() {
            Some((code, reason)) => Some((Some(u16::from_be_bytes(*code)), std::str::from_utf8(reason).ok()?)),
            None if self.payload.is_empty() => Some((None, "")),
            None => None,
        }
    }

    /// The bytes on the wire.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.first];
        let masked = if self.mask.is_some() { Self::MASKED } else { 0 };
        let length = self.declared.unwrap_or(self.payload.len() as u64);
        match (u8::try_from(length), u16::try_from(length)) {
            (Ok(length @ ..=125), _) => bytes.push(masked | length),
            (_, Ok(length)) => {
                bytes.push(masked | 126);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
            _ => {
                bytes.push(masked | 127);
                bytes.extend_from_slice(&length.to_be_bytes());
            }
        }
        bytes.extend(self.mask.iter().flatten());
        bytes.extend(masking(self.mask, &self.payload));
        bytes
    }

    /// Takes the first frame out of what was received, once it is whole.
    pub(crate) fn take(received: &mut Vec<u8>) -> Option<Self> {
        let mut rest = received.as_slice();
        let [first, second] = *take_array(&mut rest)?;
        let length = match second & !Self::MASKED {
            126 => u16::from_be_bytes(*take_array(&mut rest)?).into(),
            127 => u64::from_be_bytes(*take_array(&mut rest)?),
            length => length.into(),
        };
        let mask = if second & Self::MASKED == 0 { None } else { Some(*take_array(&mut rest)?) };
        let payload = rest.get(..usize::try_from(length).ok()?)?;
        let frame = Self { first, mask, declared: None, payload: masking(mask, payload).collect() };
        let end = received.len() - rest.len() + payload.len();
        received.drain(..end);
        Some(frame)
    }
}

fn take_array<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (array, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(array)
}

/// Masks and unmasks alike.
fn masking(mask: Option<[u8; 4]>, payload: &[u8]) -> impl Iterator<Item = u8> {
    let key = mask.unwrap_or_default().into_iter().cycle();
    payload.iter().zip(key).map(|(byte, key)| byte ^ key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_rfc_are_written_as_in_the_rfc() {
        assert_eq!(Frame::text("Hello").unmasked().to_bytes(), b"\x81\x05Hello");
        assert_eq!(Frame::text("Hello").to_bytes(), b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58");
        assert_eq!(Frame::text("Hel").unfinished().unmasked().to_bytes(), b"\x01\x03Hel");
        assert_eq!(Frame::binary([0; 256]).unmasked().to_bytes()[..4], *b"\x82\x7e\x01\x00");
        assert_eq!(Frame::binary([0; 65536]).unmasked().to_bytes()[..10], *b"\x82\x7f\0\0\0\0\0\x01\0\0");
    }

    #[test]
    fn faults_are_written_as_asked() {
        assert_eq!(Frame::new(0xb, "").reserved(5).unmasked().to_bytes(), b"\xdb\0");
        assert_eq!(Frame::text("a").unmasked().declaring(1 << 63).to_bytes(), b"\x81\x7f\x80\0\0\0\0\0\0\0a");
        assert_eq!(Frame::text("").unmasked().declaring(126).to_bytes(), b"\x81\x7e\0\x7e");
    }

    #[test]
    fn what_is_written_is_read_again_byte_by_byte() {
        for length in [0, 1, 125, 126, 127, 65535, 65536] {
            for frame in
                [Frame::binary(vec![7; length]), Frame::binary(vec![7; length]).unmasked().unfinished().reserved(2)]
            {
                let bytes = frame.to_bytes();
                for cut in [0, 1, 2, 3, bytes.len() - 1] {
                    assert_eq!(Frame::take(&mut bytes[..cut.min(bytes.len() - 1)].to_vec()), None);
                }
                let mut received = [bytes, vec![1]].concat();
                assert_eq!(Frame::take(&mut received), Some(frame));
                assert_eq!(received, [1]);
            }
        }
    }

    #[test]
    fn a_close_frame_tells_code_and_reason() {
        assert_eq!(Frame::close(1001, "bye").as_close(), Some((Some(1001), "bye")));
        assert_eq!(Frame::new(Frame::CLOSE, "").as_close(), Some((None, "")));
        assert_eq!(Frame::new(Frame::CLOSE, "x").as_close(), None);
        assert_eq!(Frame::text("x").as_close(), None);
    }
}
