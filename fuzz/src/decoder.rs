//! The frame decoder means by a client's bytes what tungstenite means by them, in whatever pieces they come.

use axum_live_core::fuzzing;

/// The first two bytes are the sizes of the pieces, the rest is what the client sends.
pub fn check(bytes: &[u8]) {
    let Some((sizes, wire)) = bytes.split_first_chunk::<2>() else { return };
    fuzzing::check_decoder(wire, &sizes.map(usize::from));
}
