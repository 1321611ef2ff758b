//! Whether a connection still takes a descriptor of the server's.

use std::{fs, net::SocketAddr};

/// The server's end of a client's connection, as the kernel knows it.
pub(crate) struct Descriptor {
    link: String,
}

impl Descriptor {
    /// Of a server in this process that has accepted the client's connection.
    pub(crate) fn of_server(server: SocketAddr, client: SocketAddr) -> Self {
        let hex = |addr: SocketAddr| format!("0100007F:{:04X}", addr.port());
        let table = fs::read_to_string("/proc/self/net/tcp").unwrap();
        let rows = table.lines().map(|row| row.split_whitespace().collect::<Vec<_>>());
        let row = rows.into_iter().find(|row| row[1] == hex(server) && row[2] == hex(client)).expect("it was accepted");
        Self { link: format!("socket:[{}]", row[9]) }
    }

    /// Whether this process has it open.
    pub(crate) fn is_held(&self) -> bool {
        let descriptors = fs::read_dir("/proc/self/fd").unwrap();
        // A descriptor may be gone again by the time it is looked at.
        descriptors.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target.as_os_str() == &*self.link))
    }
}
