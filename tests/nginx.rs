//! The real nginx with the staged library in two workers: `examples/nginx/nginx.conf`, with the paths and addresses of
//! a test in place of its own.
//!
//! Needs Debian's nginx and a staged `build/` (or `CSW_BUILD`): `make deps build`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::HashSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, ScopedJoinHandle};
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use tempfile::TempDir;

#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/http_suite.rs"]
mod http_suite;
#[path = "nginx/workshop.rs"]
mod workshop;

use workshop::*;

const STRANGER: &str = "16505559999";
const HOUR: u64 = 3_600_000;

// --- webhooks -----------------------------------------------------------------------------------

#[test]
fn webhook_that_is_too_large_is_refused() {
    let gateway = Gateway::new().start();

    let large = format!("{{\"padding\":\"{}\"}}", "x".repeat(3 * 1024 * 1024));
    let answer = gateway.webhook(&large);
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["error"]["code"], "too_large");

    let larger = "x".repeat(5 * 1024 * 1024);
    assert_eq!(gateway.webhook(&larger).status, 413, "by nginx itself");
}

#[test]
fn application_answers_the_platform() {
    let application = Server::start(|_| Answer::new(202, "{\"from\":\"the application\"}"));
    let gateway = Gateway::new().application(&application).start();
    let body = inbound(CUSTOMER, now());

    let answer = gateway.webhook(&body);
    assert_eq!((answer.status, answer.text().as_str()), (202, "{\"from\":\"the application\"}"));
    let seen = application.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].body, body.as_bytes(), "byte by byte");
    assert_eq!(seen[0].header("X-Hub-Signature-256"), signature(&body));

    // A repeat is for the application to judge, too.
    assert_eq!(gateway.webhook(&body).status, 202);
    assert_eq!(application.requests().len(), 2);
}

#[test]
fn application_never_sees_what_was_refused() {
    let application = Server::start(|_| Answer::new(200, ""));
    let gateway = Gateway::new().application(&application).start();
    let body = inbound(CUSTOMER, now());

    let forged = gateway.post("/webhook", &[("X-Hub-Signature-256", "sha256=00")], body.as_bytes());
    assert_eq!(forged.status, 401);
    assert_eq!(gateway.webhook("no json").status, 400);
    assert_eq!(application.requests().len(), 0);
}

// --- sends --------------------------------------------------------------------------------------

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
    assert_eq!(seen[0].line, format!("POST {MESSAGES} HTTP/1.1"));
    assert_eq!(seen[0].body, body.as_bytes());
    assert_eq!(seen[0].header("Accept-Encoding"), "", "csw must be able to read the answer");
    assert_eq!(seen[0].header("Connection"), "", "kept alive");
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
        assert_eq!(error["error_data"]["messaging_product"], "whatsapp");
        assert!(error["error_data"]["details"].as_str().unwrap().contains("Send a template"));
        assert!(error["fbtrace_id"].is_string());
    }
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn other_reasons_get_the_platforms_code_for_them() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).toml("[numbers.200000000000001]\nenabled = false\n").start();

    let user_id = gateway.send(&text("US.13491208655302741918"));
    assert_eq!(user_id.status, 400);
    assert_eq!(user_id.header("X-CSW-Reason"), "user_id_in_to");
    assert_eq!(user_id.json()["error"]["code"], 100);

    let body = template(CUSTOMER, "summer_promotion");
    let number = gateway.post("/v23.0/200000000000001/messages", &[], body.as_bytes());
    assert_eq!(number.status, 400);
    assert_eq!(number.header("X-CSW-Reason"), "number_not_enabled");
    assert_eq!(number.json()["error"]["code"], 133_010);
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn the_books_of_a_running_gateway_say_what_was_sent_stopped_and_charged() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("currency = \"EUR\"\n").start();
    gateway.write("card.csv", "Market,Currency,Marketing\nNorth America,EUR,0.0658\n");
    gateway.csw(&["rates", "import", "card.csv", "--from", "2023-06-01"]);

    let sent = gateway.send(&template("16505550999", "summer_promotion"));
    assert_eq!(sent.header("X-CSW-Charge"), "billable opens_conversation 0.0658 EUR");
    assert_eq!(gateway.send(&text("16505550999")).status, 400);
    let books = || gateway.csw(&["report", "--by", "business"]);
    wait("both sends are in the books", || books()[0]["messages"] == 1 && books()[0]["stopped"] == 1);
    assert_eq!((&books()[0]["amount"], &books()[0]["currency"]), (&json!("0.0658"), &json!("EUR")));
}

