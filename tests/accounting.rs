//! What the business pays: the library's ledger against a plain, slow model of the platform, over random histories.
//!
//! Both are told the same sends, acts and statuses: repeated, reordered, delayed, some of them missing. Whatever order and
//! whatever crashes, the ledger, netted per message, must say what the model charges, line by line with days, reasons and
//! amounts; its totals must be what it adds up to; nothing may panic; and telling everything again must change nothing.
//!
//! Each history is made from a seed alone. The seeds of a run follow from the clock and are printed;
//!
//! - `CSW_SEED=17 cargo test --test accounting` plays one history again, that of the seed 17;
//! - `CSW_HISTORIES=1000000 cargo test --release --test accounting` plays so many instead of the usual number, and one for
//!   every forty of them on a gate that is closed and opened again.
//!
//! What differs is printed with its seed, after everything was left out of the history that it does not need.
//!
//! Left out of the comparison: the estimate that is kept beside a report, where the platform has moved the message into
//! another category than the send named, or into a free entry point. The library estimates by the category that was named and the placement that was
//! given first, which is what it would have said without the platform's word; the model knows no such past.
//!
//! The model takes no part in these: customers who go by several names, groups, and what is forgotten with age.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test stops at the first surprise")]

mod books;
mod model;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use books::Books;
use model::history::{failure, history};
use model::{Config, Fact};

/// Plays a history of a seed on the library.
type Play = fn(u64, &Config, &[Fact]) -> Result<Books, String>;

#[test]
fn the_ledger_says_what_the_model_charges() {
    compare(books::memory::books, histories());
}

#[test]
fn a_gate_that_is_closed_and_opened_again_says_what_the_model_charges() {
    compare(books::gate::books, histories() / 40);
}

fn histories() -> u64 {
    number("CSW_HISTORIES").unwrap_or(12_000)
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

/// Plays histories on all cores, and shows the first ones of which the two sides say different things.
fn compare(play: Play, histories: u64) {
    let (first, histories) = match number("CSW_SEED") {
        Some(seed) => (seed, 1),
        None => (seed_of_the_clock(), histories),
    };
    println!("{histories} histories, CSW_SEED from {first}");
    let (next, end) = (AtomicU64::new(first), first + histories);
    let differing = || {
        let seeds = std::iter::repeat_with(|| next.fetch_add(1, Ordering::Relaxed)).take_while(|seed| *seed < end);
        let differs = |seed: &u64| {
            let (config, facts) = history(*seed);
            difference(play, *seed, &config, &facts).is_some()
        };
        seeds.filter(differs).collect::<Vec<u64>>()
    };
    let mut seeds: Vec<u64> = std::thread::scope(|scope| {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(differing)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    seeds.sort_unstable();
    let shown: Vec<String> = seeds.iter().take(5).map(|seed| shown(play, *seed)).collect();
    assert!(seeds.is_empty(), "{} of {histories} histories differ\n\n{}", seeds.len(), shown.join("\n\n"));
}

/// A seed that no other run has, and room for the seeds of a run after it.
fn seed_of_the_clock() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    now.as_secs() % 1_000_000_000 * 1_000_000_000 + u64::from(now.subsec_millis()) * 1_000_000
}

/// What the two sides say of a history where they differ; nothing where they agree.
fn difference(play: Play, seed: u64, config: &Config, facts: &[Fact]) -> Option<String> {
    match catch_unwind(AssertUnwindSafe(|| play(seed, config, facts))) {
        Ok(Ok(kept)) => books::difference(&books::expected::books(config, facts), &kept),
        Ok(Err(fault)) => Some(fault),
        Err(_) => Some("it panics".into()),
    }
}

fn shown(play: Play, seed: u64) -> String {
    let mut last = String::new();
    let shown = failure(seed, |config, facts| match difference(play, seed, config, facts) {
        Some(difference) => {
            last = difference;
            true
        }
        None => false,
    });
    format!("{shown}\n{last}")
}
