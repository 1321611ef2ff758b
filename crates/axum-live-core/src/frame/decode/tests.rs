use proptest::{collection::vec, prelude::*};

use super::{
    Decoder, Event, Violation,
    caller::{LIMIT, MAX_FRAGMENTS, decode},
    client::{self, frame},
};
use crate::frame::Frame;

const WHOLE: &[usize] = &[usize::MAX];
const BYTEWISE: &[usize] = &[1];

/// The violation that ends `wire`, whole and byte by byte.
fn refused(wire: &[u8]) -> Option<Violation> {
    let whole = decode(wire, WHOLE);
    assert_eq!(decode(wire, BYTEWISE), whole);
    whole.1
}

/// The events of a legal `wire`, whole and byte by byte.
fn accepted(wire: &[u8]) -> Vec<Event> {
    let (events, violation) = decode(wire, WHOLE);
    assert_eq!(violation, None);
    assert_eq!(decode(wire, BYTEWISE), (events.clone(), None));
    events
}

fn text(payload: &str) -> Event {
    Event::Message(Frame::text(payload))
}

fn close(payload: &[u8]) -> Vec<u8> {
    frame(0x88, payload)
}

#[test]
fn unmasked_frame_is_a_protocol_error() {
    assert_eq!(refused(&[0x81, 0x05]), Some(Violation::Unmasked));
}

#[test]
fn reserved_bits_are_a_protocol_error() {
    for bit in [0x40, 0x20, 0x10] {
        assert_eq!(refused(&[0x81 | bit, 0x85]), Some(Violation::ReservedBits));
    }
}

#[test]
fn reserved_opcodes_are_a_protocol_error() {
    for opcode in [3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF] {
        assert_eq!(refused(&[0x80 | opcode, 0x80]), Some(Violation::ReservedOpcode));
    }
}

#[test]
fn fragmented_control_frame_is_a_protocol_error() {
    for opcode in [0x8, 0x9, 0xA] {
        assert_eq!(refused(&[opcode, 0x80]), Some(Violation::FragmentedControl));
    }
}

#[test]
fn control_frame_over_125_bytes_is_a_protocol_error() {
    assert_eq!(refused(&[0x89, 0x80 | 126]), Some(Violation::OversizedControl));
    assert_eq!(refused(&[0x8A, 0x80 | 127]), Some(Violation::OversizedControl));
    assert_eq!(accepted(&frame(0x89, &[7; 125])), [Event::Ping(vec![7; 125].into())]);
}

#[test]
fn stray_continuation_is_a_protocol_error() {
    assert_eq!(refused(&[0x80, 0x80]), Some(Violation::StrayContinuation));
    let after_a_message = [frame(0x81, b"whole"), vec![0x00, 0x80]].concat();
    assert_eq!(refused(&after_a_message), Some(Violation::StrayContinuation));
}

#[test]
fn message_inside_a_message_is_a_protocol_error() {
    for begun in [frame(0x01, b"begun"), frame(0x02, b"")] {
        for opcode in [0x81, 0x02] {
            let wire = [&begun[..], &[opcode, 0x80]].concat();
            assert_eq!(refused(&wire), Some(Violation::InterleavedData));
        }
    }
}

#[test]
fn length_in_a_longer_form_than_needed_is_a_protocol_error() {
    for (long, short) in [(125u16, true), (126, false)] {
        let wire = [&[0x82, 0xFE][..], &long.to_be_bytes()].concat();
        assert_eq!(refused(&wire), short.then_some(Violation::NonMinimalLength));
    }
    for (long, short) in [(65_535u64, true), (65_536, false)] {
        let wire = [&[0x82, 0xFF][..], &long.to_be_bytes()].concat();
        assert_eq!(refused(&wire), short.then_some(Violation::NonMinimalLength));
    }
}

#[test]
fn absurd_length_is_too_big_from_the_header_alone() {
    let length = |len: u64| [&[0x82, 0xFF][..], &len.to_be_bytes()].concat();
    assert_eq!(refused(&length(1 << 63)), Some(Violation::TooBig));
    assert_eq!(refused(&length((1 << 63) - 1)), Some(Violation::TooBig));
}

#[test]
fn close_payload_of_one_byte_is_a_protocol_error() {
    assert_eq!(refused(&[0x88, 0x81]), Some(Violation::BadClosePayload));
}

