use std::fmt;

/// Why a request at the door became no session: what [`Stats::refused`](crate::Stats::refused) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RefusalReason {
    /// Neither a GET nor an extended CONNECT: 405.
    Method,
    /// The handshake has a fault: 400 or 426.
    Handshake,
    /// The page that connects is of an origin that is not allowed: 403.
    Origin,
    /// The client's address has as many sessions as one may have: 429.
    AddressLimit,
    /// Authentication said no: its own answer.
    Denied,
    /// As many requests as may be are being authenticated already: 503.
    TooManyAuths,
    /// Authentication took longer than it may: 503.
    AuthTimeout,
    /// Authentication panicked: 500.
    AuthPanicked,
    /// A GET without any upgrade header, which authentication would have let in: 426.
    Probe,
    /// What authentication granted has ended already: 401.
    Expired,
    /// The connection cannot change its protocol: 500.
    NotUpgradable,
    /// The node is shutting down: 503.
    ShuttingDown,
    /// Too much waits for the clients that are here: 503.
    Overloaded,
    /// The user has as many sessions as one may have: 429.
    SessionLimit,
    /// No session id is free: 503.
    NoId,
    /// The handler under the layer said no: its own answer.
    Handler,
    /// The upgrade did not take place: the client left, the handler panicked, or a layer outside replaced the answer.
    NeverOpened,
}

impl RefusalReason {
    /// One word for it: what figures and logs call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Handshake => "handshake",
            Self::Origin => "origin",
            Self::AddressLimit => "address_limit",
            Self::Denied => "denied",
            Self::TooManyAuths => "too_many_auths",
            Self::AuthTimeout => "auth_timeout",
            Self::AuthPanicked => "auth_panicked",
            Self::Probe => "probe",
            Self::Expired => "expired",
            Self::NotUpgradable => "not_upgradable",
            Self::ShuttingDown => "shutting_down",
            Self::Overloaded => "overloaded",
            Self::SessionLimit => "session_limit",
            Self::NoId => "no_id",
            Self::Handler => "handler",
            Self::NeverOpened => "never_opened",
        }
    }
}

impl fmt::Display for RefusalReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
