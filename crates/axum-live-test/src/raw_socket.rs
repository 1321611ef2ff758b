#[cfg(test)]
mod tests;

use std::{io, net::SocketAddr, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    Frame, RawSocketError, Request,
    reply::{Length, Reply},
};

type Result<T> = std::result::Result<T, RawSocketError>;

/// A client that does nothing by itself: it answers no ping and no close frame, and sends what it is told to.
///
/// It stands on a `TcpStream`, or by [`over`](Self::over) on any other stream, as TLS or a Unix socket. Each method
/// waits at most the socket's patience, 10 s unless [`patience`](Self::patience) says otherwise.
#[derive(Debug)]
pub struct RawSocket<S = TcpStream> {
    stream: S,
    /// What came and was not yet asked for.
    received: Vec<u8>,
    patience: Duration,
}

impl RawSocket<TcpStream> {
    /// Connects and sends nothing.
    ///
    /// # Errors
    ///
    /// When the connection is refused, or not made in time.
    pub async fn connect(addr: SocketAddr) -> Result<Self> {
        Self::connect_by(new_socket(addr), addr).await
    }

    /// Connects with a small receive buffer: a client that is slow, or stops reading altogether, is felt by the server
    /// the sooner.
    ///
    /// # Errors
    ///
    /// When the connection is refused, or not made in time.
    pub async fn connect_with_receive_buffer(addr: SocketAddr, bytes: u32) -> Result<Self> {
        let socket = new_socket(addr).and_then(|socket| {
            socket.set_recv_buffer_size(bytes)?;
            Ok(socket)
        });
        Self::connect_by(socket, addr).await
    }

    /// Connects and opens a WebSocket.
    ///
    /// # Errors
    ///
    /// When the connection or the upgrade fails.
    pub async fn open(addr: SocketAddr, target: &str) -> Result<Self> {
        let mut socket = Self::connect(addr).await?;
        socket.upgrade(&Request::new(target)).await?;
        Ok(socket)
    }

    /// Ends the connection by a reset (RST), as a crashed client or a broken route does.
    ///
    /// # Errors
    ///
    /// When the operating system refuses to.
    pub fn abort(self) -> Result<()> {
        self.stream.set_zero_linger().map_err(failed("a reset"))
    }

    async fn connect_by(socket: io::Result<TcpSocket>, addr: SocketAddr) -> Result<Self> {
        const AWAITED: &str = "a connection";

        let connecting = async {
            let stream = socket?.connect(addr).await?;
            stream.set_nodelay(true)?;
            Ok(stream)
        };
        bounded(PATIENCE, AWAITED, connecting).await.map(Self::over)
    }
}

impl<S> RawSocket<S> {
    /// Stands on any stream.
    pub fn over(stream: S) -> Self {
        Self { stream, received: Vec::new(), patience: PATIENCE }
    }

