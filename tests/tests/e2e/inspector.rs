//! The inspector, and what it asks of a node.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
};

use axum::{
    Router,
    extract::Query,
    http::{HeaderMap, StatusCode, request::Parts},
};
use axum_live::{
    Builder, CloseCode, CloseReason, Inspector, JournalEvent, Live, LiveLayer, Session, SessionPhase, accept,
};
use axum_live_test::{RawSocket, Reply, Request};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task;

use crate::{
    app::{serve, settles, soon},
    node::{answer_close, assert_closes},
};

#[derive(Deserialize)]
struct User {
    name: String,
}

/// A node with an inspector.
struct Inspected {
    addr: SocketAddr,
    live: Live<User>,
}

async fn authenticate(Query(user): Query<User>) -> Result<User, StatusCode> {
    Ok(user)
}

/// As a proxy would write it.
fn real_ip(parts: &Parts) -> Option<IpAddr> {
    parts.headers.get("x-real-ip")?.to_str().ok()?.parse().ok()
}

async fn operator(headers: HeaderMap) -> Result<(), (StatusCode, &'static str)> {
    match headers.get("x-role") {
        Some(role) if role == "operator" => Ok(()),
        _ => Err((StatusCode::UNAUTHORIZED, "who are you?")),
    }
}

impl Inspected {
    async fn start(builder: Builder<User>) -> Self {
        let live = builder.user(|user: &User| user.name.clone()).build();
        let app = Router::new()
            .route("/ws", LiveLayer::new(&live, authenticate).client_addr(real_ip).handler(accept))
            .nest("/inspect", Inspector::new(&live, operator).router());
        Self { addr: serve(app).await, live }
    }

    async fn open(&self, name: &str) -> (RawSocket, Session<User>) {
        let socket = RawSocket::open(self.addr, &format!("/ws?name={name}")).await.unwrap();
        let is_theirs =
            |session: &Session<User>| session.value().name == name && session.stats().phase() == SessionPhase::Open;
        settles("the session", || self.live.sessions().iter().any(is_theirs)).await;
        let session = self.live.sessions().into_iter().find(is_theirs).unwrap();
        (socket, session)
    }

    async fn answer(&self, request: &Request) -> Reply {
        RawSocket::connect(self.addr).await.unwrap().request(request).await.unwrap()
    }

    /// What an operator is told.
    async fn told(&self, target: &str) -> Value {
        let reply = self.answer(&as_operator(Request::plain(&format!("/inspect/{target}")))).await;
        assert_eq!(reply.status(), 200, "{target}: {}", reply.text());
        serde_json::from_slice(reply.body()).unwrap()
    }

    /// Sends a disconnect, and answers the status.
    async fn disconnect(&self, id: &str, code: u16, change: impl FnOnce(Request) -> Request) -> u16 {
        let body = json!({ "code": code }).to_string();
        let request = as_operator(Request::plain(&format!("/inspect/sessions/{id}/disconnect")).method("POST"))
            .header("Content-Type", "application/json")
            .header("Content-Length", body.len().to_string());
        let mut socket = RawSocket::connect(self.addr).await.unwrap();
        socket.write([change(request).to_bytes(), body.into_bytes()].concat()).await.unwrap();
        socket.reply().await.unwrap().status()
    }
}

fn as_operator(request: Request) -> Request {
    request.header("x-role", "operator")
}

fn rows(told: &Value) -> &Vec<Value> {
    told.as_object().unwrap().values().find_map(|view| view["rows"].as_array()).unwrap()
}

#[tokio::test]
async fn all_that_is_behind_the_inspector_asks_who_is_there() {
    let node = Inspected::start(Live::builder()).await;
    let (_client, session) = node.open("ana").await;
    let detail = format!("/inspect/sessions/{}", session.id());
    for target in ["/inspect", "/inspect/data", &detail] {
        let reply = node.answer(&Request::plain(target)).await;
        assert_eq!((reply.status(), reply.text().as_str()), (401, "who are you?"), "{target}");
        assert_eq!(node.answer(&as_operator(Request::plain(target))).await.status(), 200, "{target}");
    }
    let nobody = |request: Request| request.without("x-role");
    assert_eq!(node.disconnect(session.id().as_str(), 1000, nobody).await, 401);
    assert!(!session.is_closed());
}

#[tokio::test]
async fn who_is_let_in_by_nobodys_leave_sees_all() {
    let live = Live::<()>::builder().build();
    let addr = serve(Router::new().nest("/inspect", Inspector::danger_anyone(&live).router())).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    assert_eq!(socket.request(&Request::plain("/inspect/data")).await.unwrap().status(), 200);
}

