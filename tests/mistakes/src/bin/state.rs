//! cannot handle messages of sessions with values of type `()`, with a state of type `u8`
//! `State<T>` with `T: FromRef<u8>`

use axum::extract::State;
use axum_live::MessageRouter;

#[derive(Clone)]
struct Settings;

async fn say(_settings: State<Settings>) {}

fn main() {
    let _ = MessageRouter::<(), u8>::new().on("say", say).with_state(7);
}
