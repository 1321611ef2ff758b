//! The message router: what reaches which handler, and what the client is told.

use axum::{
    Router,
    extract::{FromRef, State},
};
use axum_live::{ClientError, Data, Live, LiveLayer, Message, MessageRouter, Params, Session, Topic, accept};
use axum_live_test::LiveTest;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Clone)]
struct Settings {
    greeting: &'static str,
    limit: u32,
}

impl FromRef<Settings> for u32 {
    fn from_ref(settings: &Settings) -> Self {
        settings.limit
    }
}

#[derive(Deserialize)]
struct Room {
    room: u32,
}

async fn open(router: MessageRouter<()>) -> LiveTest {
    let live = Live::<()>::builder().on_message(router.into_hook()).build();
    let app = Router::new().route("/ws", LiveLayer::anonymous(&live).handler(accept));
    LiveTest::connect(&app, "/ws").await.unwrap()
}

async fn literal(session: Session<()>, Data(data): Data<Value>) {
    session.send("literal", &data).unwrap();
}

async fn pattern(session: Session<()>, Params(Room { room }): Params<Room>, Data(data): Data<Value>) {
    session.send("pattern", &json!([room, data])).unwrap();
}

async fn rest(session: Session<()>, Params(path): Params<String>) {
    session.send("rest", &path).unwrap();
}

async fn fallback(session: Session<()>, topic: Topic) {
    session.send("fallback", topic.as_str()).unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_reaches_the_handler_of_its_topic_and_a_literal_goes_before_a_parameter() {
    let router = MessageRouter::new()
        .on("room:{room}:say", pattern)
        .on("room:7:say", literal)
        .on("files:{*path}", rest)
        .fallback(fallback);
    let mut client = open(router).await;

    client.send("room:7:say", &1).await.unwrap();
    assert_eq!(client.expect::<Value>("literal").await.unwrap(), 1);
    client.send("room:8:say", "x").await.unwrap();
    assert_eq!(client.expect::<Value>("pattern").await.unwrap(), json!([8, "x"]));
    client.send("files:a:b/c", &()).await.unwrap();
    assert_eq!(client.expect::<Value>("rest").await.unwrap(), "a:b/c");
    for other in ["room", "room:7", "room:7:say:more", "room/7/say", "Room:7:say"] {
        client.send(other, &()).await.unwrap();
        assert_eq!(client.expect::<Value>("fallback").await.unwrap(), other);
    }
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_told_to_the_client_with_its_topic_and_code() {
    async fn refuses() -> Result<(), ClientError> {
        Err(ClientError::new("forbidden", "not you"))
    }
    async fn subscribes(session: Session<()>, Data(topic): Data<String>) -> Result<(), ClientError> {
        session.subscribe(topic)?;
        Ok(())
    }

    let router = MessageRouter::new().on("refuses", refuses).on("subscribe", subscribes).on("room:{room}", pattern);
    let mut client = open(router).await;
    for (topic, data, code) in [
        ("refuses", json!(null), "forbidden"),
        ("subscribe", json!({ "no": "string" }), "bad_data"),
        ("subscribe", json!("a topic"), "bad_topic"),
        ("room:seven", json!(null), "bad_params"),
        ("nobody", json!(null), "unknown_topic"),
    ] {
        client.send(topic, &data).await.unwrap();
        let error = client.expect::<Value>("error").await.unwrap();
        assert_eq!((&error["topic"], &error["code"]), (&json!(topic), &json!(code)));
        assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn handlers_have_the_routers_state_and_parts_of_it() {
    async fn greet(session: Session<()>, State(settings): State<Settings>, State(limit): State<u32>) {
        session.send("greeting", &json!([settings.greeting, limit])).unwrap();
    }

    let mut client =
        open(MessageRouter::new().on("greet", greet).with_state(Settings { greeting: "hello", limit: 3 })).await;
    client.send("greet", &()).await.unwrap();
    assert_eq!(client.expect::<Value>("greeting").await.unwrap(), json!(["hello", 3]));
}

#[tokio::test(start_paused = true)]
async fn an_optional_extractor_is_none_and_a_result_says_why() {
    async fn optional(session: Session<()>, number: Option<Data<u32>>, why: Result<Data<u32>, ClientError>) {
        let code = why.err().map(|error| error.code().to_owned());
        session.send("got", &json!([number.map(|Data(number)| number), code])).unwrap();
    }

    let mut client = open(MessageRouter::new().on("number", optional)).await;
    client.send("number", &5).await.unwrap();
    assert_eq!(client.expect::<Value>("got").await.unwrap(), json!([5, null]));
    client.send("number", "five").await.unwrap();
    assert_eq!(client.expect::<Value>("got").await.unwrap(), json!([null, "bad_data"]));
}

#[tokio::test(start_paused = true)]
async fn nested_routes_are_found_behind_their_prefix_only() {
    let rooms = MessageRouter::new().on("{room}:say", pattern);
    let mut client = open(MessageRouter::new().nest("room", rooms).fallback(fallback)).await;
    client.send("room:4:say", &true).await.unwrap();
    assert_eq!(client.expect::<Value>("pattern").await.unwrap(), json!([4, true]));
    client.send("4:say", &true).await.unwrap();
    assert_eq!(client.expect::<Value>("fallback").await.unwrap(), "4:say");
}

#[tokio::test(start_paused = true)]
async fn a_handler_takes_eight_extractors_or_none() {
    type Any = Option<Data<Value>>;
    #[allow(clippy::too_many_arguments, reason = "as many as there may be")]
    async fn eight(session: Session<()>, live: Live<()>, message: Message, _: Topic, _: Any, _: Any, _: Any, _: Any) {
        session.send(message.topic(), &live.len()).unwrap();
    }
    async fn none() {}

    let mut client = open(MessageRouter::new().on("eight", eight).on("none", none)).await;
    client.send("none", &()).await.unwrap();
    client.send("eight", &()).await.unwrap();
    assert_eq!(client.expect::<Value>("eight").await.unwrap(), 1);
}

#[test]
#[should_panic(expected = "cannot be used")]
fn two_patterns_for_the_same_topics_are_refused_when_the_router_is_made() {
    async fn none() {}
    drop(MessageRouter::<()>::new().on("room:{room}", none).on("room:{name}", none));
}
