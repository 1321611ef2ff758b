use std::{fmt, io};

use crate::frame::{Frame, Violation};

/// The number in a WebSocket close frame ([RFC 6455 §7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)).
///
/// Codes from 4000 on are ours: 4000 to 4499 tell a client to come back, 4500 to 4999 tell it not to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CloseCode(u16);

/// The number may not stand in a close frame (RFC 6455 §7.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} may not stand in a close frame")]
pub struct InvalidCloseCode(u16);

impl CloseCode {
    /// 1000: the application is done with the session.
    pub const NORMAL: Self = Self(1000);
    /// 1001: the server is shutting down.
    pub const GOING_AWAY: Self = Self(1001);
    /// 1002: the client broke the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// 1007: a text message, or a close reason, was not UTF-8.
    pub const INVALID_UTF8: Self = Self(1007);
    /// 1008: the application's policy forbids what the client did.
    pub const POLICY: Self = Self(1008);
    /// 1009: a message was larger than the read limit, or in too many fragments.
    pub const TOO_BIG: Self = Self(1009);
    /// 1011: a hook panicked.
    pub const INTERNAL: Self = Self(1011);
    /// 1013: the server has to shed load; to come back later may help.
    pub const TRY_AGAIN_LATER: Self = Self(1013);
    /// 4001: what authentication granted has expired; to come back with fresh credentials helps.
    pub const EXPIRED: Self = Self(4001);
    /// 4008: the client did not read fast enough and its queue filled up.
    pub const QUEUE_FULL: Self = Self(4008);
    /// 4009: the client read nothing at all for the write timeout.
    pub const WRITE_TIMEOUT: Self = Self(4009);
    /// 4011: the client began a message and did not finish it in time.
    pub const MESSAGE_TIMEOUT: Self = Self(4011);
    /// 4012: the client did not answer a ping.
    pub const NO_PONG: Self = Self(4012);
    /// 4013: the client sent more than its rate allows, and went on.
    pub const RATE_LIMITED: Self = Self(4013);
    /// 4014: a hook took too long.
    pub const HOOK_TIMEOUT: Self = Self(4014);
    /// 4500: too many messages in a row could not be decoded.
    pub const BAD_MESSAGES: Self = Self(4500);
    /// 4501: the user's access was revoked.
    pub const REVOKED: Self = Self(4501);
    /// 4504: the user has as many sessions as one may have.
    pub const SESSION_LIMIT: Self = Self(4504);
    /// 4505: the client went on subscribing past its limit.
    pub const SUBSCRIPTION_LIMIT: Self = Self(4505);

    /// Whether a client that is sent this code should connect again: all but 4500 to 4999.
    pub fn should_reconnect(self) -> bool {
        !(4500..=4999).contains(&self.0)
    }
}

impl TryFrom<u16> for CloseCode {
    type Error = InvalidCloseCode;

    /// Accepts what RFC 6455 lets an endpoint send: 1000 to 1003, 1007 to 1014, 3000 to 4999.
    fn try_from(code: u16) -> Result<Self, InvalidCloseCode> {
        match code {
            1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Self(code)),
            _ => Err(InvalidCloseCode(code)),
        }
    }
}

impl From<CloseCode> for u16 {
    fn from(code: CloseCode) -> Self {
        code.0
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a session ended. The first reason wins; `on_close` gets it, and so does every
/// [`close_reason`](crate::Session::close_reason).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The application closed it: [`Session::close`](crate::Session::close), or `close_with` and its like.
    Application {
        /// What the client was told.
        code: CloseCode,
        /// What the client was told, in words.
        text: Box<str>,
    },
    /// The client sent a close frame.
    Client {
        /// Its code; `None` when the frame had none.
        code: Option<CloseCode>,
        /// Its words, possibly none.
        text: Box<str>,
    },
    /// The client ended the stream without a close frame.
    Lost,
    /// Reading or writing failed.
    Io(io::ErrorKind),
    /// [`Live::shutdown`](crate::Live::shutdown): 1001.
    Shutdown,
    /// The client broke the protocol: 1002.
    Protocol(Box<str>),
    /// A text message was not UTF-8: 1007.
    InvalidUtf8,
    /// A message was over the read limit, or in too many fragments: 1009.
    TooBig,
    /// `on_connect` or `on_message` panicked: 1011.
    HookPanicked,
    /// The client read slower than it was sent to, until its queue was full: 4008.
    QueueFull,
    /// Too much waits for all clients together, and longest for this one: 1013.
    Overloaded,
    /// The client read nothing for the write timeout: 4009.
    WriteTimeout,
    /// A message was begun and not finished in time: 4011.
    MessageTimeout,
    /// The client did not answer a ping: 4012.
    NoPong,
    /// The client sent more than its rate allows, and went on: 4013.
    RateLimited,
    /// `on_connect` or `on_message` took too long: 4014.
    HookTimeout,
    /// What authentication granted has expired: 4001.
    Expired,
    /// The user's access was revoked: 4501.
    Revoked,
    /// The user has as many sessions as one may have: 4504.
    SessionLimit,
    /// Sixteen messages in a row could not be decoded: 4500.
    BadMessages,
    /// It never opened: the handler refused it, or the upgrade did not take place.
    NeverOpened,
    /// Its task was dropped, with the runtime or when the shutdown's time was up.
    Aborted,
}

impl CloseReason {
    /// The code that went over the wire, whoever sent it; `None` where there was no close frame, or none in it.
    pub fn code(&self) -> Option<CloseCode> {
        Some(match self {
            Self::Application { code, .. } => *code,
            Self::Client { code, .. } => return *code,
            Self::Shutdown => CloseCode::GOING_AWAY,
            Self::Protocol(_) => CloseCode::PROTOCOL,
            Self::InvalidUtf8 => CloseCode::INVALID_UTF8,
            Self::TooBig => CloseCode::TOO_BIG,
            Self::HookPanicked => CloseCode::INTERNAL,
            Self::QueueFull => CloseCode::QUEUE_FULL,
            Self::Overloaded => CloseCode::TRY_AGAIN_LATER,
            Self::WriteTimeout => CloseCode::WRITE_TIMEOUT,
            Self::MessageTimeout => CloseCode::MESSAGE_TIMEOUT,
            Self::NoPong => CloseCode::NO_PONG,
            Self::RateLimited => CloseCode::RATE_LIMITED,
            Self::HookTimeout => CloseCode::HOOK_TIMEOUT,
            Self::Expired => CloseCode::EXPIRED,
            Self::Revoked => CloseCode::REVOKED,
            Self::SessionLimit => CloseCode::SESSION_LIMIT,
            Self::BadMessages => CloseCode::BAD_MESSAGES,
            Self::Lost | Self::Io(_) | Self::NeverOpened | Self::Aborted => return None,
        })
    }

