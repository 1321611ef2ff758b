//! What the fuzz targets reach inside for: built with `--cfg fuzzing` only.

use crate::{
    frame::{self, Frame},
    message::Message,
};

/// Holds the frame decoder to tungstenite's verdict on these bytes, in whatever pieces they come.
///
/// # Panics
///
/// Where they differ.
pub fn check_decoder(wire: &[u8], pieces: &[usize]) {
    frame::check(wire, pieces);
}

/// The message in a payload, if it is one.
pub fn decode_message(payload: &[u8]) -> Option<Message> {
    Message::decode(Frame::binary(payload)).ok()
}
