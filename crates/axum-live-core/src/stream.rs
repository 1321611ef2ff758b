use std::{
    fmt,
    io::{self, IoSlice},
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::TcpStream,
};

use crate::scratch::Scratch;

/// The upgraded connection that a session takes over.
pub enum Stream {
    /// Plain TCP, which is written to without waking the session's task.
    Tcp(TcpStream),
    /// Anything else: TLS, HTTP/2, a Unix socket, a pipe in memory.
    Other(Box<dyn Io>),
}

/// What a [`Stream`] that is not plain TCP must be able to do.
pub trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// The session task's end of the stream.
pub(crate) enum Link {
    Tcp(Arc<TcpStream>),
    Other(Box<dyn Io>),
    /// Let go.
    Gone,
}

impl Link {
    /// The kernel takes no more once it holds `most_unsent` bytes that it has not begun to send, where it can be told so.
    pub(crate) fn new(stream: Stream, most_unsent: usize) -> Self {
        match stream {
            Stream::Tcp(tcp) => {
                // Frames are written whole; waiting to merge them would only delay them. A socket that refuses the
                // option is one whose next read or write fails, and is told of there.
                let _ = tcp.set_nodelay(true);
                limit_unsent(&tcp, most_unsent);
                Self::Tcp(Arc::new(tcp))
            }
            Stream::Other(io) => Self::Other(io),
        }
    }

    /// The socket, where others than the session's task may write to it.
    pub(crate) fn shared(&self) -> Option<Arc<TcpStream>> {
        match self {
            Self::Tcp(tcp) => Some(Arc::clone(tcp)),
            Self::Other(_) | Self::Gone => None,
        }
    }

    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::Gone)
    }

    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => loop {
                match read_ready(tcp, buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(tcp.poll_read_ready(cx))?,
                    result => return Poll::Ready(result),
                }
            },
            Self::Other(io) => {
                let mut buffer = ReadBuf::new(buffer);
                ready!(Pin::new(io).poll_read(cx, &mut buffer))?;
                Poll::Ready(Ok(buffer.filled().len()))
            }
            Self::Gone => Poll::Pending,
        }
    }

    /// Answers `WouldBlock` when the task of `cx` will be woken for more.
    pub(crate) fn write(&mut self, cx: &mut Context<'_>, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(tcp) => loop {
                match tcp.try_write_vectored(slices) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => pending(tcp.poll_write_ready(cx))?,
                    result => return result,
                }
            },
            Self::Other(io) if io.is_write_vectored() || slices.len() == 1 => {
                pending(Pin::new(io).poll_write_vectored(cx, slices))
            }
            // One write of many frames, where HTTP/2 would make a DATA frame of each, and its peers take offence.
            Self::Other(io) => {
                let mut joined = Scratch::borrow();
                let mut filled = 0;
                for slice in slices {
                    let count = slice.len().min(joined.len() - filled);
                    joined[filled..filled + count].copy_from_slice(&slice[..count]);
                    filled += count;
                }
                pending(Pin::new(io).poll_write(cx, &joined[..filled]))
            }
            Self::Gone => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Moves on what a stream with a buffer of its own, as TLS, holds back.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Other(io) => Pin::new(io).poll_flush(cx),
            Self::Tcp(_) | Self::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Says that nothing more will be written.
    pub(crate) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => Poll::Ready(SockRef::from(&**tcp).shutdown(Shutdown::Write)),
            Self::Other(io) => Pin::new(io).poll_shutdown(cx),
            Self::Gone => Poll::Ready(Ok(())),
        }
    }

    /// Makes the end a reset, for a client that would not take a proper one.
    pub(crate) fn reset(&mut self) {
        if let Self::Tcp(tcp) = self {
            // A socket that is gone already needs no reset.
            let _ = tcp.set_zero_linger();
        }
        *self = Self::Gone;
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(tcp) => f.debug_tuple("Tcp").field(tcp).finish(),
            Self::Other(_) => f.write_str("Other"),
        }
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn limit_unsent(tcp: &TcpStream, bytes: usize) {
    // Zero would mean what the system has for all. Where it does not know the option, its buffer is as large as ever.
    let _ = SockRef::from(tcp).set_tcp_notsent_lowat(bytes.try_into().unwrap_or(u32::MAX).max(1));
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn limit_unsent(_: &TcpStream, _: usize) {}

/// Reads what is there. A short read has emptied the socket: its readiness is cleared then and there, which spares
/// the next read its `EAGAIN`; bytes that come in between raise it again.
fn read_ready(tcp: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut count = None;
    let result = tcp.try_io(Interest::READABLE, || {
        let read = tcp.try_read(buffer)?;
        count = Some(read);
        if (1..buffer.len()).contains(&read) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match count {
        Some(count) => Ok(count),
        None => result.map(|()| 0),
    }
}

fn pending<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
    }
}
