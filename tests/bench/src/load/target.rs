use std::net::SocketAddrV4;

use super::dialect::Dialect;

/// A server that runs, as the load generator sees it.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    pub(crate) address: SocketAddrV4,
    pub(crate) path: String,
    pub(crate) dialect: Dialect,
    /// The process whose CPU time and memory count.
    pub(crate) pid: u32,
}