    /// Sets how long each method waits; 10 s by default.
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> RawSocket<S> {
    /// Writes bytes as they are.
    ///
    /// # Errors
    ///
    /// When the connection fails, or the server does not take them in time.
    pub async fn write(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        let writing = async {
            self.stream.write_all(bytes.as_ref()).await?;
            self.stream.flush().await
        };
        bounded(self.patience, "a write", writing).await
    }

    /// Ends the client's direction (FIN) and goes on reading.
    ///
    /// # Errors
    ///
    /// When the connection fails.
    pub async fn half_close(&mut self) -> Result<()> {
        bounded(self.patience, "half a close", self.stream.shutdown()).await
    }

    /// Reads so many bytes as they are.
    ///
    /// # Errors
    ///
    /// When fewer come.
    pub async fn bytes(&mut self, length: usize) -> Result<Vec<u8>> {
        let take = |received: &mut Vec<u8>| (received.len() >= length).then(|| received.drain(..length).collect());
        self.until(&format!("{length} bytes"), take).await
    }

    /// Sends a request and reads the whole answer.
    ///
    /// # Errors
    ///
    /// When no whole HTTP/1 answer comes.
    pub async fn request(&mut self, request: &Request) -> Result<Reply> {
        self.write(request.to_bytes()).await?;
        self.reply().await
    }

    /// Reads the whole answer to a request.
    ///
    /// # Errors
    ///
    /// When no whole HTTP/1 answer comes.
    pub async fn reply(&mut self) -> Result<Reply> {
        const AWAITED: &str = "an HTTP answer";
        const EMPTY_LINE: &[u8] = b"\r\n\r\n";

        let head = self.until(AWAITED, |received| take_until(received, EMPTY_LINE)).await?;
        let head = String::from_utf8_lossy(&head).into_owned();
        let reply = Reply::parse(&head);
        let length = reply.as_ref().and_then(Reply::length);
        let (Some(reply), Some(length)) = (reply, length) else {
            return Err(RawSocketError::unexpected(AWAITED, head));
        };
        let body = match length {
            Length::Bytes(length) => self.bytes(length).await?,
            Length::Chunked => self.chunks().await?,
            Length::UntilEof => self.rest(END).await?,
        };
        Ok(reply.with_body(body))
    }

    /// Sends a request and demands the 101 that opens a WebSocket.
    ///
    /// # Errors
    ///
    /// When another answer comes, or one that does not prove by its `Sec-WebSocket-Accept` that the handshake was
    /// understood.
    pub async fn upgrade(&mut self, request: &Request) -> Result<Reply> {
        let reply = self.request(request).await?;
        if reply.status() == 101 && reply.header("sec-websocket-accept") == Some(Request::ACCEPT) {
            Ok(reply)
        } else {
            let got = format!("{reply:?} {}", reply.text());
            Err(RawSocketError::unexpected("a 101", got))
        }
    }

    /// Sends a frame.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn send(&mut self, frame: &Frame) -> Result<()> {
        self.write(frame.to_bytes()).await
    }

