//! What we log of a session's life: in its span, at levels by which it can be filtered. What we do not log is in
//! `secrets`.

use axum_live::{CloseCode, CloseReason, Frame as Payload, Live, Message, Session};
use axum_live_test::Frame;

use crate::{
    captured::Captured,
    node::{Node, answer_close, assert_closes},
};

// On one thread, all of them: what is captured is its thread's.
#[tokio::test]
async fn a_sessions_life_is_told_in_its_span_the_ends_at_debug_and_messages_at_trace() {
    let captured = Captured::start();
    let builder = Live::builder().on_message(async |session: Session<()>, message: Message| match message.topic() {
        "close" => session.close_with(CloseCode::try_from(4123).unwrap(), "a secret, for all we know"),
        topic => drop(session.live().publish("news", topic).unwrap()),
    });
    let mut node = Node::start(builder).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("news").unwrap();
    socket.send_json("tell", "hidden").await.unwrap();
    socket.expect_json("news").await.unwrap();
    socket.send(&Frame::text("hidden")).await.unwrap();
    socket.send_json("close", 1).await.unwrap();
    assert_closes(&mut socket, 4123).await;
    answer_close(socket, 4123).await;
    node.closed().await;

    let span = captured.line(" live.session ");
    assert_eq!(span, format!(r#"DEBUG axum_live live.session session_id={} path="/ws""#, session.id()));
    for (words, line) in [
        ("=open", "DEBUG axum_live event message=open in live.session"),
        ("topic=\"tell\"", "TRACE axum_live event message=message topic=\"tell\" in live.session"),
        ("=published", "TRACE axum_live event message=published topic=news receivers=1 in live.session"),
        ("=close ", "DEBUG axum_live event message=close reason=\"application\" code=4123 in live.session"),
    ] {
        let told = captured.line(words);
        // An event's name is where it stands in the source.
        let (head, tail) = told.split_once(" event ").unwrap();
        let place = tail.find(" message=").unwrap();
        assert_eq!(format!("{head} event{}", &tail[place..]), line);
    }
    assert!(captured.line("undecodable").starts_with("DEBUG "));
    let log = captured.lines().join("\n");
    assert!(!log.contains("hidden") && !log.contains("secret"), "{log}");
}

#[tokio::test]
async fn a_slow_client_is_told_of_at_warn_and_a_panic_at_error_each_with_its_session() {
    let captured = Captured::start();
    let builder = Live::builder().queue_size(1).on_message(async |_: Session<()>, _: Message| panic!("hidden"));
    let mut node = Node::start(builder).await;
    let (_slow, slow) = node.open_slow().await;
    while slow.send_frame(Payload::binary(vec![0; 256 << 10])).is_ok() {}
    assert_eq!(node.closed().await.1, CloseReason::QueueFull);
    let (mut socket, panicked) = node.open().await;
    socket.send_json("panic", 1).await.unwrap();
    assert_closes(&mut socket, 1011).await;

    // A filter that lets warnings through and nothing below lets the span not through, so they say whose they are.
    let warning = captured.line("slow client");
    assert!(warning.starts_with("WARN axum_live "), "{warning}");
    assert!(warning.contains(&format!("session_id={} reason=\"queue_full\"", slow.id())), "{warning}");
    let error = captured.line("a hook panicked");
    assert!(error.starts_with("ERROR axum_live "), "{error}");
    assert!(error.contains(&format!("session_id={}", panicked.id())), "{error}");
    assert!(!captured.lines().join("\n").contains("hidden"));
}

#[tokio::test]
async fn c77_a_topic_cannot_forge_a_line_of_the_log() {
    let captured = Captured::start();
    let mut node = Node::start(Live::builder()).await;
    let (mut socket, session) = node.open().await;
    let forged = "x\n2026-01-01 ERROR axum_live: all is lost\x1b[31m";
    socket.send_json(forged, 1).await.unwrap();
    socket.close(1000, forged).await.unwrap();
    assert_closes(&mut socket, 1000).await;
    node.closed().await;
    assert!(session.subscribe(forged).is_err() && node.live.publish(forged, &1).is_err());

    let log = captured.lines().join("\u{1e}");
    assert!(log.contains(r"2026-01-01 ERROR axum_live: all is lost\u{1b}[31m"), "{log}");
    assert!(!log.contains(['\n', '\x1b']), "{log}");
}
