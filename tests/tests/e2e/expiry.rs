//! What authentication grants for a while only, and what is taken back (close codes 4001 and 4501).

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use axum::{Router, extract::Query, http::StatusCode};
use axum_live::{CloseReason, Grant, Live, LiveLayer, Message, RefusalReason, RenewError, Session, accept};
use axum_live_test::{LiveTest, RawSocket, Request};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

use crate::app::{serve, settles, soon};

/// What a token says, in the plain.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Token {
    user: String,
    serial: u32,
    /// In so many milliseconds.
    ends: u64,
}

impl Token {
    fn of(user: &str, serial: u32, ends: Duration) -> Self {
        Self { user: user.into(), serial, ends: ends.as_millis() as u64 }
    }

    fn grant(self) -> Grant<Self> {
        let end = SystemTime::now() + Duration::from_millis(self.ends);
        Grant::new(self).until(end)
    }

    fn path(&self) -> String {
        format!("/ws?user={}&serial={}&ends={}", self.user, self.serial, self.ends)
    }
}

const HOUR: Duration = Duration::from_secs(3600);
const SOON: Duration = Duration::from_secs(3);

/// A node whose clients may hand in a token, and are told which one counts.
fn node() -> Live<Token> {
    Live::builder()
        .user(|token: &Token| token.user.clone())
        .on_message(async |session: Session<Token>, message: Message| {
            let token: Token = message.json().unwrap();
            let outcome = match session.renew(token.grant()) {
                Ok(()) => "renewed".to_owned(),
                Err(error) => error.to_string(),
            };
            session.send("outcome", &(outcome, session.value().serial)).unwrap();
        })
        .build()
}

fn app(live: &Live<Token>) -> Router {
    let layer = LiveLayer::new(live, async |Query(token): Query<Token>| Ok::<_, StatusCode>(token.grant()));
    Router::new().route("/ws", layer.handler(accept))
}

async fn open(live: &Live<Token>, token: &Token) -> RawSocket {
    RawSocket::open(serve(app(live)).await, &token.path()).await.unwrap()
}

async fn renew(socket: &mut RawSocket, token: &Token) -> (String, u32) {
    socket.send_json("renew", serde_json::to_value(token).unwrap()).await.unwrap();
    serde_json::from_value(socket.expect_json("outcome").await.unwrap()).unwrap()
}

#[tokio::test]
async fn c56_a_session_ends_with_4001_when_its_grant_does_and_one_that_was_renewed_goes_on() {
    let live = node();
    let mut ana = open(&live, &Token::of("ana", 1, SOON)).await;
    let mut bob = open(&live, &Token::of("bob", 1, SOON)).await;

    assert_eq!(renew(&mut ana, &Token::of("ana", 2, HOUR)).await, ("renewed".into(), 2));
    assert_eq!(bob.expect_close().await.unwrap(), (Some(4001), "the credentials have expired".into()));
    assert_eq!(renew(&mut ana, &Token::of("ana", 3, HOUR)).await, ("renewed".into(), 3));
    assert_eq!(live.stats().closed_for(&CloseReason::Expired), 1);
}

#[tokio::test]
async fn c56_a_grant_that_has_ended_is_401_for_probes_too_and_no_session_comes_of_it() {
    let live = node();
    let ended = Token::of("ana", 1, Duration::ZERO);
    for request in [Request::new(&ended.path()), Request::plain(&ended.path())] {
        let mut socket = RawSocket::connect(serve(app(&live)).await).await.unwrap();
        assert_eq!(socket.request(&request).await.unwrap().status(), 401);
    }
    assert_eq!(live.stats().refused_for(RefusalReason::Expired), 2);
    assert_eq!(live.len(), 0);
}

