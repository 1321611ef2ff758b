//! The app in memory: no port, no server to stop, and a clock that jumps ahead when everybody waits.

use std::time::Duration;

use axum_live_test::{LiveTest, RawSocketError, Request};
use serde_json::Value;
use tokio::time::sleep;

use super::*;

type Result<T = ()> = std::result::Result<T, RawSocketError>;

async fn enter(app: &Router, user: &str) -> Result<LiveTest> {
    LiveTest::connect(app, &format!("/ws?user={user}")).await
}

/// Joins, and answers who the snapshot says is there.
async fn join(client: &mut LiveTest, room: &str) -> Result<Vec<String>> {
    client.send("join_room", &json!({ "room": room })).await?;
    let snapshot: Value = client.expect(&format!("room:{room}")).await?;
    assert_eq!(snapshot["type"], "snapshot");
    let users = snapshot["users"].as_array().expect("a list of users");
    let mut names: Vec<_> = users.iter().map(|present| present["user"].as_str().expect("a name").to_owned()).collect();
    names.sort();
    Ok(names)
}

async fn say(client: &mut LiveTest, room: &str, text: &str) -> Result {
    client.send("room_message", &json!({ "room": room, "text": text })).await
}

/// The kind of the next notice in the garden, and whom it is about.
async fn heard(client: &mut LiveTest) -> Result<(String, String)> {
    #[derive(Deserialize)]
    struct Notice {
        r#type: String,
        user: String,
    }

    let Notice { r#type, user } = client.expect("room:garden").await?;
    Ok((r#type, user))
}

fn notice(kind: &str, user: &str) -> (String, String) {
    (kind.to_owned(), user.to_owned())
}

async fn refused(client: &mut LiveTest) -> Result<String> {
    let error: Value = client.expect("error").await?;
    Ok(error["code"].as_str().expect("a code").to_owned())
}

#[tokio::test]
async fn who_joins_is_told_who_is_there_and_the_others_are_told_of_them() -> Result {
    let app = app(&live());
    let mut ana = enter(&app, "ana").await?;
    assert!(join(&mut ana, "garden").await?.is_empty());
    assert_eq!(heard(&mut ana).await?, notice("join", "ana"));

    let mut bob = enter(&app, "bob").await?;
    assert_eq!(join(&mut bob, "garden").await?, ["ana"]);
    assert_eq!(heard(&mut bob).await?, notice("join", "bob"));
    assert_eq!(heard(&mut ana).await?, notice("join", "bob"));
    Ok(())
}

#[tokio::test]
async fn a_message_is_heard_in_its_room_and_nowhere_else() -> Result {
    let app = app(&live());
    let (mut ana, mut bob) = (enter(&app, "ana").await?, enter(&app, "bob").await?);
    join(&mut ana, "garden").await?;
    join(&mut bob, "cellar").await?;
    bob.expect::<Value>("room:cellar").await?;
    heard(&mut ana).await?;

    say(&mut ana, "garden", "the tomatoes are red").await?;
    let message: Value = ana.expect("room:garden").await?;
    assert_eq!(message, json!({ "type": "message", "user": "ana", "text": "the tomatoes are red" }));
    say(&mut bob, "cellar", "dark here").await?;
    assert_eq!(bob.expect::<Value>("room:cellar").await?["text"], "dark here");
    Ok(())
}

#[tokio::test]
async fn who_is_not_in_a_room_cannot_talk_there() -> Result {
    let app = app(&live());
    let (mut ana, mut bob) = (enter(&app, "ana").await?, enter(&app, "bob").await?);
    join(&mut ana, "garden").await?;
    heard(&mut ana).await?;
    say(&mut bob, "garden", "hello?").await?;
    assert_eq!(refused(&mut bob).await?, "not_in_room");

    join(&mut bob, "garden").await?;
    assert_eq!(heard(&mut ana).await?, notice("join", "bob"));
    bob.send("leave_room", &json!({ "room": "garden" })).await?;
    assert_eq!(heard(&mut ana).await?, notice("leave", "bob"));
    assert_eq!(heard(&mut bob).await?, notice("join", "bob"));
    assert_eq!(heard(&mut bob).await?, notice("leave", "bob"));
    say(&mut bob, "garden", "still here?").await?;
    assert_eq!(refused(&mut bob).await?, "not_in_room");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_tabs_are_one_person_who_leaves_with_the_last() -> Result {
    let app = app(&live());
    let mut ana = enter(&app, "ana").await?;
    join(&mut ana, "garden").await?;
    heard(&mut ana).await?;

    let (mut bob, mut bob_too) = (enter(&app, "bob").await?, enter(&app, "bob").await?);
    join(&mut bob, "garden").await?;
    assert_eq!(heard(&mut ana).await?, notice("join", "bob"));
    assert_eq!(join(&mut bob_too, "garden").await?, ["ana", "bob"]);
    assert_eq!(heard(&mut ana).await?, notice("update", "bob"));

    drop(bob);
    assert_eq!(heard(&mut ana).await?, notice("update", "bob"));
    drop(bob_too);
    assert_eq!(heard(&mut ana).await?, notice("leave", "bob"));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_in_time_has_not_been_away() -> Result {
    let app = app(&live());
    let (mut ana, mut bob) = (enter(&app, "ana").await?, enter(&app, "bob").await?);
    join(&mut ana, "garden").await?;
    heard(&mut ana).await?;
    join(&mut bob, "garden").await?;
    assert_eq!(heard(&mut ana).await?, notice("join", "bob"));

    drop(bob);
    sleep(Duration::from_secs(4)).await;
    let mut bob = enter(&app, "bob").await?;
    join(&mut bob, "garden").await?;
    sleep(Duration::from_secs(20)).await;
    say(&mut bob, "garden", "did you notice?").await?;
    assert_eq!(heard(&mut ana).await?, notice("message", "bob"));
    Ok(())
}

#[tokio::test]
async fn what_is_no_room_and_what_is_no_name_is_refused_in_words() -> Result {
    let app = app(&live());
    for name in ["", "ana%20b", "ana%3Cb%3E", &"a".repeat(25)] {
        let refusal = LiveTest::ask(&app, &Request::new(&format!("/ws?user={name}"))).await?;
        assert_eq!((refusal.status(), refusal.text().as_str()), (401, "a name is 1 to 24 letters, digits, - or _"));
    }

    let mut ana = enter(&app, "ana").await?;
    for topic in ["join_room", "leave_room", "room_message"] {
        ana.send(topic, &json!({ "room": "no room", "text": "" })).await?;
        assert_eq!(refused(&mut ana).await?, "bad_room");
        ana.send(topic, &json!("garden")).await?;
        assert_eq!(refused(&mut ana).await?, "bad_data");
    }
    ana.send("join", &json!({})).await?;
    assert_eq!(refused(&mut ana).await?, "unknown_topic");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_says_goodbye() -> Result {
    let live = live();
    let mut ana = enter(&app(&live), "ana").await?;
    let (report, goodbye) = tokio::join!(live.shutdown(), ana.expect_close(1001));
    goodbye?;
    assert_eq!((report.closed(), report.aborted()), (1, 0));
    Ok(())
}
