//! Load for a long time: what csw takes of memory, descriptors and threads does not grow with what it has done.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use csw::rules::event::EventKind;
use csw::time::Timestamp;
use csw::wire::record::{self, Stated};
use tempfile::TempDir;

use crate::gateway::{CUSTOMER, Http, SECRET, build, inbound, manifest, now, require_build, shell, signature};
use crate::gateway::{template, text, timed, wait};
use crate::measure::{Held, Longest, Slack, grown, say, short_or_long};
use crate::nginx::Gateway;
use crate::support::{decided, gate_in, hours_ago, stated};

/// Customers whose windows are open from the beginning.
const EARLY: u64 = 100;

/// Every verb of the C door, called by a C program with the staged library.
#[test]
fn calls_of_every_verb_leave_nothing_behind() {
    let calls: u64 = short_or_long(100_000, 10_000_000);
    let folder = TempDir::new().unwrap();
    let program = compiled(folder.path());
    fs::write(folder.path().join("secret"), SECRET).unwrap();
    fs::write(folder.path().join("csw.toml"), "store = \"memory:\"").unwrap();
    let webhook = inbound(CUSTOMER, now());
    let mut load = Command::new(program)
        .current_dir(folder.path())
        .args([&calls.to_string(), &webhook, &signature(&webhook)])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(load.stdout.take().unwrap());
    let mut line = String::new();
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "warm\n");

    let began = Instant::now();
    let mut samples = Vec::new();
    while load.try_wait().unwrap().is_none() {
        samples.extend(Held::by(load.id()));
        thread::sleep(short_or_long(Duration::from_millis(1), Duration::from_millis(200)));
    }
    let took = began.elapsed();
    assert!(load.wait().unwrap().success());
    line.clear();
    said.read_to_string(&mut line).unwrap();
    let called: u64 = line.trim().parse().unwrap();
    assert!(called >= calls);

    let wrong = grown("C door", &samples, &Slack { memory: short_or_long(2048, 512), descriptors: 1, threads: 1 });
    say(&format!("{called} calls of all verbs in {:.1} s", took.as_secs_f64()));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// nginx with webhooks, statuses, sends that pass and sends that do not, at an even pace: an hour of it, or `CSW_TORTURE_MINUTES`.
#[test]
fn workers_under_a_mixed_load_hold_no_more_than_before() {
    let minutes = std::env::var("CSW_TORTURE_MINUTES").ok().map(|minutes| minutes.parse().unwrap());
    let lasts = short_or_long(Duration::from_secs(4), Duration::from_secs(60 * minutes.unwrap_or(60)));
    let gateway = Gateway::new().with_standin().edit("listen 8080;", "listen 8080 reuseport;").start();
    (0..EARLY).for_each(|n| assert!(a_customer_writes(&gateway, n)));
    // Each worker remembers the outcomes of tickets in a ring: it has gone round before anything is measured.
    flood(&gateway, short_or_long(0, 300_000));
    // In a store as small as a new one few pages change; the largest groups come to a larger one.
    assert_eq!(mixed_load(&gateway, short_or_long(Duration::ZERO, lasts / 10), || {}).wrong, 0);
    crowd(&gateway, short_or_long(0, 6_000));

    let mut samples: BTreeMap<u32, Vec<Held>> = BTreeMap::new();
    let served = mixed_load(&gateway, lasts, || {
        for worker in gateway.workers() {
            samples.entry(worker).or_default().extend(Held::by(worker));
        }
    });

    let slack = Slack { memory: short_or_long(8192, 1024), descriptors: 2, threads: 0 };
    let grew: Vec<_> =
        samples.iter().flat_map(|(worker, held)| grown(&format!("nginx {worker}"), held, &slack)).collect();
    say(&format!(
        "{} requests and {} events in {} s, {} answered wrongly, the longest took {} ms",
        served.longest.calls,
        gateway.metric("csw_events_total"),
        lasts.as_secs(),
        served.wrong,
        served.longest.took.as_millis()
    ));
    assert_eq!(served.wrong, 0);
    assert_eq!(samples.len(), 2, "no worker was replaced");
    assert!(grew.is_empty(), "{grew:#?}");
}

/// What came of a load.
struct Served {
    longest: Longest,
    wrong: u64,
}

