//! The servers that are compared, and how each is started.

mod launch;
mod supply;

use std::{env, path::PathBuf};

pub(crate) use launch::Launch;
pub(crate) use supply::SupplyError;

use crate::load::Dialect;

/// A server that is compared.
pub(crate) struct Server {
    /// What `--servers` calls it.
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    dialect: Dialect,
    program: Program,
}

#[derive(Clone, Copy)]
enum Program {
    /// This one, which is servers too.
    Own,
    /// The package beside this one.
    Peers,
    Bun,
}

impl Server {
    pub(crate) const ALL: &[Self] = &[
        Self {
            name: "floor",
            about: "an epoll loop that only sends ready frames: the limit",
            dialect: Dialect::Plain,
            program: Program::Own,
        },
        Self {
            name: "axum-live",
            about: "this repository's crate with its defaults",
            dialect: Dialect::Plain,
            program: Program::Own,
        },
        Self {
            name: "bun",
            about: "Bun's server with its native publish, uWebSockets inside",
            dialect: Dialect::Plain,
            program: Program::Bun,
        },
        Self {
            name: "axum-chat",
            about: "axum's WebSockets and a tokio broadcast channel, as in axum's chat example",
            dialect: Dialect::Plain,
            program: Program::Peers,
        },
        Self {
            name: "tokio-websockets",
            about: "tokio-websockets and a bounded channel for each session",
            dialect: Dialect::Plain,
            program: Program::Peers,
        },
        Self {
            name: "socketioxide",
            about: "Socket.IO's rooms on axum",
            dialect: Dialect::SocketIo,
            program: Program::Peers,
        },
    ];

    /// Builds or installs what it takes to start the server.
    pub(crate) fn prepare(&self) -> Result<Launch, SupplyError> {
        let name = || self.name.to_owned();
        let (program, arguments) = match self.program {
            Program::Own => (own_program()?, vec!["serve".to_owned(), name()]),
            Program::Peers => (supply::peers(&own_program()?)?, vec![name()]),
            Program::Bun => (supply::bun()?, vec![supply::bun_folder().join("server.js").display().to_string()]),
        };
        let path = match self.dialect {
            Dialect::Plain => "/ws",
            Dialect::SocketIo => "/socket.io/?EIO=4&transport=websocket",
        };
        Ok(Launch::new(program, arguments, path, self.dialect))
    }
}

fn own_program() -> Result<PathBuf, SupplyError> {
    env::current_exe().map_err(|source| SupplyError::Run { command: "this program".to_owned(), source })
}
