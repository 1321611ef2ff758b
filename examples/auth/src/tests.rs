//! The app in memory: no port, no server to stop, and a clock that jumps ahead when everybody waits.

use axum::{
    body::{Body, to_bytes},
    http::{Request as HttpRequest, StatusCode, header},
    response::Response,
};
use axum_live_test::{LiveTest, RawSocketError, Reply, Request};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use serde_json::Value;
use tower::ServiceExt;

use super::*;

type Result<T = ()> = std::result::Result<T, RawSocketError>;

const SECRET: &[u8] = b"a secret of the tests, long enough";
const ANA: (&str, &str) = ("ana", "correct horse");
const ROOT: (&str, &str) = ("root", "battery staple");

fn new_app() -> Router {
    app(&Arc::new(Auth::new(SECRET)))
}

async fn post(app: &Router, path: &str, headers: &[(&str, &str)], data: &Value) -> Response {
    let mut request = HttpRequest::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(data.to_string())).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn text(response: Response) -> String {
    let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
    String::from_utf8(body.into()).unwrap()
}

/// Asks for a token or a cookie.
async fn sign_in(app: &Router, path: &str, (name, password): (&str, &str)) -> Response {
    let login = json!({ "name": name, "password": password });
    post(app, path, &[("content-type", "application/json")], &login).await
}

async fn token_of(app: &Router, person: (&str, &str)) -> String {
    text(sign_in(app, "/token", person).await).await
}

async fn cookie_of(app: &Router, person: (&str, &str)) -> String {
    set_by(&sign_in(app, "/login", person).await)
}

/// What the browser sends back: the cookie without its attributes.
fn set_by(response: &Response) -> String {
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    cookie.split(';').next().unwrap().to_owned()
}

/// A fresh cookie, and the ticket for the session.
async fn renewed(app: &Router, cookie: &str) -> (String, String) {
    let response = post(app, "/renew", &[("cookie", cookie)], &Value::Null).await;
    (set_by(&response), text(response).await)
}

async fn ticket_of(app: &Router, cookie: &str) -> String {
    text(post(app, "/ticket", &[("cookie", cookie)], &Value::Null).await).await
}

fn by_header(token: &str) -> Request {
    Request::new("/ws/header").header("Authorization", format!("Bearer {token}"))
}

fn by_cookie(cookie: &str) -> Request {
    Request::new("/ws/cookie").header("Cookie", cookie)
}

fn by_ticket(ticket: &str) -> Request {
    Request::new(&format!("/ws/ticket?ticket={ticket}"))
}

/// A client that has come in, and what it was told.
async fn enter(app: &Router, door: &Request) -> Result<(LiveTest, Value)> {
    let mut client = LiveTest::connect_with(app, door).await?;
    granted(&mut client).await?;
    let welcome = client.expect("welcome").await?;
    Ok((client, welcome))
}

/// The seconds that a client is told it may stay.
async fn granted(client: &mut LiveTest) -> Result<u64> {
    let told: Value = client.expect("granted").await?;
    Ok(told["seconds"].as_u64().unwrap())
}

async fn refused(app: &Router, door: &Request) -> Result<String> {
    let reply: Reply = LiveTest::ask(app, door).await?;
    assert_eq!((reply.status(), reply.header("www-authenticate")), (401, Some("Bearer")));
    Ok(reply.text())
}

/// A token for ana that expires in so many seconds.
fn signed(secret: &[u8], algorithm: Algorithm, seconds: i64) -> String {
    signed_of(get_current_timestamp(), secret, algorithm, seconds)
}

/// The same, of a log-in at this time.
fn signed_of(auth_time: u64, secret: &[u8], algorithm: Algorithm, seconds: i64) -> String {
    let exp = get_current_timestamp().checked_add_signed(seconds).unwrap();
    let claims = json!({ "sub": "ana", "role": "admin", "sid": "1", "auth_time": auth_time, "exp": exp });
    encode(&Header::new(algorithm), &claims, &EncodingKey::from_secret(secret)).unwrap()
}

// The three ways in

#[tokio::test]
async fn a_program_comes_in_by_its_token() -> Result {
    let app = new_app();
    let (_, welcome) = enter(&app, &by_header(&token_of(&app, ANA).await)).await?;
    assert_eq!(welcome, json!({ "user": "ana", "role": "member", "topics": ["lobby", "user:ana"] }));
    let (_, welcome) = enter(&app, &by_header(&token_of(&app, ROOT).await)).await?;
    assert_eq!(welcome, json!({ "user": "root", "role": "admin", "topics": ["lobby", "user:root", "admin"] }));
    assert_eq!(refused(&app, &Request::new("/ws/header")).await?, "send the header Authorization: Bearer TOKEN");
    Ok(())
}

