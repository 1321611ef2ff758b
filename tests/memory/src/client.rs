use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
};

const HANDSHAKE: &[u8] = b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// A client that has read as far as this.
pub fn connect(address: SocketAddr, end: &[u8]) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(HANDSHAKE)?;
    let (mut answer, mut length) = ([0; 1024], 0);
    while !answer[..length].ends_with(end) {
        match socket.read(&mut answer[length..])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => length += count,
        }
    }
    Ok(socket)
}
