//! The sessions of one person: a tab each.

use std::time::Duration;

use axum::{Router, extract::Query, http::StatusCode};
use axum_live::{CloseCode, CloseReason, Live, LiveLayer, RefusalReason, Session, SessionLimit, accept};
use axum_live_test::{LiveTest, RawSocket, Request};
use serde::Deserialize;
use tokio::{task::JoinSet, time};

use crate::app::{serve, settles};

#[derive(Deserialize)]
pub(crate) struct User {
    user: Option<String>,
}

impl User {
    pub(crate) fn name(&self) -> Option<String> {
        self.user.clone()
    }
}

/// A node that knows its people by their names, some of whom have none.
pub(crate) fn node() -> Live<User> {
    Live::builder().maybe_user(User::name).build()
}

pub(crate) fn app(live: &Live<User>) -> Router {
    let layer = LiveLayer::new(live, async |Query(user): Query<User>| Ok::<_, StatusCode>(user));
    Router::new().route("/ws", layer.handler(accept))
}

pub(crate) async fn enter(app: &Router, user: &str) -> LiveTest {
    LiveTest::connect(app, &format!("/ws?user={user}")).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_message_to_a_person_reaches_each_of_their_tabs_and_nobody_else() {
    let live = node();
    let app = app(&live);
    let (mut tab, mut other_tab, mut bob) =
        (enter(&app, "ana").await, enter(&app, "ana").await, enter(&app, "bob").await);
    let mut guest = LiveTest::connect(&app, "/ws").await.unwrap();

    assert_eq!(live.user("ana").send("dm", "hello").unwrap(), 2);
    assert_eq!(live.user("carl").send("dm", "hello").unwrap(), 0);
    for client in [&mut tab, &mut other_tab] {
        assert_eq!(client.expect::<String>("dm").await.unwrap(), "hello");
    }
    // What is told to all comes after the message, were it on its way to them.
    live.broadcast("all", &1).unwrap();
    for client in [&mut bob, &mut guest] {
        client.expect::<u8>("all").await.unwrap();
    }
}

/// What each of so many clients that connect at once as one user is answered; who is refused is told when to come back.
async fn rush(live: &Live<User>, clients: usize) -> Vec<u16> {
    let addr = serve(app(live)).await;
    let mut tasks = JoinSet::new();
    for _ in 0..clients {
        tasks.spawn(async move {
            let mut socket = RawSocket::connect(addr).await.unwrap();
            let reply = socket.request(&Request::new("/ws?user=ana")).await.unwrap();
            assert_eq!(reply.header("retry-after").is_some(), reply.status() == 429);
            (reply.status(), socket)
        });
    }
    // The sockets stay until all have come.
    let answers = tasks.join_all().await;
    answers.iter().map(|(status, _)| *status).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c72_a_user_has_so_many_sessions_and_one_more_is_429() {
    let live = Live::builder().maybe_user(User::name).sessions_per_user(SessionLimit::refuse(5)).build();
    let answers = rush(&live, 100).await;
    assert_eq!(answers.iter().filter(|status| **status == 101).count(), 5);
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 95);
    assert_eq!(live.stats().refused_for(RefusalReason::SessionLimit), 95);

    settles("the end of all", || live.is_empty()).await;
    assert!(rush(&live, 5).await.iter().all(|status| *status == 101), "their places are free");
}

#[tokio::test(start_paused = true)]
async fn c72_where_the_oldest_has_to_go_it_is_told_4504_and_guests_are_not_counted() {
    let live = Live::builder().maybe_user(User::name).sessions_per_user(SessionLimit::replace_oldest(2)).build();
    let app = app(&live);
    let mut oldest = enter(&app, "ana").await;
    time::sleep(Duration::from_secs(2)).await;
    let (_second, _guest) = (enter(&app, "ana").await, LiveTest::connect(&app, "/ws").await.unwrap());
    let (_third, _bob) = (enter(&app, "ana").await, enter(&app, "bob").await);
    oldest.expect_close(4504).await.unwrap();
    assert_eq!((live.user("ana").len(), live.stats().closed_for(&CloseReason::SessionLimit)), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn c72_whose_place_was_taken_is_no_receiver_any_more_once_the_newer_session_is_there() {
    let live = Live::builder().maybe_user(User::name).sessions_per_user(SessionLimit::replace_oldest(1)).build();
    // The older one's task has had no turn yet.
    let greet = async |session: Session<User>| {
        assert_eq!(session.live().user("ana").send("dm", &"welcome").unwrap(), 1);
    };
    let layer = LiveLayer::new(&live, async |Query(user): Query<User>| Ok::<_, StatusCode>(user));
    let app = Router::new().route("/ws", layer.handler(greet));
    let (mut old, mut new) = (enter(&app, "ana").await, enter(&app, "ana").await);
    for client in [&mut old, &mut new] {
        assert_eq!(client.expect::<String>("dm").await.unwrap(), "welcome");
    }
    old.expect_close(4504).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn c72_of_many_that_come_at_once_the_newest_stay_and_no_more_than_may() {
    let live = Live::builder().maybe_user(User::name).sessions_per_user(SessionLimit::replace_oldest(5)).build();
    assert!(rush(&live, 100).await.iter().all(|status| *status == 101));
    settles("the end of all", || live.is_empty()).await;
    assert_eq!(live.stats().closed_for(&CloseReason::SessionLimit), 95);
}

#[tokio::test(start_paused = true)]
async fn an_old_tab_that_closes_takes_no_new_one_with_it() {
    let live = node();
    let app = app(&live);
    let old = enter(&app, "ana").await;
    let mut new = enter(&app, "ana").await;
    assert_eq!(live.user("ana").len(), 2);
    old.close().await.unwrap();
    settles("the old tab's leaving", || live.user("ana").len() == 1).await;

    assert_eq!(live.user("ana").send("dm", &1).unwrap(), 1);
    assert_eq!(new.expect::<u8>("dm").await.unwrap(), 1);
    new.close().await.unwrap();
    settles("the new tab's leaving", || live.user("ana").is_empty()).await;
    assert_eq!(live.user("ana").send("dm", &1).unwrap(), 0);
    settles("that nothing is kept of ana", || live.stats().users() == 0).await;
}

#[tokio::test(start_paused = true)]
async fn a_person_is_listed_and_disconnected_with_all_their_tabs() {
    let live = node();
    let app = app(&live);
    let (mut tab, mut other_tab, mut bob) =
        (enter(&app, "ana").await, enter(&app, "ana").await, enter(&app, "bob").await);
    let ana = live.user("ana");
    let sessions = ana.sessions();
    assert_eq!(sessions.len(), 2);
    assert!(sessions.iter().all(|session| session.user() == Some(ana.id())));

    let revoked = CloseCode::try_from(4501).unwrap();
    assert_eq!(ana.disconnect(revoked, "your account was closed"), 2);
    for client in [&mut tab, &mut other_tab] {
        assert_eq!(client.expect_close(4501).await.unwrap(), "your account was closed");
    }
    assert_eq!(ana.disconnect(revoked, "again"), 0);
    assert_eq!(live.user("bob").send("dm", &1).unwrap(), 1);
    bob.expect::<u8>("dm").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_session_that_never_opens_leaves_no_person_behind() {
    let live = node();
    let layer = LiveLayer::new(&live, async |Query(user): Query<User>| Ok::<_, StatusCode>(user));
    let refuse = async |session: Session<User>| {
        assert_eq!(session.live().user("ana").len(), 1);
        StatusCode::FORBIDDEN
    };
    let app = Router::new().route("/ws", layer.handler(refuse));
    assert_eq!(LiveTest::ask(&app, &Request::new("/ws?user=ana")).await.unwrap().status(), 403);
    assert!(live.user("ana").is_empty());
    assert!(live.is_empty());
}

#[test]
#[should_panic(expected = "set Builder::user")]
fn a_node_that_knows_no_people_says_what_is_missing() {
    Live::<()>::builder().build().user("ana");
}