#[test]
fn monitor_mode_lets_through_and_says_what_it_would_have_stopped() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("mode = \"monitor\"\n").start();

    let answer = gateway.send(&text(STRANGER));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("X-CSW-Verdict"), "would-deny");
    assert_eq!(answer.header("X-CSW-Reason"), "never_seen");
    assert_eq!(platform.requests().len(), 1);
}

#[test]
fn body_that_nginx_put_into_a_file_is_read() {
    let platform = Server::platform();
    let gateway =
        Gateway::new().platform(&platform).edit("client_body_buffer_size 128k", "client_body_buffer_size 8k").start();
    gateway.webhook(&inbound(CUSTOMER, now()));

    let long = |to: &str| text_of(to, &"x".repeat(1024 * 1024));
    assert_eq!(gateway.send(&long(STRANGER)).header("X-CSW-Reason"), "never_seen");
    assert_eq!(gateway.send(&long(CUSTOMER)).header("X-CSW-Reason"), "window_open");
    assert_eq!(platform.requests()[0].body, long(CUSTOMER).as_bytes());
}

#[test]
fn form_and_gzip_bodies_are_read() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));

    let form = |to: &str| {
        let text = "%7B%22body%22%3A%22Hello%22%7D";
        format!("messaging_product=whatsapp&to=%2B{to}&type=text&text={text}").into_bytes()
    };
    let gzip = |to: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(text(to).as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let types = [("Content-Type", "application/x-www-form-urlencoded"), ("Content-Encoding", "gzip")];
    for (header, bodies) in types.into_iter().zip([[form(STRANGER), form(CUSTOMER)], [gzip(STRANGER), gzip(CUSTOMER)]])
    {
        let [closed, open] = bodies;
        assert_eq!(gateway.post(MESSAGES, &[header], &closed).header("X-CSW-Reason"), "never_seen");
        let answer = gateway.post(MESSAGES, &[header], &open);
        assert_eq!(answer.header("X-CSW-Reason"), "window_open", "{header:?}: {}", answer.text());
        assert_eq!(platform.requests().last().unwrap().body, open, "forwarded as it came");
    }
}

#[test]
fn platform_reads_what_csw_has_read() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();

    // Read as a form it is a message to a stranger; csw read a receipt, and so must the platform.
    let receipt =
        format!(r#"{{"status":"read","message_id":"x","biz_opaque_callback_data":"&type=text&to={STRANGER}&"}}"#);
    for kind in ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b", "text/plain"] {
        let headers = [("Content-Type", kind), ("Content-Encoding", "identity")];
        assert_eq!(gateway.post(MESSAGES, &headers, receipt.as_bytes()).header("X-CSW-Reason"), "receipt");
        let asked = platform.requests().pop().unwrap();
        assert_eq!(
            (asked.header("Content-Type").as_str(), asked.header("Content-Encoding").as_str()),
            ("application/json", "")
        );
    }
    let form = b"status=read&message_id=x";
    gateway.post(MESSAGES, &[("Content-Type", "application/json")], form);
    assert_eq!(platform.requests().pop().unwrap().header("Content-Type"), "application/x-www-form-urlencoded");
}

#[test]
fn nothing_but_the_body_of_a_post_is_a_message() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("fail = \"open\"\n").start();
    let receipt = br#"{"status":"read","message_id":"x"}"#;

    let many = "access_token=t&".repeat(200);
    for query in
        [format!("type=text&to={STRANGER}"), format!("access_token=t&to={STRANGER}"), format!("{many}to={STRANGER}")]
    {
        let answer = gateway.post(&format!("{MESSAGES}?{query}"), &[], receipt);
        assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (400, Some(100)), "{query}");
    }
    for method in ["PUT", "PATCH", "DELETE", "GET"] {
        assert_eq!(request(gateway.port, method, MESSAGES, &[], receipt).status, 400, "{method}");
    }
    assert_eq!(platform.requests().len(), 0);
    assert_eq!(gateway.post(&format!("{MESSAGES}?access_token=secret1&appsecret_proof=p"), &[], receipt).status, 200);
    assert!(!gateway.error_log().contains("secret1"));
}

