//! For programs: `POST /token` answers a token, and `Authorization: Bearer` carries it.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header::AUTHORIZATION},
};
use axum_live::Grant;

use crate::{
    Auth,
    login::Login,
    token::{Refusal, User, refusal},
};

pub(crate) async fn authenticate(State(auth): State<Arc<Auth>>, headers: HeaderMap) -> Result<Grant<User>, Refusal> {
    visitor(&auth, &headers).map(User::grant)
}

pub(crate) fn visitor(auth: &Auth, headers: &HeaderMap) -> Result<User, Refusal> {
    let header = headers.get(AUTHORIZATION).and_then(|header| header.to_str().ok()?.split_once(' '));
    match header {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => auth.tokens.verify(token),
        _ => Err(refusal("send the header Authorization: Bearer TOKEN")),
    }
}

pub(crate) async fn token(State(auth): State<Arc<Auth>>, Json(login): Json<Login>) -> Result<String, Refusal> {
    Ok(auth.tokens.sign(&login.user()?))
}
