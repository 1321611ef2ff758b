use std::fmt;

use serde::Serialize;

use crate::{
    close::{CloseCode, CloseReason},
    frame::Frame,
    live::{Live, PublishError},
    session::Session,
    topic::{Topic, TopicError},
    user::UserId,
};

/// All sessions of one user on this node, be it none: each tab, each device.
///
/// [`Live::user`] makes it. It is a handle to whoever is there at each call, so it may be kept.
///
/// # Examples
///
/// ```
/// # extern crate axum_live_core as axum_live;
/// use axum_live::{Live, PublishError};
///
/// struct User {
///     id: u64,
/// }
///
/// fn greet(live: &Live<User>) -> Result<(), PublishError> {
///     if live.user(42).send("dm", &"hello")? == 0 {
///         println!("nobody of that id is here: leave it in the mailbox");
///     }
///     Ok(())
/// }
///
/// let live = Live::builder().user(|user: &User| user.id).build();
/// # greet(&live)?;
/// # Ok::<(), PublishError>(())
/// ```
pub struct UserSessions<V> {
    live: Live<V>,
    id: UserId,
}

impl<V: Send + Sync + 'static> UserSessions<V> {
    pub(crate) fn new(live: Live<V>, id: UserId) -> Self {
        Self { live, id }
    }

    /// Whose sessions they are.
    pub fn id(&self) -> &UserId {
        &self.id
    }

    /// Sends a message to each of them. Never waits, and answers how many took it.
    ///
    /// # Errors
    ///
    /// As [`Live::publish`].
    pub fn send<T: Serialize + ?Sized>(
        &self,
        topic: impl TryInto<Topic, Error: Into<TopicError>>,
        data: &T,
    ) -> Result<usize, PublishError> {
        let topic: Topic = topic.try_into().map_err(Into::into)?;
        self.send_frame(&Frame::message(&topic, data)?)
    }

    /// Sends a frame as it is to each of them.
    ///
    /// # Errors
    ///
    /// [`PublishError::TooLarge`] or [`PublishError::Overloaded`].
    pub fn send_frame(&self, frame: &Frame) -> Result<usize, PublishError> {
        self.live.node.send_to(&self.id, frame)
    }

    /// The sessions that have not ended, in no order; those still waiting for their upgrade included.
    pub fn sessions(&self) -> Vec<Session<V>> {
        let outboxes = self.live.node.users.subscribers(&self.id);
        outboxes.iter().filter_map(|outbox| self.live.session(outbox.id())).collect()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.sessions().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes each of them with 4501, which tells the clients not to come back, and answers how many that were: those that
    /// have been let in at the call, pending ones too. Mark the user as revoked where authentication looks first, so that
    /// nobody comes in after the call.
    pub fn revoke(&self) -> usize {
        self.sessions().iter().filter(|session| session.end(CloseReason::Revoked)).count()
    }

    /// Closes each of them, as [`Session::close_with`] does, and answers how many that were.
    pub fn disconnect(&self, code: CloseCode, text: impl Into<String>) -> usize {
        let text = text.into();
        self.sessions().iter().filter(|session| self.live.disconnect(session.id(), code, text.as_str())).count()
    }
}

impl<V> Clone for UserSessions<V> {
    fn clone(&self) -> Self {
        Self { live: self.live.clone(), id: self.id.clone() }
    }
}

impl<V> fmt::Debug for UserSessions<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserSessions").field(&self.id).finish()
    }
}
