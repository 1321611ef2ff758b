//! cannot handle messages of sessions
//! must be an async fn of up to eight extractors of a message

use axum_live::MessageRouter;

fn say() {}

fn main() {
    let _ = MessageRouter::<()>::new().on("say", say);
}
