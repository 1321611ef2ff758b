//! What sessions hold in memory, allocation by allocation.
//!
//! ```sh
//! cargo run --release -p axum-live-memory                  # 4,000 idle sessions, subscribed to one topic
//! cargo run --release -p axum-live-memory -- 1000
//! cargo run --release -p axum-live-memory -- abuse         # hostile clients, with the limits and without; five minutes
//! cargo run --release -p axum-live-memory -- abuse 30      # one case of the catalogue of faults
//! ```
//!
//! The clients are bare sockets in the same process, which allocate nothing.

mod abuse;
mod client;
mod idle;
mod ledger;
mod server;

use std::{env, error::Error};

use ledger::Ledger;

#[global_allocator]
static LEDGER: Ledger = Ledger::new();

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        [] => idle::measure(idle::SESSIONS),
        ["abuse"] => abuse::measure_all(),
        ["abuse", case] => abuse::measure(case.parse()?),
        // In a process of its own.
        ["abuse", case, terms] => abuse::suffer(case.parse()?, terms.parse()?),
        [sessions] => idle::measure(sessions.parse()?),
        _ => Err("[SESSIONS] or abuse [CASE]".into()),
    }
}
