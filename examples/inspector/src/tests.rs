use std::collections::BTreeMap;

use axum::{
    body::Body,
    http::{Request, Response},
};
use axum_live_test::LiveTest;
use tower::ServiceExt;

use super::*;

async fn look(app: &Router, target: &str, credentials: Option<&str>) -> Response<Body> {
    let mut request = Request::get(target);
    if let Some(credentials) = credentials {
        request = request.header("authorization", format!("Basic {}", STANDARD.encode(credentials)));
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn only_who_knows_the_password_looks_inside() {
    let app = app(&live(), "secret");
    for target in ["/inspect", "/inspect/data", "/inspect/sessions/x"] {
        for credentials in [None, Some("operator:wrong"), Some("operator:secret2"), Some("ana:secret"), Some("")] {
            let answer = look(&app, target, credentials).await;
            assert_eq!(answer.status(), StatusCode::UNAUTHORIZED, "{target} {credentials:?}");
            assert_eq!(answer.headers()["www-authenticate"], "Basic realm=\"inspector\"");
        }
    }
    assert_eq!(look(&app, "/inspect", Some("operator:secret")).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn what_is_said_in_a_room_is_heard_there() {
    let app = app(&live(), "secret");
    let mut ana = LiveTest::connect(&app, "/ws?name=ana").await.unwrap();
    ana.send("subscribe", &BTreeMap::from([("topic", "room:lobby")])).await.unwrap();
    ana.send("room:lobby", "hello").await.unwrap();
    assert_eq!(ana.expect::<String>("room:lobby").await.unwrap(), "hello");
    assert!(LiveTest::connect(&app, "/ws?name=").await.is_err());
}
