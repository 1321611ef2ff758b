//! Presence: who is in a topic, and what its subscribers are told of that.

use std::time::Duration;

use axum::Router;
use axum_live::{CloseCode, Live, Presence, PresenceError, Session};
use axum_live_test::LiveTest;
use serde_json::{Value, json};
use tokio::time::{self, Instant};

use crate::{
    app::settles,
    people::{self, User, enter, node},
};

/// A tab of a person and the session behind it.
struct Tab {
    client: LiveTest,
    session: Session<User>,
}

impl Tab {
    async fn open(live: &Live<User>, app: &Router, user: &str) -> Self {
        let before = live.user(user).sessions();
        let client = enter(app, user).await;
        let session = live.user(user).sessions().into_iter().find(|session| !before.contains(session)).unwrap();
        Self { client, session }
    }

    /// The next notice of the room.
    async fn told(&mut self) -> Value {
        self.client.expect("room").await.unwrap()
    }

    /// Asserts that nothing of the room came before this.
    async fn told_nothing(&mut self) {
        self.session.send("mark", &()).unwrap();
        self.client.expect::<()>("mark").await.unwrap();
    }

    async fn close(self) {
        let session = self.session.clone();
        self.client.close().await.unwrap();
        session.closed().await;
    }
}

fn node_with_linger(linger: Duration) -> Live<User> {
    Live::builder().maybe_user(User::name).presence_linger(linger).build()
}

fn room(live: &Live<User>) -> Presence<User> {
    live.presence("room").unwrap()
}

async fn watcher(live: &Live<User>, app: &Router) -> Tab {
    let tab = Tab::open(live, app, "watcher").await;
    room(live).subscribe(&tab.session).unwrap();
    let mut tab = tab;
    assert_eq!(tab.told().await["type"], "snapshot");
    tab
}

