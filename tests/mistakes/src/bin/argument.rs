//! cannot handle messages of sessions with values of type `()`, with a state of type `()`
//! these are `Session<()>`, `Live<()>`, `Data<T>`, `Params<T>`, `Message`, `Topic`, `State<T>` with `T: FromRef<()>`

use axum_live::MessageRouter;

async fn say(_text: u32) {}

fn main() {
    let _ = MessageRouter::<()>::new().on("say", say);
}
