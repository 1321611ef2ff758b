//! Clients that send more than they may, beside those that do not.

use std::time::Duration;

use axum_live::{CloseReason, Limits, Live, Message, Rate, Session};
use axum_live_test::Frame;
use tokio::sync::mpsc;

use crate::{
    app::soon,
    node::{Node, answer_close, assert_closes},
};

#[tokio::test]
async fn c40_while_one_floods_others_get_all_that_they_should_and_the_flood_ends_with_4013() {
    let limits =
        Limits::default().message_rate(Rate::per_second(100).burst(200)).throttle_timeout(Duration::from_millis(500));
    let (handles, mut handled) = mpsc::unbounded_channel();
    let builder = Live::builder().limits(limits).close_timeout(Duration::from_secs(60)).on_message(
        async move |_: Session<()>, _: Message| {
            handles.send(()).unwrap();
        },
    );
    let mut node = Node::start(builder).await;
    let (mut flooder, flooding) = node.open().await;
    let mut others = node.open_subscribed(3).await;
    let (mut talker, talking) = node.open().await;

    let flood = tokio::spawn(async move {
        let batch = Frame::text(r#"{"topic":"flood"}"#).to_bytes().repeat(1000);
        let mut sent = 0;
        // Until the server takes no more, which it says by the close frame behind all this.
        while flooder.write(&batch).await.is_ok() && sent < 200_000 {
            sent += 1000;
        }
        flooder
    });
    let mut published = 0;
    while !flooding.is_closed() {
        node.live.publish("t", &published).unwrap();
        for other in &mut others {
            assert_eq!(other.expect_json("t").await.unwrap(), published);
        }
        published += 1;
    }
    assert_eq!(node.closed().await, (flooding, CloseReason::RateLimited));
    assert!(published > 0);

    let mut count = 0;
    while handled.try_recv().is_ok() {
        count += 1;
    }
    // The burst and half a second's, not what a machine that is busy makes of it.
    assert!((200..400).contains(&count), "{count} messages were handled");
    talker.send_json("a", 1).await.unwrap();
    soon("the message of another", handled.recv()).await.unwrap();
    assert!(!talking.is_closed());

    let mut flooder = flood.await.unwrap();
    assert_closes(&mut flooder, 4013).await;
    answer_close(flooder, 4013).await;
    assert_eq!(node.live.stats().throttles(), 1);
}
