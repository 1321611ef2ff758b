//! does not authenticate
//! the extractors must implement `FromRequestParts`: the body of a handshake cannot be read

use axum::{Json, http::StatusCode};
use axum_live::{Live, LiveLayer};

async fn authenticate(_login: Json<String>) -> Result<(), StatusCode> {
    Ok(())
}

fn main() {
    let live = Live::<()>::builder().build();
    let _ = LiveLayer::new(&live, authenticate);
}
