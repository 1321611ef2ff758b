use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    time::Instant,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use rustix::net::{self, RecvFlags, SendFlags};
use sha1::{Digest, Sha1};

use super::announce;
use crate::poller::Poller;

const LISTENER: usize = usize::MAX;
const BUFFER: usize = 256 << 10;
/// Connections that wait to be accepted.
const BACKLOG: i32 = 4096;

/// The least that a server can do: one thread that reads what is there, and sends a ready frame to each subscriber.
///
/// It has no queues, so what a kernel's buffer does not take is lost; no limits, no timers, and of JSON and HTTP only what
/// the load generator sends. Publications to a topic that came in one read go out in one write.
pub(super) fn run(port: u16) -> io::Result<()> {
    let socket = net::socket(net::AddressFamily::INET, net::SocketType::STREAM, None)?;
    net::sockopt::set_socket_reuseaddr(&socket, true)?;
    net::bind(&socket, &SocketAddr::from((Ipv4Addr::LOCALHOST, port)))?;
    net::listen(&socket, BACKLOG)?;
    let listener = TcpListener::from(socket);
    listener.set_nonblocking(true)?;
    announce(listener.local_addr()?)?;

    let mut floor = Floor {
        poller: Poller::new()?,
        listener,
        clients: Vec::new(),
        vacant: Vec::new(),
        topics: HashMap::new(),
        publications: Vec::new(),
    };
    floor.poller.add(&floor.listener, LISTENER)?;
    let mut buffer = vec![0; BUFFER];
    loop {
        for nth in 0..floor.poller.wait(None)? {
            match floor.poller.event(nth) {
                (LISTENER, _) => floor.accept()?,
                (number, _) => floor.read(number, &mut buffer),
            }
        }
    }
}

struct Floor {
    poller: Poller,
    listener: TcpListener,
    clients: Vec<Option<Client>>,
    vacant: Vec<usize>,
    topics: HashMap<Vec<u8>, Vec<usize>>,
    /// Topics and frames of the read that is being worked on.
    publications: Vec<(Vec<u8>, Vec<u8>)>,
}

struct Client {
    socket: TcpStream,
    stage: Stage,
    /// The beginning of a request or frame.
    begun: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Open,
    Closing,
}

impl Floor {
    fn accept(&mut self) -> io::Result<()> {
        loop {
            let socket = match self.listener.accept() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                accepted => accepted?.0,
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let number = self.vacant.pop().unwrap_or_else(|| {
                self.clients.push(None);
                self.clients.len() - 1
            });
            self.poller.add(&socket, number)?;
            self.clients[number] = Some(Client { socket, stage: Stage::Handshake, begun: Vec::new() });
        }
    }

    fn read(&mut self, number: usize, buffer: &mut [u8]) {
        let Some(mut client) = self.clients[number].take() else { return };
        match net::recv(&client.socket, &mut *buffer, RecvFlags::empty()) {
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
            Ok((read @ 1.., _)) => self.take_in(number, &mut client, &mut buffer[..read]),
            _ => client.stage = Stage::Closing,
        }
        if client.stage == Stage::Closing {
            self.topics.values_mut().for_each(|subscribers| subscribers.retain(|subscriber| *subscriber != number));
            self.vacant.push(number);
        } else {
            self.clients[number] = Some(client);
        }
        self.deliver();
    }

    fn take_in(&mut self, number: usize, client: &mut Client, bytes: &mut [u8]) {
        if client.begun.is_empty() {
            let used = self.work_through(number, client, bytes);
            client.begun.extend_from_slice(&bytes[used..]);
        } else {
            let mut begun = std::mem::take(&mut client.begun);
            begun.extend_from_slice(bytes);
            let used = self.work_through(number, client, &mut begun);
            client.begun.extend_from_slice(&begun[used..]);
        }
    }

