use std::time::Duration;

use axum::http::{HeaderName, StatusCode, header::WWW_AUTHENTICATE};
use jsonwebtoken::{
    Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode, errors::ErrorKind, get_current_timestamp,
};
use serde::{Deserialize, Serialize};

/// How long a token is good. Nothing revokes one earlier, so it is short.
pub(crate) const LIFETIME: Duration = Duration::from_secs(15 * 60);

/// What a token says, and what a session knows of its client.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct User {
    #[serde(rename = "sub")]
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Which of the person's tokens it was.
    #[serde(rename = "jti")]
    pub(crate) token: String,
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

    pub(crate) fn issue(&self, name: &str, role: Role) -> String {
        let token = format!("{:032x}", rand::random::<u128>());
        let user = User { name: name.to_owned(), role, token, exp: get_current_timestamp() + LIFETIME.as_secs() };
        encode(&Header::new(Algorithm::HS256), &user, &self.signing).expect("strings, a number and a key for HS256")
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
    pub(crate) fn time_left(&self) -> Duration {
        Duration::from_secs(self.exp.saturating_sub(get_current_timestamp()))
    }
}
