//! For pages of another site, and whatever can set no header: `POST /ticket` answers a ticket, which stands in the query.
//!
//! Addresses end in logs and histories. What is found there must be worth nothing: a ticket is good once, and soon not at
//! all.
//!
//! A session takes one too: by the message `renew`, before what it was granted ends.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    extract::{Query, State},
    http::{HeaderMap, header::AUTHORIZATION},
};
use axum_extra::extract::CookieJar;
use axum_live::{ClientError, Data, Grant, Intent, Session};
use serde::Deserialize;
use tokio::time::Instant;

use crate::{
    Auth, cookie, header, tell_grant,
    token::{Refusal, User, refusal},
};

const USELESS: &str = "the ticket was used, has expired or is none of ours";

/// As long as it takes to connect.
pub(crate) const LIFETIME: Duration = Duration::from_secs(30);

/// Tickets that wait to be used.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<HashMap<String, (User, Instant)>>);

#[derive(Deserialize)]
pub(crate) struct Ticket {
    #[serde(default)]
    ticket: String,
}

/// A browser that asks why its WebSocket failed does not spend the ticket by asking.
pub(crate) async fn authenticate(
    intent: Intent,
    State(auth): State<Arc<Auth>>,
    Query(Ticket { ticket }): Query<Ticket>,
) -> Result<Grant<User>, Refusal> {
    let user = match intent {
        Intent::Probe => auth.tickets.look_at(&ticket),
        Intent::Upgrade => auth.tickets.spend(&ticket),
    };
    user.map(User::grant).ok_or(refusal(USELESS))
}

/// The handler of `renew`: the session goes on for as long as the ticket's token is good.
pub(crate) async fn renew(
    session: Session<User>,
    State(tickets): State<Arc<Tickets>>,
    Data(ticket): Data<String>,
) -> Result<(), ClientError> {
    let user = tickets.spend(&ticket).ok_or_else(|| ClientError::new("bad_ticket", USELESS))?;
    session.renew(user.grant()).map_err(|error| ClientError::new("not_renewed", error.to_string()))?;
    Ok(tell_grant(&session)?)
}

/// For who has come in another way: the page itself, or the server of another site on behalf of its page.
pub(crate) async fn issue(
    State(auth): State<Arc<Auth>>,
    headers: HeaderMap,
    cookies: CookieJar,
) -> Result<String, Refusal> {
    let user = match headers.contains_key(AUTHORIZATION) {
        true => header::visitor(&auth, &headers)?,
        false => cookie::visitor(&auth, &cookies)?,
    };
    Ok(auth.tickets.issue(user))
}

impl Tickets {
    pub(crate) fn issue(&self, user: User) -> String {
        let ticket = format!("{:032x}", rand::random::<u128>());
        self.good().insert(ticket.clone(), (user, Instant::now() + LIFETIME));
        ticket
    }

    fn look_at(&self, ticket: &str) -> Option<User> {
        self.good().get(ticket).map(|(user, _)| user.clone())
    }

    /// Of two who come with the same ticket, one gets in.
    fn spend(&self, ticket: &str) -> Option<User> {
        self.good().remove(ticket).map(|(user, _)| user)
    }

    fn good(&self) -> MutexGuard<'_, HashMap<String, (User, Instant)>> {
        let mut tickets = self.0.lock().expect("nothing panics while it is held");
        tickets.retain(|_, (_, until)| *until > Instant::now());
        tickets
    }
}
