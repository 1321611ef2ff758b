//! How an app of this kind is tested: clients in memory, requests as function calls, and clients that come late.

use std::collections::BTreeMap;

use axum::{
    body::{Body, to_bytes},
    http::Request,
};
use axum_live_test::LiveTest;
use serde_json::Value;
use tower::ServiceExt;

use crate::*;

fn new_app() -> Router {
    app(&Shared::new(List::new(1000)))
}

async fn ask(app: &Router, method: &str, uri: &str, body: Value) -> (u16, Value) {
    let request = Request::builder().method(method).uri(uri).header("content-type", "application/json");
    let response = app.clone().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

async fn add(app: &Router, text: &str) -> Value {
    let (status, item) = ask(app, "POST", "/items", json!({ "text": text })).await;
    assert_eq!(status, 201);
    item
}

async fn tick_off(app: &Router, item: &Value) -> (u16, Value) {
    let edit = json!({ "version": item["version"], "text": item["text"], "done": true });
    ask(app, "PUT", &format!("/items/{}", item["id"]), edit).await
}

async fn remove(app: &Router, item: &Value) -> (u16, Value) {
    ask(app, "DELETE", &format!("/items/{}?version={}", item["id"], item["version"]), Value::Null).await
}

/// A page: what it knows, and from when.
#[derive(Debug, Default, PartialEq)]
struct Replica {
    cursor: u64,
    items: BTreeMap<u64, Value>,
}

impl Replica {
    async fn pull(&mut self, app: &Router) {
        let (status, changes) = ask(app, "GET", &format!("/changes?since={}", self.cursor), Value::Null).await;
        assert_eq!(status, 200);
        self.apply(&changes);
    }

    fn take(&mut self, list: &List) {
        self.apply(&serde_json::to_value(list.changes(self.cursor)).unwrap());
    }

    fn apply(&mut self, changes: &Value) {
        self.cursor = changes["cursor"].as_u64().unwrap();
        if changes["complete"] == true {
            self.items.clear();
        }
        for item in changes["changed"].as_array().unwrap() {
            self.items.insert(item["id"].as_u64().unwrap(), item.clone());
        }
        for id in changes["removed"].as_array().unwrap() {
            self.items.remove(&id.as_u64().unwrap());
        }
    }

    fn texts(&self) -> Vec<&str> {
        self.items.values().filter_map(|item| item["text"].as_str()).collect()
    }
}

/// Waits for the next cursor.
async fn cursor(client: &mut LiveTest) -> u64 {
    client.expect::<Value>("sync").await.unwrap()["cursor"].as_u64().unwrap()
}

async fn enter(app: &Router) -> LiveTest {
    LiveTest::connect(app, "/ws").await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn two_pages_hear_of_each_change_and_pull_the_same() {
    let app = new_app();
    let (mut ana, mut bob) = (enter(&app).await, enter(&app).await);
    let (mut anas, mut bobs) = (Replica::default(), Replica::default());
    let milk = add(&app, "milk").await;
    let eggs = add(&app, "eggs").await;
    assert_eq!(tick_off(&app, &milk).await.0, 200);
    assert_eq!(remove(&app, &eggs).await.0, 204);

    for (client, replica) in [(&mut ana, &mut anas), (&mut bob, &mut bobs)] {
        for version in 1001..=1004 {
            assert_eq!(cursor(client).await, version);
        }
        replica.pull(&app).await;
        assert_eq!(replica.cursor, 1004);
        assert_eq!(replica.texts(), ["milk"]);
    }
    assert_eq!(anas.items, bobs.items);
    assert_eq!(anas.items[&1001]["done"], true);
}

/// A page pulls once its socket is open. Were it subscribed only after, a change in between would pass it by.
#[tokio::test(start_paused = true)]
async fn a_page_hears_of_every_change_from_its_opening_on() {
    let app = new_app();
    let mut client = enter(&app).await;
    add(&app, "milk").await;
    assert_eq!(cursor(&mut client).await, 1001);
}

#[tokio::test(start_paused = true)]
async fn who_was_away_pulls_what_they_missed() {
    let app = new_app();
    let mut page = Replica::default();
    let mut client = enter(&app).await;
    let milk = add(&app, "milk").await;
    cursor(&mut client).await;
    page.pull(&app).await;
    client.close().await.unwrap();

    remove(&app, &milk).await;
    add(&app, "eggs").await;
    add(&app, "tea").await;
    let mut client = enter(&app).await;
    page.pull(&app).await;
    assert_eq!(page.texts(), ["eggs", "tea"]);
    add(&app, "jam").await;
    assert_eq!(cursor(&mut client).await, page.cursor + 1);
}

#[tokio::test(start_paused = true)]
async fn an_edit_of_an_old_version_is_refused_with_the_current_item() {
    let app = new_app();
    let mut client = enter(&app).await;
    let old = add(&app, "milk").await;
    let (_, current) = tick_off(&app, &old).await;
    assert_eq!(tick_off(&app, &old).await, (409, current.clone()));
    assert_eq!(remove(&app, &old).await, (409, current.clone()));
    assert_eq!(remove(&app, &current).await.0, 204);
    assert_eq!(tick_off(&app, &current).await.0, 404);
    assert_eq!(remove(&app, &current).await.0, 404);

    // What was refused changed nothing, and nobody was told of it.
    for version in 1001..=1003 {
        assert_eq!(cursor(&mut client).await, version);
    }
    add(&app, "eggs").await;
    assert_eq!(cursor(&mut client).await, 1004);
}

#[tokio::test(start_paused = true)]
async fn who_knows_the_list_of_another_process_pulls_all_of_it() {
    let app = new_app();
    let mut page = Replica::default();
    add(&app, "milk").await;
    page.pull(&app).await;

    for (start, text) in [(2000, "eggs"), (0, "tea")] {
        let restarted = super::app(&Shared::new(List::new(start)));
        add(&restarted, text).await;
        page.pull(&restarted).await;
        assert_eq!(page.texts(), [text]);
    }
}

#[tokio::test(start_paused = true)]
async fn bad_requests_are_refused() {
    let app = new_app();
    let long = "long".repeat(1024);
    assert_eq!(ask(&app, "POST", "/items", json!({ "text": long })).await.0, 413);
    assert_eq!(ask(&app, "POST", "/items", json!({ "text": 7 })).await.0, 422);
    assert_eq!(ask(&app, "GET", "/changes?since=yesterday", Value::Null).await.0, 400);
    for _ in 0..List::MOST_ITEMS {
        add(&app, "milk").await;
    }
    assert_eq!(ask(&app, "POST", "/items", json!({ "text": "milk" })).await.0, 507);
}

/// All that four steps can do, with a pull after each of them or not, by a page that knows nothing yet, and by one whose
/// list went as long ago as is remembered.
#[test]
fn however_rarely_a_page_pulls_it_arrives_at_the_list() {
    const STEPS: u32 = 4;

    for removed_before in [0, List::MEMORY - 1] {
        for way in 0..6_u32.pow(STEPS) {
            let mut list = List::new(1000);
            let (mut page, mut fresh) = (Replica::default(), Replica::default());
            for n in 0..removed_before {
                let version = list.cursor() + 1;
                list.add("gone".into()).unwrap();
                if n == 0 {
                    page.take(&list);
                }
                list.remove(version, version).unwrap();
            }
            for step in 0..STEPS {
                let choice = way / 6_u32.pow(step) % 6;
                let mut now = Replica::default();
                now.take(&list);
                let first = now.items.first_key_value().and_then(|(id, item)| Some((*id, item["version"].as_u64()?)));
                match (choice % 3, first) {
                    (1, Some((id, version))) => drop(list.edit(id, version, "edited".into(), true).unwrap()),
                    (2, Some((id, version))) => list.remove(id, version).unwrap(),
                    _ => drop(list.add("new".into()).unwrap()),
                }
                if choice >= 3 {
                    page.take(&list);
                }
            }
            page.take(&list);
            fresh.take(&list);
            assert_eq!(page, fresh, "{way}");
        }
    }
}
