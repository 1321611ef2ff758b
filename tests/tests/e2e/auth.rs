//! Authentication by what an application has already, and by what denies, panics or takes too long: the catalogue's
//! cases 18 to 20.

use std::{
    convert::Infallible,
    future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{FromRequestParts, State},
    http::{HeaderMap, StatusCode, request::Parts},
    response::{AppendHeaders, IntoResponse},
};
use axum_live::{CloseReason, Live, LiveLayer, RefusalReason, Session, accept};
use axum_live_test::{RawSocket, Request};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    app::{Witness, assert_echoes, echo, serve, settles, soon},
    door::handshake,
};

/// An extractor as an application has it for its other handlers.
struct Name(String);

impl<S: Sync> FromRequestParts<S> for Name {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let name = parts.headers.get("x-user").and_then(|name| name.to_str().ok());
        name.map(|name| Self(name.into())).ok_or((StatusCode::UNAUTHORIZED, "who are you?"))
    }
}

impl From<Name> for String {
    fn from(Name(name): Name) -> Self {
        name
    }
}

#[derive(Clone)]
struct Greeting(&'static str);

/// An extractor that needs a state.
struct Greeted(String);

impl FromRequestParts<Greeting> for Greeted {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, state: &Greeting) -> Result<Self, Self::Rejection> {
        let Name(name) = Name::from_request_parts(parts, state).await?;
        Ok(Self(format!("{} {name}", state.0)))
    }
}

impl From<Greeted> for String {
    fn from(Greeted(name): Greeted) -> Self {
        name
    }
}

/// Asserts that a layer lets in who says a name, with this value, and answers everybody else with the rejection.
async fn assert_authenticates(layer: LiveLayer<String>, value: &str) {
    let handler = async |session: Session<String>| session.send("you", session.value()).unwrap();
    let addr = serve(Router::new().route("/ws", layer.handler(handler))).await;
    let mut socket = RawSocket::connect(addr).await.unwrap();
    let refused = socket.request(&Request::new("/ws")).await.unwrap();
    assert_eq!((refused.status(), refused.text().as_str()), (401, "who are you?"));
    socket.upgrade(&Request::new("/ws").header("X-User", "ann")).await.unwrap();
    assert_eq!(socket.expect_json("you").await.unwrap(), value);
}

#[tokio::test]
async fn an_extractor_authenticates_with_its_state_or_without() {
    let live = Live::<String>::builder().build();
    assert_authenticates(LiveLayer::from_extractor::<Name>(&live), "ann").await;
    let layer = LiveLayer::from_extractor_with_state::<Greeted, _>(&live, Greeting("hello"));
    assert_authenticates(layer, "hello ann").await;
}

#[tokio::test]
async fn a_function_that_authenticates_has_the_state_of_its_layer() {
    let live = Live::<String>::builder().build();
    let authenticate = async |State(greeting): State<Greeting>, Name(name): Name| {
        Ok::<_, Infallible>(format!("{} {name}", greeting.0))
    };
    assert_authenticates(LiveLayer::with_state(&live, Greeting("welcome"), authenticate), "welcome ann").await;
}

#[tokio::test]
async fn c19_auth_that_takes_longer_than_its_timeout_is_dropped_and_503() {
    struct Dropped(mpsc::UnboundedSender<()>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.send(()).ok();
        }
    }

    let live = Live::<()>::builder().build();
    let (drops, mut dropped) = mpsc::unbounded_channel();
    let authenticate = async move || {
        let _dropped = Dropped(drops);
        future::pending::<Result<(), Infallible>>().await
    };
    let layer = LiveLayer::new(&live, authenticate).auth_timeout(Duration::from_millis(50));
    let addr = serve(Router::new().route("/ws", layer.handler(accept))).await;
    for request in [Request::new("/ws"), Request::plain("/ws")] {
        let reply = RawSocket::connect(addr).await.unwrap().request(&request).await.unwrap();
        assert_eq!((reply.status(), reply.header("retry-after")), (503, Some("1")));
        assert!(!reply.body().is_empty(), "it does not say why");
        soon("the end of auth", dropped.recv()).await.unwrap();
    }
    assert!(live.is_empty());
}

/// A door of two routes whose authentication never ends, and how many requests are in it.
async fn hanging(max_auths: usize) -> (SocketAddr, Live<()>, Arc<AtomicUsize>) {
    struct Inside(Arc<AtomicUsize>);
    impl Drop for Inside {
        fn drop(&mut self) {
            self.0.fetch_sub(1, SeqCst);
        }
    }

    let live = Live::<()>::builder().build();
    let inside = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&inside);
    let authenticate = async move || {
        count.fetch_add(1, SeqCst);
        let _inside = Inside(count);
        future::pending::<Result<(), Infallible>>().await
    };
    let layer = LiveLayer::new(&live, authenticate).auth_timeout(Duration::MAX).max_auths(max_auths);
    let app = Router::new().route("/ws", layer.clone().handler(accept)).route("/other", layer.handler(accept));
    (serve(app).await, live, inside)
}

#[tokio::test]
async fn c19_no_more_than_max_auths_run_at_once_and_the_rest_are_503_at_once() {
    let (addr, live, inside) = hanging(20).await;
    let mut asking = JoinSet::new();
    for number in 0..100 {
        let request = Request::new(if number % 2 == 0 { "/ws" } else { "/other" });
        asking.spawn(async move { RawSocket::connect(addr).await.unwrap().request(&request).await.unwrap() });
    }
    for _ in 0..80 {
        let reply = soon("a refusal", asking.join_next()).await.unwrap().unwrap();
        assert_eq!((reply.status(), reply.header("retry-after")), (503, Some("1")));
    }
    assert_eq!((asking.len(), inside.load(SeqCst)), (20, 20));
    let stats = live.stats();
    assert_eq!((stats.refused_for(RefusalReason::TooManyAuths), stats.refused()), (80, 80));
}

