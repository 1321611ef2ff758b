//! No lock of ours is held while user code runs (the end-to-end tests have more of it).
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

use std::{
    sync::{Arc, OnceLock, mpsc},
    thread,
    time::Duration,
};

use axum_live_core::{Live, SessionInfo};

/// A value that tells all others when it is dropped.
struct Parting(Arc<OnceLock<Live<Parting>>>);

impl Drop for Parting {
    fn drop(&mut self) {
        self.0.get().unwrap().broadcast("parting", &()).unwrap();
    }
}

#[tokio::test]
async fn a_value_that_a_broadcast_drops_may_broadcast() {
    const BROADCASTS: usize = 20_000;

    let node = Arc::new(OnceLock::new());
    let live = Live::builder().build();
    node.set(live.clone()).ok().unwrap();

    let (tell, told) = mpsc::channel();
    thread::spawn({
        let live = live.clone();
        move || {
            for _ in 0..BROADCASTS {
                live.broadcast("tick", &()).unwrap();
            }
            tell.send(()).unwrap();
        }
    });
    // On a thread of its own as well, for one that waits for itself waits for ever.
    let runtime = tokio::runtime::Handle::current();
    let (ends, ended) = mpsc::channel::<()>();
    thread::spawn(move || {
        let _runtime = runtime.enter();
        while ended.try_recv() == Err(mpsc::TryRecvError::Empty) {
            // They end while a broadcast has them on its list, which is then the last to let go of them.
            let accept = |_| live.accept(Parting(Arc::clone(&node)), SessionInfo::default()).unwrap();
            drop((0..100).map(accept).collect::<Vec<_>>());
        }
    });
    assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(()), "a broadcast waits for itself");
    drop(ends);
}