#[test]
fn close_codes_are_those_of_the_wire() {
    for code in 0..=u16::MAX {
        let allowed = match code {
            1004..=1006 | 1015..=2999 => false,
            _ => (1000..5000).contains(&code),
        };
        let (events, violation) = decode(&close(&code.to_be_bytes()), WHOLE);
        if allowed {
            assert_eq!(events, [Event::Close(Some((code, String::new())))]);
        } else {
            assert_eq!(violation, Some(Violation::BadCloseCode), "{code}");
        }
    }
}

#[test]
fn close_carries_its_code_and_reason_if_any() {
    assert_eq!(accepted(&close(b"")), [Event::Close(None)]);
    let gone = Event::Close(Some((1001, "adieu été".to_owned())));
    assert_eq!(accepted(&close(b"\x03\xE9adieu \xC3\xA9t\xC3\xA9")), [gone]);
}

#[test]
fn close_reason_that_is_not_utf8_is_refused() {
    assert_eq!(refused(&close(b"\x03\xE8\xFF")), Some(Violation::InvalidUtf8));
    assert_eq!(refused(&close(b"\x03\xE8\xC3")), Some(Violation::InvalidUtf8));
}

#[test]
fn invalid_utf8_is_refused_at_its_first_bad_byte() {
    // Overlong, surrogate, past U+10FFFF, never a first byte, never alone.
    for bad in [&b"\xC0"[..], b"\xE0\x9F", b"\xED\xA0", b"\xF0\x8F", b"\xF4\x90", b"\xFF", b"\x80", b"\xC3("] {
        let mut stalled = frame(0x01, &[b"fine ", bad, b" never comes"].concat());
        stalled.truncate(stalled.len() - b" never comes".len());
        assert_eq!(refused(&stalled), Some(Violation::InvalidUtf8), "{bad:?}");
        stalled.pop();
        assert_eq!(refused(&stalled), None, "{bad:?}");

        let (first, last) = bad.split_at(bad.len() - 1);
        let seam = [frame(0x01, first), frame(0x00, last)].concat();
        assert_eq!(refused(&seam), Some(Violation::InvalidUtf8), "{bad:?}");
    }
}

#[test]
fn text_that_ends_within_a_character_is_refused() {
    for cut in [&b"\xC3"[..], b"\xE2\x82", b"\xF0\x9F\x98"] {
        assert_eq!(refused(&frame(0x81, cut)), Some(Violation::InvalidUtf8));
        let fragments = [frame(0x01, cut), frame(0x80, b"")].concat();
        assert_eq!(refused(&fragments), Some(Violation::InvalidUtf8));
    }
    assert_eq!(refused(&frame(0x82, b"\xF0\x9F\x98")), None);
}

#[test]
fn character_may_span_fragments_and_a_ping() {
    let [a, b, c, d] = *"😀".as_bytes() else { unreachable!() };
    let wire = [frame(0x01, &[a]), frame(0x00, &[b, c]), frame(0x89, b"\xFF"), frame(0x00, b""), frame(0x80, &[d])];
    let ping = Event::Ping(b"\xFF"[..].into());
    assert_eq!(accepted(&wire.concat()), [ping, text("😀")]);
}

#[test]
fn control_frame_does_not_wait_for_the_message_around_it() {
    let wire = [frame(0x01, b"begun"), frame(0x8A, b"now")].concat();
    assert_eq!(accepted(&wire), [Event::Pong]);
}

#[test]
fn lengths_about_the_boundaries_of_their_forms_come_through() {
    for len in [0, 1, 125, 126, 127, 65_535, 65_536] {
        let payload = vec![b'x'; len];
        let expected = [Event::Message(Frame::binary(&payload))];
        let wire = frame(0x82, &payload);
        assert_eq!(decode(&wire, WHOLE), (expected.to_vec(), None));
        for header in 1..=14 {
            assert_eq!(decode(&wire, &[header, usize::MAX]), (expected.to_vec(), None));
        }
    }
}

#[test]
fn message_over_the_limit_is_too_big_by_its_header_alone() {
    let header = |first: u8, len: u64| [&[first, 0xFF][..], &len.to_be_bytes()].concat();
    assert_eq!(refused(&header(0x82, LIMIT as u64)), None);
    assert_eq!(refused(&header(0x82, LIMIT as u64 + 1)), Some(Violation::TooBig));

    let begun = frame(0x02, &[0; 100]);
    let with = |len| [begun.clone(), header(0x80, len)].concat();
    assert_eq!(refused(&with(LIMIT as u64 - 100)), None);
    assert_eq!(refused(&with(LIMIT as u64 - 99)), Some(Violation::TooBig));

    let mut small = Decoder::new(9, 1);
    assert_eq!(small.decode(&mut [0x82, 0x80 | 10]), Err(Violation::TooBig));
}

