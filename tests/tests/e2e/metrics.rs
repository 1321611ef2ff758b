//! The figures as the `metrics` facade gets them.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    sync::{Arc, Mutex},
};

use axum_live::{Live, RefusalReason};
use axum_live_test::{RawSocket, Request};
use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    with_local_recorder,
};

use crate::node::Node;

/// A recorder that keeps what it is told.
#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Told>>);

#[derive(Default)]
struct Told {
    /// Kind, unit and help, by name.
    described: BTreeMap<String, (&'static str, Unit, String)>,
    /// By name and labels, as Prometheus writes them.
    values: BTreeMap<String, f64>,
}

struct Series {
    kept: Kept,
    key: String,
}

impl Kept {
    fn describe(&self, kind: &'static str, name: &KeyName, unit: Option<Unit>, help: &str) {
        let unit = unit.expect("a metric has a unit");
        self.0.lock().unwrap().described.insert(name.as_str().to_owned(), (kind, unit, help.to_owned()));
    }

    fn series(&self, key: &Key) -> Arc<Series> {
        let labels: Vec<_> = key.labels().map(|label| format!("{}={:?}", label.key(), label.value())).collect();
        let key = if labels.is_empty() { key.name().into() } else { format!("{}{{{}}}", key.name(), labels.join(",")) };
        Arc::new(Series { kept: self.clone(), key })
    }

    fn values(&self) -> BTreeMap<String, f64> {
        self.0.lock().unwrap().values.clone()
    }
}

impl Series {
    fn set(&self, value: f64) {
        self.kept.0.lock().unwrap().values.insert(self.key.clone(), value);
    }
}

impl CounterFn for Series {
    fn increment(&self, _: u64) {
        panic!("{} is told as it stands", self.key);
    }

    fn absolute(&self, value: u64) {
        self.set(value as f64);
    }
}

impl GaugeFn for Series {
    fn increment(&self, _: f64) {
        panic!("{} is told as it stands", self.key);
    }

    fn decrement(&self, _: f64) {
        panic!("{} is told as it stands", self.key);
    }

    fn set(&self, value: f64) {
        self.set(value);
    }
}

impl Recorder for Kept {
    fn describe_counter(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe("counter", &name, unit, &help);
    }

    fn describe_gauge(&self, name: KeyName, unit: Option<Unit>, help: SharedString) {
        self.describe("gauge", &name, unit, &help);
    }

    fn describe_histogram(&self, name: KeyName, _: Option<Unit>, _: SharedString) {
        panic!("no figure of ours is a histogram: {name:?}");
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.series(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.series(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        panic!("no figure of ours is a histogram: {key}");
    }
}

#[tokio::test]
async fn what_is_reported_is_what_the_stats_tell_however_often_it_is() {
    let mut node = Node::start(Live::builder().user(|()| "ana")).await;
    let sockets = node.open_subscribed(3).await;
    node.live.publish("t", &1).unwrap();
    node.live.session(node.live.sessions()[0].id()).unwrap().close();
    node.closed().await;
    let reply = RawSocket::connect(node.addr).await.unwrap().request(&Request::plain("/ws")).await;
    assert_eq!(reply.unwrap().status(), 426);

    let kept = Kept::default();
    for _ in 0..3 {
        with_local_recorder(&kept, || node.live.report_metrics());
    }
    let stats = node.live.stats();
    let values = kept.values();
    for (series, value) in [
        (r#"axum_live_sessions{state="open"}"#, stats.open_sessions() as f64),
        (r#"axum_live_sessions_closed_total{reason="application"}"#, 1.0),
        (r#"axum_live_requests_refused_total{reason="probe"}"#, 1.0),
        ("axum_live_sessions_opened_total", 3.0),
        ("axum_live_publications_total", 1.0),
        ("axum_live_deliveries_total", 3.0),
        ("axum_live_topics", 1.0),
        ("axum_live_users", 1.0),
        ("axum_live_subscriptions", 2.0),
        ("axum_live_hook_panics_total", 0.0),
    ] {
        assert_eq!(values.get(series), Some(&value), "{series} in {values:#?}");
    }

    drop(sockets);
    node.empties().await;
    with_local_recorder(&kept, || node.live.report_metrics());
    assert_eq!(kept.values()[r#"axum_live_sessions{state="open"}"#], 0.0, "what falls is told to have fallen");
    assert_eq!(kept.values()["axum_live_subscriptions"], 0.0);
}

#[tokio::test]
async fn nodes_of_one_process_are_told_apart_by_their_names() {
    let (chat, news) = (Live::<()>::builder().build(), Live::<()>::builder().build());
    let kept = Kept::default();
    with_local_recorder(&kept, || {
        chat.report_metrics_as("chat");
        news.report_metrics_as("news");
    });
    let values = kept.values();
    for node in ["chat", "news"] {
        for series in ["axum_live_topics{node=\"NODE\"}", "axum_live_sessions{node=\"NODE\",state=\"open\"}"] {
            assert!(values.contains_key(&series.replace("NODE", node)), "{series} of {node} in {values:#?}");
        }
    }
    assert!(values.keys().all(|series| series.contains("node=")), "{values:#?}");
}

#[tokio::test]
async fn c77_no_topic_id_path_or_user_is_a_label() {
    let mut node = Node::start(Live::builder().user(|()| "hidden-user")).await;
    let (mut socket, session) = node.open().await;
    session.subscribe("hidden-topic").unwrap();
    node.live.publish("hidden-topic", &"hidden-data").unwrap();
    socket.expect_json("hidden-topic").await.unwrap();
    socket.close(3999, "hidden-words").await.unwrap();
    socket.expect_close().await.unwrap();
    node.closed().await;

    let kept = Kept::default();
    with_local_recorder(&kept, || node.live.report_metrics());
    for series in kept.values().keys() {
        for label in ["hidden", session.id().as_str(), "/ws", "127.0.0.1", "3999"] {
            assert!(!series.contains(label), "{series}");
        }
    }
}

#[test]
fn the_guide_lists_what_is_described_and_nothing_else() {
    let live = Live::<()>::builder().build();
    live.refused(RefusalReason::Origin, "as the test wants");
    let kept = Kept::default();
    with_local_recorder(&kept, || live.report_metrics());
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/observing.md")).unwrap();
    let rows = guide.lines().filter(|line| line.starts_with("| `axum_live_"));
    let listed: BTreeMap<_, _> = rows
        .map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let [_, name, kind, labels, help, _] = cells[..] else { panic!("{row}") };
            (name.trim_matches('`').to_owned(), (kind, labels, help))
        })
        .collect();
    let described = kept.0.lock().unwrap().described.clone();
    assert_eq!(listed.keys().collect::<Vec<_>>(), described.keys().collect::<Vec<_>>());
    for (name, (kind, unit, help)) in described {
        let (told_kind, labels, told) = listed[&name];
        assert_eq!((told_kind, told), (kind, help.as_str()), "{name}");
        for (series, _) in kept.values().iter().filter(|(series, _)| series.starts_with(&format!("{name}{{"))) {
            let label = series.split(['{', '=']).nth(1).unwrap();
            assert!(labels.contains(&format!("`{label}`")), "{series}");
        }
        // In Prometheus's style a name ends with its unit, and a counter with `total`.
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name}");
        assert_eq!(name.ends_with("_bytes"), unit == Unit::Bytes, "{name}");
    }
}
