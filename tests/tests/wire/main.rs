//! The examples of `docs/wire.md`, each played against a real server and compared byte by byte.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod app;
mod close_codes;
mod example;
mod page;
mod player;

use example::{Act, Example};
use player::play;

fn examples() -> Vec<Example> {
    let examples: Vec<_> = page::blocks().map(Example::parse).collect();
    assert!(!examples.is_empty(), "the page has no example");
    examples
}

#[tokio::test]
async fn every_example_of_the_page_is_what_goes_over_the_wire() {
    for example in examples() {
        play(&example).await.unwrap_or_else(|difference| panic!("{difference}"));
    }
}

#[tokio::test]
async fn a_byte_of_the_servers_that_is_another_is_found_out() {
    for example in examples() {
        for at in 0..example.lines.len() {
            let mut changed = example.clone();
            let line = &mut changed.lines[at];
            if let (true, Act::Bytes(bytes)) = (line.is_heard, &mut line.act) {
                *bytes.last_mut().unwrap() ^= 1;
                let found = play(&changed).await;
                assert!(found.is_err(), "{}", example.lines[at].show());
            }
        }
    }
}

#[tokio::test]
async fn what_the_server_sends_besides_is_found_out() {
    for mut example in examples() {
        // That there is one ping less is no fault.
        if example.path == "/ws" {
            let last =
                example.lines.iter().rposition(|line| line.is_heard && !matches!(line.act, Act::HangUp)).unwrap();
            let line = example.lines.remove(last);
            assert!(play(&example).await.is_err(), "without {}", line.show());
        }
    }
}
