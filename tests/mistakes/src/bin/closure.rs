//! cannot handle messages of sessions with values of type `()`
//! must be an async fn of up to eight extractors of a message

use axum_live::{Data, MessageRouter, Session};

fn main() {
    let _ = MessageRouter::<()>::new().on("say", |session: Session<()>, Data(text): Data<String>| {
        session.send("said", &text).ok();
    });
}
