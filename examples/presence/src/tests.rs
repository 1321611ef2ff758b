//! The app in memory: no port, no server to stop, and a clock that jumps ahead when everybody waits.

use std::time::Duration;

use axum_live::Presence;
use axum_live_test::{LiveTest, RawSocketError, Request};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::*;

type Result<T = ()> = std::result::Result<T, RawSocketError>;

/// A device of a person that has said `init`, and who it was told is there.
async fn enter(app: &Router, user: &str, device: Value) -> Result<(LiveTest, Value)> {
    let mut client = LiveTest::connect(app, &format!("/ws?user={user}")).await?;
    client.send("init", &device).await?;
    let snapshot: Value = client.expect("presence").await?;
    assert_eq!(snapshot["type"], "snapshot");
    Ok((client, snapshot["users"].clone()))
}

/// Ana, who has been told that she is there.
async fn ana(app: &Router) -> Result<LiveTest> {
    let (mut ana, _) = enter(app, "ana", json!({})).await?;
    assert_eq!(told(&mut ana).await?["type"], "join");
    Ok(ana)
}

async fn told(client: &mut LiveTest) -> Result<Value> {
    client.expect("presence").await
}

async fn online(app: &Router) -> Result<String> {
    Ok(LiveTest::ask(app, &Request::plain("/online")).await?.text())
}

#[tokio::test]
async fn who_comes_is_told_who_is_there_and_all_are_told_who_came() -> Result {
    let app = app(&live());
    let (mut ana, nobody) = enter(&app, "ana", json!({ "device": "desk" })).await?;
    assert_eq!(nobody, json!([]));
    let desk = json!({ "status": "online", "device": "desk" });
    assert_eq!(told(&mut ana).await?, json!({ "type": "join", "user": "ana", "metas": [desk] }));

    let (mut bob, present) = enter(&app, "bob", json!({ "status": "away" })).await?;
    assert_eq!(present, json!([{ "user": "ana", "metas": [desk] }]));
    let join = json!({ "type": "join", "user": "bob", "metas": [{ "status": "away" }] });
    assert_eq!(told(&mut ana).await?, join);
    assert_eq!(told(&mut bob).await?, join);
    Ok(())
}

#[tokio::test]
async fn what_a_device_says_anew_is_an_update() -> Result {
    let app = app(&live());
    let mut ana = ana(&app).await?;
    let (mut bob, _) = enter(&app, "bob", json!({ "device": "phone" })).await?;
    told(&mut ana).await?;
    bob.send("update", &json!({ "status": "away", "device": "phone" })).await?;
    let metas = json!([{ "status": "away", "device": "phone" }]);
    assert_eq!(told(&mut ana).await?, json!({ "type": "update", "user": "bob", "metas": metas }));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_devices_are_one_person_who_leaves_with_the_last() -> Result {
    let app = app(&live());
    let mut ana = ana(&app).await?;
    let (phone, _) = enter(&app, "bob", json!({ "device": "phone" })).await?;
    let (desk, _) = enter(&app, "bob", json!({ "device": "desk" })).await?;
    assert_eq!(told(&mut ana).await?["type"], "join");
    let both = told(&mut ana).await?;
    assert_eq!((&both["type"], both["metas"].as_array().map(Vec::len)), (&json!("update"), Some(2)));
    assert_eq!(online(&app).await?, r#"{"ana":1,"bob":2}"#);

    drop(phone);
    let metas = json!([{ "status": "online", "device": "desk" }]);
    assert_eq!(told(&mut ana).await?, json!({ "type": "update", "user": "bob", "metas": metas }));
    let closed = Instant::now();
    drop(desk);
    assert_eq!(told(&mut ana).await?, json!({ "type": "leave", "user": "bob" }));
    assert!(closed.elapsed() >= Duration::from_secs(5));
    assert_eq!(online(&app).await?, r#"{"ana":1}"#);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_in_time_has_not_been_away() -> Result {
    let app = app(&live());
    let mut ana = ana(&app).await?;
    let (bob, _) = enter(&app, "bob", json!({})).await?;
    assert_eq!(told(&mut ana).await?["type"], "join");

    drop(bob);
    sleep(Duration::from_secs(4)).await;
    let (mut bob, _) = enter(&app, "bob", json!({})).await?;
    sleep(Duration::from_secs(20)).await;
    bob.send("update", &json!({ "status": "away" })).await?;
    assert_eq!(told(&mut ana).await?["type"], "update");
    Ok(())
}

#[tokio::test]
async fn what_is_no_name_and_what_is_no_status_is_refused_in_words() -> Result {
    let app = app(&live());
    for name in ["", "ana%20b", &"a".repeat(25)] {
        let refusal = LiveTest::ask(&app, &Request::new(&format!("/ws?user={name}"))).await?;
        assert_eq!((refusal.status(), refusal.text().as_str()), (401, "a name is 1 to 24 letters, digits, - or _"));
    }

    let mut ana = ana(&app).await?;
    ana.send("update", &json!({ "status": "asleep" })).await?;
    let error: Value = ana.expect("error").await?;
    assert_eq!((&error["topic"], &error["code"]), (&json!("update"), &json!("bad_data")));
    let much = "x".repeat(Presence::<User>::MAX_META);
    ana.send("update", &json!({ "device": much })).await?;
    assert_eq!(ana.expect::<Value>("error").await?["code"], "too_large");
    Ok(())
}
