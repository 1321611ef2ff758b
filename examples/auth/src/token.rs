use std::time::{Duration, UNIX_EPOCH};

use axum::http::{HeaderName, StatusCode, header::WWW_AUTHENTICATE};
use axum_live::Grant;
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind, get_current_timestamp,
};
use serde::{Deserialize, Serialize};

/// How long a token is good. Nothing revokes one earlier, so it is short.
const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// How long after a log-in there are fresh tokens without another: whoever steals one has it for no longer.
pub(crate) const LOGIN: Duration = Duration::from_secs(12 * 3600);

/// What a token says, and what a session knows of its client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    #[serde(rename = "sub")]
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Which of the person's log-ins it was, and when.
    #[serde(rename = "sid")]
    pub(crate) login: String,
    auth_time: u64,
    exp: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Role {
    Member,
    Admin,
}

/// Signs tokens, and knows its own again.
pub(crate) struct Tokens {
    signing: EncodingKey,
    checking: DecodingKey,
    rules: Validation,
}

/// 401, with words that say why.
pub(crate) type Refusal = (StatusCode, [(HeaderName, &'static str); 1], &'static str);

pub(crate) fn refusal(why: &'static str) -> Refusal {
    (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], why)
}

impl Tokens {
    pub(crate) fn new(secret: &[u8]) -> Self {
        // This algorithm alone: a token does not choose how it is checked.
        let mut rules = Validation::new(Algorithm::HS256);
        rules.leeway = 0;
        Self { signing: EncodingKey::from_secret(secret), checking: DecodingKey::from_secret(secret), rules }
    }

    pub(crate) fn sign(&self, user: &User) -> String {
        encode(&Header::new(Algorithm::HS256), user, &self.signing).expect("strings, numbers and a key for HS256")
    }

    pub(crate) fn verify(&self, token: &str) -> Result<User, Refusal> {
        match decode(token, &self.checking, &self.rules) {
            Ok(data) => Ok(data.claims),
            Err(error) if matches!(error.kind(), ErrorKind::ExpiredSignature) => Err(refusal("the token has expired")),
            Err(_) => Err(refusal("the token is none of ours")),
        }
    }
}

impl User {
    /// Somebody who has just logged in.
    pub(crate) fn new(name: &str, role: Role) -> Self {
        let login = format!("{:032x}", rand::random::<u128>());
        Self { name: name.to_owned(), role, login, auth_time: get_current_timestamp(), exp: 0 }.renewed()
    }

    /// The same log-in for longer. Look up here whether the person is still one of yours, and what they may do.
    pub(crate) fn renewed(self) -> Self {
        let until = get_current_timestamp() + LIFETIME.as_secs();
        Self { exp: until.min(self.auth_time + LOGIN.as_secs()), ..self }
    }

    pub(crate) fn seconds_left(&self) -> u64 {
        self.exp.saturating_sub(get_current_timestamp())
    }

    /// What a door returns: the session ends when the token does.
    pub(crate) fn grant(self) -> Grant<Self> {
        let end = UNIX_EPOCH + Duration::from_secs(self.exp);
        Grant::new(self).until(end)
    }
}
