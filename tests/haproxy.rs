//! The real HAProxy with the staged library: `examples/haproxy`, with the paths and addresses of a test in place of its
//! own, started by root and run as the user haproxy inside a chroot, with two threads.
//!
//! Needs root, Debian's haproxy and a staged `build/` (or `CSW_BUILD`): `make deps build`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

#[path = "haproxy/around.rs"]
mod around;
#[path = "haproxy/bodies.rs"]
mod bodies;
#[path = "haproxy/closed.rs"]
mod closed;
#[path = "haproxy/faults.rs"]
mod faults;
#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/http_suite.rs"]
mod http_suite;
#[path = "support/scenario.rs"]
mod scenario;
#[path = "haproxy/webhooks.rs"]
mod webhooks;
#[path = "haproxy/workshop.rs"]
mod workshop;

use scenario::Driver;
use workshop::*;

const STRANGER: &str = "16505559999";
const HOUR: u64 = 3_600_000;

#[test]
fn free_form_passes_while_the_window_is_open() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    let acted = now() / 1000 * 1000;
    gateway.webhook(&inbound(CUSTOMER, acted));

    let body = text(CUSTOMER);
    let answer = gateway.post(MESSAGES, &[("Accept-Encoding", "gzip")], body.as_bytes());
    assert_eq!(answer.status, 200);
    assert!(answer.json()["messages"][0]["id"].as_str().unwrap().starts_with("wamid."));
    assert_eq!(answer.header("X-CSW-Verdict"), "allow");
    assert_eq!(answer.header("X-CSW-Reason"), "window_open");
    assert_eq!(answer.header("X-CSW-Conversation"), "opens service");
    assert_eq!(answer.header("X-CSW-Charge"), "free service_free");
    assert_eq!(answer.header("X-CSW-Window-Expires"), rfc3339(acted + 24 * HOUR));

    let seen = platform.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, format!("POST {MESSAGES} HTTP/1.0"));
    assert_eq!(seen[0].body, body.as_bytes());
    assert_eq!(seen[0].header("Host"), "graph.facebook.com");
    assert_eq!(seen[0].header("Accept-Encoding"), "", "csw must be able to read the answer");
}

#[test]
fn free_form_is_answered_as_the_platform_would_when_the_window_is_closed() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now() - 25 * HOUR));

    for (customer, reason) in [(CUSTOMER, "window_closed"), (STRANGER, "never_seen")] {
        let answer = gateway.send(&text(customer));
        assert_eq!(answer.status, 400);
        assert_eq!(answer.header("X-CSW-Verdict"), "deny");
        assert_eq!(answer.header("X-CSW-Reason"), reason);
        assert_eq!(answer.header("X-CSW-Conversation"), "none");
        assert!(answer.header("Content-Type").starts_with("application/json"));

        let error = &answer.json()["error"];
        assert_eq!(error["message"], "(#131047) Re-engagement message");
        assert_eq!(error["type"], "OAuthException");
        assert_eq!(error["code"], 131_047);
        assert!(error["error_data"]["details"].as_str().unwrap().contains("Send a template"));
    }
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn other_reasons_get_the_platforms_code_for_them() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).toml("[numbers.200000000000001]\nenabled = false\n").start();

    let user_id = gateway.send(&text("US.13491208655302741918"));
    assert_eq!((user_id.status, user_id.header("X-CSW-Reason")), (400, "user_id_in_to".into()));
    assert_eq!(user_id.json()["error"]["code"], 100);

    let body = template(CUSTOMER, "summer_promotion");
    let number = gateway.post("/v23.0/200000000000001/messages", &[], body.as_bytes());
    assert_eq!((number.status, number.header("X-CSW-Reason")), (400, "number_not_enabled".into()));
    assert_eq!(number.json()["error"]["code"], 133_010);
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn the_books_of_a_running_gateway_say_what_was_sent_and_stopped() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();

    assert_eq!(gateway.send(&template(STRANGER, "summer_promotion")).status, 200);
    assert_eq!(gateway.send(&text(STRANGER)).status, 400);
    let books = || gateway.csw(&["report", "--by", "business"]);
    wait("both sends are in the books", || books()[0]["messages"] == 1 && books()[0]["stopped"] == 1);
}

/// The id in the platform's answer is what later statuses speak of.
#[test]
fn message_that_the_platform_reports_as_refused_closes_the_window() {
    let platform = Server::start(|_| Answer::new(200, "{\"messages\":[{\"id\":\"wamid.sent\"}]}"));
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now() - HOUR));
    assert_eq!(gateway.send(&text(CUSTOMER)).status, 200);
    gateway.wait_for_send(&text(CUSTOMER), "X-CSW-Conversation", "joins service");

    let status = json!({
        "id": "wamid.sent", "status": "failed", "timestamp": (now() / 1000).to_string(), "recipient_id": CUSTOMER,
        "errors": [{ "code": 131_047, "title": "Re-engagement message" }],
    });
    let mut body: Value = serde_json::from_str(&inbound(CUSTOMER, now())).unwrap();
    let value = body["entry"][0]["changes"][0]["value"].as_object_mut().unwrap();
    value.remove("messages");
    value.insert("statuses".into(), json!([status]));
    assert_eq!(gateway.webhook(&body.to_string()).status, 200);
    assert_eq!(gateway.window(CUSTOMER)["reason"], "refused_by_platform");
}

