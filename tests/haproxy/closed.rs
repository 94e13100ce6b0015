//! The closed branch in HAProxy: what happens instead of a send that may not go out.

use serde_json::{Value, json};

use crate::workshop::*;
use crate::{HOUR, STRANGER};

const TEMPLATE: &str = "[closed]\nsteps = [\"template:order_update\"]\n[closed.template.order_update]\n";
const PARK: &str = "[closed]\nsteps = [\"park\"]\n";
/// What csw sends by itself goes through HAProxy's own frontend.
const OWN: &str = "own = \"http://127.0.0.1:PORT/v23.0\"";

#[test]
fn template_goes_out_in_place_of_a_stopped_text() {
    let platform = Server::platform();
    let gateway = Gateway::new().toml(TEMPLATE).platform(&platform).start();
    gateway.approve("order_update", "UTILITY");

    for (n, padding) in [1, 100].into_iter().enumerate() {
        let body = text_of(STRANGER, &"secret ".repeat(padding));
        let headers = [("Content-Type", "text/plain"), ("Content-Encoding", "identity")];
        let answer = gateway.post(MESSAGES, &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("X-CSW-Verdict"), "deny");
        assert_eq!(answer.header("X-CSW-Reason"), "never_seen");
        assert_eq!(answer.header("X-CSW-Instead"), "template:order_update");
        let asked = &platform.requests()[n];
        let body: Value = serde_json::from_slice(&asked.body).unwrap();
        assert_eq!((&body["type"], &body["to"]), (&json!("template"), &json!(STRANGER)));
        assert_eq!(asked.header("Content-Length"), asked.body.len().to_string());
        assert_eq!(asked.header("Content-Type"), "application/json");
        assert_eq!(asked.header("Content-Encoding"), "");
    }
    let body = text_of(STRANGER, "secret");
    let (begin, rest) = body.split_at(10);
    let answer = chunked(&gateway, MESSAGES, &[begin.as_bytes(), rest.as_bytes()]);
    assert!(answer.contains(" 200 ") && answer.contains("wamid."), "{answer}");
    assert_eq!(sent(&platform), ["order_update"; 3]);

    wait("all are logged", || gateway.decisions().len() >= 3);
    assert_eq!(gateway.decisions().len(), 3, "once each");
    assert_eq!(gateway.decisions()[0]["instead"], "template:order_update");
    let books = || gateway.csw(&["report", "--by", "business"]);
    wait("both are in the books", || books()[0]["messages"] == 3 && books()[0]["stopped"] == 3);
}

#[test]
fn without_the_filter_a_stopped_text_is_answered() {
    let platform = Server::platform();
    let gateway = Gateway::new().toml(TEMPLATE).platform(&platform).edit("filter lua.csw_body", "").start();
    gateway.approve("order_update", "UTILITY");
    assert_eq!(gateway.send(&text(STRANGER)).status, 400);
    assert_eq!(platform.requests().len(), 0);
    wait("it says why", || {
        gateway
            .decisions()
            .iter()
            .any(|line| line["passed_over"].as_str().is_some_and(|why| why.contains("another body")))
    });
}

#[test]
fn channel_is_a_path_of_haproxys_own() {
    let channel = Server::start(|n| Answer::new(if n == 2 { 500 } else { 201 }, "{\"id\":\"sms.7\"}"));
    let steps = "[closed]\nsteps = [\"channel:sms\"]\n[closed.channel.sms]\nlocation = \"/sms\"\n";
    let gateway = Gateway::new()
        .toml(steps)
        .options(OWN)
        .edit(
            "    http-request deny deny_status 404 unless {",
            "    acl sms path /sms\n http-request allow if sms\n http-request deny deny_status 404 unless {",
        )
        .edit("    default_backend graph", "    use_backend sms if sms\n    default_backend graph")
        .edit("\nbackend graph", &format!("\nbackend sms\n server sms 127.0.0.1:{}\nbackend graph", channel.port))
        .start();

    let answer = gateway.send(&text_of(CUSTOMER, "Grüße"));
    assert_eq!((answer.status, answer.header("X-CSW-Instead")), (200, "channel:sms".into()), "{}", answer.text());
    assert_eq!(answer.json()["messages"][0]["id"], "sms.7");
    let mut letter: Value = serde_json::from_slice(&channel.requests()[0].body).unwrap();
    assert!(letter["id"].take().as_str().unwrap().starts_with("csw."));
    assert_eq!(letter, json!({ "to": CUSTOMER, "text": "Grüße", "business": BUSINESS, "id": null }));

    assert_eq!(gateway.send(&text(CUSTOMER)).status, 400, "the channel failed");
}