#[test]
fn limit_is_of_each_message_and_not_of_control_frames() {
    let mut decoder = Decoder::new(3, 2);
    for _ in 0..3 {
        let mut wire = [frame(0x01, b"ab"), frame(0x89, b"longer"), frame(0x80, b"c")].concat();
        let (taken, ping) = decoder.decode(&mut wire).unwrap();
        assert_eq!(ping, Some(Event::Ping(b"longer"[..].into())));
        let (rest, message) = decoder.decode(&mut wire[taken..]).unwrap();
        assert_eq!((taken + rest, message), (wire.len(), Some(text("abc"))));
    }
}

#[test]
fn empty_fragments_count() {
    let fragments = |count: u32| {
        let more = (1..count).map(|_| frame(0x00, b""));
        [frame(0x02, b"")].into_iter().chain(more).flatten().collect::<Vec<_>>()
    };
    assert_eq!(refused(&fragments(MAX_FRAGMENTS)), None);
    let one_more = [&fragments(MAX_FRAGMENTS)[..], &[0x80, 0x80]].concat();
    assert_eq!(refused(&one_more), Some(Violation::TooManyFragments));
}

#[test]
fn declared_length_takes_no_memory() {
    let mut decoder = Decoder::new(1 << 40, 1);
    let mut header = [&[0x82, 0xFF][..], &(1u64 << 39).to_be_bytes(), &client::KEY].concat();
    assert_eq!(decoder.decode(&mut header), Ok((header.len(), None)));
    assert_eq!(decoder.capacity(), 0);
    assert!(!decoder.is_idle());

    assert_eq!(decoder.decode(&mut [0; 20]), Ok((20, None)));
    assert!(decoder.capacity() < 64);
}

#[test]
fn nothing_is_held_between_messages() {
    let mut decoder = Decoder::new(LIMIT, MAX_FRAGMENTS);
    let (mut begun, mut ended) = (frame(0x01, b"in two "), frame(0x80, b"frames"));
    decoder.decode(&mut begun).unwrap();
    assert!(!decoder.is_idle() && decoder.capacity() > 0);

    let (taken, event) = decoder.decode(&mut ended).unwrap();
    assert_eq!((taken, event), (ended.len(), Some(Event::Message(Frame::text("in two frames")))));
    assert!(decoder.is_idle() && decoder.capacity() == 0);
}

#[test]
fn idle_decoder_is_small() {
    assert!(size_of::<Decoder>() <= 24, "{}", size_of::<Decoder>());
}

#[test]
fn violations_close_with_their_code() {
    assert_eq!(Violation::Unmasked.code(), 1002);
    assert_eq!(Violation::InvalidUtf8.code(), 1007);
    assert_eq!(Violation::TooBig.code(), 1009);
    assert_eq!(Violation::TooManyFragments.code(), 1009);
}

proptest! {
    #[test]
    fn legal_stream_means_what_was_sent(
        sent in client::legal(),
        pieces in vec(1..300usize, 1..20),
    ) {
        let expected: Vec<_> = sent.iter().filter_map(|(_, event)| event.clone()).collect();
        let wire: Vec<u8> = sent.into_iter().flat_map(|(wire, _)| wire).collect();
        prop_assert_eq!(&decode(&wire, WHOLE), &(expected.clone(), None));
        prop_assert_eq!(&decode(&wire, &pieces), &(expected, None));
    }

    #[test]
    fn verdict_does_not_depend_on_how_the_bytes_are_cut(
        wire in client::hostile(),
        pieces in vec(1..300usize, 1..20),
    ) {
        let whole = decode(&wire, WHOLE);
        prop_assert_eq!(&decode(&wire, BYTEWISE), &whole);
        prop_assert_eq!(&decode(&wire, &pieces), &whole);
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(wire in vec(any::<u8>(), 0..400), pieces in vec(1..50usize, 1..20)) {
        let whole = decode(&wire, WHOLE);
        prop_assert_eq!(&decode(&wire, &pieces), &whole);
    }
}
