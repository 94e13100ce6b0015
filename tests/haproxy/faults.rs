//! What HAProxy does while csw has a fault.

use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use crate::STRANGER;
use crate::workshop::*;

#[test]
fn broken_store_fails_closed_by_default() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).broken_store().start();

    for body in [text(CUSTOMER), template(CUSTOMER, "summer_promotion")] {
        let answer = gateway.send(&body);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.header("X-CSW-Verdict"), "deny");
        assert_eq!(answer.header("X-CSW-Reason"), "fault_closed");
        assert_eq!(answer.header("X-CSW-Reached"), "");
        assert_eq!(answer.json()["error"]["code"], 131_016);
    }
    assert_eq!(platform.requests().len(), 0);
    gateway.wait_for_log("send refused without a decision");

    let webhook = gateway.webhook(&inbound(CUSTOMER, now()));
    assert_eq!(webhook.status, 503);
    assert_eq!(webhook.json()["error"]["code"], "unavailable");
    assert!(!webhook.text().contains("/dev/log"), "paths are for the log");
    gateway.wait_for_log("webhook not recorded");
    assert_eq!(gateway.get("/csw/window?business=1&customer=16505551234").status, 503);
}

#[test]
fn broken_store_fails_open_where_asked() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("fail = \"open\"\n").broken_store().start();

    let answer = gateway.send(&text(STRANGER));
    assert_eq!(answer.status, 200);
    assert_eq!((answer.header("X-CSW-Verdict"), answer.header("X-CSW-Reason")), ("allow".into(), "fault_open".into()));
    assert_eq!(platform.requests().len(), 1);
    gateway.wait_for_log("send passed without a decision");
    assert_eq!(gateway.webhook(&inbound(CUSTOMER, now())).status, 503, "never taken unrecorded");
}

#[test]
fn configuration_that_cannot_be_read_is_refused_at_start() {
    let error = Gateway::new().top("no_such_key = 1\n").try_start().err().expect("HAProxy must not start");
    assert!(error.contains("no_such_key"), "{error}");
    for (option, wrong) in
        [("fial = \"open\"", "no option is called fial"), ("own = \"localhost:8080\"", "own is localhost:8080")]
    {
        let error = Gateway::new().options(option).try_start().err().expect("HAProxy must not start");
        assert!(error.contains(wrong), "{error}");
    }
}

#[test]
fn one_lua_for_all_threads_is_refused_and_a_single_thread_is_not() {
    let error =
        Gateway::new().edit("lua-load-per-thread /", "lua-load /").try_start().err().expect("HAProxy must not start");
    assert!(error.contains("load this file with lua-load-per-thread"), "{error}");

    let gateway = Gateway::new().edit("    user haproxy", "    nbthread 1\n    user haproxy").start();
    assert_eq!(gateway.webhook(&inbound(STRANGER, now())).status, 200);
}

#[test]
fn gate_that_cannot_open_fails_as_the_hook_is_told() {
    let platform = Server::platform();
    for (fail, status) in [("closed", 503), ("open", 200)] {
        let gateway =
            Gateway::new().platform(&platform).top("no_such_key = 1\n").options(&format!("fail = \"{fail}\"")).start();
        let answer = gateway.send(&text(STRANGER));
        assert_eq!((answer.status, answer.header("X-CSW-Reason")), (status, format!("fault_{fail}")));
        assert_eq!(gateway.webhook(&inbound(CUSTOMER, now())).status, 503);
        assert_eq!(gateway.get("/webhook?hub.mode=subscribe").status, 503);
        assert!(gateway.stderr().contains("cannot open the gate") && gateway.stderr().contains("no_such_key"));
    }
    assert_eq!(platform.requests().len(), 1);
}

#[test]
fn webhook_that_comes_late_to_the_disk_is_refused_while_everything_else_goes_on() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    let body = inbound(STRANGER, now());

    let store = gateway.store();
    let writing = store.write_txn().unwrap();
    thread::scope(|scope| {
        let webhooks = [0; 4].map(|_| scope.spawn(|| timed(|| gateway.webhook(&body))));
        while !webhooks.iter().all(ScopedJoinHandle::is_finished) {
            let (answer, took) = timed(|| gateway.send(&text(CUSTOMER)));
            assert_eq!(answer.header("X-CSW-Reason"), "window_open");
            assert!(took < Duration::from_secs(1), "a decision waited: {took:?}");
            thread::sleep(Duration::from_millis(100));
        }
        for webhook in webhooks {
            let (answer, took) = webhook.join().unwrap();
            assert_eq!(answer.status, 503);
            assert!(took >= Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
        }
    });
    drop(writing);
    assert_eq!(gateway.webhook(&body).status, 200, "repeated, it is taken");
}
