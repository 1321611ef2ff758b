use std::time::Duration;

use axum_live_test::{Frame, RawSocket, RawSocketError, Request};
use serde_json::json;
use tokio::time;

use super::world::{World, told};
use crate::dice::Dice;

type Result<T> = std::result::Result<T, RawSocketError>;

/// What a client is to the server.
#[derive(Debug, Clone, Copy)]
pub(super) enum Role {
    /// Subscribes, speaks, listens and is present for a while, and leaves in one of many ways.
    Guest,
    /// Says what no client may, or makes a hook panic.
    Offender,
    /// Comes as nobody is let in.
    Stranger,
    /// Has one session more than a user may.
    Crowd,
    /// Goes before it is answered.
    Hasty,
    /// Never comes to the end of its request.
    Mute,
    /// Is sent more than may wait for it.
    Slow,
    /// Stops reading.
    Frozen,
    /// Answers no ping.
    Absent,
    /// Does not finish its message.
    Interrupted,
    /// Sends more than its rates allow, and goes on.
    Flooder,
}

/// Rooms that guests share.
const ROOMS: u64 = 50;

/// Rooms in which guests are told who is present.
const LOBBIES: u64 = 20;

impl Role {
    /// All that are there at a time, 900 sockets at most; few of those for whom much waits, for it is noise in the figures.
    pub(super) const CAST: [(Self, usize); 11] = [
        (Self::Guest, 500),
        (Self::Offender, 40),
        (Self::Stranger, 20),
        (Self::Crowd, 30),
        (Self::Hasty, 20),
        (Self::Mute, 20),
        (Self::Slow, 5),
        (Self::Frozen, 40),
        (Self::Absent, 40),
        (Self::Interrupted, 80),
        (Self::Flooder, 20),
    ];

    /// One life, from the connection to its end.
    pub(super) async fn live(self, world: &World, dice: &mut Dice) -> Result<()> {
        match self {
            Self::Guest => visit(world, dice).await,
            Self::Offender => offend(world, dice).await,
            Self::Stranger => be_refused(world, dice).await,
            Self::Crowd => crowd(world).await,
            Self::Hasty => be_gone(world, dice).await,
            Self::Mute => be_mute(world, dice).await,
            Self::Slow => be_slow(world, dice).await,
            Self::Frozen => freeze(world).await,
            Self::Absent => {
                let mut socket = world.open().await?;
                let (code, _) = socket.expect_close().await?;
                world.leave(socket, code, 4012).await
            }
            Self::Interrupted => {
                let mut socket = world.open().await?;
                socket.send(&Frame::text("half a message").unfinished()).await?;
                let code = told(&mut socket).await?;
                world.leave(socket, code, 4011).await
            }
            Self::Flooder => flood(world, dice).await,
        }
    }

    /// The most that it rests between two lives: those that take long come one by one, and not all at once.
    pub(super) fn rest(self) -> Duration {
        match self {
            Self::Frozen | Self::Absent | Self::Interrupted | Self::Flooder => Duration::from_secs(15),
            _ => Duration::from_secs(1),
        }
    }
}

/// Waits for up to so long.
pub(super) async fn pause(dice: &mut Dice, most: Duration) {
    time::sleep(most.mul_f64(dice.roll(1000) as f64 / 1000.0)).await;
}

async fn visit(world: &World, dice: &mut Dice) -> Result<()> {
    let mut socket = world.open().await?;
    let room = format!("room:{}", dice.roll(ROOMS));
    // A name that nobody else ever uses.
    let own = format!("room:own-{}", world.number());
    for topic in [&room, &own, "user:1"] {
        socket.send_json("subscribe", json!({ "topic": topic })).await?;
    }
    if dice.roll(3) == 0 {
        socket.send_json("enter", format!("room:lobby-{}", dice.roll(LOBBIES))).await?;
    }
    for _ in 0..=dice.roll(4) {
        match dice.roll(8) {
            0 => socket.send_json("unsubscribe", json!({ "topic": own })).await?,
            1 => echo_in_pieces(&mut socket).await?,
            length => {
                let text = "x".repeat(100 * length as usize);
                socket.send_json("say", json!({ "topic": room, "text": text })).await?;
            }
        }
        world.echo(&mut socket).await?;
        pause(dice, Duration::from_secs(1)).await;
    }
    match dice.roll(7) {
        0 => socket.abort()?,
        1 => {
            socket.send(&Frame::text("half a frame").declaring(1000)).await?;
            socket.abort()?;
        }
        2 => drop(socket),
        3 => {
            socket.half_close().await?;
            while socket.frame().await.is_ok() {}
        }
        _ => {
            socket.close(1000, "").await?;
            let code = told(&mut socket).await?;
            return world.leave(socket, code, 1000).await;
        }
    }
    world.tally().ended(None);
    Ok(())
}

