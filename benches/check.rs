//! `check` and `decide` through the C door, over the stores that CSW_BENCH_STORES names (folders filled by the bench `fill`, each followed by
//! `=` and its count).

use std::ffi::c_char;
use std::hint::black_box;
use std::ptr::null_mut;

use criterion::Criterion;
use csw::capi::{
    CSW_ENDPOINT_MESSAGES, csw_check, csw_close, csw_decide, csw_decision, csw_gate, csw_open_text, csw_window,
};

const BUSINESS: &str = "106540352242922";
const FIRST: u64 = 10_000_000_000;
/// Customers asked for, drawn beforehand: more than fit into any cache.
const DRAWN: usize = 1 << 20;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let stores = std::env::var("CSW_BENCH_STORES").unwrap_or_default();
    for store in stores.split_whitespace() {
        let Some((folder, count)) = store.split_once('=') else { continue };
        let count: u64 = count.parse().unwrap_or(1);
        let gate = open(&format!("store = \"lmdb:{folder}\""));
        let customers = drawn(count);
        let mut next = customers.iter().cycle();
        criterion.bench_function(&format!("csw_check, {count} customers, random order, window open"), |bencher| {
            bencher.iter(|| next.next().map(|customer| check(gate, customer)));
        });
        let mut next =
            customers.iter().map(|customer| customer.replacen('1', "2", 1)).collect::<Vec<_>>().into_iter().cycle();
        criterion.bench_function(&format!("csw_check, {count} customers, none of them known"), |bencher| {
            bencher.iter(|| next.next().map(|customer| check(gate, &customer)));
        });
        let text = "x".repeat(170);
        let mut bodies = customers.iter().take(1 << 16).map(|customer| {
            format!(
                r#"{{"messaging_product":"whatsapp","recipient_type":"individual","to":"{customer}","type":"text","text":{{"preview_url":false,"body":"{text}"}}}}"#
            )
        }).collect::<Vec<_>>().into_iter().cycle();
        criterion.bench_function(&format!("csw_decide, text body of 300 bytes, {count} customers"), |bencher| {
            bencher.iter(|| bodies.next().map(|body| decide(gate, &body)));
        });
        csw_close(gate);
    }
    criterion.final_summary();
}

/// Customers in an order that no cache can guess, the same in every run.
fn drawn(count: u64) -> Vec<String> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (FIRST + state % count).to_string()
    };
    (0..DRAWN).map(|_| draw()).collect()
}

fn open(config: &str) -> *mut csw_gate {
    let mut gate = null_mut();
    // SAFETY: the text and the result live through the call.
    let status = unsafe { csw_open_text(config.as_ptr().cast::<c_char>(), config.len(), &raw mut gate, null_mut()) };
    assert_eq!(status, 0);
    gate
}

fn check(gate: *const csw_gate, customer: &str) -> i32 {
    // SAFETY: a zeroed window is a valid one; everything lives through the call.
    unsafe {
        let mut window: csw_window = std::mem::zeroed();
        window.size = size_of::<csw_window>() as u32;
        let (business, customer) = (BUSINESS.as_bytes(), customer.as_bytes());
        let status = csw_check(
            gate,
            business.as_ptr().cast(),
            business.len(),
            customer.as_ptr().cast(),
            customer.len(),
            0,
            &raw mut window,
            null_mut(),
        );
        assert_eq!(status, 0);
        black_box(window.state)
    }
}

fn decide(gate: *const csw_gate, body: &str) -> i32 {
    // SAFETY: as in `check`.
    unsafe {
        let mut decision: csw_decision = std::mem::zeroed();
        decision.size = size_of::<csw_decision>() as u32;
        let business = BUSINESS.as_bytes();
        let status = csw_decide(
            gate,
            business.as_ptr().cast(),
            business.len(),
            CSW_ENDPOINT_MESSAGES,
            body.as_ptr().cast(),
            body.len(),
            0,
            &raw mut decision,
            null_mut(),
        );
        assert_eq!(status, 0);
        black_box(decision.verdict)
    }
}
