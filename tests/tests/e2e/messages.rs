//! The envelope, and what is none: the catalogue's cases 33 and 34.

use axum_live::{CloseReason, Live, Message, Session};
use axum_live_test::{Frame, RawSocket};

use crate::{
    app::settles,
    node::{Node, answer_close, assert_closes},
};

/// A node that gives topic and data of each message back, as it read them.
async fn reader() -> Node {
    let builder = Live::builder().read_limit(8 << 20).on_message(async |session: Session<()>, message: Message| {
        let data = std::str::from_utf8(message.data()).unwrap();
        session.send("read", &(message.topic(), data)).unwrap();
    });
    Node::start(builder).await
}

async fn assert_read(socket: &mut RawSocket, topic: &str, data: &str) {
    assert_eq!(socket.expect_json("read").await.unwrap(), serde_json::json!([topic, data]));
}

const NO_MESSAGES: [&str; 16] = [
    "",
    "hello",
    "null",
    "1",
    "[]",
    r#"["topic","data"]"#,
    "{}",
    r#"{"data":1}"#,
    r#"{"topic":1}"#,
    r#"{"topic":null}"#,
    r#"{"topic":"a","data":}"#,
    r#"{"topic":"a","topic":"b"}"#,
    r#"{"topic":"a","data":1,"data":2}"#,
    r#"{"topic":"a"}{"topic":"b"}"#,
    r#"{"topic":"a"#,
    "\u{feff}{\"topic\":\"a\"}",
];

#[tokio::test]
async fn an_envelope_is_text_or_binary_with_its_data_as_it_came() {
    let mut node = reader().await;
    let (mut socket, _) = node.open().await;
    for (sent, topic, data) in [
        (Frame::text(r#"{"topic":"a","data":{"b": 1.50}}"#), "a", r#"{"b": 1.50}"#),
        (Frame::binary(r#"{"topic":"a","data":[1, 2]}"#), "a", "[1, 2]"),
        (Frame::text(r#"{"data":"first","more":[{}],"topic":"é\n"}"#), "é\n", r#""first""#),
        (Frame::text(r#" { "topic" : "" } "#), "", "null"),
        (Frame::text(r#"{"topic":"a","data":123456789012345678901234567890}"#), "a", "123456789012345678901234567890"),
    ] {
        socket.send(&sent).await.unwrap();
        assert_read(&mut socket, topic, data).await;
    }
    assert_eq!(node.live.stats().undecodable_messages(), 0);
}

#[tokio::test]
async fn c33_what_is_no_envelope_is_counted_and_sixteen_in_a_row_are_4500() {
    let mut node = reader().await;
    let (mut socket, session) = node.open().await;
    session.subscribe("t").unwrap();
    for (count, bad) in (1..).zip(NO_MESSAGES) {
        assert!(!session.is_closed(), "before {bad:?}");
        let bad = if count % 2 == 0 { Frame::text(bad) } else { Frame::binary(bad) };
        socket.send(&bad).await.unwrap();
        settles("the count", || node.live.stats().undecodable_messages() == count).await;
    }
    assert_closes(&mut socket, 4500).await;
    answer_close(socket, 4500).await;
    assert_eq!(node.closed().await, (session, CloseReason::BadMessages));
    node.empties().await;
}

#[tokio::test]
async fn c33_fifteen_and_a_good_one_start_the_count_again() {
    let mut node = reader().await;
    let (mut socket, session) = node.open().await;
    for _ in 0..3 {
        for bad in &NO_MESSAGES[1..] {
            socket.send_text(bad).await.unwrap();
        }
        socket.send_text(r#"{"topic":"good"}"#).await.unwrap();
        assert_read(&mut socket, "good", "null").await;
    }
    assert!(!session.is_closed());
    assert_eq!(node.live.stats().undecodable_messages(), 45);
}

#[tokio::test]
async fn c33_binary_that_is_not_utf_8_is_no_envelope() {
    let mut node = reader().await;
    let (mut socket, _) = node.open().await;
    socket.send(&Frame::binary(b"{\"topic\":\"\xff\"}")).await.unwrap();
    socket.send(&Frame::binary(b"{\"topic\":\"a\",\"data\":\"\xff\"}")).await.unwrap();
    socket.send_text(r#"{"topic":"good"}"#).await.unwrap();
    assert_read(&mut socket, "good", "null").await;
    assert_eq!(node.live.stats().undecodable_messages(), 2);
}

#[tokio::test]
async fn c34_json_64_levels_deep_passes_and_deeper_reaches_no_handler() {
    let mut node = reader().await;
    let (mut socket, _) = node.open().await;
    let nested = |levels: usize| ["[".repeat(levels), "]".repeat(levels)].concat();
    let objects = |levels: usize| [r#"{"a":"#.repeat(levels), "1".into(), "}".repeat(levels)].concat();
    for data in [nested(64), objects(64), format!("\"{}\"", "[".repeat(100))] {
        socket.send_text(&format!(r#"{{"topic":"deep","data":{data}}}"#)).await.unwrap();
        assert_read(&mut socket, "deep", &data).await;
    }
    let ignored = format!(r#"{{"topic":"a","ignored":{},"data":1}}"#, nested(65));
    for bad in [
        format!(r#"{{"topic":"deep","data":{}}}"#, nested(65)),
        format!(r#"{{"topic":"deep","data":{}}}"#, objects(65)),
        format!(r#"{{"topic":"deep","data":{}}}"#, nested(2_000_000)),
        "[".repeat(2_000_000),
        ignored,
    ] {
        socket.send_text(&bad).await.unwrap();
    }
    socket.send_text(r#"{"topic":"good"}"#).await.unwrap();
    assert_read(&mut socket, "good", "null").await;
    assert_eq!(node.live.stats().undecodable_messages(), 5);
}
