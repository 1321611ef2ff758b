//! Whom the engine does not take, and what is counted of it.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

use axum_live_core::{AcceptError, CloseReason, Frame, Live, RefusalReason, SessionId, SessionInfo};

#[tokio::test]
async fn a_session_that_the_node_cannot_take_is_counted_once_with_why() {
    let id = || SessionId::try_from("always-the-same").unwrap();
    let live = Live::<()>::builder().session_id(id).memory_budget(1000).build();
    let accept = || live.accept((), SessionInfo::default());
    let refused = |reason| (live.stats().refused_for(reason), live.stats().refused());

    let pending = accept().unwrap();
    assert_eq!(accept().unwrap_err(), AcceptError::NoId);
    assert_eq!(refused(RefusalReason::NoId), (1, 1));

    pending.session().send_frame(Frame::binary(vec![0; 1001])).unwrap();
    assert_eq!(accept().unwrap_err(), AcceptError::Overloaded);
    assert_eq!(refused(RefusalReason::Overloaded), (1, 2));

    let session = pending.session().clone();
    drop(pending);
    assert_eq!(refused(RefusalReason::NeverOpened), (1, 3));
    assert_eq!(session.close_reason(), Some(CloseReason::NeverOpened));

    accept().unwrap().refuse(RefusalReason::Handler);
    assert_eq!(refused(RefusalReason::Handler), (1, 4));

    live.shutdown().await;
    assert_eq!(accept().unwrap_err(), AcceptError::ShuttingDown);
    assert_eq!(refused(RefusalReason::ShuttingDown), (1, 5));
    assert_eq!((live.len(), live.stats().sessions(), live.stats().closed()), (0, 0, 0));
}
