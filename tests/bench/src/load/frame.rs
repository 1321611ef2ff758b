//! WebSocket frames as a client needs them: its own written in full, the server's headers read and little more.

use std::borrow::Cow;

pub(crate) const TEXT: u8 = 0x1;
pub(crate) const CLOSE: u8 = 0x8;
pub(crate) const PING: u8 = 0x9;
pub(crate) const PONG: u8 = 0xa;

/// Not zeros, so that the server has unmasking to do.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
/// The longest payload whose length stands in the second byte.
const SHORT: u64 = 125;

/// A client's frame: final and masked.
pub(crate) fn client_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(0x80 | opcode);
    match payload.len() {
        len @ 0..=125 => frame.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        len => {
            frame.push(0x80 | 127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// One frame of the server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ServerFrame<'a> {
    pub(crate) opcode: u8,
    /// Short ones always, longer ones only if they came in one piece: a load generator that puts payloads together
    /// measures itself.
    pub(crate) payload: Option<Cow<'a, [u8]>>,
}

/// Finds the frames in the bytes of one connection, wherever these are cut.
#[derive(Debug, Default)]
pub(crate) struct Scanner {
    header: [u8; 10],
    held: usize,
    /// The frame that has begun: what of its payload is still to come, and what of a short one came already.
    begun: Option<Begun>,
}

#[derive(Debug)]
struct Begun {
    opcode: u8,
    missing: u64,
    short: Option<Vec<u8>>,
}

impl Scanner {
    /// The next frame that ends in these bytes; what belongs to it is taken off them.
    pub(crate) fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Option<ServerFrame<'a>> {
        if let Some(begun) = &mut self.begun {
            let there = take(bytes, begun.missing);
            begun.missing -= there.len() as u64;
            if let Some(short) = &mut begun.short {
                short.extend_from_slice(there);
            }
            if begun.missing > 0 {
                return None;
            }
            let Begun { opcode, short, .. } = self.begun.take()?;
            return Some(ServerFrame { opcode, payload: short.map(Cow::Owned) });
        }

        let (opcode, len) = self.header(bytes)?;
        let there = take(bytes, len);
        let missing = len - there.len() as u64;
        if missing == 0 {
            return Some(ServerFrame { opcode, payload: Some(Cow::Borrowed(there)) });
        }
        let short = (len <= SHORT).then(|| there.to_vec());
        self.begun = Some(Begun { opcode, missing, short });
        None
    }

    fn header(&mut self, bytes: &mut &[u8]) -> Option<(u8, u64)> {
        if self.held == 0
            && let Some((opcode, len, size)) = read_header(bytes)
        {
            *bytes = &bytes[size..];
            return Some((opcode, len));
        }
        while let Some((&byte, rest)) = bytes.split_first() {
            *bytes = rest;
            self.header[self.held] = byte;
            self.held += 1;
            if let Some((opcode, len, _)) = read_header(&self.header[..self.held]) {
                self.held = 0;
                return Some((opcode, len));
            }
        }
        None
    }
}

/// Opcode, length of the payload and of the header, once the header is there.
fn read_header(bytes: &[u8]) -> Option<(u8, u64, usize)> {
    let (&[first, second], rest) = bytes.split_first_chunk()?;
    let (len, size) = match second & 0x7f {
        126 => (u16::from_be_bytes(*rest.first_chunk()?).into(), 4),
        127 => (u64::from_be_bytes(*rest.first_chunk()?), 10),
        len => (len.into(), 2),
    };
    Some((first & 0x0f, len, size))
}

fn take<'a>(bytes: &mut &'a [u8], at_most: u64) -> &'a [u8] {
    let (taken, rest) = bytes.split_at(at_most.min(bytes.len() as u64) as usize);
    *bytes = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = client_frame(opcode, payload);
        let header = frame.len() - payload.len() - MASK.len();
        frame.truncate(header);
        frame[1] &= 0x7f;
        frame.extend(payload);
        frame
    }

    fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<ServerFrame<'a>> {
        let mut scanner = Scanner::default();
        let mut frames = Vec::new();
        for mut piece in pieces {
            while let Some(frame) = scanner.next(&mut piece) {
                frames.push(frame);
            }
            assert!(piece.is_empty(), "the scanner left bytes behind");
        }
        frames
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let payloads = [0, 1, 125, 126, 300, 70_000].map(|len| vec![b'x'; len]);
        let stream: Vec<u8> = payloads.iter().flat_map(|payload| server_frame(TEXT, payload)).collect();
        for cut in 0..stream.len() {
            let frames = scan([&stream[..cut], &stream[cut..]]);
            assert_eq!(frames.len(), payloads.len(), "cut at {cut}");
            for (frame, payload) in frames.iter().zip(&payloads) {
                assert_eq!(frame.opcode, TEXT, "cut at {cut}");
                if let Some(found) = &frame.payload {
                    assert_eq!(**found, **payload, "cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn short_frames_are_whole_even_byte_by_byte() {
        let stream = [server_frame(PING, b"are you there"), server_frame(TEXT, &[b'x'; 125])].concat();
        let frames = scan(stream.chunks(1));
        assert_eq!(frames[0].payload.as_deref(), Some(&b"are you there"[..]));
        assert_eq!(frames[1].payload.as_deref(), Some(&[b'x'; 125][..]));
    }

    #[test]
    fn a_long_frame_is_given_only_if_it_came_in_one_piece() {
        let stream = server_frame(TEXT, &[b'x'; 126]);
        assert_eq!(scan([&stream[..]])[0].payload.as_deref(), Some(&[b'x'; 126][..]));
        assert_eq!(scan([&stream[..100], &stream[100..]])[0].payload, None);
    }

    #[test]
    fn a_client_frame_is_masked() {
        assert_eq!(client_frame(TEXT, b"Hi"), [0x81, 0x82, 0x37, 0xfa, 0x21, 0x3d, b'H' ^ 0x37, b'i' ^ 0xfa]);
    }
}
