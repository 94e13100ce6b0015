//! What the platform tells: answered once it is on disk.

use crate::workshop::*;

#[test]
fn webhook_that_is_too_large_is_refused() {
    let gateway = Gateway::new().start();
    let large = format!("{{\"padding\":\"{}\"}}", "x".repeat(3 * 1024 * 1024));
    let answer = gateway.webhook(&large);
    assert_eq!(answer.status, 413);
    assert_eq!(answer.json()["error"]["code"], "too_large");

    let chunks = chunked(&gateway, "/webhook", &[large.as_bytes()]);
    assert!(chunks.starts_with("HTTP/1.1 413"), "{chunks}");
}

#[test]
fn application_answers_the_platform_and_never_sees_what_was_refused() {
    let application = Server::start(|_| Answer::new(202, "{\"from\":\"the application\"}"));
    let url = format!("application = \"http://127.0.0.1:{}/hook\"", application.port);
    let gateway = Gateway::new().options(&url).start();
    let body = inbound(CUSTOMER, now());

    let answer = gateway.webhook(&body);
    assert_eq!((answer.status, answer.text().as_str()), (202, "{\"from\":\"the application\"}"));
    let seen = application.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].line, "POST /hook HTTP/1.1");
    assert_eq!(seen[0].body, body.as_bytes(), "byte by byte");
    assert_eq!(seen[0].header("X-Hub-Signature-256"), signature(&body));

    let forged = gateway.post("/webhook", &[("X-Hub-Signature-256", "sha256=00")], body.as_bytes());
    assert_eq!(forged.status, 401);
    assert_eq!(gateway.webhook("no json").status, 400);
    assert_eq!(application.requests().len(), 1);
}

#[test]
fn webhook_is_not_taken_where_its_application_cannot_be_reached() {
    let url = format!("application = \"http://127.0.0.1:{}/\"", closed_port());
    let gateway = Gateway::new().options(&url).start();
    assert_eq!(gateway.webhook(&inbound(CUSTOMER, now())).status, 503, "the platform repeats it");
    assert_eq!(gateway.window(CUSTOMER)["state"], "open");
}
