//! What is fuzzed: a function of bytes for each target, which panics when a promise is broken.
//!
//! The runner in this package tries them for a while on stable Rust, cargo-fuzz for as long as one likes on a nightly.
#![allow(clippy::unwrap_used, reason = "a target's unwrap is its assertion")]

pub mod campaign;
pub mod decoder;
pub mod envelope;
pub mod handshake;
pub mod session;
mod short;
pub mod topic;

/// A function that panics when what it is about breaks a promise.
pub struct Target {
    pub name: &'static str,
    pub check: fn(&[u8]),
}

/// All there are.
pub const TARGETS: [Target; 5] = [
    Target { name: "decoder", check: decoder::check },
    Target { name: "envelope", check: envelope::check },
    Target { name: "topic", check: topic::check },
    Target { name: "handshake", check: handshake::check },
    Target { name: "session", check: session::check },
];
