//! A string is a topic exactly if its documentation says so, and a topic comes out of the envelope as it went in.

use axum_live_core::{Frame, Topic, TopicError, fuzzing};

pub fn check(bytes: &[u8]) {
    let Ok(name) = str::from_utf8(bytes) else { return };
    let forbidden = name.chars().find(|c| c.is_whitespace() || c.is_control() || "*>".contains(*c));
    match Topic::try_from(name) {
        Ok(topic) => {
            assert_eq!((topic.as_str(), forbidden), (name, None));
            assert!((1..=255).contains(&name.len()));
            let frame = Frame::message(&topic, &name).unwrap();
            let message = fuzzing::decode_message(frame.payload()).unwrap();
            assert_eq!((message.topic(), message.json::<&str>().ok()), (name, plain(name)));
            assert_eq!(message.json::<String>().unwrap(), name);
        }
        Err(TopicError::Empty) => assert_eq!(name, ""),
        Err(TopicError::TooLong) => assert!(name.len() > 255),
        Err(TopicError::Character(character)) => assert_eq!(Some(character), forbidden),
        Err(error) => panic!("{error}"),
    }
}

/// What of a string can be borrowed from JSON: one without an escape.
fn plain(name: &str) -> Option<&str> {
    (!name.contains(['"', '\\'])).then_some(name)
}