#[test]
fn refusal_in_the_answer_closes_the_window_until_the_customer_writes() {
    let platform =
        Server::start(|_| Answer::new(400, &json!({ "error": { "code": 131_047, "message": "" } }).to_string()));
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now() - HOUR));

    let refused = gateway.send(&text(CUSTOMER));
    assert_eq!((refused.status, refused.header("X-CSW-Verdict")), (400, "allow".into()));
    wait("the window is closed", || gateway.window(CUSTOMER)["state"] == "closed");
    assert_eq!(gateway.send(&text(CUSTOMER)).header("X-CSW-Reason"), "refused_by_platform");
    assert_eq!(platform.requests().len(), 1);

    gateway.webhook(&inbound(CUSTOMER, now()));
    assert_eq!(gateway.window(CUSTOMER)["state"], "open");
}

#[test]
fn platform_that_cannot_be_reached_is_said_to_have_nothing() {
    let gateway = Gateway::new().start();
    for _ in 0..3 {
        let answer = gateway.send(&template(STRANGER, "summer_promotion"));
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("X-CSW-Verdict"), "allow");
        assert_eq!(answer.header("X-CSW-Reason"), "template");
        assert_eq!(answer.header("X-CSW-Reached"), "no");
    }

    let platform = Server::start(|_| Answer::new(503, "{\"error\":{\"code\":131016}}"));
    let gateway = Gateway::new().platform(&platform).start();
    let answer = gateway.send(&template(STRANGER, "summer_promotion"));
    assert_eq!((answer.status, answer.header("X-CSW-Reached")), (503, String::new()), "its own word");
    assert_eq!(answer.header("X-CSW-Conversation"), "opens marketing");
}

#[test]
fn monitor_mode_lets_through_and_says_what_it_would_have_stopped() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("mode = \"monitor\"\n").start();
    let answer = gateway.send(&text(STRANGER));
    assert_eq!((answer.status, answer.header("X-CSW-Verdict")), (200, "would-deny".into()));
    assert_eq!(answer.header("X-CSW-Reason"), "never_seen");
    assert_eq!(platform.requests().len(), 1);
}

#[test]
fn mode_off_lets_through() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("mode = \"off\"\n").start();
    let answer = gateway.send(&text(STRANGER));
    assert_eq!((answer.status, answer.header("X-CSW-Verdict")), (200, "allow".into()));
}

#[test]
fn marketing_messages_are_marketing() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    let path = "/v23.0/106540352242922/marketing_messages";
    let answer = gateway.post(path, &[], template(STRANGER, "order_confirmation").as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("X-CSW-Conversation"), "opens marketing");
    assert_eq!(platform.requests()[0].line, format!("POST {path} HTTP/1.0"));
}

#[test]
fn large_answer_of_the_platform_passes_whole() {
    let padding = "x".repeat(300 * 1024);
    let platform = {
        let padding = padding.clone();
        Server::start(move |_| Answer::new(200, &padding))
    };
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));

    let answer = gateway.send(&text(CUSTOMER));
    assert_eq!((answer.status, answer.body.len()), (200, padding.len()));
    assert_eq!(answer.header("X-CSW-Verdict"), "allow");
}

#[test]
fn send_of_a_client_that_went_away_is_recorded() {
    let platform = Server::start(|n| {
        if n == 1 {
            thread::sleep(Duration::from_millis(300));
        }
        Answer::new(200, &json!({ "messages": [{ "id": format!("wamid.{n}") }] }).to_string())
    });
    let mut gateway = Gateway::new().platform(&platform).start();

    abandon(gateway.port, MESSAGES, template(STRANGER, "summer_promotion").as_bytes());
    wait("its decision is logged", || gateway.decisions().len() == 1);
    gateway.restart();
    let next = gateway.send(&template(STRANGER, "summer_promotion"));
    assert_eq!(next.header("X-CSW-Conversation"), "joins marketing");
}

#[test]
fn test_clock_plays_a_day_in_a_moment() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("test_clock = true\n").start();
    let begin = now() / 1000 * 1000 - 72 * HOUR;
    let said = |verdict: &str, reason: &str| (verdict.to_owned(), reason.to_owned());

    assert_eq!(gateway.sends_text(CUSTOMER, begin), said("deny", "never_seen"));
    gateway.customer_writes(CUSTOMER, begin);
    assert_eq!(gateway.sends_text(CUSTOMER, begin + 24 * HOUR - 1), said("allow", "window_open"));
    assert_eq!(gateway.sends_text(CUSTOMER, begin + 24 * HOUR), said("deny", "window_closed"));
    assert_eq!(gateway.sends_template(CUSTOMER, "summer_promotion", begin + 30 * HOUR), said("allow", "template"));
    gateway.customer_writes(CUSTOMER, begin + 40 * HOUR);
    assert_eq!(gateway.sends_text(CUSTOMER, begin + 41 * HOUR), said("allow", "window_open"));
}