#[test]
fn body_that_cannot_be_read_is_never_forwarded() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("fail = \"open\"\n").start();

    for body in ["", "hello", "{\"to\":", "[]", "\u{0}\u{1f}"] {
        let answer = gateway.send(body);
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], 100);
        assert_eq!(answer.header("X-CSW-Verdict"), "deny");
    }
    let large = gateway.send(&text_of(CUSTOMER, &"x".repeat(3 * 1024 * 1024)));
    assert_eq!(large.status, 413);
    assert_eq!(large.json()["error"]["code"], 100);
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn every_path_of_a_send_is_guarded() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();

    for path in [
        "/106540352242922/messages",
        "/v23.0/106540352242922/messages?access_token=t",
        "/v23.0//106540352242922/messages",
        "/v23.0/./106540352242922/%6Dessages",
    ] {
        let answer = gateway.post(path, &[], text(STRANGER).as_bytes());
        assert_eq!((answer.status, answer.header("X-CSW-Verdict")), (400, "deny".into()), "{path}");
    }
    for path in ["/", "/v23.0/", "/v23.0/106540352242922/messages/", "/v23.0/me/messages"] {
        assert_eq!(gateway.post(path, &[], text(STRANGER).as_bytes()).status, 404, "{path}");
    }
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn marketing_messages_are_marketing() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();

    let path = "/v23.0/106540352242922/marketing_messages";
    let answer = gateway.post(path, &[], template(STRANGER, "order_confirmation").as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("X-CSW-Conversation"), "opens marketing");
    assert_eq!(platform.requests()[0].line, format!("POST {path} HTTP/1.1"));
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
    assert_eq!(gateway.window(CUSTOMER)["state"], "open");
    assert!(!gateway.error_log().contains("lua"), "{}", gateway.error_log());
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
    wait("its answer is logged", || gateway.count_log("/messages 200") == 1);
    gateway.restart();
    let next = gateway.send(&template(STRANGER, "summer_promotion"));
    assert_eq!(next.header("X-CSW-Conversation"), "joins marketing");
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
    let stopped = gateway.send(&text(CUSTOMER));
    assert_eq!(stopped.header("X-CSW-Reason"), "refused_by_platform");
    assert_eq!(platform.requests().len(), 1);

    gateway.webhook(&inbound(CUSTOMER, now()));
    assert_eq!(gateway.window(CUSTOMER)["state"], "open");
}

#[test]
fn other_errors_of_the_platform_record_nothing() {
    let platform = Server::start(|_| Answer::new(500, "{\"error\":{\"code\":131000}}"));
    let gateway = Gateway::new().platform(&platform).start();

    for _ in 0..5 {
        let answer = gateway.send(&template(STRANGER, "summer_promotion"));
        assert_eq!(answer.status, 500);
        assert_eq!(answer.header("X-CSW-Conversation"), "opens marketing");
    }
}

#[test]
fn statuses_that_come_back_are_recorded() {
    let gateway = Gateway::new().with_standin().start();
    assert_eq!(gateway.customer_writes(CUSTOMER)["webhook"], 200);

    assert_eq!(gateway.send(&text(CUSTOMER)).status, 200);
    // The customer's message, `sent` and `delivered`.
    wait("three webhooks are taken", || gateway.count_log("POST /webhook 200") == 3);
    gateway.wait_for_send(&text(CUSTOMER), "X-CSW-Conversation", "joins service");
}

#[test]
fn message_that_the_platform_reports_as_refused_closes_the_window() {
    let gateway = Gateway::new().with_standin().top("test_clock = true\n").start();
    let began = (now() - 2 * HOUR).to_string();
    let standin = gateway.standin.as_ref().unwrap().port;
    let act = json!({ "from": CUSTOMER, "text": "Hello" }).to_string();
    let acted = request(standin, "POST", "/standin/customer", &[("X-CSW-At", &began)], act.as_bytes());
    assert_eq!(acted.json()["webhook"], 200);

    let answer = gateway.post(MESSAGES, &[("X-Standin-Refuse", "async")], text(CUSTOMER).as_bytes());
    assert_eq!(answer.status, 200, "accepted at first");
    wait("the window is closed", || gateway.window(CUSTOMER)["reason"] == "refused_by_platform");
}

#[test]
fn standin_keeps_a_window_of_its_own() {
    let gateway = Gateway::new().with_standin().top("mode = \"off\"\n").start();
    let answer = gateway.send(&text(STRANGER));
    assert_eq!(answer.json()["error"]["code"], 131_047);
    assert_eq!(answer.json()["error"]["fbtrace_id"], "standin");
    assert_eq!(gateway.send(&template(STRANGER, "summer_promotion")).status, 200);
}