#[test]
fn parked_messages_go_out_in_order_with_the_numbers_token_once_the_customer_writes() {
    let platform = Server::platform();
    // Beside the store: what the worker reads lies inside the chroot.
    let token = "[numbers.106540352242922]\ntoken_file = \"store/token\"\n";
    let gateway =
        Gateway::new().toml(PARK).toml(token).file("store/token", "EAAG \r\n").options(OWN).platform(&platform).start();
    for text in ["one", "two", "three"] {
        let answer = gateway.send(&text_of(CUSTOMER, text));
        assert_eq!((answer.status, answer.header("X-CSW-Instead")), (202, "park".into()), "{}", answer.text());
    }
    gateway.webhook(&inbound(CUSTOMER, now()));
    wait("all are sent", || platform.requests().len() >= 3);
    assert_eq!(sent(&platform), ["one", "two", "three"], "once each, though there are two threads");
    for asked in platform.requests() {
        assert_eq!(asked.header("Authorization"), "Bearer EAAG");
        assert!(asked.line.starts_with(&format!("POST {MESSAGES} ")), "{}", asked.line);
    }
    gateway.wait_for_log("\"fate\":\"sent\"");
}

#[test]
fn what_is_parked_survives_a_restart_and_waits_while_the_window_is_closed() {
    let platform = Server::platform();
    let mut gateway = Gateway::new().toml(PARK).top("test_clock = true\n").options(OWN).platform(&platform).start();
    assert_eq!(gateway.send(&text(CUSTOMER)).status, 202);
    gateway.restart();
    gateway.webhook(&inbound(CUSTOMER, now() - 25 * HOUR));
    assert_eq!(gateway.window(CUSTOMER)["state"], "closed");
    assert_eq!(platform.requests().len(), 0);
    gateway.webhook(&inbound(CUSTOMER, now()));
    wait("it is sent", || platform.requests().len() == 1);
}

#[test]
fn without_an_address_of_its_own_haproxy_parks_nothing() {
    let gateway = Gateway::new().toml(PARK).start();
    assert_eq!(gateway.send(&text(STRANGER)).status, 400);
    wait("it says why", || {
        gateway.decisions().iter().any(|line| line["passed_over"] == "park: the gateway cannot send what is parked")
    });
}

#[test]
fn message_refused_afterwards_runs_the_closed_branch_once() {
    let platform = Server::platform();
    let again = TEMPLATE.replace("[closed]\n", "[closed]\nagain = true\n");
    let gateway = Gateway::new().toml(&again).options(OWN).platform(&platform).start();
    gateway.approve("order_update", "UTILITY");
    gateway.webhook(&inbound(CUSTOMER, now() - 1000));
    let answer = gateway.send(&text_of(CUSTOMER, "Hello"));
    assert_eq!((answer.status, answer.header("X-CSW-Verdict").as_str()), (200, "allow"));
    let failed = refused(answer.json()["messages"][0]["id"].as_str().unwrap());
    assert_eq!(gateway.webhook(&failed).status, 200);
    wait("it is sent as a template", || platform.requests().len() == 2);
    assert_eq!(gateway.webhook(&failed).status, 200);
    assert_eq!(sent(&platform), ["Hello", "order_update"]);
}
