//! A client, for the tests: what it may put on the wire, right or wrong.

use proptest::{collection::vec, prelude::*, sample::Index};

use super::Event;
use crate::frame::Frame;

pub(super) const KEY: [u8; 4] = [0x9A, 0x01, 0xF0, 0x5C];

/// A masked frame; `first` is its first byte as it stands on the wire.
pub(super) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut wire = match payload.len() {
        len @ 0..=125 => vec![first, 0x80 | len as u8],
        len @ 126..=0xFFFF => [&[first, 0xFE][..], &(len as u16).to_be_bytes()].concat(),
        len => [&[first, 0xFF][..], &(len as u64).to_be_bytes()].concat(),
    };
    wire.extend(KEY);
    wire.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    wire
}

/// A frame on the wire, and the event that it completes.
type Sent = (Vec<u8>, Option<Event>);

/// Legal frames: messages in any fragmentation, control frames anywhere, perhaps a close at the end.
pub(super) fn legal() -> impl Strategy<Value = Vec<Sent>> {
    let part = prop_oneof![9 => message(), 2 => control().prop_map(|sent| vec![sent])];
    (vec(part, 0..6), prop::option::weighted(0.3, close()))
        .prop_map(|(parts, close)| parts.into_iter().flatten().chain(close).collect())
}

/// A stream that was legal before something happened to it.
pub(super) fn hostile() -> impl Strategy<Value = Vec<u8>> {
    let strange = vec((any::<Index>(), strange()), 0..3);
    let damage = vec((any::<Index>(), any::<u8>(), 0..5), 0..4);
    (legal(), strange, damage).prop_map(|(sent, strange, damage)| {
        let mut frames: Vec<_> = sent.into_iter().map(|(wire, _)| wire).collect();
        for (at, frame) in strange {
            frames.insert(at.index(frames.len() + 1), frame);
        }
        let mut wire = frames.concat();
        for (at, byte, kind) in damage {
            let at = at.index(wire.len() + 1);
            match kind {
                0 => wire.insert(at, byte),
                1 => wire.truncate(at),
                _ if at == wire.len() => {}
                2 => drop(wire.remove(at)),
                3 => wire[at] = byte,
                _ => wire[at] ^= 1 << (byte % 8),
            }
        }
        wire
    })
}

fn message() -> impl Strategy<Value = Vec<Sent>> {
    let seam = (any::<Index>(), prop::option::weighted(0.3, control()));
    (any::<bool>(), payload(), vec(seam, 0..4)).prop_map(|(text, payload, seams)| {
        let (opcode, event) = match text {
            true => (0x1, Event::Message(Frame::text(&payload))),
            false => (0x2, Event::Message(Frame::binary(&payload))),
        };
        let mut rest = payload.as_bytes();
        let mut opcode = opcode;
        let mut sent = Vec::new();
        for (at, control) in seams {
            let (piece, tail) = rest.split_at(at.index(rest.len() + 1));
            sent.push((frame(opcode, piece), None));
            sent.extend(control);
            (opcode, rest) = (0x0, tail);
        }
        sent.push((frame(0x80 | opcode, rest), Some(event)));
        sent
    })
}

/// Text of one to four bytes a character, mostly short, now and then about a boundary of the length's forms.
fn payload() -> impl Strategy<Value = String> {
    let len = prop_oneof![12 => 0..60usize, 3 => 120..132usize, 1 => 65_530..65_540usize];
    (vec(any::<char>(), 1..8), len).prop_map(|(characters, len)| {
        let mut text: String = characters.into_iter().cycle().take(len).collect();
        while text.len() > len {
            text.pop();
        }
        text
    })
}

fn control() -> impl Strategy<Value = Sent> {
    (any::<bool>(), vec(any::<u8>(), 0..=125)).prop_map(|(ping, payload)| match ping {
        true => (frame(0x89, &payload), Some(Event::Ping(payload.into()))),
        false => (frame(0x8A, &payload), Some(Event::Pong)),
    })
}

fn close() -> impl Strategy<Value = Sent> {
    let code = prop_oneof![1000..=1003u16, 1007..=1014u16, 3000..=4999u16];
    prop::option::of((code, "\\PC{0,20}")).prop_map(|body| {
        let payload = match &body {
            Some((code, reason)) => [&code.to_be_bytes()[..], reason.as_bytes()].concat(),
            None => Vec::new(),
        };
        (frame(0x88, &payload), Some(Event::Close(body)))
    })
}

/// A frame that breaks a rule, more often than not.
fn strange() -> impl Strategy<Value = Vec<u8>> {
    let small = || vec(any::<u8>(), 0..12);
    prop_oneof![
        // Any first byte: reserved bits and opcodes, stray continuations, fragmented control frames.
        4 => (any::<u8>(), small()).prop_map(|(first, payload)| frame(first, &payload)),
        // Any two first bytes: no mask, a declared length that is not there.
        2 => (any::<[u8; 2]>(), small()).prop_map(|(head, rest)| [&head[..], &rest].concat()),
        // Any length in the long forms.
        2 => (0..3u8, any::<u64>(), 0..64u32).prop_map(|(first, len, shift)| {
            [&[0x80 | first, 0xFF][..], &(len >> shift).to_be_bytes(), &KEY].concat()
        }),
        1 => (0..3u8, any::<u16>(), 0..16u32).prop_map(|(first, len, shift)| {
            [&[0x80 | first, 0xFE][..], &(len >> shift).to_be_bytes(), &KEY].concat()
        }),
        // Text of any bytes, whole or begun.
        3 => (prop::sample::select(vec![0x01, 0x81, 0x80]), small())
            .prop_map(|(first, payload)| frame(first, &payload)),
        // Any close.
        3 => (0..5200u16, small()).prop_map(|(code, reason)| {
            frame(0x88, &[&code.to_be_bytes()[..], &reason].concat())
        }),
        1 => Just(frame(0x88, b"!")),
        1 => Just(frame(0x89, &[b'!'; 126])),
    ]
}
