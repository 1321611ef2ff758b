use std::{io, net::SocketAddrV4, time::Duration};

use rustix::{
    fd::{AsFd, BorrowedFd, OwnedFd},
    io::{Errno, ioctl_fionbio},
    net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt},
};

use super::frame::Scanner;

/// One client: its socket, and how far it has come.
#[derive(Default)]
pub(crate) struct Connection {
    socket: Option<OwnedFd>,
    pub(crate) stage: Stage,
    /// What it subscribes to before it is ready.
    pub(crate) topic: Option<usize>,
    pub(crate) scanner: Scanner,
    /// What the kernel did not take yet; sending it goes before all else.
    unsent: Vec<u8>,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Stage {
    #[default]
    Closed,
    /// The request is out; this much of the answer is there.
    Handshake(Vec<u8>),
    /// Engine.IO's first packet is awaited.
    EngineIo,
    /// Socket.IO's consent to the namespace is awaited.
    Namespace,
    /// The first event is awaited, by which the server tells that it has handlers for ours.
    FirstEvent,
    Subscribing,
    Ready,
    /// Our close frame is out.
    Closing,
}

impl Connection {
    pub(crate) fn new(topic: Option<usize>) -> Self {
        Self { topic, ..Self::default() }
    }

    /// Connects in place of whatever was there before.
    pub(crate) fn open(&mut self, from: SocketAddrV4, to: SocketAddrV4) -> io::Result<BorrowedFd<'_>> {
        let socket = net::socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
        sockopt::set_tcp_nodelay(&socket, true)?;
        // Closing resets, so that no port waits for TIME_WAIT to pass.
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO))?;
        net::bind(&socket, &from)?;
        net::connect(&socket, &to)?;
        ioctl_fionbio(&socket, true)?;
        self.scanner = Scanner::default();
        self.unsent.clear();
        self.stage = Stage::Handshake(Vec::new());
        let socket: &OwnedFd = self.socket.insert(socket);
        Ok(socket.as_fd())
    }

    pub(crate) fn close(&mut self) {
        self.socket = None;
        self.stage = Stage::Closed;
    }

    pub(crate) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Reads what is there: no bytes at the end of the stream, `None` if there is nothing to read.
    pub(crate) fn read(&self, buffer: &mut [u8]) -> Option<usize> {
        match net::recv(self.socket()?, buffer, RecvFlags::empty()) {
            Err(Errno::AGAIN | Errno::INTR) => None,
            // A reset is an end.
            Err(_) => Some(0),
            Ok((read, _)) => Some(read),
        }
    }

    /// Sends, and keeps what the kernel does not take; answers what is left to [`flush`](Self::flush).
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Backlog {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(bytes);
            return Backlog::Same;
        }
        let sent = self.socket().map_or(bytes.len(), |socket| send(socket, bytes));
        if sent == bytes.len() {
            return Backlog::Same;
        }
        self.unsent.extend_from_slice(&bytes[sent..]);
        Backlog::Grown
    }

    /// Sends what is left; answers whether that was all.
    pub(crate) fn flush(&mut self) -> Backlog {
        let sent = self.socket().map_or(self.unsent.len(), |socket| send(socket, &self.unsent));
        self.unsent.drain(..sent);
        if self.unsent.is_empty() { Backlog::Gone } else { Backlog::Same }
    }
}

/// What became of the bytes that wait to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Backlog {
    Same,
    /// There are some where none were.
    Grown,
    Gone,
}

/// How many bytes the kernel took. An error is told by the next read.
fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> usize {
    net::send(socket, bytes, SendFlags::NOSIGNAL).unwrap_or(0)
}