// --- what nginx does around it ------------------------------------------------------------------

#[test]
fn decision_survives_error_page() {
    let fallback = Server::start(|_| Answer::new(200, "{\"messages\":[{\"id\":\"wamid.not\"}]}"));
    for (target, location) in
        [("error_page 502 @down;", "location @down {"), ("error_page 502 =200 /down;", "location = /down { internal;")]
    {
        let gateway = Gateway::new()
            .edit("proxy_next_upstream off;", &format!("proxy_next_upstream off; {target}"))
            .edit(
                "location / {",
                &format!(
                    "{location} add_header X-Token $csw_token always;
                    body_filter_by_lua_block {{ require('csw.nginx').response_body() }}
                    proxy_pass http://127.0.0.1:{}; }}\n location / {{",
                    fallback.port
                ),
            )
            .start();
        gateway.webhook(&inbound(CUSTOMER, now()));

        let answer = gateway.send(&text(CUSTOMER));
        assert_ne!(answer.header("X-Token"), "", "{target}");
        assert_eq!(answer.header("X-CSW-Verdict"), "allow", "{target}");
        assert_eq!(answer.header("X-CSW-Conversation"), "opens service", "{target}");
        wait("the log names it", || gateway.count_log("verdict=\"allow\" reason=\"window_open\"") == 1);

        // The platform was not reached: whatever the fallback says, no message was sent.
        assert_eq!(gateway.send(&text(CUSTOMER)).header("X-CSW-Conversation"), "opens service");
    }
}

#[test]
fn platform_is_asked_by_its_name_and_must_prove_it() {
    const BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";
    let ask = |platform: &TlsServer, trusted: &str| {
        let gateway = Gateway::new().tls_platform(platform).edit(BUNDLE, trusted).start();
        let answer = gateway.send(&template(STRANGER, "summer_promotion"));
        (answer.status, answer.text())
    };

    let platform = TlsServer::start("graph.facebook.com");
    let trusted = ask(&platform, &platform.certificate());
    assert_eq!(trusted, (200, "graph.facebook.com graph.facebook.com".into()));
    assert_eq!(ask(&platform, BUNDLE).0, 502, "not issued by an authority");

    let other = TlsServer::start("graph.example.com");
    assert_eq!(ask(&other, &other.certificate()).0, 502, "not the platform's name");
}

#[test]
fn send_location_without_its_variables_sends_nothing() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).edit("set $csw_token \"\";", "").start();
    assert_eq!(gateway.send(&template(STRANGER, "summer_promotion")).status, 500);
    gateway.wait_for_log("variable \"csw_token\" not found for writing");
    assert_eq!(platform.requests().len(), 0);
}

#[test]
fn own_answers_do_not_run_into_error_page() {
    let gateway = Gateway::new().edit("proxy_next_upstream off;", "error_page 400 403 413 503 =200 /down;").start();
    let answer = gateway.send(&text(STRANGER));
    assert_eq!((answer.status, answer.header("X-CSW-Verdict")), (400, "deny".into()));
}

/// What the README warns of: each of these lets a send out without a decision.
#[test]
fn some_directives_skip_the_access_phase() {
    let platform = Server::platform();
    let application = Server::start(|_| Answer::new(200, "{}"));
    let skipped = |directive: &str, path: &str| {
        let gateway = Gateway::new()
            .platform(&platform)
            .edit("proxy_next_upstream off;", &format!("proxy_next_upstream off; {directive}"))
            .edit(
                "location / {",
                &format!(
                    "location = /captured {{ content_by_lua_block {{
                    ngx.req.read_body()
                    local answer = ngx.location.capture('{MESSAGES}', {{ method = ngx.HTTP_POST }})
                    ngx.status = answer.status
                    ngx.print(answer.body) }} }}
                location = /mirrored {{
                    mirror {MESSAGES};
                    proxy_pass http://127.0.0.1:{}; }}
                location / {{",
                    application.port
                ),
            )
            .start();
        let before = platform.requests().len();
        let status = gateway.post(path, &[], text(STRANGER).as_bytes()).status;
        (gateway, status, platform.requests().len() - before)
    };

    let (_guarded, status, sent) = skipped("", MESSAGES);
    assert_eq!((status, sent), (400, 0));

    let (gateway, status, sent) = skipped("satisfy any; allow all;", MESSAGES);
    assert_eq!((status, sent), (200, 1));
    gateway.wait_for_log("a send went out undecided");

    let (_gateway, status, sent) = skipped("return 200 'not asked';", MESSAGES);
    assert_eq!((status, sent), (200, 0));

    let (gateway, status, sent) = skipped("", "/captured");
    assert_eq!((status, sent), (200, 1));
    gateway.wait_for_log("a send went out undecided");

    let before = platform.requests().len();
    let (gateway, status, _) = skipped("", "/mirrored");
    assert_eq!(status, 200);
    wait("the mirrored send is out", || platform.requests().len() == before + 1);
    gateway.wait_for_log("a send went out undecided");
}

