//! A payload is a message exactly if it is a JSON object with one topic, at most one data, and nests no deeper than it
//! may; and the message says what the object says.

use std::fmt;

use axum_live_core::{Payload, fuzzing};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Of the data, in the object that is around it.
const MAX_DEPTH: usize = 64 + 1;

pub fn check(payload: &[u8]) {
    let message = fuzzing::decode_message(payload);
    let expected = expected(payload);
    match (&message, &expected) {
        (None, None) => {}
        (Some(message), Some((topic, data))) => {
            assert_eq!(message.topic(), topic);
            assert_eq!(str::from_utf8(message.data()), Ok(&**data));
            assert!(Payload::raw(data.as_str()).is_ok(), "what comes in may go out: {data}");
        }
        // A binary payload need be UTF-8 only where it means something.
        (Some(_), None) if str::from_utf8(payload).is_err() => {}
        _ => panic!("{message:?} for {expected:?}"),
    }
}

/// Topic and data, read by a way of its own.
fn expected(payload: &[u8]) -> Option<(String, String)> {
    let Members(members) = serde_json::from_slice(payload).ok()?;
    let of = |name: &str| {
        let mut values = members.iter().filter(|(key, _)| key == name).map(|(_, value)| value.get());
        let value = values.next();
        values.next().is_none().then_some(value)
    };
    let topic = serde_json::from_str(of("topic")??).ok()?;
    let data = of("data")?.unwrap_or("null").to_owned();
    (depth(payload) <= MAX_DEPTH).then_some((topic, data))
}

/// How deep valid JSON nests.
fn depth(json: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_string) = (0usize, 0, false);
    let mut bytes = json.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if in_string => drop(bytes.next()),
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
    }
    deepest
}

/// An object as it was written, with what is in it twice.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}
