//! How an app of this kind is tested: clients in memory, and a clock that is paused and goes on when all wait.

use axum_live_test::LiveTest;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{figures::Metric, *};

/// A client that has been told what there is to watch.
async fn enter(app: &Router) -> LiveTest {
    let mut client = LiveTest::connect(app, "/ws").await.unwrap();
    client.expect::<Vec<Value>>("metrics").await.unwrap();
    client
}

/// Watches, and waits until it is done: messages are taken in order, so the second subscribe is refused after the first
/// was granted.
async fn watch(client: &mut LiveTest, topic: &str) {
    client.send("subscribe", &json!({ "topic": topic })).await.unwrap();
    assert_eq!(refusal(client, "metric:none").await, "forbidden");
}

async fn look_away(client: &mut LiveTest, topic: &str) {
    client.send("unsubscribe", &json!({ "topic": topic })).await.unwrap();
    assert_eq!(refusal(client, "metric:none").await, "forbidden");
}

async fn refusal(client: &mut LiveTest, topic: &str) -> Value {
    client.send("subscribe", &json!({ "topic": topic })).await.unwrap();
    let mut error: Value = client.expect("error").await.unwrap();
    assert_eq!(error["topic"], topic);
    error["code"].take()
}

#[tokio::test(start_paused = true)]
async fn a_watched_figure_comes_with_each_tick() {
    let live = live();
    let app = app(&live);
    let mut client = enter(&app).await;
    watch(&mut client, "metric:requests").await;
    let ticker = tokio::spawn(tick(live));
    client.expect::<f64>("metric:requests").await.unwrap();
    for _ in 0..20 {
        let asked = Instant::now();
        let figure: f64 = client.expect("metric:requests").await.unwrap();
        assert!((0.0..=1200.0).contains(&figure), "{figure}");
        assert_eq!(asked.elapsed(), TICK);
    }
    ticker.abort();
}

#[tokio::test(start_paused = true)]
async fn a_figure_is_published_once_however_many_watch_and_not_at_all_if_nobody_does() {
    let live = live();
    let app = app(&live);
    let mut figures = Figures::new(live.clone());
    let (mut ana, mut bob) = (enter(&app).await, enter(&app).await);
    assert_eq!(publish_watched(&live, &mut figures), 0);

    watch(&mut ana, "metric:requests").await;
    watch(&mut bob, "metric:requests").await;
    watch(&mut bob, "metric:latency:p99").await;
    assert_eq!(publish_watched(&live, &mut figures), 2);
    let requests: f64 = ana.expect("metric:requests").await.unwrap();
    assert_eq!(bob.expect::<f64>("metric:requests").await.unwrap(), requests);
    bob.expect::<f64>("metric:latency:p99").await.unwrap();

    // Ana was not told of latencies: of what she is told next there is nothing before.
    look_away(&mut bob, "metric:requests").await;
    assert_eq!(publish_watched(&live, &mut figures), 2);
    ana.expect::<f64>("metric:requests").await.unwrap();
    bob.expect::<f64>("metric:latency:p99").await.unwrap();

    ana.close().await.unwrap();
    assert_eq!(publish_watched(&live, &mut figures), 1);
}

#[tokio::test(start_paused = true)]
async fn who_was_offline_watches_again_and_finds_the_present() {
    let live = live();
    let app = app(&live);
    let ticker = tokio::spawn(tick(live));
    let mut client = enter(&app).await;
    watch(&mut client, "metric:queue").await;
    client.expect::<f64>("metric:queue").await.unwrap();
    client.close().await.unwrap();

    tokio::time::sleep(TICK * 10).await;
    let mut client = enter(&app).await;
    watch(&mut client, "metric:queue").await;
    let asked = Instant::now();
    client.expect::<f64>("metric:queue").await.unwrap();
    assert!(asked.elapsed() <= TICK);
    ticker.abort();
}

#[tokio::test(start_paused = true)]
async fn what_is_no_metric_cannot_be_watched() {
    let mut client = enter(&app(&live())).await;
    for topic in ["metric:latency", "metric:latency:p98", "metric:", "cpu", "metric:cpu:0"] {
        assert_eq!(refusal(&mut client, topic).await, "forbidden", "{topic}");
    }
    assert_eq!(refusal(&mut client, "metric:*").await, "bad_topic");
}

#[tokio::test(start_paused = true)]
async fn who_comes_is_told_what_there_is_and_can_watch_all_of_it() {
    let app = app(&live());
    let mut client = LiveTest::connect(&app, "/ws").await.unwrap();
    let metrics: Vec<Value> = client.expect("metrics").await.unwrap();
    assert_eq!(metrics.len(), METRICS.len());
    for metric in metrics {
        assert!(metric["label"].is_string() && metric["unit"].is_string() && metric["simulated"].is_boolean());
        watch(&mut client, metric["topic"].as_str().unwrap()).await;
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn what_the_machine_tells_is_plausible() {
    let mut figures = Figures::new(live());
    let mut read = |topic: &str| -> Option<f64> {
        let metric: Metric = METRICS.into_iter().find(|metric| metric.topic == topic).unwrap();
        figures.read(&metric)
    };
    assert_eq!(read("metric:cpu"), None, "a rate takes two looks");
    assert_eq!(read("metric:network"), None, "a rate takes two looks");
    for topic in ["metric:memory", "metric:load", "metric:server:memory"] {
        assert!(read(topic).unwrap() > 0.0, "{topic}");
    }
    assert!(read("metric:memory").unwrap() < 100.0);
    assert_eq!(read("metric:server:sessions"), Some(0.0));
    assert!(read("metric:network").unwrap() >= 0.0);
    // The processors' clocks tick a hundred times a second: until one has, there is nothing to divide.
    let cpu = std::iter::from_fn(|| Some(read("metric:cpu"))).find_map(|cpu| cpu).unwrap();
    assert!((0.0..=100.0).contains(&cpu), "{cpu}");
}
