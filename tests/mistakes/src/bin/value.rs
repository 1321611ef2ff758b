//! cannot handle messages of sessions with values of type `()`
//! these are `Session<()>`, `Live<()>`

use axum_live::{Live, MessageRouter, Session};

struct User;

async fn say(_session: Session<User>) {}

fn main() {
    let router = MessageRouter::<()>::new().on("say", say);
    let _ = Live::<()>::builder().on_message(router.into_hook());
}