    /// One word for the cause, the same for all sessions that ended for it: what figures and logs call it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Application { .. } => "application",
            Self::Client { .. } => "client",
            Self::Lost => "lost",
            Self::Io(_) => "io",
            Self::Shutdown => "shutdown",
            Self::Protocol(_) => "protocol",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::TooBig => "too_big",
            Self::HookPanicked => "hook_panicked",
            Self::QueueFull => "queue_full",
            Self::Overloaded => "overloaded",
            Self::WriteTimeout => "write_timeout",
            Self::MessageTimeout => "message_timeout",
            Self::NoPong => "no_pong",
            Self::RateLimited => "rate_limited",
            Self::HookTimeout => "hook_timeout",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::SessionLimit => "session_limit",
            Self::BadMessages => "bad_messages",
            Self::NeverOpened => "never_opened",
            Self::Aborted => "aborted",
        }
    }

    /// Whether the client should connect again.
    pub fn should_reconnect(&self) -> bool {
        self.code().is_none_or(CloseCode::should_reconnect)
    }

    /// The close frame that tells the client; `None` where the stream can no longer carry one.
    pub(crate) fn frame(&self) -> Option<Frame> {
        let code = match self {
            Self::Client { code: None, .. } => return Some(Frame::close_empty()),
            _ => self.code()?,
        };
        Some(match self {
            Self::Application { text, .. } if !text.is_empty() => Frame::close(code.0, text),
            Self::Client { text, .. } => Frame::close(code.0, text),
            _ => Frame::close(code.0, &self.to_string()),
        })
    }
}

impl From<Violation> for CloseReason {
    fn from(violation: Violation) -> Self {
        match violation.code() {
            1007 => Self::InvalidUtf8,
            1009 => Self::TooBig,
            _ => Self::Protocol(violation.to_string().into()),
        }
    }
}

/// The words that the client reads in the close frame; never empty.
impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Application { text, .. } if !text.is_empty() => text,
            Self::Application { .. } => "closed by the application",
            Self::Client { .. } => "closed by the client",
            Self::Lost => "the connection was lost",
            Self::Io(kind) => return write!(f, "the connection failed: {kind}"),
            Self::Shutdown => "the server is shutting down",
            Self::Protocol(what) => what,
            Self::InvalidUtf8 => "text that is not utf-8",
            Self::TooBig => "the message is too big",
            Self::HookPanicked => "internal error",
            Self::QueueFull => "the client reads too slowly",
            Self::Overloaded => "the server is short of memory",
            Self::WriteTimeout => "the client stopped reading",
            Self::MessageTimeout => "the message took too long to come",
            Self::NoPong => "no pong came back",
            Self::RateLimited => "the client sends too much",
            Self::HookTimeout => "the server took too long",
            Self::Expired => "the credentials have expired",
            Self::Revoked => "access was revoked",
            Self::SessionLimit => "too many sessions of this user",
            Self::BadMessages => "too many messages that cannot be decoded",
            Self::NeverOpened => "the session never opened",
            Self::Aborted => "the session was dropped",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_codes_that_may_be_sent_are_close_codes() {
        for code in [1000, 1003, 1007, 1014, 3000, 4999] {
            assert_eq!(CloseCode::try_from(code).map(u16::from), Ok(code));
        }
        for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000] {
            assert_eq!(CloseCode::try_from(code), Err(InvalidCloseCode(code)));
        }
    }

    #[test]
    fn clients_come_back_unless_told_otherwise() {
        assert!(CloseReason::QueueFull.should_reconnect());
        assert!(CloseReason::Lost.should_reconnect());
        assert!(!CloseReason::BadMessages.should_reconnect());
    }
}
