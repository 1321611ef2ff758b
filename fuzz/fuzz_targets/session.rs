#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| axum_live_fuzz::session::check(bytes));
