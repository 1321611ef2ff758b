//! The library over real sockets, under `axum::serve`. A number in a test's name is the case's in the catalogue of
//! faults and abuse.

#![allow(clippy::unwrap_used, reason = "a helper of a test may fail as a test does")]

mod addresses;
mod answers;
mod app;
mod auth;
mod captured;
mod child;
mod churn;
mod closing;
mod deadlines;
mod descriptor;
mod dice;
mod door;
mod door_http2;
mod drain;
mod expiry;
mod figures;
mod frames;
mod handles;
mod handshake;
mod hooks;
mod inspector;
mod kit;
mod leaving;
mod limits;
mod messages;
mod metrics;
mod mount;
mod node;
mod order;
mod origins;
mod overload;
mod pending;
mod people;
mod policy;
mod presence;
mod queue;
mod router;
mod runtime;
mod secrets;
mod serve;
mod serve_http2;
mod shutdown;
mod soak;
mod storm;
mod thin_line;
mod topics;
mod traces;
