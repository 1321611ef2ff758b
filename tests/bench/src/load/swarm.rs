use std::{
    mem,
    net::{Ipv4Addr, SocketAddrV4},
    ops::Range,
    time::{Duration, Instant},
};

use rustix::{
    event::epoll::EventFlags,
    process::{Resource, getrlimit},
};

use super::{
    connection::{Backlog, Connection, Stage},
    dialect::Dialect,
    failure::Failure,
    frame::{CLOSE, PING, PONG, ServerFrame, TEXT, client_frame},
    listener::{Calm, Heard, Listener},
    target::Target,
};
use crate::poller::Poller;

/// Handshakes under way at a time: enough to keep a server busy, too few to overflow its backlog.
const HANDSHAKES: usize = 64;
/// Clients come from so many loopback addresses, since one has ports for some 28,000 connections.
const SOURCES: usize = 16;
/// In all for opening; nothing measured takes so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// Nothing for so long: the server has stopped.
pub(super) const SILENCE: Duration = Duration::from_secs(5);
/// What one read takes at most.
const BUFFER: usize = 512 << 10;
/// Besides the connections: standard streams, epoll, what is read of /proc.
const OTHER_FILES: u64 = 64;

/// Many clients on one thread.
pub(crate) struct Swarm {
    target: Target,
    request: Vec<u8>,
    poller: Poller,
    connections: Vec<Connection>,
    opened: usize,
    /// Between the request and the subscription's acknowledgement.
    opening: usize,
    buffer: Vec<u8>,
    clock: Instant,
}

