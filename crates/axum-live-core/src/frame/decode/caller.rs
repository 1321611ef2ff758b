//! A caller of the decoder, for the tests: it holds the decoder to its word on what it consumes and what it holds.

use super::{Decoder, Event, HEADER_ROOM, Violation};

pub(super) const LIMIT: usize = 70_000;
pub(super) const MAX_FRAGMENTS: u32 = 12;

/// Decodes `wire` in pieces of the given sizes, over and over, as the engine would.
pub(super) fn decode(wire: &[u8], pieces: &[usize]) -> (Vec<Event>, Option<Violation>) {
    let mut decoder = Decoder::new(LIMIT, MAX_FRAGMENTS);
    let mut wire = wire.to_vec();
    let mut events = Vec::new();
    let mut received = 0;
    let mut pieces = pieces.iter().cycle();
    while received < wire.len() {
        let piece = (*pieces.next().expect("a cycle does not end")).clamp(1, wire.len() - received);
        let mut input = &mut wire[received..received + piece];
        received += piece;
        loop {
            let (taken, event) = match decoder.decode(input) {
                Ok(progress) => progress,
                Err(violation) => return (events, Some(violation)),
            };
            assert!(decoder.capacity() <= 2 * (received + HEADER_ROOM));
            assert!(!decoder.is_idle() || decoder.capacity() == 0);
            input = &mut input[taken..];
            let Some(event) = event else {
                assert!(input.is_empty(), "bytes left without an event");
                break;
            };
            let closed = matches!(event, Event::Close(_));
            events.push(event);
            if closed {
                return (events, None);
            }
        }
    }
    (events, None)
}
