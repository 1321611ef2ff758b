//! Ids that the application makes.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

use std::{sync::Barrier, thread};

use axum_live_core::{AcceptError, Live, SessionId, SessionInfo};
use tokio::runtime::Handle;

#[tokio::test]
async fn c57_of_sessions_that_come_at_once_with_one_id_one_gets_it_and_the_others_are_refused() {
    const ROUNDS: usize = 200;
    const COMERS: usize = 4;

    let runtime = Handle::current();
    let id = SessionId::try_from("always-the-same").unwrap();
    for round in 0..ROUNDS {
        let live = Live::<()>::builder().session_id(move || id).build();
        let start = Barrier::new(COMERS);
        let accepted: Vec<_> = thread::scope(|scope| {
            let come = || {
                let _runtime = runtime.enter();
                start.wait();
                live.accept((), SessionInfo::default())
            };
            let comers: Vec<_> = (0..COMERS).map(|_| scope.spawn(come)).collect();
            comers.into_iter().map(|comer| comer.join().unwrap()).collect()
        });
        let (let_in, refused): (Vec<_>, Vec<_>) = accepted.into_iter().partition(Result::is_ok);
        assert!(refused.iter().all(|refusal| matches!(refusal, Err(AcceptError::NoId))));
        assert_eq!((let_in.len(), live.len()), (1, 1), "in round {round}");
        let session = let_in[0].as_ref().unwrap().session();
        assert_eq!(live.session(&id).as_ref(), Some(session));
    }
}
