//! Opens idle sessions and prints what each of them holds: every allocation by its size, and the process's resident
//! memory.
//!
//! ```sh
//! cargo run --release -p axum-live-memory            # 4,000 sessions, subscribed to one topic
//! cargo run --release -p axum-live-memory -- 1000
//! ```
//!
//! The clients are bare sockets in the same process, which allocate nothing.

mod ledger;

use std::{
    env,
    error::Error,
    fs,
    io::{self, Read, Write},
    net::{Ipv4Addr, SocketAddr, TcpStream},
    thread,
};

use axum::Router;
use axum_live::{Live, LiveLayer, Session, accept};
use ledger::Ledger;
use tokio::net::TcpListener;

#[global_allocator]
static LEDGER: Ledger = Ledger::new();

const HANDSHAKE: &[u8] = b"GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

/// Descriptors are two a session here, and limits are often a little over a thousand or twenty thousand.
const SESSIONS: usize = 4000;

fn main() -> Result<(), Box<dyn Error>> {
    let sessions = env::args().nth(1).map_or(Ok(SESSIONS), |count| count.parse())?;
    let runtime = tokio::runtime::Runtime::new()?;
    let address = runtime.block_on(serve())?;
    let mut clients = Vec::with_capacity(2 * sessions);
    let mut open = |count: usize| -> io::Result<()> {
        for _ in 0..count {
            clients.push(connect(address)?);
        }
        Ok(())
    };
    // What is allocated once, and the first growth of every table, is no session's.
    open(sessions)?;
    let (before, resident_before) = (LEDGER.balance(), resident()?);
    open(sessions)?;
    let (after, resident_after) = (LEDGER.balance(), resident()?);

    let each = |count: isize| count as f64 / sessions as f64;
    let mut out = io::stdout().lock();
    writeln!(out, "{:>9} {:>9} {:>9} {:>9}", "bytes", "alignment", "each", "bytes")?;
    let mut total = 0.0;
    for (layout, count) in after.since(&before).filter(|(_, count)| each(*count) >= 0.01) {
        let bytes = each(count) * layout.size() as f64;
        total += bytes;
        writeln!(out, "{:>9} {:>9} {:>9.2} {:>9.0}", layout.size(), layout.align(), each(count), bytes)?;
    }
    writeln!(
        out,
        "asked for: {total:.0} bytes a session; resident: {:.0}",
        (resident_after - resident_before) / sessions as f64
    )?;
    Ok(())
}

/// Serves as an application does, with a subscription each.
async fn serve() -> io::Result<SocketAddr> {
    let subscribe = async |session: Session<()>| {
        session.subscribe("news").ok();
        session.send("welcome", &()).ok();
    };
    let live = Live::<()>::builder().on_connect(subscribe).on_message(async |_, _| {}).build();
    let app = Router::new().route("/live", LiveLayer::anonymous(&live).handler(accept));
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(axum::serve(listener, app).into_future());
    Ok(address)
}

/// A client that has been welcomed.
fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let mut socket = TcpStream::connect(address)?;
    socket.write_all(HANDSHAKE)?;
    let (mut answer, mut length) = ([0; 1024], 0);
    while !answer[..length].ends_with(b"}") {
        length += socket.read(&mut answer[length..])?;
    }
    Ok(socket)
}

/// Bytes.
fn resident() -> Result<f64, Box<dyn Error>> {
    // What was just freed is given back, or it would be found resident by chance.
    thread::yield_now();
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? * 1024.0)
}