#[test]
fn reload_under_load_fails_no_request() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    let workers = gateway.workers();

    let stop = AtomicBool::new(false);
    let failures = Mutex::new(Vec::new());
    let done = Mutex::new(0);
    thread::scope(|scope| {
        for n in 0..4 {
            let (gateway, stop, failures, done) = (&gateway, &stop, &failures, &done);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let answer = match n % 2 {
                        0 => gateway.send(&text(CUSTOMER)),
                        _ => gateway.webhook(&inbound(CUSTOMER, now())),
                    };
                    if answer.status != 200 {
                        failures.lock().unwrap().push((answer.status, answer.text()));
                    }
                    *done.lock().unwrap() += 1;
                }
            });
        }
        for _ in 0..3 {
            let before = gateway.workers();
            gateway.signal("HUP");
            wait("new workers took over", || {
                let after = gateway.workers();
                after.len() == 2 && after.is_disjoint(&before)
            });
        }
        stop.store(true, Ordering::Relaxed);
    });

    assert!(gateway.workers().is_disjoint(&workers));
    assert_eq!(*failures.lock().unwrap(), []);
    assert!(*done.lock().unwrap() > 50, "there was a load");
}

#[test]
fn library_is_in_the_workers_and_never_in_the_master() {
    let gateway = Gateway::new().start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    // A worker that is ending has no maps any more.
    let loaded = |pid: u32| fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains("libcsw"));

    wait("it is in both workers", || gateway.workers().into_iter().filter(|&pid| loaded(pid)).count() == 2);
    assert!(!loaded(gateway.nginx.id()));

    let before = gateway.workers();
    gateway.signal("HUP");
    wait("it is in both new workers", || {
        gateway.workers().difference(&before).filter(|&&pid| loaded(pid)).count() == 2
    });
    assert!(!loaded(gateway.nginx.id()), "nor after a reload");
}

#[test]
fn init_worker_refuses_to_run_in_the_master() {
    let error = Gateway::new()
        .edit("init_worker_by_lua_block {", "init_by_lua_block {")
        .try_start()
        .err()
        .expect("nginx must not start");
    assert!(error.contains("belongs into init_worker_by_lua"), "{error}");
}

#[test]
fn what_was_submitted_is_on_disk_when_the_workers_are_gone() {
    let platform = Server::platform();
    let mut gateway = Gateway::new().platform(&platform).start();
    let customers: Vec<_> = (0..30).map(|n| format!("1650555{n:04}")).collect();

    // The store is held up until the workers have been told to go.
    let store = gateway.store();
    let writing = store.write_txn().unwrap();
    for customer in &customers {
        assert_eq!(gateway.send(&template(customer, "summer_promotion")).status, 200);
    }
    gateway.signal("QUIT");
    thread::sleep(Duration::from_millis(500));
    drop(writing);
    gateway.restart();

    for customer in &customers {
        let answer = gateway.send(&template(customer, "summer_promotion"));
        assert_eq!(answer.header("X-CSW-Conversation"), "joins marketing", "{customer}");
    }
}

#[test]
fn two_workers_share_the_store() {
    let platform = Server::platform();
    let gateway = Gateway::new()
        .platform(&platform)
        .edit("listen 8080;", "listen 8080 reuseport; add_header X-Worker $pid always;")
        .start();
    let mut seen = HashSet::new();
    wait("each worker has let a send through", || {
        // Each connection falls to either worker, and a webhook to one is known to both at once.
        let customer = format!("1650556{:04}", seen.len());
        let taken = gateway.webhook(&inbound(&customer, now()));
        assert_eq!(taken.status, 200);
        let answer = gateway.send(&text(&customer));
        assert_eq!(answer.status, 200, "{}", answer.text());
        seen.insert((taken.header("X-Worker"), answer.header("X-Worker")));
        seen.len() == 4
    });
}