#[tokio::test(start_paused = true)]
async fn a_second_tab_is_no_join_and_its_closing_no_leave() {
    let live = node_with_linger(Duration::ZERO);
    let app = people::app(&live);
    let mut watcher = watcher(&live, &app).await;

    let phone = Tab::open(&live, &app, "ana").await;
    room(&live).track(&phone.session, "phone").unwrap();
    assert_eq!(watcher.told().await, json!({ "type": "join", "user": "ana", "metas": ["phone"] }));
    let desk = Tab::open(&live, &app, "ana").await;
    room(&live).track(&desk.session, "desk").unwrap();
    assert_eq!(watcher.told().await, json!({ "type": "update", "user": "ana", "metas": ["phone", "desk"] }));
    assert_eq!(room(&live).count(), 1);

    phone.close().await;
    assert_eq!(watcher.told().await, json!({ "type": "update", "user": "ana", "metas": ["desk"] }));
    desk.close().await;
    assert_eq!(watcher.told().await, json!({ "type": "leave", "user": "ana" }));
    assert_eq!(room(&live).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_reconnect_within_the_linger_is_not_told_of() {
    let live = node();
    let app = people::app(&live);
    let mut watcher = watcher(&live, &app).await;
    let before = Tab::open(&live, &app, "ana").await;
    room(&live).track(&before.session, &1).unwrap();
    watcher.told().await;

    before.close().await;
    time::sleep(Duration::from_secs(4)).await;
    assert_eq!(room(&live).count(), 1);
    let after = Tab::open(&live, &app, "ana").await;
    room(&live).track(&after.session, &1).unwrap();
    time::sleep(Duration::from_secs(10)).await;
    watcher.told_nothing().await;
    assert_eq!(room(&live).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_come_back_has_left_after_the_linger() {
    let live = node();
    let app = people::app(&live);
    let mut watcher = watcher(&live, &app).await;
    for user in ["ana", "bob"] {
        let tab = Tab::open(&live, &app, user).await;
        room(&live).track(&tab.session, &1).unwrap();
        assert_eq!(watcher.told().await["type"], "join");
        let start = Instant::now();
        tab.close().await;
        assert_eq!(watcher.told().await, json!({ "type": "leave", "user": user }));
        let waited = start.elapsed();
        assert!((Duration::from_secs(5)..Duration::from_secs(6)).contains(&waited), "{waited:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_vanishes_is_absent_once_the_heartbeat_has_missed_it() {
    let live = node();
    let app = people::app(&live);
    let ghost = Tab::open(&live, &app, "ana").await;
    room(&live).track(&ghost.session, &1).unwrap();
    ghost.client.stall();
    time::sleep(Duration::from_secs(30)).await;
    assert_eq!(room(&live).count(), 1);
    time::sleep(Duration::from_secs(15)).await;
    assert_eq!(room(&live).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_untracked_session_is_absent_at_once_and_may_come_again() {
    let live = node();
    let app = people::app(&live);
    let mut watcher = watcher(&live, &app).await;
    let ana = Tab::open(&live, &app, "ana").await;
    assert!(!room(&live).untrack(&ana.session));
    for _ in 0..2 {
        room(&live).track(&ana.session, &1).unwrap();
        assert_eq!(watcher.told().await["type"], "join");
        assert!(room(&live).untrack(&ana.session));
        assert_eq!(watcher.told().await["type"], "leave");
    }
    ana.close().await;
    watcher.told_nothing().await;
}

#[tokio::test(start_paused = true)]
async fn metadata_is_updated_by_tracking_again_and_listed_by_user_and_device() {
    let live = node();
    let app = people::app(&live);
    let (phone, desk) = (Tab::open(&live, &app, "ana").await, Tab::open(&live, &app, "ana").await);
    room(&live).track(&phone.session, &json!({ "typing": false })).unwrap();
    room(&live).track(&desk.session, &json!({ "typing": false })).unwrap();
    let mut watcher = watcher(&live, &app).await;
    room(&live).track(&phone.session, &json!({ "typing": true })).unwrap();
    let metas = json!([{ "typing": true }, { "typing": false }]);
    assert_eq!(watcher.told().await, json!({ "type": "update", "user": "ana", "metas": metas }));

    let list = room(&live).list();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].user().as_str(), "ana");
    let listed: Vec<Value> = list[0].metas().iter().map(|meta| meta.parse().unwrap()).collect();
    assert_eq!(json!(listed), metas);
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_has_all_who_are_there() {
    let live = node();
    let app = people::app(&live);
    let mut tabs = Vec::new();
    for user in ["ana", "bob"] {
        let tab = Tab::open(&live, &app, user).await;
        room(&live).track(&tab.session, &user.len()).unwrap();
        tabs.push(tab);
    }
    room(&live).subscribe(&tabs[0].session).unwrap();
    let mut snapshot = tabs[0].told().await;
    snapshot["users"].as_array_mut().unwrap().sort_by_key(|user| user["user"].to_string());
    let users = json!([{ "user": "ana", "metas": [3] }, { "user": "bob", "metas": [3] }]);
    assert_eq!(snapshot, json!({ "type": "snapshot", "users": users }));
}

#[tokio::test(start_paused = true)]
async fn nobody_is_tracked_who_is_closed_or_nobody() {
    let live = node();
    let app = people::app(&live);
    let ana = Tab::open(&live, &app, "ana").await;
    let session = ana.session.clone();
    session.close_with(CloseCode::NORMAL, "");
    assert!(matches!(room(&live).track(&session, &1), Err(PresenceError::Closed)));
    session.closed().await;
    assert!(matches!(room(&live).track(&session, &1), Err(PresenceError::Closed)));
    assert!(matches!(room(&live).subscribe(&session), Err(PresenceError::Closed)));

    let _guest = LiveTest::connect(&app, "/ws").await.unwrap();
    settles("ana's end", || live.len() == 1).await;
    let guest = live.sessions().remove(0);
    assert!(matches!(room(&live).track(&guest, &1), Err(PresenceError::Anonymous)));
    assert_eq!(room(&live).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn what_would_be_too_much_is_refused_and_changes_nothing() {
    let live = Live::builder().maybe_user(User::name).subscription_limit(1).queue_bytes(100).build();
    let app = people::app(&live);
    let ana = Tab::open(&live, &app, "ana").await;
    let big = "x".repeat(Presence::<User>::MAX_META);
    assert!(matches!(room(&live).track(&ana.session, &big), Err(PresenceError::TooLarge)));
    room(&live).track(&ana.session, &big[..90]).unwrap();
    assert!(matches!(live.presence("other").unwrap().track(&ana.session, &1), Err(PresenceError::Limit)));
    assert!(matches!(room(&live).subscribe(&ana.session), Err(PresenceError::TooLarge)));
    assert!(!ana.session.is_subscribed("room") && !ana.session.is_closed());
    room(&live).track(&ana.session, &1).unwrap();
    room(&live).subscribe(&ana.session).unwrap();
}

/// Users come and go while watchers subscribe: what each was told adds up to who is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_snapshot_and_what_follows_it_leave_no_gap() {
    let live = Live::builder().maybe_user(User::name).presence_linger(Duration::ZERO).queue_size(usize::MAX).build();
    let app = people::app(&live);
    let mut tabs = Vec::new();
    for user in 0..8 {
        tabs.push(Tab::open(&live, &app, &user.to_string()).await);
    }
    let movers = tabs.into_iter().enumerate().map(|(user, tab)| {
        let room = room(&live);
        tokio::task::spawn_blocking(move || {
            for _ in 0..200 {
                room.track(&tab.session, &user).unwrap();
                room.untrack(&tab.session);
            }
            if user % 2 == 0 {
                room.track(&tab.session, &user).unwrap();
            }
            tab
        })
    });
    let movers: Vec<_> = movers.collect();
    let mut watchers = Vec::new();
    for watcher in 0..8 {
        let tab = Tab::open(&live, &app, &format!("watcher-{watcher}")).await;
        let room = room(&live);
        watchers.push(tokio::spawn(async move {
            room.subscribe(&tab.session).unwrap();
            tab
        }));
    }
    let mut kept = Vec::new();
    for mover in movers {
        kept.push(mover.await.unwrap());
    }
    for watcher in watchers {
        let mut tab = watcher.await.unwrap();
        tab.session.send("mark", &()).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        loop {
            let frame = tab.client.socket().frame().await.unwrap();
            let message: Value = serde_json::from_str(frame.as_text().unwrap()).unwrap();
            let data = &message["data"];
            let user = data["user"].as_str().unwrap_or_default().to_owned();
            match data["type"].as_str() {
                None => break,
                Some("snapshot") => {
                    let users = data["users"].as_array().unwrap();
                    seen = users.iter().map(|user| user["user"].as_str().unwrap().to_owned()).collect();
                }
                Some("join") => assert!(seen.insert(user), "{message}"),
                Some("leave") => assert!(seen.remove(&user), "{message}"),
                Some(_) => {}
            }
        }
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["0", "2", "4", "6"]);
    }
    drop(kept);
}

/// Ten thousand in one topic: each join is told of to those who subscribe, and to join stays cheap.
#[tokio::test(start_paused = true)]
async fn ten_thousand_are_present_and_all_gone_in_the_end() {
    const MEMBERS: usize = 10_000;

    let live = node();
    let app = people::app(&live);
    let mut tabs = Vec::new();
    for user in 0..MEMBERS {
        let tab = Tab::open(&live, &app, &user.to_string()).await;
        room(&live).track(&tab.session, &user).unwrap();
        tabs.push(tab);
    }
    assert_eq!(room(&live).count(), MEMBERS);
    room(&live).subscribe(&tabs[0].session).unwrap();
    let snapshot = tabs[0].told().await;
    assert_eq!(snapshot["users"].as_array().unwrap().len(), MEMBERS);

    drop(tabs);
    settles("the sessions' end", || live.is_empty()).await;
    assert_eq!(room(&live).count(), MEMBERS);
    time::sleep(Duration::from_secs(6)).await;
    assert_eq!((room(&live).count(), live.stats().topics()), (0, 0));
}
