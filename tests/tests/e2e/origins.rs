//! Which pages may connect: the catalogue's case 15.

use axum_live::Origins;

use crate::door::{Door, handshake};

#[tokio::test]
async fn c15_a_foreign_origin_is_403_before_auth() {
    let door = Door::new().await;
    let at_example = handshake().header("Host", "example.com:3000");
    for origin in [
        "http://evil-example.com:3000",
        "http://example.com.evil.com:3000",
        "http://example.com:3001",
        "http://example.com",
        "https://example.com",
        "http://example.com:3000@evil.com",
        "example.com:3000",
        "null",
        "",
    ] {
        let reply = door.refuses(&at_example.clone().header("Origin", origin), 403).await;
        assert!(reply.text().contains("Origins::list"), "{}", reply.text());
    }
    let own = at_example.clone().header("Origin", "http://example.com:3000");
    door.refuses(&own.clone().header_too("Origin", "http://example.com:3000"), 403).await;
    door.opens(&own).await;
    door.opens(&handshake().header("Host", "[::1]:3000").header("Origin", "http://[::1]:3000")).await;
    // Not a browser.
    door.opens(&at_example).await;
}

#[tokio::test]
async fn c15_a_list_of_origins_is_exact() {
    let origins = Origins::list(["https://app.example.com"]).unwrap();
    let door = Door::with(|layer| layer.origins(origins)).await;
    door.opens(&handshake().header("Origin", "https://app.example.com")).await;
    for origin in ["http://app.example.com", "https://evil-app.example.com", "http://localhost"] {
        door.refuses(&handshake().header("Origin", origin), 403).await;
    }
}
