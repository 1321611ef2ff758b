use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use axum_live_test::{Frame, RawSocket, RawSocketError, Request};

use super::tally::Tally;

type Result<T> = std::result::Result<T, RawSocketError>;

/// Longer than the longest that a client has to wait for its end: a minute for a message that it does not finish.
const PATIENCE: Duration = Duration::from_secs(100);

/// What all clients of a soak share.
pub(super) struct World {
    addr: SocketAddr,
    tally: Tally,
    next: AtomicU64,
    over: AtomicBool,
}

impl World {
    pub(super) fn new(addr: SocketAddr) -> Self {
        Self { addr, tally: Tally::default(), next: AtomicU64::new(1), over: AtomicBool::new(false) }
    }

    /// What the clients saw.
    pub(super) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Begins no life any more.
    pub(super) fn end(&self) {
        self.over.store(true, Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.load(Relaxed)
    }

    /// Never the same.
    pub(super) fn number(&self) -> u64 {
        self.next.fetch_add(1, Relaxed)
    }

    /// Where a user who never was here comes in.
    pub(super) fn target(&self) -> String {
        format!("/ws?user={}", self.number())
    }

    pub(super) async fn connect(&self) -> Result<RawSocket> {
        Ok(RawSocket::connect(self.addr).await?.patience(PATIENCE))
    }

    /// Opens a session of a new user.
    pub(super) async fn open(&self) -> Result<RawSocket> {
        self.upgrade(self.connect().await?, &self.target()).await
    }

    /// Opens one of whom the server feels early that it does not read.
    pub(super) async fn open_narrow(&self) -> Result<RawSocket> {
        let socket = RawSocket::connect_with_receive_buffer(self.addr, 128 << 10).await?;
        self.upgrade(socket.patience(PATIENCE), &self.target()).await
    }

    /// Opens a session, and sees that it is open at the server's end too.
    pub(super) async fn upgrade(&self, mut socket: RawSocket, target: &str) -> Result<RawSocket> {
        socket.upgrade(&Request::new(target)).await?;
        self.echo(&mut socket).await?;
        self.tally.opened();
        Ok(socket)
    }

    /// Hears all there is to hear.
    pub(super) async fn echo(&self, socket: &mut RawSocket) -> Result<()> {
        let call = self.number();
        socket.send_json("echo", call).await?;
        let answer = format!(r#"{{"topic":"echo","data":{call}}}"#);
        while socket.frame().await?.as_text() != Some(&answer) {}
        Ok(())
    }

    /// Answers the close frame that ended a session as it should.
    pub(super) async fn leave(&self, mut socket: RawSocket, told: Option<u16>, expected: u16) -> Result<()> {
        assert_eq!(told, Some(expected));
        self.tally.ended(told);
        // The server may have waited long enough.
        socket.close(expected, "").await.ok();
        Ok(())
    }
}

/// Reads on to the close frame, answers pings meanwhile, and returns the code.
pub(super) async fn told(socket: &mut RawSocket) -> Result<Option<u16>> {
    loop {
        let frame = socket.frame().await?;
        if let Some((code, _)) = frame.as_close() {
            return Ok(code);
        }
        if frame.opcode() == Frame::PING {
            socket.send(&Frame::pong(frame.payload())).await?;
        }
    }
}