impl Swarm {
    /// A swarm of as many clients as there are topics to subscribe to; `None` subscribes to nothing.
    pub(crate) fn new(target: &Target, topics: impl IntoIterator<Item = Option<usize>>) -> Result<Self, Failure> {
        let connections: Vec<_> = topics.into_iter().map(Connection::new).collect();
        check_open_files(connections.len() as u64 + OTHER_FILES)?;
        let request = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n",
            target.path, target.address,
        );
        Ok(Self {
            target: target.clone(),
            request: request.into_bytes(),
            poller: Poller::new()?,
            connections,
            opened: 0,
            opening: 0,
            buffer: vec![0; BUFFER],
            clock: Instant::now(),
        })
    }

    /// The time since the swarm was made, which is what publications are stamped with.
    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn dialect(&self) -> Dialect {
        self.target.dialect
    }

    /// Begins a client's handshake; the listener hears when it is ready.
    pub(crate) fn open(&mut self, number: usize) -> Result<(), Failure> {
        self.opened += 1;
        let source = Ipv4Addr::new(127, 0, 0, 2 + (self.opened % SOURCES) as u8);
        let connection = &mut self.connections[number];
        let socket = connection.open(SocketAddrV4::new(source, 0), self.target.address).map_err(Failure::Connect)?;
        self.poller.add(socket, number)?;
        self.opening += 1;
        let request = mem::take(&mut self.request);
        let sent = self.send(number, &request);
        self.request = request;
        sent
    }

    /// Opens these clients and waits until they are ready.
    pub(crate) fn open_all(&mut self, numbers: Range<usize>) -> Result<(), Failure> {
        let deadline = self.now() + PATIENCE;
        for number in numbers {
            self.open(number)?;
            while self.opening >= HANDSHAKES {
                self.poll_until(deadline)?;
            }
        }
        while self.opening > 0 {
            self.poll_until(deadline)?;
        }
        Ok(())
    }

    /// Sends a text message.
    pub(crate) fn text(&mut self, number: usize, text: &str) -> Result<(), Failure> {
        self.send(number, &client_frame(TEXT, text.as_bytes()))
    }

    /// Sends bytes that are frames already.
    pub(crate) fn send(&mut self, number: usize, frames: &[u8]) -> Result<(), Failure> {
        let connection = &mut self.connections[number];
        if connection.send(frames) == Backlog::Grown
            && let Some(socket) = connection.socket()
        {
            self.poller.change(socket, number, EventFlags::IN | EventFlags::OUT)?;
        }
        Ok(())
    }

    /// Begins the closing handshake.
    pub(crate) fn close(&mut self, number: usize) -> Result<(), Failure> {
        self.connections[number].stage = Stage::Closing;
        self.send(number, &client_frame(CLOSE, &1000_u16.to_be_bytes()))
    }

    /// Stops reading, for good.
    pub(crate) fn stall(&self, number: usize) -> Result<(), Failure> {
        if let Some(socket) = self.connections[number].socket() {
            self.poller.change(socket, number, EventFlags::empty())?;
        }
        Ok(())
    }

    /// Listens for so long.
    pub(crate) fn settle(&mut self, time: Duration, listener: &mut impl Listener) -> Result<(), Failure> {
        let end = self.now() + time;
        while let left @ 1.. = end.saturating_sub(self.now()).as_nanos() {
            self.poll(Duration::from_nanos(left as u64), listener)?;
        }
        Ok(())
    }

    /// Listens for so long, and on until the listener has heard what it listens for.
    pub(crate) fn settle_until<L: Listener>(
        &mut self,
        time: Duration,
        listener: &mut L,
        has_heard: impl Fn(&L) -> bool,
    ) -> Result<(), Failure> {
        self.settle(time, listener)?;
        let deadline = self.now() + SILENCE;
        while !has_heard(listener) {
            let left = deadline.saturating_sub(self.now());
            if left.is_zero() {
                return Err(Failure::Stuck { awaited: "anything to happen".to_owned(), after: time + SILENCE });
            }
            self.poll(left, listener)?;
        }
        Ok(())
    }

    /// Waits until something comes, at most so long, and lets the listener hear it.
    pub(crate) fn poll(&mut self, at_most: Duration, listener: &mut impl Listener) -> Result<(), Failure> {
        for nth in 0..self.poller.wait(Some(at_most))? {
            let (number, flags) = self.poller.event(nth);
            if flags.contains(EventFlags::OUT) {
                self.flush(number)?;
            }
            if flags != EventFlags::OUT {
                self.read(number, listener)?;
            }
        }
        Ok(())
    }

    fn poll_until(&mut self, deadline: Duration) -> Result<(), Failure> {
        let left = deadline.saturating_sub(self.now());
        if left.is_zero() {
            let awaited = format!("{} connections to be ready", self.opening);
            return Err(Failure::Stuck { awaited, after: PATIENCE });
        }
        self.poll(left, &mut Calm)
    }

    fn flush(&mut self, number: usize) -> Result<(), Failure> {
        let connection = &mut self.connections[number];
        if connection.flush() == Backlog::Gone
            && let Some(socket) = connection.socket()
        {
            self.poller.change(socket, number, EventFlags::IN)?;
        }
        Ok(())
    }

    fn read(&mut self, number: usize, listener: &mut impl Listener) -> Result<(), Failure> {
        let mut buffer = mem::take(&mut self.buffer);
        let result = match self.connections[number].read(&mut buffer) {
            None => Ok(()),
            Some(0) => self.end(number, listener),
            Some(read) => self.take_in(number, &buffer[..read], listener),
        };
        self.buffer = buffer;
        result
    }

    fn take_in(&mut self, number: usize, mut bytes: &[u8], listener: &mut impl Listener) -> Result<(), Failure> {
        if let Stage::Handshake(answer) = &mut self.connections[number].stage {
            let before = answer.len();
            answer.extend_from_slice(bytes);
            let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(()) };
            if !answer.starts_with(b"HTTP/1.1 101 ") {
                let status = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
                return Err(Failure::Refused(String::from_utf8_lossy(status).into_owned()));
            }
            bytes = &bytes[end + 4 - before..];
            match self.target.dialect {
                Dialect::Plain => self.subscribe(number, listener)?,
                Dialect::SocketIo => self.connections[number].stage = Stage::EngineIo,
            }
        }
        while let Some(frame) = self.connections[number].scanner.next(&mut bytes) {
            if frame.opcode == CLOSE && self.connections[number].stage != Stage::Closing {
                return self.end(number, listener);
            }
            self.take_frame(number, &frame, listener)?;
        }
        Ok(())
    }

    fn take_frame(
        &mut self,
        number: usize,
        frame: &ServerFrame<'_>,
        listener: &mut impl Listener,
    ) -> Result<(), Failure> {
        let text = frame.payload.as_deref();
        match (frame.opcode, &self.connections[number].stage) {
            (PING, _) => self.send(number, &client_frame(PONG, text.unwrap_or_default())),
            // After the answer to our close frame comes the end of the stream.
            (PONG, _) | (_, Stage::Closing) => Ok(()),
            // Engine.IO pings from the first moment on.
            _ if self.target.dialect == Dialect::SocketIo && text == Some(b"2") => self.text(number, "3"),
            (_, Stage::EngineIo) => {
                self.connections[number].stage = Stage::Namespace;
                self.text(number, "40")
            }
            (_, Stage::Namespace) => {
                self.connections[number].stage = Stage::FirstEvent;
                Ok(())
            }
            (_, Stage::FirstEvent) => self.subscribe(number, listener),
            (_, Stage::Subscribing) => self.become_ready(number, listener),
            _ => listener.hear(self, number, Heard::Message(text)),
        }
    }

    fn subscribe(&mut self, number: usize, listener: &mut impl Listener) -> Result<(), Failure> {
        let Some(topic) = self.connections[number].topic else { return self.become_ready(number, listener) };
        self.connections[number].stage = Stage::Subscribing;
        self.text(number, &self.target.dialect.subscribe(topic))
    }

    fn become_ready(&mut self, number: usize, listener: &mut impl Listener) -> Result<(), Failure> {
        self.connections[number].stage = Stage::Ready;
        self.opening -= 1;
        listener.hear(self, number, Heard::Ready)
    }

    fn end(&mut self, number: usize, listener: &mut impl Listener) -> Result<(), Failure> {
        let connection = &mut self.connections[number];
        let heard = match connection.stage {
            Stage::Closed => return Ok(()),
            Stage::Closing => Heard::Closed,
            Stage::Ready => Heard::Lost,
            _ => {
                self.opening -= 1;
                Heard::Lost
            }
        };
        connection.close();
        listener.hear(self, number, heard)
    }
}

