//! Subscription policies: who may subscribe to what by a message.

use axum::{
    Router,
    extract::{Query, State},
};
use axum_live::{ClientError, Live, LiveLayer, MessageRouter, Params, Session, SubscriptionPolicy, Topic, accept};
use axum_live_test::LiveTest;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
struct User {
    id: u64,
    #[serde(default)]
    admin: bool,
}

async fn own(session: Session<User>, Params(id): Params<u64>) -> bool {
    session.value().id == id
}

async fn member(
    Params(team): Params<String>,
    topic: Topic,
    State(teams): State<Vec<&'static str>>,
) -> Result<(), ClientError> {
    match teams.contains(&team.as_str()) {
        true => Ok(()),
        false => Err(ClientError::new("no_team", format!("{topic} is no team's"))),
    }
}

async fn admin(session: Session<User>) -> bool {
    session.value().admin
}

fn policy() -> SubscriptionPolicy<User> {
    SubscriptionPolicy::new()
        .allow("news")
        .allow("many:{n}")
        .allow_if("user:{id}", own)
        .allow_if("team:{team}", member)
        .allow_if("admin:*", admin)
        .with_state(vec!["rust"])
}

async fn enter(user: &str) -> (Live<User>, LiveTest) {
    let messages = MessageRouter::new().subscriptions(policy());
    let live = Live::<User>::builder().on_message(messages.into_hook()).build();
    let layer = LiveLayer::new(&live, async |Query(user): Query<User>| Ok::<_, std::convert::Infallible>(user));
    let app = Router::new().route("/ws", layer.handler(accept));
    let client = LiveTest::connect(&app, &format!("/ws?{user}")).await.unwrap();
    (live, client)
}

async fn ask(client: &mut LiveTest, what: &str, topic: &str) {
    client.send(what, &json!({ "topic": topic })).await.unwrap();
}

/// Asks for a topic that is refused, and answers what the client is told.
async fn refusal(client: &mut LiveTest, topic: &str) -> Value {
    ask(client, "subscribe", topic).await;
    let error: Value = client.expect("error").await.unwrap();
    assert_eq!(error["topic"], topic, "{error}");
    assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    error["code"].clone()
}

#[tokio::test(start_paused = true)]
async fn what_the_policy_allows_is_subscribed_to_and_the_rest_refused_by_name() {
    let (live, mut client) = enter("id=7").await;
    for topic in ["news", "user:7", "team:rust"] {
        ask(&mut client, "subscribe", topic).await;
    }
    for topic in ["user:8", "user:seven", "admin:users", "newsroom", "user:7:more", "USER:7"] {
        let code = refusal(&mut client, topic).await;
        assert!(code == "forbidden" || topic == "user:seven" && code == "bad_params", "{topic}: {code}");
    }
    assert_eq!(refusal(&mut client, "team:go").await, "no_team");
    let mut topics: Vec<_> = live.sessions()[0].topics().iter().map(ToString::to_string).collect();
    topics.sort();
    assert_eq!(topics, ["news", "team:rust", "user:7"]);

    let (live, mut client) = enter("id=1&admin=true").await;
    ask(&mut client, "subscribe", "admin:users:all").await;
    assert_eq!(refusal(&mut client, "user:2").await, "forbidden");
    assert_eq!(live.publish("admin:users:all", &1).unwrap(), 1);
}

#[tokio::test(start_paused = true)]
async fn c35_a_name_that_is_no_topic_is_refused_and_changes_no_pattern() {
    let (live, mut client) = enter("id=7").await;
    let long = "x".repeat(256);
    for topic in ["", &long, "a\0b", "news*", "admin:>", "*", "a b", "a\nb", "user:{id}"] {
        let code = refusal(&mut client, topic).await;
        assert_eq!(code, if topic == "user:{id}" { "bad_params" } else { "bad_topic" }, "{topic}");
    }
    assert_eq!(live.stats().topics(), 0);
    client.send("unsubscribe", &json!({ "topic": "a b" })).await.unwrap();
    assert_eq!(client.expect::<Value>("error").await.unwrap()["topic"], "a b");
}

#[tokio::test(start_paused = true)]
async fn c38_a_client_that_insists_past_its_limit_is_closed() {
    let (live, mut client) = enter("id=7").await;
    for n in 0..128 {
        ask(&mut client, "subscribe", &format!("many:{n}")).await;
    }
    for n in 128..143 {
        assert_eq!(refusal(&mut client, &format!("many:{n}")).await, "subscription_limit");
    }
    // What is held already is no insistence, and neither is what there is room for again.
    ask(&mut client, "subscribe", "many:0").await;
    ask(&mut client, "unsubscribe", "many:0").await;
    ask(&mut client, "subscribe", "news").await;
    for n in 128..143 {
        assert_eq!(refusal(&mut client, &format!("many:{n}")).await, "subscription_limit");
    }
    assert_eq!(live.stats().topics(), 128);
    ask(&mut client, "subscribe", "many:143").await;
    client.expect_close(4505).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn c37_subscribing_twice_delivers_once_and_unsubscribing_twice_is_nothing() {
    let (live, mut client) = enter("id=7").await;
    ask(&mut client, "subscribe", "news").await;
    ask(&mut client, "subscribe", "news").await;
    assert_eq!(refusal(&mut client, "none").await, "forbidden");
    assert_eq!(live.publish("news", &1).unwrap(), 1);
    assert_eq!(client.expect::<u8>("news").await.unwrap(), 1);
    ask(&mut client, "unsubscribe", "news").await;
    ask(&mut client, "unsubscribe", "news").await;
    assert_eq!(refusal(&mut client, "none").await, "forbidden");
    assert_eq!(live.publish("news", &2).unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn handlers_of_ones_own_subscribe_under_the_same_policy() {
    let policy = std::sync::Arc::new(policy());
    let messages = MessageRouter::new()
        .on("follow", async |session: Session<User>, State(policy): State<std::sync::Arc<SubscriptionPolicy<User>>>| {
            policy.subscribe(&session, "user:7").await?;
            policy.subscribe(&session, "user:8").await
        })
        .subscriptions(policy.clone())
        .with_state(policy);
    let live = Live::<User>::builder().on_message(messages.into_hook()).build();
    let layer = LiveLayer::new(&live, async |Query(user): Query<User>| Ok::<_, std::convert::Infallible>(user));
    let app = Router::new().route("/ws", layer.handler(accept));
    let mut client = LiveTest::connect(&app, "/ws?id=7").await.unwrap();
    client.send("follow", &()).await.unwrap();
    let error: Value = client.expect("error").await.unwrap();
    assert_eq!((&error["topic"], &error["code"]), (&json!("user:8"), &json!("forbidden")));
    assert_eq!(live.publish("user:7", &1).unwrap(), 1);
}
