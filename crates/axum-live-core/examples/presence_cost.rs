//! What presence costs in a topic of 10,000 users: `cargo run --release -p axum-live-core --example presence_cost`.

#![allow(clippy::print_stdout, reason = "a table is its output")]

use std::{error::Error, hint::black_box, time::Instant};

use axum_live_core::{Live, Session, SessionInfo};
use serde_json::json;

const MEMBERS: usize = 10_000;
const ROUNDS: usize = 11;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let live = Live::<usize>::builder().user(|id: &usize| *id).build();
    let room = live.presence("room")?;
    let meta = json!({ "device": "phone", "since": 1_764_000_000 });
    // Sessions as the door leaves them before the upgrade: who is present is told to nobody here, so that what is
    // measured is presence and not delivery.
    let pending: Result<Vec<_>, _> = (0..MEMBERS).map(|id| live.accept(id, SessionInfo::new("/ws"))).collect();
    let pending = pending?;
    let sessions: Vec<&Session<usize>> = pending.iter().map(|pending| pending.session()).collect();

    println!(
        "{MEMBERS} users in a topic, {} bytes of metadata each; medians of {ROUNDS} rounds",
        meta.to_string().len()
    );
    let track = |session| room.track(session, &meta).expect("it is a user");
    let untrack = |session| assert!(room.untrack(session), "it was tracked");
    sessions.iter().copied().for_each(track);
    report(
        "a leave and a join",
        1000,
        || {},
        || {
            for session in &sessions[..1000] {
                untrack(session);
                track(session);
            }
        },
    );
    report(
        "a count",
        1000,
        || {},
        || {
            for _ in 0..1000 {
                black_box(room.count());
            }
        },
    );
    report("a list", 1, || {}, || drop(black_box(room.list())));
    let mut watchers = sessions.iter();
    let mut subscribe =
        || room.subscribe(watchers.next().expect("there are more than rounds")).expect("its queue has room");
    report(
        "a snapshot after a change",
        1,
        || {
            untrack(sessions[0]);
            track(sessions[0]);
        },
        &mut subscribe,
    );
    report("a snapshot once more", 1, || {}, &mut subscribe);
    Ok(())
}

/// Prints the median cost of one of `count` calls.
fn report(what: &str, count: usize, mut prepare: impl FnMut(), mut run: impl FnMut()) {
    let mut rounds: Vec<_> = (0..ROUNDS)
        .map(|_| {
            prepare();
            let start = Instant::now();
            run();
            start.elapsed() / u32::try_from(count).expect("a small number")
        })
        .collect();
    rounds.sort();
    println!("{what:<36} {:>10.2?}", rounds[ROUNDS / 2]);
}