fn check_open_files(needed: u64) -> Result<(), Failure> {
    match getrlimit(Resource::Nofile).current {
        Some(allowed) if allowed < needed => Err(Failure::OpenFiles { needed, allowed }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        net::TcpListener,
        thread,
    };

    use super::*;

    const ACCEPTED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\r\n";

    /// Opens one client, which subscribes, at a server that says just this, piece by piece, and then waits.
    fn open(pieces: &'static [&'static [u8]]) -> Result<(), Failure> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a client comes");
            stream.set_nodelay(true).expect("it is a TCP stream");
            pieces.iter().for_each(|piece| stream.write_all(piece).expect("the client is there"));
            // Until the client is gone, whose end is a reset.
            stream.read_to_end(&mut Vec::new()).ok();
        });
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, port);
        let target = Target { address, path: "/ws".to_owned(), dialect: Dialect::Plain, pid: 0 };
        let mut swarm = Swarm::new(&target, [Some(0)])?;
        let opened = swarm.open_all(0..1);
        drop(swarm);
        server.join().expect("the server does not panic");
        opened
    }

    #[test]
    fn an_answer_may_come_in_pieces_and_with_frames_behind_it() {
        assert!(open(&[b"HTTP/1.1 101 Swi", b"tching Protocols\r\n\r\n", b"\x81\x02{}"]).is_ok());
        assert!(open(&[b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x81\x02{}"]).is_ok());
    }

    #[test]
    fn a_refusal_is_told() {
        let refused = open(&[b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n"]);
        assert!(matches!(refused, Err(Failure::Refused(status)) if status == "HTTP/1.1 403 Forbidden"));
    }

    #[test]
    fn a_close_frame_is_the_end_though_the_stream_goes_on() {
        assert!(matches!(open(&[ACCEPTED, b"\x88\x02\x03\xe8"]), Err(Failure::Disconnected)));
    }
}
