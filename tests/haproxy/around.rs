//! What HAProxy does around csw: users, threads, reloads and ends.

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::STRANGER;
use crate::workshop::*;

#[test]
fn worker_runs_as_the_packages_user_inside_its_chroot() {
    let gateway = Gateway::new().start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    let worker = gateway.workers().into_iter().next().unwrap();
    let status = fs::read_to_string(format!("/proc/{worker}/status")).unwrap();
    let user = shell("id -u haproxy");
    assert!(status.contains(&format!("Uid:\t{0}\t{0}\t{0}", user.trim())), "{status}");
    let root = fs::read_link(format!("/proc/{worker}/root")).unwrap();
    assert_eq!(root, gateway.dir.path().join("jail"));
    assert_eq!(gateway.csw(&["check", BUSINESS, CUSTOMER])["state"], "open", "outside it is the same store");
}

#[test]
fn window_opened_in_one_thread_is_seen_in_the_other_at_once() {
    let platform = Server::platform();
    let gateway = Gateway::new()
        .platform(&platform)
        .edit(
            "    default_backend graph",
            "    http-after-response set-header X-Thread %[thread]\n    default_backend graph",
        )
        .start();
    let (mut seen, mut tries) = (HashSet::new(), 0);
    wait("each thread has let a send through", || {
        let customer = format!("1650556{:04}", seen.len());
        let taken = gateway.webhook(&inbound(&customer, now()));
        assert_eq!(taken.status, 200);
        // The threads take turns: a request in between shifts them.
        tries += 1;
        (0..tries % 4).for_each(|_| drop(gateway.get("/")));
        let answer = gateway.send(&text(&customer));
        assert_eq!(answer.status, 200, "{}", answer.text());
        seen.insert((taken.header("X-Thread"), answer.header("X-Thread")));
        seen.len() == 4
    });
}

#[test]
fn library_store_and_recorder_are_in_the_process_once() {
    let gateway = Gateway::new().start();
    for n in 0..50 {
        let customer = format!("1650557{n:04}");
        assert_eq!(gateway.webhook(&inbound(&customer, now())).status, 200);
        assert_eq!(gateway.window(&customer)["state"], "open");
    }
    let worker = gateway.workers().into_iter().next().unwrap();
    let maps = fs::read_to_string(format!("/proc/{worker}/maps")).unwrap();
    let code = maps.lines().filter(|line| line.contains("csw_native.so") && line.contains("r-xp")).count();
    let stores = maps.lines().filter(|line| line.contains("store") && line.contains("data.mdb")).count();
    assert_eq!((code, stores), (1, 1), "{maps}");

    let threads = fs::read_dir(format!("/proc/{worker}/task")).unwrap();
    let names = threads.map(|task| fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    let names: Vec<_> = names.collect();
    assert_eq!(names.iter().filter(|name| name.starts_with("csw-recorder")).count(), 1, "{names:?}");
    assert_eq!(names.iter().filter(|name| name.starts_with("haproxy")).count(), 2, "{names:?}");
}

#[test]
fn send_that_was_not_decided_goes_nowhere() {
    let platform = Server::platform();
    let gateway = Gateway::new()
        .platform(&platform)
        .top("fail = \"open\"\n")
        .lua(
            "local register = core.register_action\ncore.register_action = function(name, kinds, _) \
              register(name, kinds, function() error('broken') end) end",
        )
        .start();
    assert_eq!(gateway.send(&template(STRANGER, "summer_promotion")).status, 503);
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn error_inside_a_decision_follows_fail() {
    let platform = Server::platform();
    for (fail, status) in [("closed", 503), ("open", 200)] {
        let gateway = Gateway::new()
            .platform(&platform)
            .top(&format!("fail = \"{fail}\"\n"))
            .lua("require('csw.guard').objection = function() error('broken') end")
            .start();
        let answer = gateway.send(&text(STRANGER));
        assert_eq!((answer.status, answer.header("X-CSW-Reason")), (status, format!("fault_{fail}")));
        gateway.wait_for_log("without a decision: ");
        assert!(gateway.syslog().contains("broken"));
    }
    assert_eq!(platform.requests().len(), 1);
}

#[test]
fn thread_that_may_not_start_is_an_error_that_names_the_setting() {
    let platform = Server::platform();
    for (fail, status) in [("closed", 503), ("open", 200)] {
        let gateway = Gateway::new()
            .platform(&platform)
            .top(&format!("fail = \"{fail}\"\n"))
            .edit("    insecure-fork-wanted\n", "")
            .start();
        gateway.wait_for_log("set insecure-fork-wanted");
        let answer = gateway.send(&text(STRANGER));
        assert_eq!((answer.status, answer.header("X-CSW-Reason")), (status, format!("fault_{fail}")));
        assert_eq!(gateway.webhook(&inbound(CUSTOMER, now())).status, 503);
    }
}

#[test]
fn reload_under_load_fails_no_request_and_loses_nothing() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    let first = gateway.workers();

    let stop = AtomicBool::new(false);
    let failures = Mutex::new(Vec::new());
    let (written, sent) = (Mutex::new(Vec::new()), Mutex::new(0));
    thread::scope(|scope| {
        for n in 0..4 {
            let (gateway, stop, failures, written, sent) = (&gateway, &stop, &failures, &written, &sent);
            scope.spawn(move || {
                let mut count = 0;
                while !stop.load(Ordering::Relaxed) {
                    count += 1;
                    let customer = format!("16505{n}{count:05}");
                    let answer = match n % 2 {
                        0 => gateway.send(&template(CUSTOMER, "summer_promotion")),
                        _ => gateway.webhook(&inbound(&customer, now())),
                    };
                    if answer.status != 200 {
                        failures.lock().unwrap().push((answer.status, answer.text()));
                    } else if n % 2 == 0 {
                        *sent.lock().unwrap() += 1;
                    } else {
                        written.lock().unwrap().push(customer);
                    }
                }
            });
        }
        scope.spawn(|| {
            let failed = keeps_alive(gateway.port, &text(CUSTOMER), &stop);
            failures.lock().unwrap().extend(failed.map(|answer| (0, answer)));
        });
        let _stops = Raises(&stop);
        for _ in 0..3 {
            gateway.reload();
            thread::sleep(Duration::from_millis(300));
        }
    });

    assert_eq!(*failures.lock().unwrap(), []);
    wait("the old workers are gone", || gateway.workers().len() == 1 && gateway.workers().is_disjoint(&first));
    let (written, sent) = (written.into_inner().unwrap(), sent.into_inner().unwrap());
    assert!(written.len() > 50 && sent > 50, "there was a load: {} {sent}", written.len());
    for customer in written {
        assert_eq!(gateway.window(&customer)["state"], "open", "{customer}");
    }
    let books = || gateway.csw(&["report", "--by", "class"]);
    let templates = |books: &Value| {
        books.as_array().unwrap().iter().any(|row| row["class"] == "template" && row["messages"] == sent)
    };
    wait("every template is in the books", || templates(&books()));
}

#[test]
fn reload_with_a_broken_configuration_is_refused_and_the_old_one_goes_on() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    let path = gateway.dir.path().join("csw.toml");
    let toml = fs::read_to_string(&path).unwrap();
    fs::write(&path, format!("no_such_key = 1\n{toml}")).unwrap();

    let before = gateway.workers();
    gateway.signal("USR2");
    wait("it says what is wrong", || gateway.stderr().contains("no_such_key"));
    assert_eq!(gateway.send(&text(CUSTOMER)).status, 200);
    assert_eq!(gateway.workers(), before);

    fs::write(&path, toml.replace("unknown = \"closed\"", "unknown = \"open\"")).unwrap();
    wait("the master waits", || gateway.stderr().contains("Loading failure"));
    gateway.reload();
    gateway.wait_for_send(&text(STRANGER), "X-CSW-Verdict", "allow");
}

