//! A scrape over a real socket, of a server that is at work. The recorder is the process's, so there is one test.

use std::net::SocketAddr;

use axum_live_test::{RawSocket, Request};

use crate::*;

async fn serve(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, router).into_future());
    addr
}

/// The lines of a scrape.
async fn scrape(addr: SocketAddr) -> Vec<String> {
    let reply = RawSocket::connect(addr).await.unwrap().request(&Request::plain("/metrics")).await.unwrap();
    assert_eq!((reply.status(), reply.header("content-type")), (200, Some("text/plain; version=0.0.4")));
    reply.text().lines().map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_scrape_tells_what_the_server_does_on_a_port_of_its_own() {
    let live = live();
    let app = serve(app(&live)).await;
    let figures = serve(figures(&live, PrometheusBuilder::new().install_recorder().unwrap())).await;
    let told = |lines: &[String], line: &str| assert!(lines.iter().any(|told| told == line), "{line} in {lines:#?}");

    let lines = scrape(figures).await;
    told(&lines, r#"axum_live_sessions{state="open"} 0"#);
    told(&lines, "# TYPE axum_live_sessions gauge");
    told(&lines, "# TYPE axum_live_publications_total counter");
    told(&lines, "# HELP axum_live_publications_total publications that somebody was to get");

    let (mut ana, mut bob) = (RawSocket::open(app, "/ws").await.unwrap(), RawSocket::open(app, "/ws").await.unwrap());
    for _ in 0..3 {
        ana.send_json("say", "a secret").await.unwrap();
        for client in [&mut ana, &mut bob] {
            assert_eq!(client.expect_json("said").await.unwrap(), "a secret");
        }
    }
    let refused = Request::new("/ws").header("Origin", "https://evil.example");
    assert_eq!(RawSocket::connect(app).await.unwrap().request(&refused).await.unwrap().status(), 403);
    bob.close(1000, "").await.unwrap();
    bob.expect_close().await.unwrap();
    bob.expect_eof().await.unwrap();

    let lines = scrape(figures).await;
    for line in [
        r#"axum_live_sessions{state="open"} 1"#,
        "axum_live_subscriptions 1",
        "axum_live_sessions_opened_total 2",
        r#"axum_live_sessions_closed_total{reason="client"} 1"#,
        r#"axum_live_requests_refused_total{reason="origin"} 1"#,
        "axum_live_messages_received_total 3",
        "axum_live_publications_total 3",
        "axum_live_deliveries_total 6",
    ] {
        told(&lines, line);
    }
    assert!(!lines.iter().any(|line| line.contains("secret") || line.contains("evil") || line.contains("said")));

    let reply = RawSocket::connect(app).await.unwrap().request(&Request::plain("/metrics")).await.unwrap();
    assert_eq!(reply.status(), 404, "not for clients");
}
