/// How many sessions one user may have at once on a node, and what becomes of one more:
/// [`Builder::sessions_per_user`](crate::Builder::sessions_per_user).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionLimit {
    sessions: usize,
    surplus: Surplus,
}

/// What becomes of one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Surplus {
    Refused,
    TakesThePlaceOfTheOldest,
}

impl SessionLimit {
    /// One more is answered 429.
    pub fn refuse(sessions: usize) -> Self {
        Self { sessions, surplus: Surplus::Refused }
    }

    /// One more is let in, and the session that is the oldest, to the second, ends with 4504, which keeps its client away.
    pub fn replace_oldest(sessions: usize) -> Self {
        Self { sessions, surplus: Surplus::TakesThePlaceOfTheOldest }
    }

    /// Whether another may come to so many.
    pub(crate) fn admits(self, present: usize) -> bool {
        self.surplus == Surplus::TakesThePlaceOfTheOldest || present < self.sessions
    }

    /// Whether so many are too many.
    pub(crate) fn is_exceeded_by(self, present: usize) -> bool {
        present > self.sessions
    }
}