#[tokio::test]
async fn a_page_comes_in_by_a_cookie_that_no_script_and_no_other_site_can_use() -> Result {
    let app = new_app();
    let response = sign_in(&app, "/login", ANA).await;
    let cookie = response.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(cookie.starts_with("__Host-token="), "{cookie}");
    assert!(cookie.ends_with("; HttpOnly; SameSite=Strict; Secure; Path=/"), "{cookie}");

    let cookie = cookie.split(';').next().unwrap();
    let (_, welcome) = enter(&app, &by_cookie(&format!("theme=dark; {cookie}"))).await?;
    assert_eq!(welcome["user"], "ana");
    assert_eq!(refused(&app, &Request::new("/ws/cookie")).await?, "log in first");
    let elsewhere = by_cookie(cookie).header("Origin", "https://evil.example");
    assert_eq!(LiveTest::ask(&app, &elsewhere).await?.status(), 403);
    Ok(())
}

#[tokio::test]
async fn a_ticket_lets_one_in_once_from_any_page() -> Result {
    let app = new_app();
    let ticket = ticket_of(&app, &cookie_of(&app, ANA).await).await;
    let door = by_ticket(&ticket).header("Origin", "https://other.example");
    let (_, welcome) = enter(&app, &door).await?;
    assert_eq!(welcome["user"], "ana");
    let used = "the ticket was used, has expired or is none of ours";
    assert_eq!(refused(&app, &door).await?, used);
    assert_eq!(refused(&app, &Request::new("/ws/ticket")).await?, used);
    Ok(())
}

#[tokio::test]
async fn of_two_who_come_with_one_ticket_one_gets_in() -> Result {
    let app = new_app();
    let door = by_ticket(&ticket_of(&app, &cookie_of(&app, ANA).await).await);
    let (one, other) = tokio::join!(LiveTest::ask(&app, &door), LiveTest::ask(&app, &door));
    let mut statuses = [one?.status(), other?.status()];
    statuses.sort();
    assert_eq!(statuses, [101, 401]);
    Ok(())
}

#[tokio::test]
async fn asking_whether_a_ticket_is_good_does_not_spend_it() -> Result {
    let app = new_app();
    let ticket = ticket_of(&app, &cookie_of(&app, ANA).await).await;
    let probe = Request::plain(&format!("/ws/ticket?ticket={ticket}"));
    for _ in 0..2 {
        assert_eq!(LiveTest::ask(&app, &probe).await?.status(), 426);
    }
    enter(&app, &by_ticket(&ticket)).await?;
    assert_eq!(LiveTest::ask(&app, &probe).await?.status(), 401);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_ticket_that_waited_too_long_is_worth_nothing() -> Result {
    let app = new_app();
    let cookie = cookie_of(&app, ANA).await;
    let (early, late) = (ticket_of(&app, &cookie).await, ticket_of(&app, &cookie).await);
    tokio::time::advance(ticket::LIFETIME / 2).await;
    enter(&app, &by_ticket(&early)).await?;
    tokio::time::advance(ticket::LIFETIME / 2).await;
    refused(&app, &by_ticket(&late)).await?;
    Ok(())
}

#[tokio::test]
async fn a_program_gets_tickets_too_and_nobody_gets_one_for_nothing() -> Result {
    let app = new_app();
    let bearer = format!("Bearer {}", token_of(&app, ROOT).await);
    let ticket = text(post(&app, "/ticket", &[("authorization", &bearer)], &Value::Null).await).await;
    let (_, welcome) = enter(&app, &by_ticket(&ticket)).await?;
    assert_eq!(welcome["user"], "root");

    let cookie = cookie_of(&app, ANA).await;
    for headers in
        [vec![], vec![("cookie", "__Host-token=forged")], vec![("cookie", &cookie), ("authorization", "Bearer forged")]]
    {
        let response = post(&app, "/ticket", &headers, &Value::Null).await;
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{headers:?}");
    }
    Ok(())
}

// What is not taken

#[tokio::test]
async fn a_wrong_password_and_a_wrong_name_get_the_same_answer() {
    let app = new_app();
    for person in [("ana", "battery staple"), ("ana", ""), ("nobody", "correct horse"), ("", "")] {
        for path in ["/token", "/login"] {
            let response = sign_in(&app, path, person).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
            assert!(!response.headers().contains_key(header::SET_COOKIE));
            assert_eq!(text(response).await, "no such person, or not their password");
        }
    }
}

#[tokio::test]
async fn a_form_of_another_site_cannot_log_anybody_in() {
    let (name, password) = ANA;
    for kind in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"] {
        let login = json!({ "name": name, "password": password });
        let response = post(&new_app(), "/login", &[("content-type", kind)], &login).await;
        assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE, "{kind}");
    }
}

