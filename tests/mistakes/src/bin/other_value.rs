//! does not authenticate
//! must be an async fn of extractors that returns `Result<V, impl IntoResponse>`, `V` being the `Live<V>`'s

use axum::http::StatusCode;
use axum_live::{Live, LiveLayer};

async fn authenticate() -> Result<u32, StatusCode> {
    Ok(7)
}

fn main() {
    let live = Live::<String>::builder().build();
    let _ = LiveLayer::new(&live, authenticate);
}