#[tokio::test]
async fn the_page_is_for_nobody_else_and_may_load_nothing() {
    let node = Inspected::start(Live::builder()).await;
    let page = node.answer(&as_operator(Request::plain("/inspect"))).await;
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"), "{policy}");
    let data = node.answer(&as_operator(Request::plain("/inspect/data"))).await;
    assert_eq!(data.header("content-type"), Some("application/json"));
    for reply in [page, data] {
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
    }
}

#[tokio::test]
async fn sessions_come_in_pages_of_which_none_misses_one() {
    let node = Inspected::start(Live::builder()).await;
    let mut clients = Vec::new();
    for number in 0..120 {
        clients.push(RawSocket::open(node.addr, &format!("/ws?name=user-{number}")).await.unwrap());
    }
    settles("all sessions", || node.live.len() == 120).await;
    let mut seen = BTreeSet::new();
    for (page, count) in [(0, 50), (1, 50), (2, 20)] {
        let told = node.told(&format!("data?page={page}")).await;
        assert_eq!((&told["sessions"]["total"], &told["sessions"]["pages"]), (&json!(120), &json!(3)));
        assert_eq!(rows(&told).len(), count);
        seen.extend(rows(&told).iter().map(|row| row["id"].to_string()));
    }
    assert_eq!(seen.len(), 120);
    // Past the end there is the end.
    let told = node.told("data?page=7").await;
    assert_eq!((&told["sessions"]["page"], rows(&told).len()), (&json!(2), 20));
    let found = node.told("data?find=USER-11&sort=oldest").await;
    assert_eq!(found["sessions"]["total"], 11);
    assert_eq!(node.told("data?topic=nobody").await["sessions"]["total"], 0);
}

#[tokio::test]
async fn the_slowest_client_comes_first() {
    let node = Inspected::start(Live::builder().queue_bytes(16 << 20).queue_size(100_000)).await;
    let (_one, _) = node.open("aaron").await;
    let mut slow = RawSocket::connect_with_receive_buffer(node.addr, 128 << 10).await.unwrap();
    slow.upgrade(&Request::new("/ws?name=slow")).await.unwrap();
    let (_other, _) = node.open("zoe").await;
    let session = node.live.user("slow").sessions().remove(0);
    let text = "x".repeat(64 << 10);
    // The kernel takes some first.
    while session.stats().queued_messages() < 16 {
        session.send("t", &text).unwrap();
        task::yield_now().await;
    }
    let stats = session.stats();
    assert!(stats.queued_bytes() >= 16 * text.len(), "{stats:?}");
    assert!(stats.queue_fullness() > 0.05 && stats.queue_fullness() < 1.0, "{stats:?}");
    assert!(!stats.waiting().is_zero());

    let told = node.told("data?sort=queue").await;
    let first = &rows(&told)[0];
    assert_eq!((&first["user"], &first["queued_messages"]), (&json!("slow"), &json!(stats.queued_messages())));
    assert_eq!(rows(&told)[1]["queued_messages"], 0);
}

#[tokio::test]
async fn an_operators_disconnect_closes_with_the_code_it_was_given() {
    let node = Inspected::start(Live::builder()).await;
    for code in [1000, 4501] {
        let (mut client, session) = node.open("ana").await;
        assert_eq!(node.disconnect(session.id().as_str(), code, |request| request).await, 204);
        let (got, words) = client.expect_close().await.unwrap();
        assert_eq!((got, words.as_str()), (Some(code), "disconnected by an operator"));
        answer_close(client, code).await;
        settles("the end", || node.live.is_empty()).await;
        assert_eq!(node.disconnect(session.id().as_str(), code, |request| request).await, 404);
    }
    let (_client, session) = node.open("ana").await;
    assert_eq!(node.disconnect(session.id().as_str(), 1006, |request| request).await, 400);
    assert!(!session.is_closed());
}

#[tokio::test]
async fn a_disconnect_that_another_site_has_a_browser_send_is_refused() {
    let node = Inspected::start(Live::builder()).await;
    let (mut client, session) = node.open("ana").await;
    let id = session.id().as_str();
    for site in ["cross-site", "same-site", "none", ""] {
        let forged = |request: Request| request.header("Sec-Fetch-Site", site);
        assert_eq!(node.disconnect(id, 1000, forged).await, 403, "{site}");
        // Nor does an origin help where the browser says what it is.
        let forged = |request: Request| forged(request).header("Origin", "http://localhost");
        assert_eq!(node.disconnect(id, 1000, forged).await, 403, "{site}");
    }
    for origin in ["http://evil.example", "http://localhost.evil.example", "null"] {
        let forged = |request: Request| request.header("Origin", origin);
        assert_eq!(node.disconnect(id, 1000, forged).await, 403, "{origin}");
    }
    // What a form can send without asking, in a browser that tells neither.
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"] {
        let forged = |request: Request| request.header("Content-Type", kind);
        assert_eq!(node.disconnect(id, 1000, forged).await, 415, "{kind}");
    }
    let by_get = as_operator(Request::plain(&format!("/inspect/sessions/{id}/disconnect")));
    assert_eq!(node.answer(&by_get).await.status(), 405);
    assert!(!session.is_closed());

    let own =
        |request: Request| request.header("Sec-Fetch-Site", "same-origin").header("Origin", "https://behind.proxy");
    assert_eq!(node.disconnect(id, 1000, own).await, 204);
    assert_closes(&mut client, 1000).await;
}

