//! See `src/send.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| csw_fuzz::send::check(bytes));