#[test]
fn window_opened_in_one_process_is_seen_in_another_at_once() {
    let gateway = Gateway::new().edit("worker_processes 2", "worker_processes 4").start();
    for n in 0..50 {
        let customer = format!("1650557{n:04}");
        assert_eq!(gateway.webhook(&inbound(&customer, now())).status, 200);
        assert_eq!(gateway.window(&customer)["state"], "open");
    }
}

#[test]
fn access_log_holds_the_decision_and_no_number() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    gateway.send(&text(CUSTOMER));
    gateway.send(&text(STRANGER));
    gateway.window(CUSTOMER);
    gateway.get(&format!("/csw/window?business=1&customer={CUSTOMER}x"));

    wait("both sends are logged", || gateway.count_log("/messages") == 2);
    let log = gateway.access_log();
    assert!(log.contains("200 upstream=\"200\" verdict=\"allow\" reason=\"window_open\""), "{log}");
    assert!(log.contains("conversation=\"opens service\" charge=\"free service_free\""), "{log}");
    assert!(log.contains("400 upstream=\"-\" verdict=\"deny\" reason=\"never_seen\""), "{log}");
    for log in [log, gateway.error_log()] {
        assert!(!log.contains(CUSTOMER) && !log.contains(STRANGER), "{log}");
    }
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
    assert_eq!(passed.head.matches("X-CSW-Verdict").count(), 1, "{}", passed.head);
}

// --- faults -------------------------------------------------------------------------------------

#[test]
fn broken_store_fails_closed_by_default() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).broken_store().start();

    for body in [text(CUSTOMER), template(CUSTOMER, "summer_promotion")] {
        let answer = gateway.send(&body);
        assert_eq!(answer.status, 503, "{}", answer.text());
        assert_eq!(answer.header("X-CSW-Verdict"), "deny");
        assert_eq!(answer.header("X-CSW-Reason"), "fault_closed");
        assert_eq!(answer.json()["error"]["code"], 131_016);
    }
    assert_eq!(platform.requests().len(), 0);
    gateway.wait_for_log("send refused without a decision");

    let webhook = gateway.webhook(&inbound(CUSTOMER, now()));
    assert_eq!(webhook.status, 503);
    assert_eq!(webhook.json()["error"]["code"], "unavailable");
    assert!(!webhook.text().contains(gateway.path()), "paths are for the log");
    gateway.wait_for_log("webhook not recorded");
    assert_eq!(gateway.get("/csw/window?business=1&customer=16505551234").status, 503);
}

#[test]
fn broken_store_fails_open_where_asked() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("fail = \"open\"\n").broken_store().start();

    let answer = gateway.send(&text(STRANGER));
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("X-CSW-Verdict"), "allow");
    assert_eq!(answer.header("X-CSW-Reason"), "fault_open");
    assert_eq!(platform.requests().len(), 1);
    gateway.wait_for_log("send passed without a decision");
    assert_eq!(gateway.webhook(&inbound(CUSTOMER, now())).status, 503, "never taken unrecorded");
}

#[test]
fn gate_that_cannot_open_fails_as_told_and_is_tried_again() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("no_such_key = 1\n").start();

    for _ in 0..5 {
        let answer = gateway.send(&text(STRANGER));
        assert_eq!((answer.status, answer.header("X-CSW-Reason")), (503, "fault_closed".into()));
    }
    assert_eq!(gateway.webhook(&inbound(CUSTOMER, now())).status, 503);
    let complaints = || gateway.error_log().matches("cannot open the gate").count();
    wait("each worker has complained", || complaints() == 2);
    assert!(gateway.error_log().contains("no_such_key"));

    let path = gateway.dir.path().join("csw.toml");
    let toml = fs::read_to_string(&path).unwrap().replace("no_such_key = 1\n", "");
    fs::write(path, toml).unwrap();
    wait("the gate opens", || gateway.webhook(&inbound(CUSTOMER, now())).status == 200);
    assert_eq!(complaints(), 2, "each once");
}

