use std::io;

use axum_live_core::{CloseCode, CloseReason};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    task,
};

/// The client's end of a stream, of either kind.
pub(super) trait Peer: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Peer for T {}

/// One client, and all that it got.
pub(super) struct Client {
    /// `None` once it has vanished.
    peer: Option<Box<dyn Peer>>,
    got: Vec<u8>,
}

/// A server's frame, found well-formed.
struct Frame<'a> {
    first: u8,
    payload: &'a [u8],
}

impl Client {
    pub(super) fn new(peer: Box<dyn Peer>) -> Self {
        Self { peer: Some(peer), got: Vec::new() }
    }

    /// Sends what the stream takes.
    pub(super) async fn send(&mut self, mut bytes: &[u8]) {
        while let Some(peer) = &mut self.peer
            && !bytes.is_empty()
        {
            tokio::select! {
                biased;
                sent = peer.write(bytes) => match sent {
                    Ok(count @ 1..) => bytes = &bytes[count..],
                    Ok(0) | Err(_) => return,
                },
                // The other end has had its turn, and takes no more.
                () = task::yield_now() => return,
            }
        }
    }

    pub(super) async fn read(&mut self, most: usize) {
        let Some(peer) = &mut self.peer else { return };
        let mut room = vec![0; most];
        tokio::select! {
            biased;
            // What became of the stream is told by the rest.
            read = peer.read(&mut room) => self.got.extend_from_slice(&room[..read.unwrap_or(0)]),
            () = task::yield_now() => {}
        }
    }

    pub(super) async fn finish(&mut self) {
        if let Some(peer) = &mut self.peer {
            // It may have been reset.
            let _: io::Result<()> = peer.shutdown().await;
        }
    }

    pub(super) fn vanish(&mut self) {
        self.peer = None;
    }

    /// Reads up to the end, which may be a reset.
    pub(super) async fn read_to_end(&mut self) {
        if let Some(peer) = &mut self.peer {
            let _: io::Result<usize> = peer.read_to_end(&mut self.got).await;
        }
    }

    /// Holds what came to RFC 6455 and answers the texts, and the code of the close frame if one came.
    pub(super) fn heard(&self, reason: &CloseReason) -> (Vec<&str>, Option<u16>) {
        let mut rest = &self.got[..];
        let (mut texts, mut close) = (Vec::new(), None);
        while let Some(frame) = Frame::take(&mut rest) {
            match frame.first {
                0x81 => texts.push(str::from_utf8(frame.payload).unwrap()),
                0x89 | 0x8A => assert!(frame.payload.len() <= 125),
                0x88 => {
                    close = frame.close_code(reason);
                    assert!(rest.is_empty(), "bytes after the close frame: {rest:?}");
                }
                first => panic!("a frame that begins with {first:#x}"),
            }
        }
        (texts, close)
    }
}

impl<'a> Frame<'a> {
    /// The next frame, if all of it has come.
    fn take(rest: &mut &'a [u8]) -> Option<Self> {
        let [first, second, body @ ..] = *rest else { return None };
        assert!(second & 0x80 == 0, "a server does not mask");
        let (len, body) = match second {
            126 => {
                let (len, body) = body.split_first_chunk()?;
                assert!(u16::from_be_bytes(*len) > 125, "a length is in its shortest form");
                (usize::from(u16::from_be_bytes(*len)), body)
            }
            127 => {
                let (len, body) = body.split_first_chunk()?;
                assert!(u64::from_be_bytes(*len) > 0xFFFF, "a length is in its shortest form");
                (usize::try_from(u64::from_be_bytes(*len)).unwrap(), body)
            }
            len => (usize::from(*len), body),
        };
        let (payload, after) = body.split_at_checked(len)?;
        *rest = after;
        Some(Self { first: *first, payload })
    }

    /// The code of a close frame, which is the reason's.
    fn close_code(&self, reason: &CloseReason) -> Option<u16> {
        assert!(self.payload.len() <= 125);
        let code = self.payload.split_first_chunk().map(|(code, text)| {
            assert!(str::from_utf8(text).is_ok());
            CloseCode::try_from(u16::from_be_bytes(*code)).unwrap()
        });
        assert_eq!(code, reason.code(), "for {reason:?}");
        code.map(u16::from)
    }
}
