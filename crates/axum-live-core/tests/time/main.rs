//! What happens by the clock, on a clock that is paused and streams in memory.
#![allow(clippy::unwrap_used, reason = "a test's unwrap is its assertion")]

mod client;
mod drain;
mod grants;
mod hook_deadline;
mod message_deadline;
mod rates;
mod sessions;