#[test]
fn headers_carry_nothing_from_outside() {
    let platform = Server::start(|_| {
        let mut answer = Answer::new(200, "{\"messages\":[{\"id\":\"wamid.1\"}]}");
        answer.headers = "X-CSW-Verdict: forged\r\nX-CSW-Window-Expires: forged\r\n".into();
        answer
    });
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));

    let evil = "x\r\nX-Evil: 1\r\n\r\n";
    let evil_query = "x%0d%0aX-Evil:%201%0d%0a%0d%0a";
    let answers = [
        gateway.send(&template(CUSTOMER, evil)),
        gateway.send(&template(STRANGER, "summer_promotion")),
        gateway.send(&template(evil, "summer_promotion")),
        gateway.send(&json!({ "to": CUSTOMER, "type": evil }).to_string()),
        gateway.send(&text(&format!("US.1{evil}"))),
        gateway.get(&format!("/csw/window?business={evil_query}&customer={evil_query}")),
        gateway.get(&format!("/webhook?hub.mode=subscribe&hub.verify_token=verify%20token&hub.challenge={evil_query}")),
    ];
    for answer in answers {
        assert_eq!(answer.header("X-Evil"), "", "{}", answer.head);
        assert!(!answer.head.contains("forged"), "{}", answer.head);
    }
    let passed = gateway.send(&text(CUSTOMER));
    assert_eq!(passed.header("X-CSW-Verdict"), "allow");
    assert_eq!(passed.head.to_lowercase().matches("x-csw-verdict").count(), 1, "{}", passed.head);
}

#[test]
fn log_holds_each_decision_once_and_no_number() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    gateway.send(&text(CUSTOMER));
    gateway.send(&text(STRANGER));
    gateway.send("no json");
    gateway.window(CUSTOMER);
    gateway.get(&format!("/csw/window?business=1&customer={CUSTOMER}x"));
    gateway.post(&format!("{MESSAGES}?to={CUSTOMER}"), &[], text(CUSTOMER).as_bytes());

    wait("all are logged", || gateway.syslog().lines().filter(|line| line.contains(" haproxy[")).count() >= 7);
    let decisions = gateway.decisions();
    let mut said: Vec<_> = decisions.iter().map(|line| format!("{} {}", line["verdict"], line["reason"])).collect();
    said.sort();
    let wanted = ["allow window_open", "deny body", "deny body", "deny never_seen"];
    assert_eq!(said, wanted.map(|words| format!("\"{}\"", words.replace(' ', "\" \""))));
    assert!(decisions.iter().all(|line| line["gateway"] == "haproxy" && line["business"] == BUSINESS));
    for log in [gateway.syslog(), gateway.stderr()] {
        assert!(!log.contains(&CUSTOMER[1..]) && !log.contains(&STRANGER[1..]), "{log}");
    }
}

#[test]
fn window_answers_the_loopback_only() {
    let gateway = Gateway::new().edit("bind :8080", "bind :8080 accept-proxy").start();
    let ask = |from: &str, query: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", gateway.port)).unwrap();
        let family = if from.contains(':') { "TCP6" } else { "TCP4" };
        let head = format!("PROXY {family} {from} {from} 1 2\r\nGET /csw/window?{query} HTTP/1.0\r\n\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    for (from, status) in [
        ("127.0.0.1", "200"),
        ("127.9.9.9", "200"),
        ("::1", "200"),
        ("10.0.0.1", "403"),
        ("12.7.0.1", "403"),
        ("2001:db8::127", "403"),
        ("::ffff:127.0.0.1", "200"),
        ("::ffff:10.0.0.1", "403"),
    ] {
        assert_eq!(ask(from, "business=1&customer=16505551234"), status, "{from}");
    }
    for query in
        ["", "business=1", "customer=16505551234", "business=1&customer=2&customer=3", "business=1&customer=1&at=x"]
    {
        assert_eq!(ask("127.0.0.1", query), "400", "{query}");
    }
}

#[test]
fn scenarios_come_out_as_in_every_gateway() {
    let platform = Server::platform();
    assert!(scenario::play(&Gateway::new().top("test_clock = true\n").platform(&platform).start()) >= 5);
}

#[test]
fn configuration_of_the_readme_works() {
    let example = std::fs::read_to_string(manifest().join("examples/haproxy/haproxy.cfg")).unwrap();
    // What the workshop replaces has to be there.
    let readme = format!("{}\n# /run/haproxy/\n", readme("haproxy", "lua.csw_send"));
    let platform = Server::platform();
    let gateway = Gateway::new().edit(&example, &readme).platform(&platform).start();
    assert_eq!(gateway.send(&text(CUSTOMER)).header("X-CSW-Reason"), "never_seen");
    assert_eq!(gateway.webhook(&inbound(CUSTOMER, now())).status, 200);
    assert_eq!(gateway.send(&text(CUSTOMER)).status, 200);
    wait("both are logged", || gateway.decisions().len() == 2);
}
