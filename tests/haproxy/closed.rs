//! The closed branch in HAProxy: the hands that it lends.

use serde_json::{Value, json};

use crate::workshop::*;

/// A gate that denies every text, and has a step for it: the library's side of the closed branch, in a few lines.
const FAKE: &str = r#"
local gate = { tickets = 0 }
local denied = { verdict = "deny", reason = "window_closed", token = "denied", customer = "c", window = {} }
local allowed = { verdict = "allow", reason = "template", token = "allowed", customer = "c", window = {} }
local taken = false

function gate.settings() return { fail = "closed", test_clock = true, token_file = TOKEN_FILE } end
function gate.check() return "open" end
function gate.decide(_, _, body) return body:find('"template"') and allowed or denied end
function gate.instead(_, _, _, _, index) return STEPS[index + 1] or { kind = "block" } end
function gate.submit_settle(_, decision, status, body)
  local token = type(decision) == "table" and decision.token or decision
  core.log(core.info, "settled " .. token .. " " .. status .. " " .. body)
  gate.tickets = gate.tickets + 1
  return gate.tickets
end
function gate.submit_park() return 7 end
function gate.submit_take() return 8 end
function gate.submit_return(_, id, outcome) core.log(core.info, "returned " .. id .. " " .. outcome) return 9 end
local polls = 0
function gate.poll() polls = polls + 1 return polls % 3 == 0 and "done" or "pending" end
function gate.parked(_, ticket)
  if ticket == 7 then return { id = 42 } end
  if taken then return { } end
  taken = true
  return { id = 42, kind = "parked", business = "106540352242922", body = PARKED }
end
function gate.due() return PARKED ~= nil and not taken end
return { open = function() return gate end }
"#;

fn fake(steps: &str) -> Builder {
    let template = r#"'{"to":"1","type":"template","template":{"name":"order_update","language":{"code":"en_US"}}}'"#;
    let step = format!(
        r#"{{ kind = "template", step = "template:order_update", body = {template},
        decision = {{ verdict = "allow", reason = "template", token = "in its place", window = {{}} }} }}"#
    );
    Gateway::new().file("lua/csw.lua", FAKE).lua(&format!("STEPS = {{ {} }}", steps.replace("TEMPLATE", &step)))
}

#[test]
fn template_goes_out_in_place_of_a_stopped_text() {
    let platform = Server::platform();
    let gateway = fake("TEMPLATE").platform(&platform).start();

    for (n, padding) in [0, 3000].into_iter().enumerate() {
        let body = text_of(CUSTOMER, &"secret".repeat(padding));
        let headers = [("Content-Type", "text/plain"), ("Content-Encoding", "identity")];
        let answer = gateway.post(MESSAGES, &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("X-CSW-Verdict"), "deny");
        assert_eq!(answer.header("X-CSW-Reason"), "window_closed");
        assert_eq!(answer.header("X-CSW-Instead"), "template:order_update");
        let asked = &platform.requests()[n];
        assert!(asked.body.starts_with(b"{\"to\":\"1\",\"type\":\"template\""), "{:?}", asked.body);
        assert!(!String::from_utf8_lossy(&asked.body).contains("secret"));
        assert_eq!(asked.header("Content-Length"), asked.body.len().to_string());
        assert_eq!(asked.header("Content-Type"), "application/json");
        assert_eq!(asked.header("Content-Encoding"), "");
    }
    let body = text_of(CUSTOMER, "secret");
    let (begin, rest) = body.split_at(10);
    let answer = chunked(&gateway, MESSAGES, &[begin.as_bytes(), rest.as_bytes()]);
    assert!(answer.contains(" 200 ") && answer.contains("wamid."), "{answer}");
    assert!(platform.requests()[2].body.starts_with(b"{\"to\":\"1\",\"type\":\"template\""));

    wait("all are logged", || gateway.decisions().len() >= 3);
    let count = |text: &str| gateway.syslog().matches(text).count();
    assert_eq!((count("settled in its place 200 {"), count("settled denied 400 ")), (3, 3));
    assert_eq!(gateway.decisions().len(), 3, "once each");
    assert_eq!(gateway.decisions()[0]["instead"], "template:order_update");
}

#[test]
fn without_the_filter_a_stopped_text_is_answered() {
    let platform = Server::platform();
    let gateway = fake("TEMPLATE").platform(&platform).edit("filter lua.csw_body", "").start();
    assert_eq!(gateway.send(&text(CUSTOMER)).status, 400);
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
    let step = r#"{ kind = "channel", step = "channel:sms", location = "/sms", to = "16505551234", text = "Grüße", id = "csw.1" }"#;
    let gateway = fake(step)
        .options("own = \"http://127.0.0.1:PORT/v23.0\"")
        .edit(
            "    http-request deny deny_status 404 unless {",
            "    acl sms path /sms\n http-request allow if sms\n http-request deny deny_status 404 unless {",
        )
        .edit("    default_backend graph", "    use_backend sms if sms\n    default_backend graph")
        .edit("\nbackend graph", &format!("\nbackend sms\n server sms 127.0.0.1:{}\nbackend graph", channel.port))
        .start();

    let answer = gateway.send(&text(CUSTOMER));
    assert_eq!((answer.status, answer.header("X-CSW-Instead")), (200, "channel:sms".into()), "{}", answer.text());
    assert_eq!(answer.json()["messages"][0]["id"], "sms.7");
    let letter: Value = serde_json::from_slice(&channel.requests()[0].body).unwrap();
    assert_eq!(letter, json!({ "to": CUSTOMER, "text": "Grüße", "business": BUSINESS, "id": "csw.1" }));
    gateway.wait_for_log("settled denied 200");

    assert_eq!(gateway.send(&text(CUSTOMER)).status, 400, "the channel failed");
}

#[test]
fn parked_message_is_waited_for_and_sent_when_it_is_due() {
    let platform = Server::platform();
    let gateway = fake(r#"{ kind = "park", step = "park", to = "16505551234" }"#).platform(&platform).start();
    let answer = gateway.send(&text(CUSTOMER));
    assert_eq!((answer.status, answer.header("X-CSW-Instead-Id")), (202, "csw.parked.42".into()), "{}", answer.text());

    let drained = |parked: &str, token: &str| {
        let gateway = fake("")
            .platform(&platform)
            .options("own = \"http://127.0.0.1:PORT/v23.0\"")
            .lua(&format!("PARKED = [[{parked}]] TOKEN_FILE = {token}"))
            .file("jail/token", "EAAG\n")
            .start();
        gateway.wait_for_log("returned 42 ");
        gateway
    };
    let before = platform.requests().len();
    let gateway = drained(&template(CUSTOMER, "order_update"), "\"/token\"");
    assert!(gateway.syslog().contains("returned 42 sent"), "{}", gateway.syslog());
    assert_eq!(platform.requests().len(), before + 1, "once, though there are two threads");
    assert_eq!(platform.requests()[before].header("Authorization"), "Bearer EAAG");
    assert_eq!(platform.requests()[before].line, format!("POST {MESSAGES} HTTP/1.1"));
    gateway.wait_for_log("\"outcome\":\"sent\"");

    let gateway = drained(&text(CUSTOMER), "nil");
    assert!(gateway.syslog().contains("returned 42 closed"), "{}", gateway.syslog());
    let gateway = drained(&template(CUSTOMER, "order_update"), "\"/nowhere\"");
    assert!(gateway.syslog().contains("returned 42 lost"), "{}", gateway.syslog());
}
