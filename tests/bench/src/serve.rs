//! The servers of this package: what is compared with the peers, and the limit of what any can reach.

mod axum_live;
mod floor;

use std::{
    io::{self, Read, Write},
    net::SocketAddr,
    process, thread,
};

/// A server that this program can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    AxumLive,
    Floor,
}

impl Service {
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "axum-live" => Some(Self::AxumLive),
            "floor" => Some(Self::Floor),
            _ => None,
        }
    }

    /// Serves on a port of 127.0.0.1 until the process ends.
    pub(crate) fn run(self, port: u16) -> io::Result<()> {
        match self {
            Self::AxumLive => axum_live::run(port),
            Self::Floor => floor::run(port),
        }
    }
}

/// Ends this process when standard input does, so that a benchmark which was killed leaves no server behind.
pub(crate) fn end_with_stdin() {
    thread::spawn(|| {
        let ended = io::stdin().read_to_end(&mut Vec::new());
        process::exit(i32::from(ended.is_err()));
    });
}

fn announce(address: SocketAddr) -> io::Result<()> {
    writeln!(io::stdout(), "listening on http://{address}")
}