    /// Sends a text frame.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn send_text(&mut self, text: &str) -> Result<()> {
        self.send(&Frame::text(text)).await
    }

    /// Sends `{"topic": …, "data": …}` in a text frame.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn send_json(&mut self, topic: &str, data: impl Into<Value>) -> Result<()> {
        let data = data.into();
        self.send_text(&json!({ "topic": topic, "data": data }).to_string()).await
    }

    /// Sends a close frame.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<()> {
        self.send(&Frame::close(code, reason)).await
    }

    /// Reads the next frame, of whatever kind.
    ///
    /// # Errors
    ///
    /// When no whole frame comes.
    pub async fn frame(&mut self) -> Result<Frame> {
        self.until("a frame", Frame::take).await
    }

    /// Reads the next frame that is neither ping nor pong, and demands unfragmented text.
    ///
    /// # Errors
    ///
    /// When another frame comes, or none.
    pub async fn expect_text(&mut self) -> Result<String> {
        self.expect("a text frame", |frame| frame.as_text().map(str::to_owned)).await
    }

    /// Reads the next frame that is neither ping nor pong, demands a message of this topic, and returns its data.
    ///
    /// # Errors
    ///
    /// When another frame comes, or none.
    pub async fn expect_json(&mut self, topic: &str) -> Result<Value> {
        let data = |frame: &Frame| {
            let mut message: Value = serde_json::from_str(frame.as_text()?).ok()?;
            (message["topic"] == topic).then(|| message["data"].take())
        };
        self.expect(&format!("a message on {topic:?}"), data).await
    }

    /// Reads the next frame that is neither ping nor pong, demands a close frame, and returns its code and reason.
    ///
    /// # Errors
    ///
    /// When another frame comes, or none.
    pub async fn expect_close(&mut self) -> Result<(Option<u16>, String)> {
        let close = |frame: &Frame| frame.as_close().map(|(code, reason)| (code, reason.to_owned()));
        self.expect("a close frame", close).await
    }

    /// Demands that the server ends its direction properly (FIN), and sends nothing before. A reset is not that: what
    /// the server had written may be lost by it.
    ///
    /// # Errors
    ///
    /// When something comes, the connection is reset, or it stays.
    pub async fn expect_eof(&mut self) -> Result<()> {
        let rest = self.rest(END).await?;
        if rest.is_empty() { Ok(()) } else { Err(RawSocketError::unexpected(END, printable(&rest))) }
    }

    /// Demands that the server resets the connection (RST), and sends nothing before.
    ///
    /// # Errors
    ///
    /// When something comes, the stream ends properly, or the connection stays.
    pub async fn expect_reset(&mut self) -> Result<()> {
        const AWAITED: &str = "a reset of the connection";

        let got = match self.rest(AWAITED).await {
            Err(RawSocketError::Io { source, .. }) if source.kind() == io::ErrorKind::ConnectionReset => {
                std::mem::take(&mut self.received)
            }
            Ok(rest) => [rest, END.into()].concat(),
            Err(error) => return Err(error),
        };
        if got.is_empty() { Ok(()) } else { Err(RawSocketError::unexpected(AWAITED, printable(&got))) }
    }

    async fn expect<T>(&mut self, awaited: &str, wanted: impl Fn(&Frame) -> Option<T>) -> Result<T> {
        let frame = self
            .until(awaited, |received| {
                loop {
                    let frame = Frame::take(received)?;
                    if ![Frame::PING, Frame::PONG].contains(&frame.opcode()) {
                        return Some(frame);
                    }
                }
            })
            .await?;
        let unwanted = || RawSocketError::unexpected(awaited, describe(&frame));
        if frame.is_masked() || frame.reserved_bits() != 0 {
            return Err(unwanted());
        }
        wanted(&frame).ok_or_else(unwanted)
    }

    /// Takes a chunked body; trailers are not expected.
    async fn chunks(&mut self) -> Result<Vec<u8>> {
        const AWAITED: &str = "a chunk";

        let mut body = Vec::new();
        loop {
            let line = self.until(AWAITED, |received| take_until(received, b"\r\n")).await?;
            let length = std::str::from_utf8(&line).ok().and_then(|line| usize::from_str_radix(line, 16).ok());
            let Some(length) = length else {
                return Err(RawSocketError::unexpected(AWAITED, printable(&line)));
            };
            let mut chunk = self.bytes(length + 2).await?;
            chunk.truncate(length);
            if chunk.is_empty() {
                return Ok(body);
            }
            body.append(&mut chunk);
        }
    }

    /// Takes all that comes until the server ends its direction.
    async fn rest(&mut self, awaited: &str) -> Result<Vec<u8>> {
        match self.until(awaited, |_| None::<()>).await {
            Err(RawSocketError::Ended { .. }) => Ok(std::mem::take(&mut self.received)),
            Err(error) => Err(error),
            Ok(()) => unreachable!("it is never content"),
        }
    }

    /// Receives until `take` finds what it wants and removes it.
    async fn until<T>(&mut self, awaited: &str, mut take: impl FnMut(&mut Vec<u8>) -> Option<T>) -> Result<T> {
        let receiving = async {
            loop {
                if let Some(taken) = take(&mut self.received) {
                    return Ok(Some(taken));
                }
                if self.stream.read_buf(&mut self.received).await? == 0 {
                    return Ok(None);
                }
            }
        };
        bounded(self.patience, awaited, receiving)
            .await?
            .ok_or_else(|| RawSocketError::Ended { awaited: awaited.to_owned() })
    }
}

const PATIENCE: Duration = Duration::from_secs(10);

/// What is awaited of a server that is to send nothing more.
const END: &str = "the end of the connection";

fn new_socket(addr: SocketAddr) -> io::Result<TcpSocket> {
    if addr.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }
}

async fn bounded<T>(patience: Duration, awaited: &str, work: impl Future<Output = io::Result<T>>) -> Result<T> {
    match timeout(patience, work).await {
        Ok(done) => done.map_err(failed(awaited)),
        Err(_) => Err(RawSocketError::TimedOut { awaited: awaited.to_owned(), after: patience }),
    }
}

fn failed(awaited: &str) -> impl FnOnce(io::Error) -> RawSocketError {
    let awaited = awaited.to_owned();
    move |source| RawSocketError::Io { awaited, source }
}

fn take_until(received: &mut Vec<u8>, end: &[u8]) -> Option<Vec<u8>> {
    let at = received.windows(end.len()).position(|window| window == end)?;
    let taken = received.drain(..at).collect();
    received.drain(..end.len());
    Some(taken)
}

/// A frame for people to read, on one line.
fn describe(frame: &Frame) -> String {
    match (frame.as_close(), frame.as_text()) {
        (Some((code, reason)), _) => format!("a close frame with {code:?} {reason:?}"),
        (_, Some(text)) => format!("the text {text:?}"),
        _ => format!("a frame with opcode {:#x} and {}", frame.opcode(), printable(frame.payload())),
    }
}

fn printable(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(200)].escape_ascii().to_string()
}