#[tokio::test]
async fn a_journal_tells_what_happened_in_its_order() {
    let node = Inspected::start(Live::builder().journal(50)).await;
    let (mut client, session) = node.open("ana").await;
    session.subscribe("news").unwrap();
    session.subscribe("news").unwrap();
    client.send_json("hello", "there").await.unwrap();
    settles("the message", || node.live.stats().messages() == 1).await;
    node.live.publish("news", "of today").unwrap();
    assert_eq!(client.expect_json("news").await.unwrap(), "of today");
    session.send("dm", "psst").unwrap();
    assert!(session.unsubscribe("news"));
    assert!(!session.unsubscribe("news"));

    let journal = session.journal();
    let told: Vec<_> = journal
        .iter()
        .map(|entry| match entry.event() {
            JournalEvent::Opened => "opened".to_owned(),
            JournalEvent::Subscribed(topic) => format!("subscribed {topic}"),
            JournalEvent::Unsubscribed(topic) => format!("unsubscribed {topic}"),
            JournalEvent::Received(excerpt) => format!("received {} {}", excerpt.topic().unwrap(), excerpt.len()),
            JournalEvent::Sent(excerpt) => format!("sent {} {}", excerpt.topic().unwrap(), excerpt.len()),
            other => panic!("{other:?}"),
        })
        .collect();
    let message = |topic: &str, text: &str| json!({ "topic": topic, "data": text }).to_string().len();
    let expected = [
        "opened".to_owned(),
        "subscribed news".to_owned(),
        format!("received hello {}", message("hello", "there")),
        format!("sent news {}", message("news", "of today")),
        format!("sent dm {}", message("dm", "psst")),
        "unsubscribed news".to_owned(),
    ];
    assert_eq!(told, expected);
    assert!(journal.is_sorted_by_key(|entry| entry.at()));
}

