//! `axum-live-bench-peers NAME --port P [--attached]` serves the benchmark's dialect on 127.0.0.1 as a peer would.

mod axum_chat;
mod request;
mod socketioxide;
mod tokio_websockets;

use std::{
    env,
    error::Error,
    io::{Read, Write, stdin, stdout},
    net::Ipv4Addr,
    process, thread,
};

use axum::serve::{Listener, ListenerExt};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (name, port) = match words[..] {
        [name, "--port", port] => (name, port.parse()?),
        [name, "--port", port, "--attached"] => {
            end_with_stdin();
            (name, port.parse()?)
        }
        _ => return Err("usage: axum-chat|tokio-websockets|socketioxide --port P [--attached]".into()),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
    writeln!(stdout(), "listening on http://{}", listener.local_addr()?)?;
    match name {
        "axum-chat" => axum::serve(without_delay(listener), axum_chat::app()).await?,
        "socketioxide" => axum::serve(without_delay(listener), socketioxide::app()).await?,
        "tokio-websockets" => tokio_websockets::serve(without_delay(listener)).await,
        _ => return Err(format!("no peer is called {name}").into()),
    }
    Ok(())
}

/// All servers that are compared send at once.
fn without_delay(listener: TcpListener) -> impl Listener<Io = TcpStream, Addr: std::fmt::Debug> {
    listener.tap_io(|stream| {
        // A stream that has ended already is told by its first read.
        stream.set_nodelay(true).ok();
    })
}

/// Ends this process when standard input does, so that a benchmark which was killed leaves no server behind.
fn end_with_stdin() {
    thread::spawn(|| {
        let ended = stdin().read_to_end(&mut Vec::new());
        process::exit(i32::from(ended.is_err()));
    });
}
