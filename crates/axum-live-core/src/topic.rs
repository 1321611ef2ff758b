use std::{convert::Infallible, fmt, str::FromStr, sync::Arc};

use axum_core::response::{IntoResponse, Response};
use http::StatusCode;
use serde::{Serialize, Serializer};

/// The routing key of a publication: 1 to 255 bytes of UTF-8.
///
/// Everything that names a topic takes `impl TryInto<Topic>`, so a `&str` or a `format!` will do; a `Topic` made
/// beforehand is checked once and cheap to clone.
///
/// White space, control characters, `*` and `>` are refused: the first two forge log lines and protocols, the others
/// are the wildcards of brokers.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use axum_live::{Topic, TopicError};
///
/// let topic = Topic::try_from("room:42")?;
/// assert_eq!(topic.as_str(), "room:42");
/// assert_eq!(Topic::try_from("room:*"), Err(TopicError::Character('*')));
/// # Ok::<(), TopicError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Topic(Arc<str>);

/// Why a string is no [`Topic`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TopicError {
    /// It has no characters.
    #[error("the topic is empty")]
    Empty,
    /// It is longer than [`Topic::MAX_LEN`] bytes.
    #[error("the topic is longer than {} bytes", Topic::MAX_LEN)]
    TooLong,
    /// It holds a character that topics may not have.
    #[error("the topic holds {0:?}")]
    Character(char),
}

impl Topic {
    /// The longest topic, in bytes.
    pub const MAX_LEN: usize = 255;

    /// The topic as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn check(name: &str) -> Result<(), TopicError> {
        match name.len() {
            0 => return Err(TopicError::Empty),
            1..=Self::MAX_LEN => {}
            _ => return Err(TopicError::TooLong),
        }
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || matches!(c, '*' | '>');
        match name.chars().find(|c| forbidden(*c)) {
            Some(c) => Err(TopicError::Character(c)),
            None => Ok(()),
        }
    }
}

impl TryFrom<&str> for Topic {
    type Error = TopicError;

    fn try_from(name: &str) -> Result<Self, TopicError> {
        Self::check(name)?;
        Ok(Self(name.into()))
    }
}

impl TryFrom<String> for Topic {
    type Error = TopicError;

    fn try_from(name: String) -> Result<Self, TopicError> {
        Self::try_from(name.as_str())
    }
}

impl TryFrom<&String> for Topic {
    type Error = TopicError;

    fn try_from(name: &String) -> Result<Self, TopicError> {
        Self::try_from(name.as_str())
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(name: &str) -> Result<Self, TopicError> {
        Self::try_from(name)
    }
}

impl From<&Topic> for Topic {
    fn from(topic: &Topic) -> Self {
        topic.clone()
    }
}

impl IntoResponse for TopicError {
    fn into_response(self) -> Response {
        (StatusCode::BAD_REQUEST, self.to_string()).into_response()
    }
}

/// A `Topic` given where one is parsed cannot fail.
impl From<Infallible> for TopicError {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

impl AsRef<str> for Topic {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_holds_255_bytes_and_no_more() {
        assert!(Topic::try_from("x".repeat(255)).is_ok());
        assert_eq!(Topic::try_from("x".repeat(256)), Err(TopicError::TooLong));
        assert_eq!(Topic::try_from("é".repeat(128)), Err(TopicError::TooLong));
        assert_eq!(Topic::try_from(""), Err(TopicError::Empty));
    }

    #[test]
    fn wildcards_white_space_and_controls_are_refused() {
        for c in ['*', '>', ' ', '\n', '\0', '\u{85}', '\u{2028}', '\u{7f}'] {
            assert_eq!(Topic::try_from(format!("a{c}b")), Err(TopicError::Character(c)));
        }
    }

    #[test]
    fn topic_is_the_text_that_it_was_made_of_however_it_was_made_and_is_shown() {
        let text = "room:42".to_owned();
        let made = [Topic::try_from("room:42"), Topic::try_from(text.clone()), Topic::try_from(&text), text.parse()];
        for topic in made.map(Result::unwrap) {
            assert_eq!((topic.as_str(), topic.as_ref(), &*topic.to_string()), (&*text, &*text, &*text));
            assert_eq!(format!("{topic:?}"), format!("{text:?}"));
            assert_eq!(serde_json::to_string(&topic).unwrap(), format!("{text:?}"));
            assert_eq!(Topic::from(&topic), topic);
        }
    }
}