#[test]
fn gate_that_cannot_open_lets_through_where_the_hook_is_told() {
    let platform = Server::platform();
    let gateway = Gateway::new()
        .platform(&platform)
        .top("no_such_key = 1\n")
        .edit("{ loopback =", "{ fail = \"open\", loopback =")
        .start();

    let answer = gateway.send(&text(STRANGER));
    assert_eq!((answer.status, answer.header("X-CSW-Reason")), (200, "fault_open".into()));
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
            assert!(took > Duration::from_secs(4) && took < Duration::from_secs(8), "{took:?}");
        }
    });
    gateway.wait_for_log("webhook not recorded");
    drop(writing);

    assert_eq!(gateway.webhook(&body).status, 200, "a repeat is harmless");
    assert_eq!(gateway.window(STRANGER)["state"], "open");
}

#[test]
fn worker_that_exits_waits_no_longer_than_its_bound() {
    let platform = Server::platform();
    let mut gateway = Gateway::new().platform(&platform).start();
    assert_eq!(gateway.webhook(&inbound(CUSTOMER, now())).status, 200);

    let store = gateway.store();
    let writing = store.write_txn().unwrap();
    assert_eq!(gateway.send(&text(CUSTOMER)).status, 200);
    let (_, took) = timed(|| {
        gateway.signal("QUIT");
        gateway.wait_for_end();
    });
    drop(writing);
    assert!(took > Duration::from_secs(1) && took < Duration::from_secs(5), "{took:?}");
    gateway.wait_for_log("the worker exits before everything is on disk");
}

// --- time and the window ------------------------------------------------------------------------

#[test]
fn clock_is_set_from_outside_only_where_configured() {
    let past = (now() - 30 * 24 * HOUR).to_string();
    let platform = Server::platform();
    for (toml, states) in
        [("", ["never_seen", "window_open"]), ("test_clock = true\n", ["never_seen", "window_closed"])]
    {
        let gateway = Gateway::new().platform(&platform).top(toml).start();
        let at = [("X-CSW-At", past.as_str())];
        let early = gateway.post(MESSAGES, &at, text(CUSTOMER).as_bytes());
        assert_eq!(early.header("X-CSW-Reason"), states[0]);

        // Clamped to the time of arrival, which is what the header moves.
        let body = inbound(CUSTOMER, now());
        let mut headers = vec![("X-Hub-Signature-256", signature(&body))];
        headers.push(("X-CSW-At", past.clone()));
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(gateway.post("/webhook", &headers, body.as_bytes()).status, 200);
        assert_eq!(gateway.send(&text(CUSTOMER)).header("X-CSW-Reason"), states[1], "{toml}");

        for junk in ["-1", "1e9", "0x10", "nan", "99999999999999999999", ""] {
            let answer = gateway.post(MESSAGES, &[("X-CSW-At", junk)], text(CUSTOMER).as_bytes());
            assert_eq!(answer.header("X-CSW-Reason"), states[1], "{junk}");
        }
    }
}

