//! For pages of this site: `POST /login` sets a cookie, which the browser adds to the handshake by itself.
//!
//! It adds it whoever asks, so the door must refuse other sites' pages; a `LiveLayer` does unless it is told otherwise.

use std::sync::Arc;

use axum::{Json, extract::State};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use axum_live::{CloseCode, Grant};

use crate::{
    Auth,
    login::Login,
    token::{Refusal, User, refusal},
};

/// By this prefix browsers see to it that nobody else on the domain can set it.
const NAME: &str = "__Host-token";

pub(crate) async fn authenticate(State(auth): State<Arc<Auth>>, cookies: CookieJar) -> Result<Grant<User>, Refusal> {
    visitor(&auth, &cookies).map(User::grant)
}

pub(crate) fn visitor(auth: &Auth, cookies: &CookieJar) -> Result<User, Refusal> {
    let cookie = cookies.get(NAME).ok_or(refusal("log in first"))?;
    auth.tokens.verify(cookie.value())
}

/// Takes JSON, which no form of another site can send: nobody is logged in without their knowledge.
pub(crate) async fn log_in(
    State(auth): State<Arc<Auth>>,
    cookies: CookieJar,
    Json(login): Json<Login>,
) -> Result<CookieJar, Refusal> {
    Ok(cookies.add(cookie(auth.tokens.sign(&login.user()?))))
}

/// Takes a cookie that is still good for a fresh one, and answers a ticket by which the open session learns of it.
pub(crate) async fn renew(State(auth): State<Arc<Auth>>, cookies: CookieJar) -> Result<(CookieJar, String), Refusal> {
    let user = visitor(&auth, &cookies)?.renewed();
    Ok((cookies.add(cookie(auth.tokens.sign(&user))), auth.tickets.issue(user)))
}

/// Ends what this log-in let in, and nothing on the person's other devices.
pub(crate) async fn log_out(State(auth): State<Arc<Auth>>, cookies: CookieJar) -> Result<CookieJar, Refusal> {
    let user = visitor(&auth, &cookies)?;
    for session in auth.live.user(&user.name).sessions() {
        if session.value().login == user.login {
            session.close_with(CloseCode::POLICY, "logged out");
        }
    }
    Ok(cookies.remove(cookie(String::new())))
}

/// No script can read it, no page of another site makes the browser send it, and it crosses no open network.
fn cookie(token: String) -> Cookie<'static> {
    Cookie::build((NAME, token)).path("/").http_only(true).same_site(SameSite::Strict).secure(true).build()
}