/// A message of 40 KiB in twenty fragments, with a ping in the midst of them.
async fn echo_in_pieces(socket: &mut RawSocket) -> Result<()> {
    let message = json!({ "topic": "echo", "data": "x".repeat(40 << 10) }).to_string();
    let pieces: Vec<_> = message.as_bytes().chunks(2 << 10).collect();
    for (number, piece) in pieces.iter().enumerate() {
        let opcode = if number == 0 { Frame::TEXT } else { Frame::CONTINUATION };
        let frame = Frame::new(opcode, *piece);
        let is_last = number + 1 == pieces.len();
        socket.send(&if is_last { frame } else { frame.unfinished() }).await?;
        if number == pieces.len() / 2 {
            socket.send(&Frame::ping("still there?")).await?;
        }
    }
    Ok(())
}

async fn offend(world: &World, dice: &mut Dice) -> Result<()> {
    let (frames, code) = match dice.roll(6) {
        0 => (vec![Frame::text("without a mask").unmasked()], 1002),
        1 => (vec![Frame::new(Frame::TEXT, [0xff])], 1007),
        2 => (vec![Frame::text("").declaring(1 << 20)], 1009),
        3 => {
            let mut fragments = vec![Frame::new(Frame::CONTINUATION, "").unfinished(); 1025];
            fragments[0] = Frame::text("").unfinished();
            (fragments, 1009)
        }
        4 => (vec![Frame::text("no envelope"); 16], 4500),
        _ => (vec![Frame::text(r#"{"topic":"panic"}"#)], 1011),
    };
    let mut socket = world.open().await?;
    let bytes: Vec<_> = frames.iter().flat_map(Frame::to_bytes).collect();
    socket.write(bytes).await?;
    let told = told(&mut socket).await?;
    world.leave(socket, told, code).await
}

async fn be_refused(world: &World, dice: &mut Dice) -> Result<()> {
    let good = Request::new(&world.target());
    let (request, status, reason) = match dice.roll(5) {
        0 => (Request::new("/ws"), 401, "denied"),
        1 => (good.header("Origin", "https://elsewhere.example"), 403, "origin"),
        2 => (good.without("Sec-WebSocket-Key"), 400, "handshake"),
        3 => (good.method("POST"), 405, "method"),
        _ => (Request::plain(&world.target()), 426, "probe"),
    };
    let mut socket = world.connect().await?;
    assert_eq!(socket.request(&request).await?.status(), status, "{reason}");
    world.tally().refused(reason);
    Ok(())
}

async fn crowd(world: &World) -> Result<()> {
    let target = world.target();
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(world.upgrade(world.connect().await?, &target).await?);
    }
    let [first, second, third] = &mut sockets[..] else { unreachable!("there are three") };
    let (gone, code) = tokio::select! {
        code = told(first) => (0, code?),
        code = told(second) => (1, code?),
        code = told(third) => (2, code?),
    };
    world.leave(sockets.remove(gone), code, 4504).await?;
    for mut socket in sockets {
        socket.close(1000, "").await?;
        let code = told(&mut socket).await?;
        world.leave(socket, code, 1000).await?;
    }
    Ok(())
}

async fn be_gone(world: &World, dice: &mut Dice) -> Result<()> {
    let mut socket = world.connect().await?;
    let request = Request::new(&world.target()).to_bytes();
    if dice.roll(2) == 0 {
        socket.write(&request[..request.len() / 2]).await?;
    } else {
        socket.write(request).await?;
        world.tally().was_hasty();
    }
    socket.abort()
}

async fn be_mute(world: &World, dice: &mut Dice) -> Result<()> {
    let mut socket = world.connect().await?;
    if dice.roll(2) == 0 {
        socket.write("GET /ws HTTP/1.1\r\nHost: localhost\r\n").await?;
    }
    socket.expect_eof().await?;
    world.tally().timed_out();
    Ok(())
}

async fn be_slow(world: &World, dice: &mut Dice) -> Result<()> {
    let mut socket = world.open_narrow().await?;
    socket.send_json("flood", u32::MAX).await?;
    pause(dice, Duration::from_secs(1)).await;
    let code = told(&mut socket).await?;
    world.leave(socket, code, 4008).await
}

/// Reads on only when the server has given up: why it did, the client may find or not.
async fn freeze(world: &World) -> Result<()> {
    const LONGER_THAN_THE_WRITE_TIMEOUT: Duration = Duration::from_secs(45);

    let mut socket = world.open_narrow().await?;
    socket.send_json("flood", 4).await?;
    time::sleep(LONGER_THAN_THE_WRITE_TIMEOUT).await;
    match told(&mut socket).await {
        Err(RawSocketError::Io { .. } | RawSocketError::Ended { .. }) => world.tally().unheard(),
        told => world.leave(socket, told?, 4009).await?,
    }
    Ok(())
}

async fn flood(world: &World, dice: &mut Dice) -> Result<()> {
    // More than the server reads until it has had enough; the kernel takes them all.
    let (frame, count) = match dice.roll(2) {
        0 => (Frame::ping("here I am"), 4_000),
        _ => (Frame::text(r#"{"topic":"hush"}"#), 20_000),
    };
    let mut socket = world.open().await?;
    socket.write(frame.to_bytes().repeat(count)).await?;
    let code = told(&mut socket).await?;
    world.leave(socket, code, 4013).await
}