#[tokio::test]
async fn a_token_that_has_expired_says_so() -> Result {
    let app = new_app();
    enter(&app, &by_header(&signed(SECRET, Algorithm::HS256, 5))).await?;
    let expired = signed(SECRET, Algorithm::HS256, -1);
    assert_eq!(refused(&app, &by_header(&expired)).await?, "the token has expired");
    assert_eq!(refused(&app, &by_cookie(&format!("__Host-token={expired}"))).await?, "the token has expired");
    Ok(())
}

#[tokio::test]
async fn a_token_that_was_made_or_altered_elsewhere_is_none_of_ours() -> Result {
    let app = new_app();
    let good = token_of(&app, ANA).await;
    let [head, claims, signature] = good.split('.').collect::<Vec<_>>()[..] else {
        panic!("{good} has no three parts")
    };
    let forged_claims = signed(SECRET, Algorithm::HS256, 60).split('.').nth(1).unwrap().to_owned();
    let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0"; // {"alg":"none","typ":"JWT"}
    for forged in [
        signed(b"another secret", Algorithm::HS256, 60),
        signed(SECRET, Algorithm::HS512, 60),
        format!("{head}.{forged_claims}.{signature}"),
        format!("{unsigned}.{claims}."),
        format!("{unsigned}.{claims}.{signature}"),
        format!("{head}.{claims}."),
        format!("{head}.{claims}"),
        ticket_of(&app, &cookie_of(&app, ANA).await).await,
        "forged".to_owned(),
    ] {
        assert_eq!(refused(&app, &by_header(&forged)).await?, "the token is none of ours", "{forged}");
        assert_eq!(refused(&app, &by_cookie(&format!("__Host-token={forged}"))).await?, "the token is none of ours");
    }
    refused(&app, &by_ticket(&good)).await?;
    refused(&app, &Request::new("/ws/header").header("Authorization", format!("Basic {good}"))).await?;
    Ok(())
}

#[test]
fn a_secret_is_long_or_random_and_never_short() {
    let long = "x".repeat(32);
    assert_eq!(secret(Ok(long.clone())).unwrap(), long.as_bytes());
    assert!(secret(Ok("x".repeat(31))).is_err());
    let random = || secret(Err(VarError::NotPresent)).unwrap();
    assert_eq!(random().len(), 32);
    assert_ne!(random(), random());
}

// Once they are in

#[tokio::test]
async fn everybody_subscribes_to_what_is_theirs_and_admins_alone_to_admin() -> Result {
    let app = new_app();
    let (mut ana, _) = enter(&app, &by_header(&token_of(&app, ANA).await)).await?;
    for topic in ["admin", "user:root", "user:", "nowhere", "admin:more"] {
        ana.send("subscribe", &json!({ "topic": topic })).await?;
        let error: Value = ana.expect("error").await?;
        assert_eq!((&error["topic"], &error["code"]), (&json!(topic), &json!("forbidden")));
    }
    ana.send("subscribe", &json!({ "topic": "user:ana" })).await?;

    let (mut root, _) = enter(&app, &by_cookie(&cookie_of(&app, ROOT).await)).await?;
    root.send("subscribe", &json!({ "topic": "admin" })).await?;
    // The answer to what root says next says that the subscription is made.
    root.send("subscribe", &json!({ "topic": "user:ana" })).await?;
    root.expect::<Value>("error").await?;
    enter(&app, &by_cookie(&cookie_of(&app, ANA).await)).await?;
    let notice = json!({ "came": "ana", "to": "/ws/cookie" });
    assert_eq!(root.expect::<Value>("admin").await?, notice);
    assert_eq!(ana.expect::<Value>("user:ana").await?, notice);
    Ok(())
}

