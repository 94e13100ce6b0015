//! See `src/party.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| csw_fuzz::party::check(bytes));
