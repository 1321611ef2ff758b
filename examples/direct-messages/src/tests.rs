//! The app in memory: no port, no server to stop.

use axum_live_test::{LiveTest, RawSocketError, Request};
use serde_json::Value;

use super::*;

type Result<T = ()> = std::result::Result<T, RawSocketError>;

async fn enter(app: &Router, user: &str) -> Result<LiveTest> {
    LiveTest::connect(app, &format!("/ws?user={user}")).await
}

async fn tell(client: &mut LiveTest, to: &str, text: &str) -> Result {
    client.send("dm", &json!({ "to": to, "text": text })).await
}

async fn is_told(client: &mut LiveTest, from: &str, text: &str) -> Result {
    assert_eq!(client.expect::<Value>("dm").await?, json!({ "from": from, "text": text }));
    Ok(())
}

async fn has_sent(client: &mut LiveTest, to: &str, text: &str) -> Result {
    assert_eq!(client.expect::<Value>("dm_sent").await?, json!({ "to": to, "text": text }));
    Ok(())
}

async fn is_refused(client: &mut LiveTest, code: &str) -> Result {
    let error: Value = client.expect("error").await?;
    assert_eq!((&error["topic"], &error["code"]), (&json!("dm"), &json!(code)));
    Ok(())
}

#[tokio::test]
async fn a_message_reaches_every_tab_of_both_and_nobody_else() -> Result {
    let app = app(&live());
    let (mut ana, mut ana_too) = (enter(&app, "ana").await?, enter(&app, "ana").await?);
    let (mut bob, mut bob_too) = (enter(&app, "bob").await?, enter(&app, "bob").await?);
    let mut carl = enter(&app, "carl").await?;

    tell(&mut ana, "bob", "psst").await?;
    for tab in [&mut bob, &mut bob_too] {
        is_told(tab, "ana", "psst").await?;
    }
    for tab in [&mut ana, &mut ana_too] {
        has_sent(tab, "bob", "psst").await?;
    }
    tell(&mut bob_too, "carl", "ana told me something").await?;
    is_told(&mut carl, "bob", "ana told me something").await?;
    Ok(())
}

#[tokio::test]
async fn who_is_absent_is_an_error_for_the_sender_alone() -> Result {
    let app = app(&live());
    let (mut ana, mut ana_too) = (enter(&app, "ana").await?, enter(&app, "ana").await?);
    tell(&mut ana, "bob", "are you here?").await?;
    let error: Value = ana.expect("error").await?;
    assert_eq!(error, json!({ "topic": "dm", "code": "absent", "message": "bob is not here" }));

    let mut bob = enter(&app, "bob").await?;
    tell(&mut ana, "bob", "and now?").await?;
    is_told(&mut bob, "ana", "and now?").await?;
    has_sent(&mut ana_too, "bob", "and now?").await?;
    Ok(())
}

#[tokio::test]
async fn closing_one_tab_does_not_cut_off_the_other() -> Result {
    let live = live();
    let app = app(&live);
    let mut ana = enter(&app, "ana").await?;
    let phone = enter(&app, "bob").await?;
    let on_phone = live.user("bob").sessions().remove(0);
    let mut desk = enter(&app, "bob").await?;

    drop(phone);
    on_phone.closed().await;
    tell(&mut ana, "bob", "still there?").await?;
    is_told(&mut desk, "ana", "still there?").await?;
    has_sent(&mut ana, "bob", "still there?").await?;

    let on_desk = live.user("bob").sessions().remove(0);
    drop(desk);
    on_desk.closed().await;
    tell(&mut ana, "bob", "and now?").await?;
    is_refused(&mut ana, "absent").await
}

#[tokio::test]
async fn what_is_no_name_and_what_is_no_message_is_refused_in_words() -> Result {
    let app = app(&live());
    for name in ["", "ana%20b", &"a".repeat(25)] {
        let refusal = LiveTest::ask(&app, &Request::new(&format!("/ws?user={name}"))).await?;
        assert_eq!((refusal.status(), refusal.text().as_str()), (401, "a name is 1 to 24 letters, digits, - or _"));
    }

    let mut ana = enter(&app, "ana").await?;
    for data in [json!({ "to": "bob" }), json!({ "text": "to whom?" }), json!("bob")] {
        ana.send("dm", &data).await?;
        is_refused(&mut ana, "bad_data").await?;
    }
    Ok(())
}
