//! a rule of a subscription policy cannot return `()`
//! it returns `bool`, or `Result<(), E>` with `E: Into<ClientError>`

use axum_live::SubscriptionPolicy;

async fn nobody() {}

fn main() {
    let _ = SubscriptionPolicy::<()>::new().allow_if("news", nobody);
}