/// Clients of four kinds, each with a pace of its own, for so long; `meanwhile` is called 720 times.
fn mixed_load(gateway: &Gateway, lasts: Duration, mut meanwhile: impl FnMut()) -> Served {
    let over = AtomicBool::new(false);
    let kinds: [(u64, Request); 4] =
        [(25, a_customer_writes), (25, a_text_passes), (50, a_template_passes), (50, a_stranger_is_not_written_to)];
    let served = thread::scope(|scope| {
        let clients = kinds.map(|(every, does)| {
            let over = &over;
            scope.spawn(move || {
                let mut served = Served { longest: Longest::default(), wrong: 0 };
                let began = Instant::now();
                while !over.load(Ordering::Relaxed) {
                    let (is_right, took) = timed(|| does(gateway, served.longest.calls));
                    served.longest.add(took);
                    served.wrong += u64::from(!is_right);
                    let next = Duration::from_millis(every * served.longest.calls);
                    thread::sleep(next.saturating_sub(began.elapsed()));
                }
                served
            })
        });
        let until = Instant::now() + lasts;
        while Instant::now() < until {
            meanwhile();
            thread::sleep(lasts / 720);
        }
        over.store(true, Ordering::Relaxed);
        clients.map(|client| client.join().unwrap())
    });
    let mut all = Served { longest: Longest::default(), wrong: 0 };
    for client in served {
        all.longest.join(&client.longest);
        all.wrong += client.wrong;
    }
    all
}

/// Whether the answer to a client's so manieth request is right.
type Request = fn(&Gateway, u64) -> bool;

fn customer(n: u64) -> String {
    format!("1650555{:04}", n % 2000)
}

fn a_customer_writes(gateway: &Gateway, n: u64) -> bool {
    gateway.customer_writes(&customer(n))["webhook"] == 200
}

fn a_text_passes(gateway: &Gateway, n: u64) -> bool {
    gateway.send(&text(&customer(n % EARLY))).header("X-CSW-Reason") == "window_open"
}

fn a_template_passes(gateway: &Gateway, n: u64) -> bool {
    gateway.send(&template(&customer(n), "order_confirmation")).status == 200
}

fn a_stranger_is_not_written_to(gateway: &Gateway, n: u64) -> bool {
    gateway.send(&text(&format!("1650777{:04}", n % 10_000))).header("X-CSW-Reason") == "never_seen"
}

/// So many sends that are stopped, as fast as they go.
fn flood(gateway: &Gateway, count: u64) {
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..count / 4).for_each(|n| assert!(a_stranger_is_not_written_to(gateway, n))));
        }
    });
}

/// The largest group that a recorder commits at once: LMDB keeps the memory of its pages for the next one.
fn crowd(gateway: &Gateway, count: u64) {
    let store = gateway.store();
    let writing = store.write_txn().unwrap();
    thread::scope(|scope| {
        for client in 0..4 {
            let each = count / 4;
            scope.spawn(move || {
                (client * each..(client + 1) * each).for_each(|n| assert!(a_template_passes(gateway, n)))
            });
        }
    });
    drop(writing);
    wait("all of them are on disk", || gateway.metric("csw_queue_jobs") == 0);
}

/// The program of `load.c`, strictly compiled, with the shared library.
fn compiled(folder: &Path) -> std::path::PathBuf {
    require_build();
    let (build, program) = (build(), folder.join("load"));
    let (build, source) = (build.display(), manifest().join("tests/torture/load.c"));
    shell(&format!(
        "cc -std=c99 -Wall -Wextra -Werror -pedantic -O2 -I {build}/include -o {} {} -L {build}/lib -Wl,-rpath,{build}/lib -lcsw",
        program.display(),
        source.display()
    ));
    program
}

/// Two workers that settle messages to one customer commit them out of order. A late one counts the customer's conversations anew only where it
/// could change them.
#[test]
fn late_messages_of_a_busy_customer_do_not_hold_up_the_recorder() {
    let messages = 2000;
    let folder = TempDir::new().unwrap();
    let gate = gate_in(folder.path(), "store = \"lmdb:.\"\ndurability = \"relaxed\"");
    let sent = |n: u32, at: Timestamp| {
        let id = format!("wamid.{n}");
        let said = Stated { id: Some(&id), ..stated(EventKind::BusinessMessage, at) };
        gate.submit_record(record::event(said).unwrap()).unwrap()
    };
    let all: Vec<_> = (0..messages).map(|n| sent(n, hours_ago(1))).collect();
    let ((), in_order) = timed(|| all.iter().for_each(|ticket| drop(decided(&gate, *ticket).unwrap())));
    let late: Vec<_> = (0..100).map(|n| sent(messages + n, hours_ago(2))).collect();
    let ((), took) = timed(|| late.iter().for_each(|ticket| drop(decided(&gate, *ticket).unwrap())));
    say(&format!("{messages} messages of one customer in {in_order:?}, 100 late ones in {took:?}"));
    assert!(took < Duration::from_secs(1), "the recorder had no time for anybody else for {took:?}");
}
