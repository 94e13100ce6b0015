//! See `src/webhook.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| csw_fuzz::webhook::check(bytes));