#[test]
fn what_was_submitted_is_on_disk_when_the_worker_is_gone() {
    let platform = Server::platform();
    let mut gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    let customers: Vec<_> = (0..30).map(|n| format!("1650555{n:04}")).collect();

    // The store is held up until the worker has been told to go.
    let store = gateway.store();
    let writing = store.write_txn().unwrap();
    for customer in &customers {
        assert_eq!(gateway.send(&template(customer, "summer_promotion")).status, 200);
    }
    gateway.signal("USR1");
    thread::sleep(Duration::from_millis(500));
    drop(writing);
    gateway.wait_for_end();
    gateway.start_again();

    for customer in &customers {
        let answer = gateway.send(&template(customer, "summer_promotion"));
        assert_eq!(answer.header("X-CSW-Conversation"), "joins marketing", "{customer}");
    }
}

#[test]
fn worker_that_is_killed_takes_nothing_with_it() {
    let platform = Server::platform();
    let mut gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    let worker = gateway.workers().into_iter().next().unwrap();
    shell(&format!("kill -9 {worker}"));
    // The master gives up, and the unit starts it again.
    gateway.wait_for_end();
    gateway.start_again();
    assert_eq!(gateway.window(CUSTOMER)["state"], "open");
    assert_eq!(gateway.send(&text(CUSTOMER)).status, 200);
}

/// Sends over connections that are kept alive for as long as the gateway keeps them, and slowly, so that they are mostly
/// idle; returns what was answered to a send that failed.
fn keeps_alive(port: u16, body: &str, stop: &AtomicBool) -> Option<String> {
    let ask = format!("POST {MESSAGES} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let mut connection: Option<BufReader<TcpStream>> = None;
    while !stop.load(Ordering::Relaxed) {
        let stream = connection.get_or_insert_with(|| BufReader::new(TcpStream::connect(("127.0.0.1", port)).unwrap()));
        let mut head = String::new();
        let _ = stream.get_mut().write_all(ask.as_bytes());
        while stream.read_line(&mut head).is_ok_and(|length| length > 2) {}
        let length = head.to_lowercase().lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut answer = vec![0; length.unwrap_or(0)];
        if !head.starts_with("HTTP/1.1 200") || stream.read_exact(&mut answer).is_err() {
            return Some(head);
        }
        if head.to_lowercase().contains("connection: close") {
            connection = None;
        }
        thread::sleep(Duration::from_millis(20));
    }
    None
}

/// Raises a flag when it goes, also by a panic.
struct Raises<'a>(&'a AtomicBool);

impl Drop for Raises<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
