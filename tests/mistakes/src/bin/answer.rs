//! a handler of messages cannot return `String`
//! it returns `()`, or `Result<(), E>` with `E: Into<ClientError>`

use axum_live::MessageRouter;

async fn say() -> String {
    String::new()
}

fn main() {
    let _ = MessageRouter::<()>::new().on("say", say);
}