#[tokio::test]
async fn logging_out_ends_what_the_cookie_let_in_and_nothing_else() -> Result {
    let app = new_app();
    let cookie = cookie_of(&app, ANA).await;
    let (mut tab, _) = enter(&app, &by_cookie(&cookie)).await?;
    let (mut ticket_tab, _) = enter(&app, &by_ticket(&ticket_of(&app, &cookie).await)).await?;
    let (mut phone, _) = enter(&app, &by_cookie(&cookie_of(&app, ANA).await)).await?;

    let response = post(&app, "/logout", &[("cookie", &cookie)], &Value::Null).await;
    assert_eq!(response.status(), StatusCode::OK);
    let removal = response.headers()[header::SET_COOKIE].to_str().unwrap();
    assert!(removal.starts_with("__Host-token=;") && removal.contains("Max-Age=0"), "{removal}");
    assert!(removal.contains("Secure") && removal.contains("Path=/"), "or the browser keeps it: {removal}");

    assert_eq!(tab.expect_close(1008).await?, "logged out");
    assert_eq!(ticket_tab.expect_close(1008).await?, "logged out");
    phone.send("subscribe", &json!({ "topic": "admin" })).await?;
    phone.expect::<Value>("error").await?;
    assert_eq!(post(&app, "/logout", &[], &Value::Null).await.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn nobody_stays_for_longer_than_their_token_is_good_unless_they_renew_it() -> Result {
    let app = new_app();
    // Of the wall clock, by which tokens go.
    let door = by_header(&signed(SECRET, Algorithm::HS256, 3));
    let ((mut ana, welcome), (mut too_late, _)) = (enter(&app, &door).await?, enter(&app, &door).await?);
    assert_eq!(welcome["role"], "admin");
    let (_, ticket) = renewed(&app, &cookie_of(&app, ANA).await).await;
    ana.send("renew", &ticket).await?;
    assert!((890..=900).contains(&granted(&mut ana).await?));

    assert_eq!(too_late.expect_close(4001).await?, "the credentials have expired");
    // She goes on, and as what the fresh token says.
    ana.send("subscribe", &json!({ "topic": "admin" })).await?;
    assert_eq!(ana.expect::<Value>("error").await?["code"], "forbidden");
    Ok(())
}

#[tokio::test]
async fn a_session_is_renewed_by_a_ticket_of_its_own_person_and_by_each_once() -> Result {
    let app = new_app();
    let cookie = cookie_of(&app, ANA).await;
    let (mut ana, _) = enter(&app, &by_cookie(&cookie)).await?;
    let (_, ticket) = renewed(&app, &cookie).await;
    ana.send("renew", &ticket).await?;
    granted(&mut ana).await?;
    let of_another = ticket_of(&app, &cookie_of(&app, ROOT).await).await;
    for (ticket, code) in [(ticket.as_str(), "bad_ticket"), ("forged", "bad_ticket"), (&of_another, "not_renewed")] {
        ana.send("renew", ticket).await?;
        let error: Value = ana.expect("error").await?;
        assert_eq!((&error["topic"], &error["code"]), (&json!("renew"), &json!(code)));
    }
    Ok(())
}

#[tokio::test]
async fn a_cookie_is_renewed_while_it_is_good_and_logging_out_ends_all_that_its_log_in_let_in() -> Result {
    let app = new_app();
    let old = cookie_of(&app, ANA).await;
    let (mut early, _) = enter(&app, &by_cookie(&old)).await?;
    let (new, _) = renewed(&app, &old).await;
    let (mut late, _) = enter(&app, &by_cookie(&new)).await?;
    assert_eq!(post(&app, "/logout", &[("cookie", &new)], &Value::Null).await.status(), StatusCode::OK);
    for tab in [&mut early, &mut late] {
        assert_eq!(tab.expect_close(1008).await?, "logged out");
    }

    let expired = format!("__Host-token={}", signed(SECRET, Algorithm::HS256, -1));
    for headers in [vec![], vec![("cookie", expired.as_str())]] {
        assert_eq!(post(&app, "/renew", &headers, &Value::Null).await.status(), StatusCode::UNAUTHORIZED);
    }
    Ok(())
}

#[tokio::test]
async fn half_a_day_after_the_log_in_nothing_is_renewed_any_more() -> Result {
    let app = new_app();
    let logged_in = get_current_timestamp() - token::LOGIN.as_secs() + 60;
    let cookie = format!("__Host-token={}", signed_of(logged_in, SECRET, Algorithm::HS256, 30));
    let (cookie, _) = renewed(&app, &cookie).await;
    let mut ana = LiveTest::connect_with(&app, &by_cookie(&cookie)).await?;
    assert!((50..=60).contains(&granted(&mut ana).await?));
    Ok(())
}
