//! Ten minutes of clients of every kind who come and go, against a server of its own with the library's defaults: what
//! they leave behind, and what becomes of its memory.
//! `cargo test --release -p axum-live-e2e --test e2e soak -- --ignored --nocapture`; `SOAK_SECONDS` sets another time
//! than 600, and the first half of it is for warming up: the longest life takes a minute.

mod course;
mod role;
mod tally;
mod world;

use std::{
    env,
    sync::Arc,
    time::{Duration, Instant},
};

use axum_live_test::{RawSocket, Request};
use serde_json::Value;
use tokio::{task::JoinSet, time};

use self::{
    course::Course,
    role::{Role, pause},
    world::World,
};
use crate::{app::settles, child::Child, dice::Dice};

/// What may stay of a session in the second half: less than the smallest block of glibc's malloc, 32 bytes, so that a
/// leak of one thing for each session is past it.
const KIB_A_SESSION: f64 = 24.0 / 1024.0;

/// What comes and goes with the clients for whom something waits at the moment, KiB: where few come, it is more.
const NOISE: f64 = 3072.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes ten minutes, and a thousand descriptors"]
async fn after_ten_minutes_of_clients_of_every_kind_nothing_is_left_and_memory_has_not_grown() {
    let seconds = env::var("SOAK_SECONDS").map_or(600, |seconds| seconds.parse().unwrap());
    assert!(seconds >= 10, "there is no line through fewer samples");
    let server = Child::soaked().await;
    let before = figures(&server).await;
    assert_holds_nothing(&before);
    let descriptors = server.descriptors();
    let world = Arc::new(World::new(server.addr));
    let mut clients = JoinSet::new();
    for (role, count) in Role::CAST {
        for _ in 0..count {
            clients.spawn(lead_lives(Arc::clone(&world), role));
        }
    }

    let mut course = Course::default();
    let mut clock = time::interval(Duration::from_secs(1));
    for _ in 0..seconds {
        tokio::select! {
            _ = clock.tick() => course.add(world.tally().sessions(), server.memory()),
            client = clients.join_next() => panic!("a client gave up: {client:?}"),
        }
    }
    let busy = figures(&server).await;
    world.end();
    while let Some(client) = clients.join_next().await {
        client.unwrap();
    }

    let after = come_to_rest(&server).await;
    println!("in {seconds} s: {after:#}\nheld in the midst of it: {}", busy["held"]);
    println!("{course}\n{}, {} KiB with nobody there", course.trend(), server.memory());
    assert_holds_nothing(&after);
    settles("as many descriptors as before", || server.descriptors() <= descriptors).await;
    world.tally().assert_matches(&after);
    let report = server.drain().await;
    assert!(report.ends_with(" 0 sessions closed, 0 cut off, 0 aborted, 0 connections dropped"), "{report}");
    let trend = course.trend();
    assert!(trend.growth() < NOISE.max(KIB_A_SESSION * trend.sessions()), "{trend}");
}

/// One client after another.
async fn lead_lives(world: Arc<World>, role: Role) {
    let mut dice = Dice::new(world.number());
    pause(&mut dice, role.rest()).await;
    while !world.is_over() {
        role.live(&world, &mut dice).await.unwrap_or_else(|error| panic!("{role:?}: {error:?}"));
        pause(&mut dice, role.rest()).await;
    }
}

/// What the server tells of itself.
async fn figures(server: &Child) -> Value {
    let mut socket = RawSocket::connect(server.addr).await.unwrap();
    let request = Request::plain("/figures").header("Connection", "close");
    serde_json::from_str(&socket.request(&request).await.unwrap().text()).unwrap()
}

/// Waits until the last have been forgotten, the presence of those who left included.
async fn come_to_rest(server: &Child) -> Value {
    const PATIENCE: Duration = Duration::from_secs(30);

    let start = Instant::now();
    loop {
        let figures = figures(server).await;
        if holds_nothing(&figures) || start.elapsed() > PATIENCE {
            return figures;
        }
        time::sleep(Duration::from_millis(100)).await;
    }
}

fn holds_nothing(figures: &Value) -> bool {
    figures["held"].as_object().unwrap().values().all(|held| *held == 0)
}

fn assert_holds_nothing(figures: &Value) {
    assert!(holds_nothing(figures), "{}", figures["held"]);
}