#[tokio::test]
async fn c19_a_client_that_leaves_gives_its_permit_back() {
    let (addr, live, inside) = hanging(1).await;
    for _ in 0..3 {
        let mut socket = RawSocket::connect(addr).await.unwrap();
        let asking = tokio::spawn(async move { socket.request(&handshake()).await });
        settles("a request in authentication", || inside.load(SeqCst) == 1).await;
        asking.abort();
        settles("an empty authentication", || inside.load(SeqCst) == 0).await;
    }
    assert_eq!(live.stats().refused_for(RefusalReason::TooManyAuths), 0);
}

#[tokio::test]
async fn c19_whatever_ends_an_authentication_gives_its_permit_back() {
    let live = Live::<()>::builder().build();
    let authenticate = async |headers: HeaderMap| match headers.get("x-do").map(|word| word.to_str().unwrap()) {
        Some("deny") => Err(StatusCode::UNAUTHORIZED),
        Some("panic") => panic!("as the test wants"),
        Some("wait") => future::pending().await,
        _ => Ok(()),
    };
    let layer = LiveLayer::new(&live, authenticate).auth_timeout(Duration::from_millis(50)).max_auths(1);
    let addr = serve(Router::new().route("/ws", layer.handler(accept))).await;
    for (word, status) in [("deny", 401), ("panic", 500), ("wait", 503), ("pass", 426)] {
        let request = Request::plain("/ws").header("X-Do", word);
        assert_eq!(RawSocket::connect(addr).await.unwrap().request(&request).await.unwrap().status(), status);
        RawSocket::open(addr, "/ws").await.unwrap();
    }
    assert_eq!(live.stats().refused_for(RefusalReason::TooManyAuths), 0);
}

#[tokio::test]
async fn c19_who_is_through_authentication_leaves_its_permit_to_the_next() {
    let witness = Witness::default();
    let entered = witness.clone();
    let live = Live::<()>::builder().build();
    let handler = async move || {
        entered.saw("handler");
        future::pending::<()>().await;
    };
    let layer = LiveLayer::anonymous(&live).max_auths(1);
    let app = Router::new().route("/long", layer.clone().handler(handler)).route("/ws", layer.handler(accept));
    let addr = serve(app).await;
    let mut first = RawSocket::connect(addr).await.unwrap();
    first.write(Request::new("/long").to_bytes()).await.unwrap();
    witness.sees("handler").await;
    RawSocket::open(addr, "/ws").await.unwrap();
}

#[tokio::test]
async fn c18_auth_that_denies_is_the_answer_and_nothing_else_runs() {
    let witness = Witness::default();
    let (opened, closed, handled) = (witness.clone(), witness.clone(), witness.clone());
    let live = Live::<()>::builder()
        .on_connect(async move |_: Session<()>| opened.saw("open"))
        .on_close(async move |_: Session<()>, _: CloseReason| closed.saw("close"))
        .build();
    let authenticate = async |headers: HeaderMap| match headers.get("x-user") {
        Some(_) => Ok(()),
        None => {
            let cookies = AppendHeaders([("set-cookie", "a=1"), ("set-cookie", "b=2")]);
            Err((StatusCode::UNAUTHORIZED, cookies, "who are you?"))
        }
    };
    let handler = async move || handled.saw("handler");
    let addr = serve(Router::new().route("/ws", LiveLayer::new(&live, authenticate).handler(handler))).await;

    let mut socket = RawSocket::connect(addr).await.unwrap();
    let reply = socket.request(&handshake()).await.unwrap();
    assert_eq!((reply.status(), reply.text().as_str()), (401, "who are you?"));
    assert_eq!(reply.headers("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert!(live.is_empty());

    // The connection is as good as before, and the next client's events are the first.
    socket.upgrade(&handshake().header("X-User", "ann")).await.unwrap();
    socket.close(1000, "").await.unwrap();
    witness.sees("close").await;
    assert_eq!(witness.seen(), ["handler", "open", "close"]);
}

#[tokio::test]
async fn c18_auth_that_denies_with_a_success_is_401() {
    let live = Live::<()>::builder().build();
    let layer = LiveLayer::new(&live, async || Err::<(), _>("no".into_response()));
    let addr = serve(Router::new().route("/ws", layer.handler(accept))).await;
    let reply = RawSocket::connect(addr).await.unwrap().request(&handshake()).await.unwrap();
    assert_eq!(reply.status(), 401);
}

#[tokio::test]
async fn c20_auth_that_panics_is_500_and_others_go_on() {
    let live = echo();
    let authenticate = async |headers: HeaderMap| {
        assert!(!headers.contains_key("x-panic"), "as asked");
        Ok::<_, Infallible>(())
    };
    let addr = serve(Router::new().route("/ws", LiveLayer::new(&live, authenticate).handler(accept))).await;
    let mut before = RawSocket::open(addr, "/ws").await.unwrap();

    let mut socket = RawSocket::connect(addr).await.unwrap();
    assert_eq!(socket.request(&handshake().header("X-Panic", "please")).await.unwrap().status(), 500);
    assert_eq!(live.len(), 1);

    assert_echoes(&mut before).await;
    // Even the one that panicked may try again.
    socket.upgrade(&handshake()).await.unwrap();
    assert_echoes(&mut socket).await;
}
