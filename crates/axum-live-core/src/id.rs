use std::fmt;

use serde::{Serialize, Serializer};

/// What tells one session from all others: unguessable, 22 characters, 128 bits from the operating system.
///
/// A generator of your own ([`Builder::session_id`](crate::Builder::session_id)) makes them from text of its own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SessionId {
    text: [u8; Self::MAX_LEN],
    length: u8,
}

/// Why text is no [`SessionId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a session id is 1 to {} visible ascii characters", SessionId::MAX_LEN)]
pub struct InvalidSessionId;

impl SessionId {
    /// The longest id, in bytes: a UUID with its hyphens.
    pub const MAX_LEN: usize = 36;

    /// The id as text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text[..self.length.into()]).expect("made of ascii only")
    }

    /// A new id from the operating system's source of randomness.
    pub(crate) fn random() -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        const LENGTH: usize = 22;

        let mut seed = [0; 16];
        getrandom::fill(&mut seed).expect("the operating system has a source of randomness");
        let mut bits = u128::from_ne_bytes(seed);
        let mut text = [0; Self::MAX_LEN];
        for byte in &mut text[..LENGTH] {
            *byte = ALPHABET[(bits & 63) as usize];
            bits >>= 6;
        }
        Self { text, length: LENGTH as u8 }
    }
}

impl TryFrom<&str> for SessionId {
    type Error = InvalidSessionId;

    fn try_from(id: &str) -> Result<Self, InvalidSessionId> {
        if !(1..=Self::MAX_LEN).contains(&id.len()) || !id.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(InvalidSessionId);
        }
        let mut text = [0; Self::MAX_LEN];
        text[..id.len()].copy_from_slice(id.as_bytes());
        Ok(Self { text, length: id.len() as u8 })
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SessionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_ids_differ_and_parse_back() {
        let (one, other) = (SessionId::random(), SessionId::random());
        assert_ne!(one, other);
        assert_eq!(one.as_str().len(), 22);
        assert_eq!(SessionId::try_from(one.as_str()), Ok(one));
    }

    #[test]
    fn id_is_short_visible_ascii() {
        assert!(SessionId::try_from("0f8fad5b-d9cb-469f-a165-70867728950e").is_ok());
        for id in ["", "a b", "é", "0f8fad5b-d9cb-469f-a165-70867728950e0"] {
            assert_eq!(SessionId::try_from(id), Err(InvalidSessionId));
        }
    }
}
