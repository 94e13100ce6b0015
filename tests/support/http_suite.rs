//! What every gateway over HTTP does: a file of tests, each run against the workshop of the crate that it stands in.

use serde_json::{Value, json};

use crate::STRANGER;
use crate::workshop::*;

#[test]
fn handshake_returns_the_challenge_for_the_right_token_only() {
    let gateway = Gateway::new().start();
    let shake = |query: &str| gateway.get(&format!("/webhook?{query}"));

    let right = shake("hub.mode=subscribe&hub.verify_token=verify%20token&hub.challenge=1158201444");
    assert_eq!((right.status, right.text().as_str()), (200, "1158201444"));
    assert!(right.header("Content-Type").starts_with("text/plain"));

    for wrong in [
        "hub.mode=subscribe&hub.verify_token=verify&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=x&hub.verify_token=verify%20token&hub.challenge=1",
        "hub.mode=unsubscribe&hub.verify_token=verify%20token&hub.challenge=1",
        "hub.mode=subscribe&hub.verify_token=verify%20token",
        "",
    ] {
        assert_eq!(shake(wrong).status, 403, "{wrong}");
    }
}

#[test]
fn webhook_is_answered_when_its_events_are_on_record() {
    let gateway = Gateway::new().start();
    for n in 0..20 {
        let customer = format!("1650555{n:04}");
        let answer = gateway.webhook(&inbound(&customer, now()));
        assert_eq!((answer.status, answer.text().as_str()), (200, ""));
        assert_eq!(gateway.window(&customer)["state"], "open", "with no wait at all");
    }
}

#[test]
fn webhook_with_a_wrong_signature_is_refused_and_records_nothing() {
    let gateway = Gateway::new().start();
    let body = inbound(CUSTOMER, now());
    let right = signature(&body);
    let upper = right.to_uppercase();
    for (name, value) in [
        ("X-Hub-Signature-256", signature("another body")),
        ("X-Hub-Signature-256", "sha256=".into()),
        ("X-Hub-Signature-256", upper.replace("SHA256=", "sha1=")),
        ("X-Hub-Signature", right.clone()),
    ] {
        let answer = gateway.post("/webhook", &[(name, &value)], body.as_bytes());
        assert_eq!(answer.status, 401, "{name}: {value}");
        assert_eq!(answer.json()["error"]["code"], "signature");
    }
    assert_eq!(gateway.window(CUSTOMER)["state"], "unknown");

    assert_eq!(gateway.webhook(&body).status, 200);
    assert_eq!(gateway.window(CUSTOMER)["state"], "open");
}

#[test]
fn webhook_that_is_not_json_is_refused() {
    let gateway = Gateway::new().start();
    for body in ["", "hello", "{\"object\":", "\u{0}"] {
        let answer = gateway.webhook(body);
        assert_eq!(answer.status, 400, "{body:?}: {}", answer.text());
        assert_eq!(answer.json()["error"]["code"], "not_json");
    }
}

#[test]
fn webhook_of_three_megabytes_is_recorded() {
    let gateway = Gateway::new().start();
    let mut body: Value = serde_json::from_str(&inbound(CUSTOMER, now())).unwrap();
    body["padding"] = json!("x".repeat(3_000_000));
    assert_eq!(gateway.webhook(&body.to_string()).status, 200);
    assert_eq!(gateway.window(CUSTOMER)["state"], "open");
}

#[test]
fn webhook_takes_no_other_method() {
    let gateway = Gateway::new().start();
    for method in ["PUT", "DELETE", "HEAD"] {
        assert_eq!(request(gateway.port, method, "/webhook", &[], b"").status, 405, "{method}");
    }
}

#[test]
fn unreadable_part_of_a_webhook_is_named_and_the_rest_recorded() {
    let gateway = Gateway::new().start();
    let mut body: Value = serde_json::from_str(&inbound(CUSTOMER, now())).unwrap();
    let messages = &mut body["entry"][0]["changes"][0]["value"]["messages"];
    messages.as_array_mut().unwrap().insert(
        0,
        json!({
            "from": STRANGER, "id": "wamid.broken", "timestamp": "yesterday", "type": "text",
        }),
    );
    assert_eq!(gateway.webhook(&body.to_string()).status, 200);
    assert_eq!(gateway.window(CUSTOMER)["state"], "open");
    gateway.wait_for_log("entry[0].changes[0].value.messages[0].timestamp");
}

#[test]
fn template_passes_and_the_next_one_joins_its_conversation() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();

    let first = gateway.send(&template(STRANGER, "summer_promotion"));
    assert_eq!(first.status, 200);
    assert_eq!(first.header("X-CSW-Reason"), "template");
    assert_eq!(first.header("X-CSW-Conversation"), "opens marketing");
    assert_eq!(first.header("X-CSW-Charge"), "billable opens_conversation");

    gateway.wait_for_conversation(STRANGER, "summer_promotion", "joins marketing");
    let other = gateway.send(&template(STRANGER, "order_confirmation"));
    assert_eq!(other.header("X-CSW-Conversation"), "opens utility");
}
