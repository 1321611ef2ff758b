//! Two thousand sessions that come and go as they like.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use axum_live::{CloseCode, CloseReason, Live, Message, Session};
use axum_live_test::{Frame, RawSocket, Request};
use tokio::task::JoinSet;

use crate::{app::settles, dice::Dice, node::serve_live};

/// One client's life: subscribes to some topics, reads a little, and leaves in one of many ways.
async fn come_and_go(addr: SocketAddr, dice: &mut Dice) {
    let mut socket = RawSocket::connect(addr).await.unwrap();
    if dice.roll(20) == 0 {
        // Not even for the answer.
        socket.write(Request::new("/ws").to_bytes()).await.unwrap();
        return socket.abort().unwrap();
    }
    socket.upgrade(&Request::new("/ws")).await.unwrap();
    for _ in 0..dice.roll(6) {
        let verb = if dice.roll(4) == 0 { "unsubscribe" } else { "subscribe" };
        socket.send_json(verb, format!("topic:{}", dice.roll(12))).await.unwrap();
    }
    if dice.roll(2) == 0 {
        socket.send_json("echo", 1).await.unwrap();
        while !socket.expect_text().await.unwrap().contains("echo") {}
    }
    match dice.roll(6) {
        0 => drop(socket),
        1 => socket.abort().unwrap(),
        2 => {
            socket.send(&Frame::text("half a frame").declaring(1000)).await.unwrap();
            socket.abort().unwrap();
        }
        3 => socket.half_close().await.unwrap(),
        way => {
            match way {
                4 => socket.close(1000, "").await.unwrap(),
                _ => socket.send_json("leave", 1).await.unwrap(),
            }
            while socket.frame().await.unwrap().opcode() != Frame::CLOSE {}
            socket.close(1000, "").await.ok();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_sessions_coming_and_going_under_publication_leave_nothing_behind() {
    const CLIENTS: u64 = 50;
    const LIVES: usize = 40;

    let (opened, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (opens, closes) = (Arc::clone(&opened), Arc::clone(&closed));
    let live = Live::<()>::builder()
        .queue_size(10_000)
        .on_connect(async move |session: Session<()>| {
            opens.fetch_add(1, SeqCst);
            session.subscribe("lobby").ok();
        })
        .on_message(async |session: Session<()>, message: Message| match message.topic() {
            "subscribe" => drop(session.subscribe(message.json::<String>().unwrap())),
            "unsubscribe" => drop(session.unsubscribe(message.json::<String>().unwrap())),
            "leave" => session.close_with(CloseCode::NORMAL, "as you wish"),
            topic => drop(session.send(topic, &1)),
        })
        .on_close(async move |session: Session<()>, _: CloseReason| {
            closes.fetch_add(1, SeqCst);
            // Whoever leaves says so, and is late for subscribing anew.
            session.live().publish("lobby", session.id()).unwrap();
            session.subscribe("lobby").unwrap_err();
        })
        .build();
    let addr = serve_live(&live).await;

    let stop = Arc::new(AtomicBool::new(false));
    let publisher = thread::spawn({
        let (live, stop) = (live.clone(), Arc::clone(&stop));
        move || {
            let mut dice = Dice::new(0);
            let mut received = 0;
            while !stop.load(SeqCst) {
                received += live.publish(format!("topic:{}", dice.roll(12)), &received).unwrap();
                thread::yield_now();
            }
            received
        }
    });
    let mut clients = JoinSet::new();
    for seed in 1..=CLIENTS {
        clients.spawn(async move {
            let mut dice = Dice::new(seed);
            for _ in 0..LIVES {
                come_and_go(addr, &mut dice).await;
            }
        });
    }
    clients.join_all().await;

    settles("an empty node", || live.is_empty() && live.stats().topics() == 0).await;
    settles("as many ends as beginnings", || opened.load(SeqCst) == closed.load(SeqCst)).await;
    stop.store(true, SeqCst);
    assert!(publisher.join().unwrap() > 0, "nobody was there to receive anything");
    assert!(opened.load(SeqCst) > 1800, "{opened:?}");
    assert_eq!(live.stats().hook_panics(), 0);
    // Neither is anything left in the directory, once the last connections have ended.
    assert_eq!(live.shutdown().await.aborted(), 0);
    let left = live.shutdown().await;
    assert_eq!((left.closed(), left.aborted()), (0, 0));
}