#[test]
fn window_is_told_in_json() {
    let gateway = Gateway::new().start();
    let acted = now() / 1000 * 1000;
    gateway.webhook(&inbound(CUSTOMER, acted));

    let unknown = gateway.window(STRANGER);
    assert_eq!(unknown["state"], "unknown");
    assert_eq!(unknown["branch"], "closed");
    for absent in ["expires_at", "last_act", "free_entry_expires_at"] {
        assert!(unknown[absent].is_null(), "{absent}: {unknown}");
    }

    assert_eq!(unknown["remaining_seconds"], 0);

    for spelled in [CUSTOMER, "%2B16505551234", "+16505551234", "+1%20(650)%20555-1234"] {
        let open = gateway.window(spelled);
        assert_eq!(open["state"], "open", "{spelled}");
        assert_eq!(open["branch"], "open");
        assert_eq!(open["reason"], "window_open");
        assert_eq!(open["last_act"], acted);
        assert_eq!(open["expires_at"], acted + 24 * HOUR);
        let remaining = open["remaining_seconds"].as_u64().unwrap();
        assert!((86_300..=86_400).contains(&remaining), "{remaining}");
    }

    let path = format!("/csw/window?business={BUSINESS}&customer={CUSTOMER}&at=");
    let last = gateway.get(&format!("{path}{}", acted + 24 * HOUR - 1)).json();
    assert_eq!((&last["state"], &last["remaining_seconds"]), (&json!("open"), &json!(0)));
    let over = gateway.get(&format!("{path}{}", acted + 24 * HOUR)).json();
    assert_eq!((&over["state"], &over["branch"]), (&json!("closed"), &json!("closed")));

    for wrong in ["", "?business=1", "?customer=1", "?business=&customer=", "?business=1&customer=x"] {
        let answer = gateway.get(&format!("/csw/window{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "invalid");
    }
    assert_eq!(gateway.get(&format!("{path}tomorrow")).status, 400);
}

#[test]
fn window_answers_this_host_only_unless_configured() {
    let open_conf = |gateway: Builder| gateway.edit("deny all;", "");
    let any_host = |gateway: Builder| open_conf(gateway).edit("{ loopback =", "{ loopback_only = false, loopback =");
    let ask = |gateway: Builder, from: &str| {
        let gateway = gateway
            .edit(
                "uninitialized_variable_warn off;",
                "uninitialized_variable_warn off;
                set_real_ip_from 127.0.0.1; real_ip_header X-Forwarded-For;",
            )
            .start();
        let path = format!("/csw/window?business={BUSINESS}&customer={CUSTOMER}");
        request(gateway.port, "GET", &path, &[("X-Forwarded-For", from)], b"").status
    };

    assert_eq!(ask(Gateway::new(), "127.0.0.1"), 200);
    assert_eq!(ask(Gateway::new(), "203.0.113.9"), 403, "by nginx");
    assert_eq!(ask(open_conf(Gateway::new()), "203.0.113.9"), 403, "by csw");
    assert_eq!(ask(open_conf(Gateway::new()), "127.0.0.2"), 200);
    assert_eq!(ask(open_conf(Gateway::new()), "::1"), 200);
    assert_eq!(ask(any_host(Gateway::new()), "203.0.113.9"), 200);
}

// --- the commands -------------------------------------------------------------------------------

/// A running script; dropped, it stops what it started.
struct Script(Child);

impl Drop for Script {
    fn drop(&mut self) {
        stop(&mut self.0);
    }
}

#[test]
fn run_prints_lines_that_work_and_leaves_nothing_behind() {
    require_build();
    let temp = TempDir::new().unwrap();
    let mut script = Command::new(example("run.sh"));
    script.env("CSW_BUILD", build()).env("TMPDIR", temp.path()).env_remove("GRAPH_URL").stdout(Stdio::piped());
    let mut run = Script(script.spawn().unwrap());
    let mut lines = BufReader::new(run.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    let printed: Vec<_> = lines.by_ref().take_while(|line| !line.starts_with("Ctrl-C")).collect();

    let printed = printed.join("\n").replace("\\\n", "");
    let curls: Vec<_> = printed.lines().filter(|line| line.starts_with("  curl")).collect();
    let outputs: Vec<_> = curls.iter().map(|line| shell(line)).collect();
    assert_eq!(outputs.len(), 7, "{printed}");
    assert!(outputs[0].contains("\"webhook\":200"), "{}", outputs[0]);
    assert!(outputs[1].contains("X-CSW-Reason: window_open"), "{}", outputs[1]);
    assert!(outputs[2].contains("131047"), "{}", outputs[2]);
    assert!(outputs[3].contains("X-CSW-Reason: template"), "{}", outputs[3]);
    assert!(outputs[4].contains("X-CSW-Branch: open"), "{}", outputs[4]);
    assert!(outputs[5].contains("\"state\":\"open\""), "{}", outputs[5]);
    assert!(outputs[6].contains("csw_decisions_total"), "{}", outputs[6]);

    // Not INT, which is ignored by what a shell has started in the background.
    shell(&format!("kill -TERM {}", run.0.id()));
    assert!(run.0.wait().unwrap().success());
    let left: Vec<_> = fs::read_dir(temp.path()).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn story_is_the_guides() {
    require_build();
    let output = Command::new(example("story.sh")).env("CSW_BUILD", build()).env_remove("GRAPH_URL").output().unwrap();
    let story = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{story}{}", String::from_utf8_lossy(&output.stderr));

    let told: Vec<String> = story
        .lines()
        .filter(|line| line.contains("business:"))
        .map(|line| {
            let words: Vec<_> = line.split_whitespace().collect();
            let verdict = words.iter().position(|word| ["allow", "deny"].contains(word)).unwrap();
            format!("{} {}", words[0], words[verdict..].join(" "))
        })
        .collect();
    let expected = fs::read_to_string(manifest().join("tests/nginx/story.txt")).unwrap();
    assert_eq!(told.join("\n"), expected.trim_end(), "{story}");
}