#[tokio::test]
async fn a_journal_holds_the_last_events_and_no_more() {
    let node = Inspected::start(Live::builder().journal(3)).await;
    let (_client, session) = node.open("ana").await;
    for number in 0..20 {
        session.send(format!("t{number}"), &number).unwrap();
    }
    let topics: Vec<_> = session
        .journal()
        .iter()
        .map(|entry| match entry.event() {
            JournalEvent::Sent(excerpt) => excerpt.topic().unwrap().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(topics, ["t17", "t18", "t19"]);
}

#[tokio::test]
async fn payloads_are_told_where_they_are_kept_and_asked_for() {
    for (builder, kept) in [
        (Live::builder().journal(50), None),
        (Live::builder().journal(50).journal_payloads(1024), Some(r#"{"topic":"dm","data":"the secret"}"#)),
        (Live::builder().journal(50).journal_payloads(9), Some(r#"{"topic":"#)),
    ] {
        let node = Inspected::start(builder).await;
        let (_client, session) = node.open("ana").await;
        session.send("dm", "the secret").unwrap();
        let detail = format!("sessions/{}", session.id());
        for hidden in ["", "?payloads=hidden"] {
            let told = node.told(&format!("{detail}{hidden}")).await;
            assert_eq!(told["journal"][0]["payload"], if kept.is_some() { "hidden" } else { "none" });
            assert!(!told.to_string().contains("secret"));
        }
        let told = node.told(&format!("{detail}?payloads=shown")).await;
        assert_eq!(told["journal"][0]["payload"]["shown"].as_str(), kept);
        assert!(!format!("{:?}", session.journal()).contains("secret"));
    }
}

#[tokio::test]
async fn who_closed_is_told_for_a_while_with_the_reason_and_the_journal() {
    let node = Inspected::start(Live::builder().journal(4)).await;
    for number in 0..130 {
        let (client, session) = node.open(&format!("user-{number}")).await;
        session.close_with(CloseCode::POLICY, "spam");
        answer_close_of(client).await;
        soon("the end", session.closed()).await;
        assert!(session.journal().is_empty());
        session.send("late", &1).unwrap_err();
    }
    let closed = node.live.recently_closed();
    assert_eq!(closed.len(), 128);
    let last = &closed[0];
    assert_eq!((last.user().unwrap().as_str(), last.path()), ("user-129", "/ws"));
    assert_eq!(last.reason(), &CloseReason::Application { code: CloseCode::POLICY, text: "spam".into() });
    let events = last.journal();
    assert!(matches!(events.first().unwrap().event(), JournalEvent::Opened));
    assert!(matches!(events.last().unwrap().event(), JournalEvent::Closed(reason) if reason == last.reason()));

    let told = node.told("data?view=closed&find=user-129").await;
    assert_eq!((&rows(&told)[0]["code"], &rows(&told)[0]["reason"]), (&json!(1008), &json!("spam")));
    let told = node.told(&format!("sessions/{}", last.id())).await;
    assert_eq!((&told["closed"]["user"], &told["journal"][0]["event"]), (&json!("user-129"), &json!("closed")));
    let first = node.answer(&as_operator(Request::plain("/inspect/sessions/nobody"))).await;
    assert_eq!(first.status(), 404);
}

#[tokio::test]
async fn a_client_behind_a_proxy_is_found_and_told_by_its_own_address() {
    let node = Inspected::start(Live::builder().journal(4)).await;
    let mut client = RawSocket::connect(node.addr).await.unwrap();
    client.upgrade(&Request::new("/ws?name=ana").header("X-Real-IP", "203.0.113.9")).await.unwrap();
    let (_other, _) = node.open("bob").await;
    let told = node.told("data?find=203.0.113.9").await;
    assert_eq!((rows(&told).len(), &rows(&told)[0]["address"]), (1, &json!("203.0.113.9")));

    node.live.user("ana").sessions()[0].close_with(CloseCode::POLICY, "spam");
    answer_close_of(client).await;
    settles("its end", || !node.live.recently_closed().is_empty()).await;
    assert_eq!(node.live.recently_closed()[0].client_addr(), Some("203.0.113.9".parse().unwrap()));
    assert_eq!(rows(&node.told("data?view=closed").await)[0]["address"], "203.0.113.9");
}

#[tokio::test]
async fn nothing_is_kept_where_no_journal_is_asked_for() {
    let node = Inspected::start(Live::builder().journal_payloads(1024)).await;
    let (client, session) = node.open("ana").await;
    session.send("t", &1).unwrap();
    assert!(session.journal().is_empty());
    session.close();
    drop(client);
    soon("the end", session.closed()).await;
    assert!(node.live.recently_closed().is_empty());
}

#[tokio::test]
async fn topics_are_told_with_their_subscribers_those_with_most_first() {
    let node = Inspected::start(Live::builder()).await;
    let (_ana, ana) = node.open("ana").await;
    let (_bob, bob) = node.open("bob").await;
    for (session, topic) in [(&ana, "one"), (&ana, "<b>both</b>".trim_end_matches('>')), (&bob, "one")] {
        session.subscribe(topic.replace('>', "")).unwrap();
    }
    let mut topics = node.live.topics();
    topics.sort();
    let topics: Vec<_> = topics.iter().map(|(topic, count)| (topic.as_str(), *count)).collect();
    assert_eq!(topics, [("<bboth</b", 1), ("one", 2)]);
    let told = node.told("data?view=topics").await;
    assert_eq!(rows(&told)[0], json!({ "topic": "one", "subscribers": 2 }));
    assert_eq!(node.told("data?view=topics&find=BOTH").await["topics"]["total"], 1);
    let told = node.told("data?topic=one").await;
    assert_eq!(told["sessions"]["total"], 2);
    assert_eq!(told["sessions"]["rows"][0]["topics"], 2);
    drop(_ana);
    settles("a topic less", || node.live.topics().len() == 1).await;
}

#[tokio::test]
async fn counters_are_told_as_the_node_counts_them() {
    let node = Inspected::start(Live::builder()).await;
    let (mut client, _session) = node.open("ana").await;
    for _ in 0..3 {
        client.send_text("no envelope").await.unwrap();
    }
    settles("the messages", || node.live.stats().messages() == 3).await;
    let refused = node.answer(&Request::plain("/ws")).await;
    assert_eq!(refused.status(), 400);
    let told = node.told("data?view=counters").await;
    assert_eq!((&told["node"]["received"], &told["node"]["opened"]), (&json!(3), &json!(1)));
    let total = |name: &str| rows(&told).iter().find(|row| row["name"] == name).unwrap()["total"].clone();
    assert_eq!(total("messages that could not be decoded"), 3);
    assert_eq!(total("refused: denied"), 1);
}

async fn answer_close_of(mut client: RawSocket) {
    assert_closes(&mut client, 1008).await;
    answer_close(client, 1008).await;
}
