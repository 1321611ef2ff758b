//! How an app of this kind is tested: clients in memory, requests as function calls, and a clock that does not wait.

use std::{sync::Barrier, thread};

use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use axum_live_test::{LiveTest, Request as Handshake};
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt;

use crate::{mailboxes::Mailboxes, *};

fn new_app() -> Router {
    app(&Desk::new())
}

async fn enter(app: &Router, user: &str) -> LiveTest {
    LiveTest::connect(app, &format!("/ws?user={user}")).await.unwrap()
}

async fn post_to(app: &Router, uri: &str, body: &Value) -> (StatusCode, Value) {
    let request = Request::post(uri).header("content-type", "application/json").body(Body::from(body.to_string()));
    let response = app.clone().oneshot(request.unwrap()).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

/// Tells one, or all, something, and answers how many sessions took it.
async fn tell(app: &Router, to: Option<&str>, text: &str) -> u64 {
    let (status, receipt) = post_to(app, "/notify", &json!({ "to": to, "text": text })).await;
    assert_eq!(status, StatusCode::OK);
    receipt["receivers"].as_u64().unwrap()
}

/// Subscribes, and waits until it is done: messages are taken in order, so the second subscribe is refused after the
/// first was granted.
async fn subscribe(client: &mut LiveTest, topic: &str) {
    client.send("subscribe", &json!({ "topic": topic })).await.unwrap();
    assert_eq!(refusal(client, "nobody's").await, "forbidden");
}

async fn refusal(client: &mut LiveTest, topic: &str) -> Value {
    client.send("subscribe", &json!({ "topic": topic })).await.unwrap();
    let mut error: Value = client.expect("error").await.unwrap();
    assert_eq!(error["topic"], topic);
    error["code"].take()
}

async fn text(client: &mut LiveTest, topic: &str) -> String {
    let mut notice: Value = client.expect(topic).await.unwrap();
    serde_json::from_value(notice["text"].take()).unwrap()
}

/// What comes next on a session has not been overtaken by anything: it is told last, and comes first.
async fn has_heard_nothing_more(app: &Router, client: &mut LiveTest, user: &str) {
    tell(app, Some(user), "anything else?").await;
    assert_eq!(text(client, &format!("user:{user}")).await, "anything else?");
}

#[tokio::test(start_paused = true)]
async fn news_reach_all_who_subscribed_and_nobody_else() {
    let app = new_app();
    let (mut ana, mut bob, mut carl) = (enter(&app, "ana").await, enter(&app, "bob").await, enter(&app, "carl").await);
    subscribe(&mut ana, "news").await;
    subscribe(&mut bob, "news").await;
    assert_eq!(tell(&app, None, "cake in the kitchen").await, 2);
    assert_eq!(text(&mut ana, "news").await, "cake in the kitchen");
    assert_eq!(text(&mut bob, "news").await, "cake in the kitchen");
    has_heard_nothing_more(&app, &mut carl, "carl").await;
}

#[tokio::test(start_paused = true)]
async fn a_notice_to_one_person_reaches_each_of_their_tabs_and_nobody_else() {
    let app = new_app();
    let (mut tab, mut other_tab, mut bob) =
        (enter(&app, "ana").await, enter(&app, "ana").await, enter(&app, "bob").await);
    for client in [&mut tab, &mut other_tab, &mut bob] {
        subscribe(client, "news").await;
    }
    assert_eq!(tell(&app, Some("ana"), "lunch?").await, 2);
    assert_eq!(text(&mut tab, "user:ana").await, "lunch?");
    assert_eq!(text(&mut other_tab, "user:ana").await, "lunch?");
    has_heard_nothing_more(&app, &mut bob, "bob").await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_was_there_to_receive_is_delivered_once_and_in_order() {
    let app = new_app();
    assert_eq!(tell(&app, Some("ana"), "one").await, 0);
    assert_eq!(tell(&app, Some("ana"), "two").await, 0);
    let mut ana = enter(&app, "ana").await;
    assert_eq!(text(&mut ana, "user:ana").await, "one");
    assert_eq!(text(&mut ana, "user:ana").await, "two");
    assert_eq!(tell(&app, Some("ana"), "three").await, 1);
    assert_eq!(text(&mut ana, "user:ana").await, "three");
    ana.close().await.unwrap();

    assert_eq!(tell(&app, Some("ana"), "four").await, 0);
    let mut ana = enter(&app, "ana").await;
    assert_eq!(text(&mut ana, "user:ana").await, "four");
    has_heard_nothing_more(&app, &mut ana, "ana").await;
}

/// Between the look at who is there and the keeping nobody comes; one who did would find their notice the next time.
#[tokio::test(flavor = "multi_thread")]
async fn a_notice_that_meets_its_reader_at_the_door_is_not_lost() {
    let desk = Desk::new();
    let mut ana = enter(&app(&desk), "ana").await;
    subscribe(&mut ana, "news").await;
    let session = desk.live.sessions().remove(0);
    let post = |text: String| desk.mailboxes.post(&desk.live, session.value(), Notice { text, at: SystemTime::now() });
    for n in 0..5000 {
        session.unsubscribe("user:ana");
        let both = Barrier::new(2);
        thread::scope(|scope| {
            scope.spawn(|| {
                both.wait();
                desk.mailboxes.open(&session);
            });
            both.wait();
            post(n.to_string()).unwrap();
        });
        assert_eq!(text(&mut ana, "user:ana").await, n.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn a_mailbox_keeps_the_newest() {
    let app = new_app();
    for n in 0..Mailboxes::CAPACITY + 3 {
        tell(&app, Some("ana"), &n.to_string()).await;
    }
    let mut ana = enter(&app, "ana").await;
    for n in 3..Mailboxes::CAPACITY + 3 {
        assert_eq!(text(&mut ana, "user:ana").await, n.to_string());
    }
    has_heard_nothing_more(&app, &mut ana, "ana").await;
}

#[tokio::test(start_paused = true)]
async fn a_person_may_hear_news_and_what_is_theirs() {
    let app = new_app();
    let mut ana = enter(&app, "ana").await;
    subscribe(&mut ana, "news").await;
    subscribe(&mut ana, "jobs:ana").await;
    for topic in ["jobs:bob", "user:bob", "jobs", "newsroom"] {
        assert_eq!(refusal(&mut ana, topic).await, "forbidden", "{topic}");
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_are_turned_away() {
    let app = new_app();
    for target in ["/ws", "/ws?user=", "/ws?user=eve"] {
        assert_eq!(LiveTest::ask(&app, &Handshake::new(target)).await.unwrap().status(), 401, "{target}");
    }
    assert_eq!(post_to(&app, "/jobs?user=eve", &Value::Null).await.0, StatusCode::UNAUTHORIZED);
    let to_eve = json!({ "to": "eve", "text": "hello" });
    assert_eq!(post_to(&app, "/notify", &to_eve).await.0, StatusCode::NOT_FOUND);
    let long = json!({ "to": "ana", "text": "long".repeat(1024) });
    assert_eq!(post_to(&app, "/notify", &long).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test(start_paused = true)]
async fn a_job_is_accepted_and_tells_its_steps_live() {
    let app = new_app();
    let (mut ana, mut bob) = (enter(&app, "ana").await, enter(&app, "bob").await);
    subscribe(&mut ana, "jobs:ana").await;
    subscribe(&mut bob, "jobs:bob").await;
    let (status, job) = post_to(&app, "/jobs?user=ana", &Value::Null).await;
    assert_eq!(status, StatusCode::ACCEPTED);

    // The clock is paused: it moves on by itself when everybody waits.
    for step in 1..=JOB_STEPS {
        let asked = Instant::now();
        let told: Value = ana.expect("jobs:ana").await.unwrap();
        assert_eq!(told, json!({ "id": job["id"], "percent": step * 100 / JOB_STEPS }));
        assert_eq!(asked.elapsed(), JOB_STEP);
    }
    assert_eq!(text(&mut ana, "user:ana").await, format!("Job {} is done.", job["id"]));
    has_heard_nothing_more(&app, &mut bob, "bob").await;
}

#[tokio::test(start_paused = true)]
async fn who_leaves_before_a_job_is_done_finds_word_of_it_on_their_return() {
    let app = new_app();
    let mut ana = enter(&app, "ana").await;
    subscribe(&mut ana, "jobs:ana").await;
    let (_, job) = post_to(&app, "/jobs?user=ana", &Value::Null).await;
    ana.expect::<Value>("jobs:ana").await.unwrap();
    ana.close().await.unwrap();

    sleep(JOB_STEP * JOB_STEPS).await;
    let mut ana = enter(&app, "ana").await;
    assert_eq!(text(&mut ana, "user:ana").await, format!("Job {} is done.", job["id"]));
}

#[tokio::test(start_paused = true)]
async fn there_is_room_for_so_many_jobs_at_a_time() {
    let app = new_app();
    for _ in 0..MOST_JOBS {
        assert_eq!(post_to(&app, "/jobs?user=ana", &Value::Null).await.0, StatusCode::ACCEPTED);
    }
    assert_eq!(post_to(&app, "/jobs?user=bob", &Value::Null).await.0, StatusCode::SERVICE_UNAVAILABLE);
    sleep(JOB_STEP * (JOB_STEPS + 1)).await;
    assert_eq!(post_to(&app, "/jobs?user=bob", &Value::Null).await.0, StatusCode::ACCEPTED);
}
