//! Ids that the application makes.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

use std::{
    hint,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    thread,
};

use axum_live_core::{AcceptError, Live, Pending, SessionId, SessionInfo};
use tokio::runtime::Handle;

type Accepted = Result<Pending<()>, AcceptError>;

#[tokio::test]
async fn c57_of_two_sessions_that_come_at_once_with_one_id_one_gets_it_and_the_other_is_refused() {
    const ROUNDS: usize = 1_000;

    let runtime = Handle::current();
    let id = SessionId::try_from("always-the-same").unwrap();
    let nodes: Vec<_> = (0..ROUNDS).map(|_| Live::<()>::builder().session_id(move || id).build()).collect();
    let arrived = AtomicUsize::new(0);
    let come = || -> Vec<Accepted> {
        let _runtime = runtime.enter();
        let come_to = |(round, node): (usize, &Live<()>)| {
            // To be woken would take longer than the moment that this is about.
            arrived.fetch_add(1, SeqCst);
            while arrived.load(SeqCst) < 2 * (round + 1) {
                hint::spin_loop();
            }
            node.accept((), SessionInfo::default())
        };
        nodes.iter().enumerate().map(come_to).collect()
    };
    let (one, other) = thread::scope(|scope| {
        let other = scope.spawn(come);
        (come(), other.join().unwrap())
    });
    for ((one, other), node) in one.into_iter().zip(other).zip(&nodes) {
        let (Ok(pending), Err(refusal)) = (if one.is_ok() { (one, other) } else { (other, one) }) else {
            panic!("two sessions on one id");
        };
        assert!(matches!(refusal, AcceptError::NoId));
        assert_eq!((node.len(), node.session(&id).as_ref()), (1, Some(pending.session())));
    }
}