    /// Does what the bytes ask for, and answers how many of them that were.
    fn work_through(&mut self, number: usize, client: &mut Client, bytes: &mut [u8]) -> usize {
        let mut used = 0;
        if client.stage == Stage::Handshake {
            let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return 0 };
            used = end + 4;
            let (answer, stage) = match handshake(&bytes[..used]) {
                Some(answer) => (answer, Stage::Open),
                None => ("HTTP/1.1 400 Bad Request\r\n\r\n".to_owned(), Stage::Closing),
            };
            client.send(answer.as_bytes());
            client.stage = stage;
        }
        while client.stage == Stage::Open
            && let Some((opcode, payload, size)) = unmask(&mut bytes[used..])
        {
            used += size;
            match opcode {
                0x1 => self.message(number, client, payload),
                0x8 => {
                    client.send(&[0x88, 2, 0x03, 0xe8]);
                    client.stage = Stage::Closing;
                }
                _ => {}
            }
        }
        used
    }

    fn message(&mut self, number: usize, client: &mut Client, text: &[u8]) {
        if let Some(rest) = text.strip_prefix(br#"{"topic":"subscribe","data":{"topic":""#) {
            let (topic, _) = until_quote(rest);
            self.topics.entry(topic.to_vec()).or_default().push(number);
            client.send(&frame(&[br#"{"topic":"ack","data":null}"#]));
        } else if let Some(rest) = text.strip_prefix(br#"{"topic":"publish","data":{"topic":""#) {
            let (topic, rest) = until_quote(rest);
            self.publish(topic, rest.strip_prefix(br#"","data":"#).and_then(|rest| rest.strip_suffix(b"}}")));
        } else if text.starts_with(br#"{"topic":"echo""#) {
            client.send(&frame(&[text]));
        } else if let Some(rest) = text.strip_prefix(br#"{"topic":"measure","data":{"topic":""#) {
            let (topic, rest) = until_quote(rest);
            let time = rest.strip_prefix(br#"","from":"handler","data":"#).map(|rest| {
                let start = Instant::now();
                self.publish(topic, rest.strip_suffix(b"}}"));
                self.deliver();
                start.elapsed().as_nanos().to_string()
            });
            let time = time.as_deref().unwrap_or("null");
            client.send(&frame(&[br#"{"topic":"measured","data":"#, time.as_bytes(), b"}"]));
        }
    }

    fn publish(&mut self, topic: &[u8], data: Option<&[u8]>) {
        let frame = frame(&[br#"{"topic":""#, topic, br#"","data":"#, data.unwrap_or(b"null"), b"}"]);
        match self.publications.iter_mut().find(|(other, _)| other == topic) {
            Some((_, frames)) => frames.extend(frame),
            None => self.publications.push((topic.to_vec(), frame)),
        }
    }

    fn deliver(&mut self) {
        for (topic, frames) in self.publications.drain(..) {
            for subscriber in self.topics.get(&topic).into_iter().flatten() {
                if let Some(client) = &self.clients[*subscriber] {
                    client.send(&frames);
                }
            }
        }
    }
}

impl Client {
    /// Sends what the kernel takes. The end of a client is told by the next read.
    fn send(&self, bytes: &[u8]) {
        net::send(&self.socket, bytes, SendFlags::NOSIGNAL).ok();
    }
}

fn handshake(request: &[u8]) -> Option<String> {
    let request = str::from_utf8(request).ok()?;
    let mut headers = request.lines().filter_map(|line| line.split_once(':'));
    let (_, key) = headers.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"))?;
    let digest = Sha1::new_with_prefix(key.trim()).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    let accept = STANDARD.encode(digest);
    Some(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    ))
}

/// The first frame: its opcode, its payload unmasked, and its size.
fn unmask(bytes: &mut [u8]) -> Option<(u8, &[u8], usize)> {
    let (first, header, len) = match *bytes {
        [first, second, ..] if second & 0x7f < 126 => (first, 2, usize::from(second & 0x7f)),
        [first, second, high, low, ..] if second & 0x7f == 126 => (first, 4, u16::from_be_bytes([high, low]).into()),
        [first, _, a, b, c, d, e, f, g, h, ..] => (first, 10, u64::from_be_bytes([a, b, c, d, e, f, g, h]) as usize),
        _ => return None,
    };
    let (mask, rest) = bytes.get_mut(header..)?.split_first_chunk_mut::<4>()?;
    let payload = rest.get_mut(..len)?;
    payload.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    Some((first & 0x0f, payload, header + 4 + len))
}

/// A server's text frame of these parts.
fn frame(parts: &[&[u8]]) -> Vec<u8> {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut frame = Vec::with_capacity(len + 10);
    frame.push(0x81);
    match len {
        0..=125 => frame.push(len as u8),
        126..=0xffff => {
            frame.push(126);
            frame.extend((len as u16).to_be_bytes());
        }
        _ => {
            frame.push(127);
            frame.extend((len as u64).to_be_bytes());
        }
    }
    parts.iter().for_each(|part| frame.extend_from_slice(part));
    frame
}

fn until_quote(bytes: &[u8]) -> (&[u8], &[u8]) {
    bytes.split_at(bytes.iter().position(|byte| *byte == b'"').unwrap_or(bytes.len()))
}
