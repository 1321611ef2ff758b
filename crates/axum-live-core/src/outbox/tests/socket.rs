//! Outboxes with a socket, which anyone may write to.

use std::{io::Read, net, pin::pin, thread};

use tokio::net::TcpListener;

use super::*;

/// One that has a socket, with that and the client's end of it.
async fn connected_outbox() -> (Fanout, Arc<Outbox>, Arc<TcpStream>, net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let socket = Arc::new(listener.accept().await.unwrap().0);
    socket.writable().await.unwrap();
    let (fanout, outbox) = outbox();
    outbox.open(Some(Arc::clone(&socket)));
    (fanout, outbox, socket, client)
}

/// A client that takes nothing, of whom a socket has taken all that it can.
async fn stalled_outbox() -> (Fanout, Arc<Outbox>, net::TcpStream) {
    let (fanout, outbox, socket, client) = connected_outbox().await;
    outbox.send(Frame::binary(vec![7; 32 << 20])).unwrap();
    assert!(!turn(&outbox, |slices| socket.try_write_vectored(slices)).empty);
    (fanout, outbox, client)
}

/// What comes to a client for whom so much is under way.
fn comes(client: &mut net::TcpStream, due: &[u8]) {
    let mut come = vec![0; due.len()];
    client.read_exact(&mut come).unwrap();
    assert_eq!(come, due);
}

/// All that has come to a client.
fn has_come(client: &mut net::TcpStream) -> Vec<u8> {
    client.set_nonblocking(true).unwrap();
    let mut come = Vec::new();
    let end = client.read_to_end(&mut come).unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::WouldBlock);
    client.set_nonblocking(false).unwrap();
    come
}

#[tokio::test]
async fn what_a_socket_takes_at_once_is_not_queued_not_charged_and_wakes_nobody() {
    let (fanout, outbox, _socket, mut client) = connected_outbox().await;
    let woken = Arc::new(Woken::default());
    turn_of(&Waker::from(Arc::clone(&woken)), &outbox, all);
    let (published, next, sent) = (Frame::text("published"), Frame::text("next"), Frame::text("sent"));
    publish(&fanout, &outbox, &published);
    // What is not carried yet makes a `send` go behind it.
    hand_over(&fanout, &outbox, &next);
    outbox.send(sent.clone()).unwrap();
    comes(&mut client, &wire([published, next, sent]));
    assert!(outbox.state.lock().holds_nothing());
    assert_eq!(woken.times(), 0);
    // The budget has no room for anything, and tells of what is charged.
    let exceeded = pin!(outbox.lane.budget().exceeded().notified());
    assert!(exceeded.poll(&mut Context::from_waker(Waker::noop())).is_pending());
}

#[tokio::test]
async fn what_is_sent_to_a_socket_is_left_to_one_write_of_its_task_unless_the_queue_is_full() {
    let (_fanout, outbox, _socket, mut client) = connected_outbox().await;
    for _ in 0..BOUNDS.messages {
        outbox.send(Frame::text("x")).unwrap();
    }
    assert!(has_come(&mut client).is_empty());
    outbox.send(Frame::text("x")).unwrap();
    comes(&mut client, &wire(iter::repeat_n(Frame::text("x"), BOUNDS.messages)));
}

#[tokio::test]
async fn a_socket_that_takes_no_more_is_the_clients_fault_from_the_first_publication_past_the_bounds() {
    let (fanout, outbox, _client) = stalled_outbox().await;
    for _ in 1..BOUNDS.messages {
        publish(&fanout, &outbox, &Frame::text("x"));
    }
    assert_eq!(outbox.reason(), None);
    publish(&fanout, &outbox, &Frame::text("x"));
    assert_eq!(outbox.reason(), Some(CloseReason::QueueFull));
}

#[tokio::test]
async fn a_tick_asks_the_kernel_whether_it_takes_more_before_the_client_is_given_up() {
    let (_fanout, outbox, mut client) = stalled_outbox().await;
    let is_in_vain = |ticks: u32| {
        outbox.tick(u32::MAX);
        matches!(outbox.state.lock().gate, Gate::Blocked { ticks: counted } if counted >= ticks)
    };
    assert!((0..100).any(|_| is_in_vain(3)));

    assert!(!has_come(&mut client).is_empty());
    // That there is room again takes its way to the server.
    let takes_more = || {
        thread::yield_now();
        outbox.tick(u32::MAX)
    };
    assert!((0..10_000).any(|_| takes_more()));
    assert_eq!(outbox.reason(), None);

    assert!((0..100).any(|_| is_in_vain(3)));
    assert!(!outbox.tick(1));
    assert_eq!(outbox.reason(), Some(CloseReason::WriteTimeout));
}
