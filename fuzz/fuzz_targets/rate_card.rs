//! See `src/rate_card.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| csw_fuzz::rate_card::check(bytes));
