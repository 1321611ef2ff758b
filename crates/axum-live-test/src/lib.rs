//! For tests of apps made with axum-live, and of axum-live itself.
//!
//! [`LiveTest`] is the client that an app's tests want: it connects to a `Router` in memory, by a real handshake, and
//! says and expects messages.
//!
//! [`RawSocket`] speaks HTTP and WebSocket as badly as a test wants: a [`Request`] may lack any header, a [`Frame`] may
//! be unmasked, lie about its length or use a reserved opcode, and the connection may end by a reset. Every wait is
//! bounded, and its error says what was awaited.
//!
//! It shares no code with axum-live, so that both cannot be wrong in the same way.
//!
//! ```no_run
//! // It needs a server to talk to.
//! # use axum_live_test::{Frame, RawSocket, RawSocketError};
//! # async fn example(addr: std::net::SocketAddr) -> Result<(), RawSocketError> {
//! let mut socket = RawSocket::open(addr, "/ws").await?;
//! socket.send_json("echo", "hello").await?;
//! assert_eq!(socket.expect_json("echo").await?, "hello");
//!
//! socket.send(&Frame::text("no client may do this").unmasked()).await?;
//! let (code, reason) = socket.expect_close().await?;
//! assert_eq!(code, Some(1002), "{reason}");
//! # Ok(()) }
//! ```

mod error;
mod frame;
mod live_test;
mod raw_socket;
mod reply;
mod request;
mod stall;

pub use error::RawSocketError;
pub use frame::Frame;
pub use live_test::LiveTest;
pub use raw_socket::RawSocket;
pub use reply::Reply;
pub use request::Request;
