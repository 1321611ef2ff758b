use std::{fmt, sync::Arc};

use serde::{Serialize, Serializer};

/// Who a session belongs to, as [`Builder::user`](crate::Builder::user) tells: all sessions of one person have the
/// same.
///
/// It is made of anything that can be shown: a number, a name, a UUID.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use axum_live::UserId;
///
/// assert_eq!(UserId::new(42), UserId::new("42"));
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Arc<str>);

impl UserId {
    /// The user of this id.
    pub fn new(id: impl fmt::Display) -> Self {
        Self(id.to_string().into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for UserId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for UserId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}
