//! What a session does between two turns of other tasks.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

use std::{
    future::poll_fn,
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

use axum_live_core::{Builder, Frame, Live, Message, Session, SessionInfo, Stream};
use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

fn open(builder: Builder<()>) -> (Live<()>, DuplexStream) {
    let live = builder.build();
    let (client, server) = duplex(8 << 20);
    live.accept((), SessionInfo::default()).unwrap().open(Stream::Other(Box::new(server)), Bytes::new());
    (live, client)
}

/// Lets each task that can run have one turn; tokio's `yield_now` would wait for many.
async fn next_turn() {
    let mut is_next = false;
    poll_fn(|cx| {
        cx.waker().wake_by_ref();
        if mem::replace(&mut is_next, true) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn requests_in_one_read_are_all_answered_on_a_stream_that_only_the_task_writes() {
    const REQUESTS: usize = 1000;

    let (_live, mut client) = open(Live::builder().on_message(async |session: Session<()>, message: Message| {
        session.send(message.topic(), &1).unwrap();
    }));
    let request = [&[0x81, 0x80 | 13, 0, 0, 0, 0][..], br#"{"topic":"a"}"#].concat();
    client.write_all(&request.repeat(REQUESTS)).await.unwrap();

    let answer = br#"{"topic":"a","data":1}"#.len() + 2;
    let mut answers = vec![0; REQUESTS * answer];
    client.read_exact(&mut answers).await.unwrap();
}

#[tokio::test]
async fn a_flood_of_messages_leaves_other_tasks_their_turn() {
    let handled = Arc::new(AtomicUsize::new(0));
    let (_live, mut client) = open(Live::builder().on_frame({
        let handled = Arc::clone(&handled);
        async move |_: Session<()>, _: Frame| {
            handled.fetch_add(1, SeqCst);
        }
    }));
    const FLOOD: usize = 10_000;
    client.write_all(&[0x81, 0x80, 0, 0, 0, 0].repeat(FLOOD)).await.unwrap();

    let other = tokio::spawn(async move {
        let mut before = 0;
        while before < FLOOD {
            next_turn().await;
            let now = handled.load(SeqCst);
            assert!(now - before <= 64, "{} messages in one turn", now - before);
            before = now;
        }
    });
    other.await.unwrap();
}
