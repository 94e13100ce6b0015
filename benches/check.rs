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
    for (folder, count) in stores.split_whitespace().filter_map(|store| store.split_once('=')) {
        let gate = open(&format!("store = \"lmdb:{folder}\""));
        let customers = drawn(count.parse().unwrap_or(1));
        let strangers: Vec<String> = customers.iter().map(|customer| customer.replacen('1', "2", 1)).collect();
        let bodies: Vec<String> = customers.iter().take(1 << 16).map(|customer| body(customer)).collect();
        let mut measure = |name: &str, inputs: &[String], work: &dyn Fn(&str) -> i32| {
            let mut next = inputs.iter().cycle();
            criterion.bench_function(&format!("{name}, {count} customers"), |bencher| {
                bencher.iter(|| next.next().map(|input| work(input)));
            });
        };
        measure("csw_check, window open, random order", &customers, &|customer| check(gate, customer));
        measure("csw_check, customer unknown", &strangers, &|customer| check(gate, customer));
        measure("csw_decide, text body of 300 bytes", &bodies, &|body| decide(gate, body));
        csw_close(gate);
    }
    criterion.final_summary();
}

/// A text message as a client posts it, 300 bytes long.
fn body(customer: &str) -> String {
    let head = format!(
        r#"{{"messaging_product":"whatsapp","recipient_type":"individual","to":"{customer}","type":"text","text":{{"body":""#
    );
    let text = "x".repeat(300 - head.len() - 3);
    format!(r#"{head}{text}"}}}}"#)
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
