use std::collections::HashMap;

use axum_live_test::{Frame, RawSocket, RawSocketError};

use crate::{
    app::App,
    example::{Act, Example, Line},
};

/// Plays an example against a server of its own; the error says where the two differ.
pub(crate) async fn play(example: &Example) -> Result<(), String> {
    let app = App::serve().await;
    let mut clients = HashMap::new();
    for line in &example.lines {
        if !clients.contains_key(line.client) {
            clients.insert(line.client, Client::connect(&app, example.path, line).await);
        }
        let client = clients.get_mut(line.client).expect("it has just connected");
        client.take_turn(line).await.map_err(|difference| format!("{}\n  {difference}", line.show()))?;
    }
    for (name, client) in clients {
        client.part().await.map_err(|difference| format!("after the last line of {name}: {difference}"))?;
    }
    Ok(())
}

/// One of the example's clients.
struct Client {
    socket: RawSocket,
    stage: Stage,
}

/// How far the two have come.
#[derive(Clone, Copy)]
enum Stage {
    Http,
    Open,
    /// The server has sent its close frame, and the client has not.
    Closed,
    /// The client has sent its close frame.
    Done,
    HungUp,
}

impl Client {
    async fn connect(app: &App, path: &str, first: &Line) -> Self {
        if first.is_http() {
            return Self { socket: RawSocket::connect(app.addr).await.unwrap(), stage: Stage::Http };
        }
        let user = first.client.split('/').next().unwrap_or_default();
        let socket = RawSocket::open(app.addr, &format!("{path}?user={user}")).await.unwrap();
        Self { socket, stage: Stage::Open }
    }

    async fn take_turn(&mut self, line: &Line) -> Result<(), String> {
        match &line.act {
            Act::Bytes(bytes) if line.is_heard => self.hear(bytes).await?,
            Act::Bytes(bytes) => self.socket.write(bytes).await.map_err(say)?,
            Act::HttpStart(start) => {
                self.hear(start.as_bytes()).await?;
                while self.socket.bytes(1).await.map_err(say)? != b"\n" {}
            }
            Act::HangUp => self.socket.expect_eof().await.map_err(say)?,
        }
        self.stage = match (&line.act, self.stage) {
            (Act::Bytes(bytes), Stage::Http) if bytes.starts_with(b"HTTP/1.1 101 ") => Stage::Open,
            (Act::Bytes(bytes), Stage::Open | Stage::Closed) if is_close(bytes) && !line.is_heard => Stage::Done,
            (Act::Bytes(bytes), Stage::Open) if is_close(bytes) => Stage::Closed,
            (Act::HangUp, _) => Stage::HungUp,
            (_, stage) => stage,
        };
        Ok(())
    }

    /// Byte by byte, so that a difference is found where it is, and nothing that is missing waited for.
    async fn hear(&mut self, expected: &[u8]) -> Result<(), String> {
        let mut heard = Vec::new();
        while heard.len() < expected.len() {
            heard.extend(self.socket.bytes(1).await.map_err(say)?);
            if !expected.starts_with(&heard) {
                return Err(format!("expected {}\n  but heard {}", expected.escape_ascii(), heard.escape_ascii()));
            }
        }
        Ok(())
    }

    /// Ends the connection as it should be, which shows that nothing else had come.
    async fn part(mut self) -> Result<(), String> {
        match self.stage {
            Stage::Http => self.socket.half_close().await.map_err(say)?,
            Stage::Open => {
                self.socket.close(1000, "").await.map_err(say)?;
                self.hear(&Frame::close(1000, "").unmasked().to_bytes()).await?;
            }
            Stage::Closed => self.socket.close(1000, "").await.map_err(say)?,
            Stage::Done => {}
            Stage::HungUp => return Ok(()),
        }
        self.socket.expect_eof().await.map_err(say)
    }
}

fn is_close(bytes: &[u8]) -> bool {
    bytes.first() == Some(&(0x80 | Frame::CLOSE))
}

#[allow(clippy::needless_pass_by_value, reason = "for map_err")]
fn say(error: RawSocketError) -> String {
    error.to_string()
}
