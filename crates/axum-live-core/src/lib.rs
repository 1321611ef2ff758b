//! The engine of [axum-live](https://docs.rs/axum-live): sessions, topics and fan-out, over RFC 6455 frames.
//!
//! Applications use the crate `axum-live`, which adds the door: authentication and upgrade as a tower layer. This one
//! knows no HTTP server. Its seam to whoever opens the door is [`Live::accept`], which yields a [`Pending`] session,
//! and [`Pending::open`], which takes the upgraded [`Stream`].

mod actor;
mod allowance;
mod attendance;
mod backlog;
mod budget;
mod builder;
mod clock;
mod close;
mod counters;
mod directory;
mod drain;
mod extensions;
mod extract;
mod fanout;
mod frame;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod grant;
mod heartbeat;
mod hooks;
mod hub;
mod id;
#[cfg(test)]
#[cfg(not(axum_live_loom))]
mod instructions;
#[cfg(all(test, axum_live_loom))]
mod interleavings;
mod journal;
mod limits;
mod linger;
mod live;
mod message;
mod node;
mod outbox;
mod pending;
mod presence;
mod rate;
mod refusal;
mod renewals;
#[cfg(feature = "metrics")]
mod report;
mod roster;
mod scratch;
mod session;
mod session_info;
mod session_limit;
mod session_stats;
mod shutdown;
mod stats;
mod stopwatch;
mod stream;
mod subscriptions;
mod sweep;
mod sync;
mod table;
mod topic;
mod user;
mod user_sessions;

pub use builder::Builder;
pub use close::{CloseCode, CloseReason, InvalidCloseCode};
pub use drain::Drain;
pub use extensions::SessionExtensions;
pub use extract::NoSession;
pub use frame::Frame;
pub use grant::Grant;
pub use heartbeat::Heartbeat;
pub use id::{InvalidSessionId, SessionId};
pub use journal::{ClosedSession, Excerpt, JournalEntry, JournalEvent};
pub use limits::Limits;
pub use live::{AcceptError, Live, PublishError};
pub use message::{EncodeError, Message, Payload};
pub use pending::Pending;
pub use presence::{Presence, PresenceError, Present};
pub use rate::Rate;
pub use refusal::RefusalReason;
pub use renewals::RenewError;
pub use session::{SendError, Session};
pub use session_info::SessionInfo;
pub use session_limit::SessionLimit;
pub use session_stats::{SessionPhase, SessionStats};
pub use shutdown::ShutdownReport;
pub use stats::Stats;
pub use stream::{Io, Stream};
pub use subscriptions::SubscribeError;
pub use topic::{Topic, TopicError};
pub use user::UserId;
pub use user_sessions::UserSessions;