#[tokio::test]
async fn a_renewal_that_is_no_good_changes_nothing() {
    let live = node();
    let mut ana = open(&live, &Token::of("ana", 1, HOUR)).await;
    let outcome = |error: RenewError| (error.to_string(), 1);
    assert_eq!(renew(&mut ana, &Token::of("bob", 2, HOUR)).await, outcome(RenewError::OtherUser));
    assert_eq!(renew(&mut ana, &Token::of("ana", 2, Duration::ZERO)).await, outcome(RenewError::Expired));

    let session = live.user("ana").sessions().pop().unwrap();
    session.close();
    assert_eq!(session.renew(Token::of("ana", 2, HOUR)), Err(RenewError::Closed));
    assert_eq!(session.value().serial, 1);
}

#[tokio::test]
async fn a_value_that_was_lent_outlives_its_renewal() {
    let live = node();
    let _socket = open(&live, &Token::of("ana", 1, HOUR)).await;
    let session = live.user("ana").sessions().pop().unwrap();
    let first = session.value();
    session.renew(Token::of("ana", 2, HOUR)).unwrap();
    assert_eq!((first.serial, session.value().serial), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn c56_a_user_whose_access_is_revoked_is_closed_everywhere_with_4501() {
    let live = node();
    let app = app(&live);
    let enter = async |user: &str| LiveTest::connect(&app, &Token::of(user, 1, HOUR).path()).await.unwrap();
    let (mut tab, mut other_tab, mut bob) = (enter("ana").await, enter("ana").await, enter("bob").await);

    assert_eq!(live.user("ana").revoke(), 2);
    assert_eq!(live.user("ana").revoke(), 0);
    for client in [&mut tab, &mut other_tab] {
        client.expect_close(4501).await.unwrap();
    }
    live.user("bob").sessions()[0].revoke();
    bob.expect_close(4501).await.unwrap();
    settles("the end of all", || live.is_empty()).await;
    assert_eq!(live.stats().closed_for(&CloseReason::Revoked), 3);
}

#[tokio::test]
async fn who_is_revoked_while_they_authenticate_is_refused_by_a_handler_that_looks_again() {
    let live = node();
    let banned = Arc::new(AtomicBool::new(false));
    let (looked, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (look, tell, wait) = (Arc::clone(&banned), Arc::clone(&looked), Arc::clone(&go_on));
    let authenticate = async move |Query(token): Query<Token>| {
        let is_banned = look.load(SeqCst);
        tell.notify_one();
        wait.notified().await;
        if is_banned { Err(StatusCode::FORBIDDEN) } else { Ok(token) }
    };
    let look_again = Arc::clone(&banned);
    let enter = async move || if look_again.load(SeqCst) { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let addr = serve(Router::new().route("/ws", LiveLayer::new(&live, authenticate).handler(enter))).await;
    let request = Request::new(&Token::of("ana", 1, HOUR).path());
    let asking =
        tokio::spawn(async move { RawSocket::connect(addr).await.unwrap().request(&request).await.unwrap().status() });
    soon("authentication", looked.notified()).await;
    banned.store(true, SeqCst);
    assert_eq!(live.user("ana").revoke(), 0);
    go_on.notify_one();
    assert_eq!(asking.await.unwrap(), 403);
    assert!(live.is_empty());
}

#[tokio::test]
async fn a_revocation_reaches_who_waits_for_their_upgrade() {
    let live = node();
    let (entered, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&entered), Arc::clone(&go_on));
    let enter = async move || {
        tell.notify_one();
        wait.notified().await;
    };
    let layer = LiveLayer::new(&live, async |Query(token): Query<Token>| Ok::<_, StatusCode>(token));
    let addr = serve(Router::new().route("/ws", layer.handler(enter))).await;
    let opening = tokio::spawn(async move { RawSocket::open(addr, &Token::of("ana", 1, HOUR).path()).await.unwrap() });
    soon("the handler", entered.notified()).await;
    assert_eq!(live.user("ana").revoke(), 1);
    go_on.notify_one();
    let mut socket = opening.await.unwrap();
    assert_eq!(socket.expect_close().await.unwrap(), (Some(4501), "access was revoked".to_owned()));
}
