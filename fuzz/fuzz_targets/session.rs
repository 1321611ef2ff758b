#![no_main]

use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
};

libfuzzer_sys::fuzz_target!(
    init: {
        // Rust's own main ignores it; without, to write to a socket whose other end is gone ends the process.
        let runtime = runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let _entered = runtime.enter();
        // The handler stays, though nobody is told of signals.
        drop(signal(SignalKind::pipe()).expect("a handler of SIGPIPE"));
    },
    |bytes: &[u8]| axum_live_fuzz::session::check(bytes)
);
