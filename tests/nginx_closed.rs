//! The closed branch in the real nginx: what happens instead of a send that may not go out, what is parked, and what
//! the gateway tells of it all.
//!
//! Needs Debian's nginx and a staged `build/` (or `CSW_BUILD`): `make deps build`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use serde_json::{Value, json};

#[path = "channels/workshop.rs"]
mod channels;
#[path = "support/gateway.rs"]
mod gateway;
#[path = "support/scenario.rs"]
mod scenario;
#[path = "nginx/workshop.rs"]
mod workshop;

use channels::{KANNEL_PASSWORD, Kannel, MailServer, PATIENCE, write_channels};
use workshop::*;

const STRANGER: &str = "16505559999";
const HOUR: u64 = 3_600_000;
const TEMPLATE: &str = "[closed]\nsteps = [\"template:order_update\"]\n[closed.template.order_update]\n";
const PARK: &str = "[closed]\nsteps = [\"park\"]\n";

/// A location that stands for another channel.
fn channel(gateway: Builder, location: &str, channel: &Server) -> Builder {
    let block = format!(
        "location = {location} {{ internal; proxy_pass_request_headers off; proxy_pass http://127.0.0.1:{}/$arg_to/$arg_id; }}",
        channel.port
    );
    gateway.edit("location / {\n", &format!("{block}\nlocation / {{\n"))
}

fn parked(answer: &Answer) -> bool {
    (answer.status, answer.header("X-CSW-Instead").as_str()) == (202, "park")
}

// --- template -----------------------------------------------------------------------------------

#[test]
fn denied_text_goes_out_as_the_configured_template() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("currency = \"EUR\"\n").toml(TEMPLATE).start();
    gateway.approve("order_update", "UTILITY");

    let answer = gateway.send(&text_of(STRANGER, "Your order\nis on its way"));
    assert_eq!(answer.status, 200);
    assert!(answer.json()["messages"][0]["id"].as_str().unwrap().starts_with("wamid."), "the platform's own answer");
    assert_eq!(answer.header("X-CSW-Instead"), "template:order_update");
    assert_eq!((answer.header("X-CSW-Verdict"), answer.header("X-CSW-Reason")), ("deny".into(), "never_seen".into()));
    assert_eq!(answer.header("X-CSW-Conversation"), "opens utility", "the template's");

    let seen = platform.requests();
    let body: Value = serde_json::from_slice(&seen[0].body).unwrap();
    assert_eq!((&body["to"], &body["type"]), (&json!(STRANGER), &json!("template")));
    assert_eq!(body["template"]["components"][0]["parameters"][0]["text"], "Your order is on its way");
    assert_eq!(seen[0].header("Content-Type"), "application/json");
    let books = || gateway.csw(&["report", "--by", "business"]);
    wait("both are in the books", || books()[0]["messages"] == 1 && books()[0]["stopped"] == 1);
}

#[test]
fn template_that_is_not_approved_or_cannot_carry_the_message_sends_nothing() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).toml(TEMPLATE).start();

    let denied = |body: &str| {
        let answer = gateway.send(body);
        assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (400, json!(131_047)));
        assert_eq!(answer.header("X-CSW-Instead"), "");
    };
    denied(&text(STRANGER));
    gateway.decisions(1);
    gateway.approve("order_update", "UTILITY");
    denied(
        &json!({ "messaging_product": "whatsapp", "to": STRANGER, "type": "image", "image": { "id": "1" } })
            .to_string(),
    );
    assert_eq!(sent(&platform).len(), 0);
    assert!(
        gateway.decisions(2)[0]["passed_over"].as_str().unwrap().contains("template:order_update: account_unknown")
    );
    assert!(gateway.decisions(2)[1]["passed_over"].as_str().unwrap().contains("template:order_update: not_text"));
}

#[test]
fn compressed_and_form_bodies_go_out_as_json_templates() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).toml(TEMPLATE).start();
    gateway.approve("order_update", "UTILITY");
    let form = format!("messaging_product=whatsapp&to={STRANGER}&type=text&text=%7B%22body%22%3A%22Hello%22%7D");
    let headers = [("Content-Type", "application/x-www-form-urlencoded")];
    assert_eq!(gateway.post(MESSAGES, &headers, form.as_bytes()).header("X-CSW-Instead"), "template:order_update");
    let seen = platform.requests();
    assert_eq!(seen[0].header("Content-Type"), "application/json");
    assert_eq!(serde_json::from_slice::<Value>(&seen[0].body).unwrap()["to"], STRANGER);
}

// --- channel ------------------------------------------------------------------------------------

#[test]
fn denied_text_goes_to_the_first_channel_that_takes_it() {
    let (platform, sms, email) = (
        Server::platform(),
        Server::start(|_| Answer::new(503, "full")),
        Server::start(|_| {
            let mut answer = Answer::new(202, "taken");
            answer.headers = "X-CSW-Channel-Id: mail.7\r\n".into();
            answer
        }),
    );
    let steps =
        "[closed]\nsteps = [\"channel:sms\", \"channel:email\"]\n[closed.channel.sms]\n[closed.channel.email]\n";
    let gateway = channel(Gateway::new().platform(&platform).toml(steps), "/csw/channel/sms", &sms);
    let gateway = channel(gateway, "/csw/channel/email", &email).start();

    let answer =
        gateway.post(MESSAGES, &[("Authorization", "Bearer secret")], text_of(STRANGER, "Hällo & 100%").as_bytes());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("X-CSW-Instead"), "channel:email");
    assert_eq!(answer.header("X-CSW-Instead-Id"), "mail.7");
    assert_eq!(answer.json()["messages"][0]["id"], "mail.7");
    assert_eq!(answer.json()["contacts"][0]["wa_id"], STRANGER);
    let (asked, refused) = (&email.requests()[0], &sms.requests()[0]);
    assert_eq!(asked.body, "Hällo & 100%".as_bytes());
    assert!(asked.line.starts_with(&format!("POST /{STRANGER}/csw.")), "{}", asked.line);
    assert_eq!(asked.header("Authorization"), "", "the client's token is nobody else's business");
    assert_eq!(refused.body, asked.body);
    assert_eq!(sent(&platform).len(), 0);
    let line = &gateway.decisions(1)[0];
    assert_eq!(
        (&line["instead"], &line["passed_over"]),
        (&json!("channel:email"), &json!("channel:sms: answered 503"))
    );
}

#[test]
fn denied_text_goes_out_as_an_sms_through_kannel_and_as_an_email_where_there_is_no_sms() {
    let (platform, kannel, mail) = (Server::platform(), Kannel::start(), MailServer::start());
    let folder = tempfile::tempdir().unwrap();
    write_channels(folder.path(), (kannel.port, KANNEL_PASSWORD), mail.port, &PATIENCE);
    let steps =
        "[closed]\nsteps = [\"channel:sms\", \"channel:email\"]\n[closed.channel.sms]\n[closed.channel.email]\n";
    let include = format!("include {}/channels.conf;", folder.path().display());
    let gateway =
        Gateway::new().platform(&platform).toml(steps).edit("#   include /etc/nginx/channels.conf;", &include).start();

    let sms = gateway.send(&text_of(CUSTOMER, "Your order is on its way \u{1f69a}"));
    assert_eq!((sms.status, sms.header("X-CSW-Instead").as_str()), (200, "channel:sms"), "{}", sms.text());
    let got = kannel.only();
    assert_eq!((got.to.as_str(), got.text.as_str()), (CUSTOMER, "Your order is on its way \u{1f69a}"));
    assert!(sms.header("X-CSW-Instead-Id").starts_with("csw."), "Kannel says no id of its own");

    // More parts than an SMS may have.
    let long = "x".repeat(4000);
    let email = gateway.send(&text_of(CUSTOMER, &long));
    assert_eq!((email.status, email.header("X-CSW-Instead").as_str()), (200, "channel:email"), "{}", email.text());
    assert_eq!(mail.only().text().trim_end(), long);
    assert_eq!(email.json()["messages"][0]["id"], email.header("X-CSW-Instead-Id"));
    let passed_over = |line: &Value| line["passed_over"] == "channel:sms: answered 413";
    assert_eq!(gateway.decisions(2).iter().filter(|line| passed_over(line)).count(), 1);
    assert_eq!(sent(&platform).len(), 0);
}

#[test]
fn channel_without_an_id_of_its_own_is_told_by_ours() {
    let sms = Server::start(|_| Answer::new(200, "ok"));
    let steps = "[closed]\nsteps = [\"channel:sms\"]\n[closed.channel.sms]\n";
    let gateway = channel(Gateway::new().toml(steps), "/csw/channel/sms", &sms).start();
    let id = gateway.send(&text(STRANGER)).header("X-CSW-Instead-Id");
    assert!(sms.requests()[0].line.contains(&format!("/{id} ")), "{id}");
}

// --- park ---------------------------------------------------------------------------------------

#[test]
fn parked_messages_go_out_in_order_with_the_numbers_token_once_the_customer_writes() {
    let platform = Server::platform();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "number's-own-token\n").unwrap();
    let numbers = format!("[numbers.{BUSINESS}]\ntoken_file = \"{}\"\n", token.display());
    let gateway = Gateway::new().platform(&platform).toml(PARK).toml(&numbers).start();

    for n in 0..5 {
        let answer = gateway.post(
            MESSAGES,
            &[("Authorization", "Bearer the client's")],
            text_of(CUSTOMER, &format!("message {n}")).as_bytes(),
        );
        assert!(parked(&answer), "{} {}", answer.status, answer.text());
        assert_eq!(answer.json()["messages"][0]["message_status"], "parked");
        assert_eq!(answer.json()["contacts"][0]["input"], CUSTOMER);
    }
    assert_eq!(sent(&platform).len(), 0);
    // Rotated since: it is read for each send.
    fs::write(&token, "rotated-token").unwrap();

    gateway.webhook(&inbound(CUSTOMER, now()));
    wait("all five are sent", || sent(&platform).len() == 5);
    assert_eq!(sent(&platform), ["message 0", "message 1", "message 2", "message 3", "message 4"]);
    for asked in platform.requests() {
        assert_eq!(asked.header("Authorization"), "Bearer rotated-token");
        assert_eq!(asked.header("X-CSW-Parked"), "");
        assert_eq!(asked.line, format!("POST {MESSAGES} HTTP/1.1"));
    }
    wait("they are counted", || gateway.metric("csw_parcels_total{fate=\"sent\"}") == 5);
    let decisions = gateway.decisions(10);
    assert_eq!(
        decisions.iter().filter(|line| line["verdict"] == "allow").count(),
        5,
        "the guard saw each of them again"
    );
}

#[test]
fn parked_messages_survive_a_restart_and_each_is_sent_once_by_many_workers() {
    let platform = Server::platform();
    let mut gateway =
        Gateway::new().platform(&platform).toml(PARK).edit("worker_processes 2", "worker_processes 4").start();
    for n in 0..20 {
        assert!(parked(&gateway.send(&text_of(&format!("1650555{:04}", n % 4), &format!("{n}")))));
    }
    gateway.restart();
    for n in 0..4 {
        gateway.webhook(&inbound(&format!("1650555{n:04}"), now()));
    }
    wait("all are sent", || sent(&platform).len() >= 20);
    let mut texts = sent(&platform);
    for n in 0..4 {
        let of_one: Vec<_> =
            texts.iter().map(|text| text.parse::<usize>().unwrap()).filter(|text| text % 4 == n).collect();
        assert!(of_one.is_sorted(), "{of_one:?}");
    }
    texts.sort();
    texts.dedup();
    assert_eq!((texts.len(), sent(&platform).len()), (20, 20));
}

#[test]
fn parked_message_that_may_not_go_out_after_all_stays_parked() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).toml(PARK).top("test_clock = true\n").start();
    assert!(parked(&gateway.send(&text(CUSTOMER))));
    // The act opened a window that is closed by now.
    gateway.webhook(&inbound(CUSTOMER, now() - 25 * HOUR));
    wait("it was looked at", || !gateway.window(CUSTOMER)["last_act"].is_null());
    assert_eq!(sent(&platform).len(), 0);
    gateway.webhook(&inbound(CUSTOMER, now()));
    wait("it is sent", || sent(&platform).len() == 1);
}

#[test]
fn platform_that_cannot_be_reached_loses_no_parked_message() {
    let gateway = Gateway::new().toml(PARK).start();
    assert!(parked(&gateway.send(&text(CUSTOMER))));
    gateway.webhook(&inbound(CUSTOMER, now()));
    wait("it is put off", || gateway.metric("csw_parcels_total{fate=\"later\"}") == 1);
    assert_eq!(gateway.metric("csw_parcels_total{fate=\"lost\"}"), 0);
    let dropped: i64 =
        gateway.csw(&["report"]).as_array().unwrap().iter().map(|row| row["dropped"].as_i64().unwrap()).sum();
    assert_eq!(dropped, 0);
}

#[test]
fn platform_that_goes_silent_gets_a_parked_message_once_and_the_next_one_goes_on() {
    let answers = Arc::new(AtomicU16::new(0));
    let platform = Server::start({
        let answers = Arc::clone(&answers);
        move |n| match answers.fetch_add(1, Ordering::Relaxed) {
            0 => Answer::new(500, "{\"error\":{\"code\":131000}}"),
            _ => Answer::new(200, &json!({ "messages": [{ "id": format!("wamid.{n}") }] }).to_string()),
        }
    });
    let gateway = Gateway::new().platform(&platform).toml(PARK).start();
    assert!(parked(&gateway.send(&text_of(CUSTOMER, "one"))));
    assert!(parked(&gateway.send(&text_of(CUSTOMER, "two"))));
    gateway.webhook(&inbound(CUSTOMER, now()));
    wait("both were tried", || sent(&platform).len() == 2);
    assert_eq!(sent(&platform), ["one", "two"], "what the platform may have is not sent again");
    wait("one is lost", || gateway.metric("csw_parcels_total{fate=\"lost\"}") == 1);
    let rows = gateway.csw(&["report"]);
    assert_eq!(rows.as_array().unwrap().iter().map(|row| row["dropped"].as_i64().unwrap()).sum::<i64>(), 1);
}

#[test]
fn new_backlog_is_nudged_once() {
    let platform = Server::platform();
    let park = format!("{PARK}[closed.park]\nnudge = \"we_have_news/en_US\"\n");
    let gateway = Gateway::new().platform(&platform).toml(&park).start();
    assert!(parked(&gateway.send(&text_of(CUSTOMER, "one"))));
    assert!(parked(&gateway.send(&text_of(CUSTOMER, "two"))));
    wait("the nudge is sent", || sent(&platform).len() == 1);
    gateway.webhook(&inbound(CUSTOMER, now()));
    wait("the messages are sent", || sent(&platform).len() == 3);
    assert_eq!(sent(&platform), ["we_have_news", "one", "two"]);
}

#[test]
fn header_that_marks_parked_messages_gives_a_client_nothing() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).toml(PARK).start();
    let answer = gateway.post(MESSAGES, &[("X-CSW-Parked", "1")], text(STRANGER).as_bytes());
    assert_eq!((answer.status, answer.header("X-CSW-Instead").as_str()), (400, ""));
    assert_eq!(sent(&platform).len(), 0);
}

#[test]
fn without_an_address_of_its_own_the_gateway_parks_nothing() {
    let gateway = Gateway::new()
        .toml(PARK)
        .edit("{ loopback = \"http://127.0.0.1:8080/v23.0\" })", "{} --[[http://127.0.0.1:8080/v23.0]])")
        .start();
    assert_eq!(gateway.send(&text(STRANGER)).status, 400);
    let line = gateway.decisions(1)[0]["passed_over"].clone();
    assert_eq!(line, "park: the gateway cannot send what is parked");
}

#[test]
fn platforms_word_that_is_not_final_loses_no_parked_message() {
    let code =
        |status: u16, code: u32| Answer::new(status, &json!({"error": {"code": code, "message": "no"}}).to_string());
    for (answer, fate) in
        [((401, 190), "later"), ((400, 131_056), "later"), ((400, 131_047), "closed"), ((403, 10), "later")]
    {
        let platform = Server::start(move |_| code(answer.0, answer.1));
        let gateway = Gateway::new().platform(&platform).toml(PARK).start();
        assert!(parked(&gateway.send(&text(CUSTOMER))));
        gateway.webhook(&inbound(CUSTOMER, now()));
        wait(&format!("{answer:?} is {fate}"), || {
            gateway.metric(&format!("csw_parcels_total{{fate=\"{fate}\"}}")) >= 1
        });
        assert_eq!(gateway.metric("csw_dropped_total"), 0);
    }
}

#[test]
fn address_that_does_not_lead_to_the_send_location_loses_nothing_and_is_told() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).toml(PARK).edit("/v23.0\" })", "/v23\" })").start();
    assert!(parked(&gateway.send(&text(CUSTOMER))));
    gateway.webhook(&inbound(CUSTOMER, now()));
    gateway.wait_for_log("answered 404 by something else than the guard");
    assert_eq!(gateway.metric("csw_dropped_total"), 0);
    assert_eq!(sent(&platform).len(), 0);
}

#[test]
fn token_that_cannot_be_read_is_told_and_loses_nothing() {
    let platform = Server::platform();
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "token").unwrap();
    let numbers = format!("[numbers.{BUSINESS}]\ntoken_file = \"{}\"\n", token.display());
    let gateway = Gateway::new().platform(&platform).toml(PARK).toml(&numbers).start();
    assert!(parked(&gateway.send(&text(CUSTOMER))));
    fs::remove_file(&token).unwrap();
    gateway.webhook(&inbound(CUSTOMER, now()));
    gateway.wait_for_log("token_file: ");
    assert_eq!((gateway.metric("csw_dropped_total"), sent(&platform).len()), (0, 0));
    let line = gateway.decisions(2).into_iter().find(|line| line["parcel"] == "parked").unwrap();
    assert_eq!(line["fate"], "later");
}

// --- refused after an apparent success ----------------------------------------------------------

#[test]
fn message_refused_afterwards_runs_the_closed_branch_once() {
    let platform = Server::platform();
    let again = TEMPLATE.replace("[closed]\n", "[closed]\nagain = true\n");
    let gateway = Gateway::new().platform(&platform).toml(&again).start();
    gateway.approve("order_update", "UTILITY");
    gateway.webhook(&inbound(CUSTOMER, now() - 1000));
    let answer = gateway.send(&text_of(CUSTOMER, "Hello"));
    assert_eq!((answer.status, answer.header("X-CSW-Verdict").as_str()), (200, "allow"));
    let id = answer.json()["messages"][0]["id"].as_str().unwrap().to_owned();

    let failed = refused(&id);
    // The body is kept right after the answer; a refusal may still come first.
    assert_eq!(gateway.webhook(&failed).status, 200);
    wait("it is sent as a template", || sent(&platform).len() == 2);
    assert_eq!(gateway.webhook(&failed).status, 200);
    gateway.webhook(&inbound("16505550001", now()));
    assert_eq!(sent(&platform), ["Hello", "order_update"]);
    let line = gateway.decisions(2).into_iter().find(|line| line["class"] == "template").unwrap();
    assert_eq!(line["verdict"], "allow");
}

// --- modes, and free-form where it is free ------------------------------------------------------

#[test]
fn monitor_and_off_do_nothing_instead() {
    let platform = Server::platform();
    let numbers = format!("[numbers.{BUSINESS}]\nmode = \"monitor\"\n[numbers.200000000000001]\nmode = \"off\"\n");
    let gateway = Gateway::new().platform(&platform).toml(PARK).toml(&numbers).start();
    let watched = gateway.send(&text_of(STRANGER, "watched"));
    assert_eq!((watched.status, watched.header("X-CSW-Verdict").as_str()), (200, "would-deny"));
    let off = gateway.post("/v23.0/200000000000001/messages", &[], text_of(STRANGER, "off").as_bytes());
    assert_eq!((off.status, off.header("X-CSW-Verdict").as_str()), (200, "allow"));
    assert!(parked(&gateway.post("/v23.0/300000000000001/messages", &[], text(STRANGER).as_bytes())));
    assert_eq!(sent(&platform), ["watched", "off"]);
    let would_deny = "csw_decisions_total{verdict=\"would-deny\",reason=\"never_seen\"}";
    wait("it is counted", || gateway.metric(would_deny) == 1);
}

#[test]
fn billable_template_is_noted_or_refused_while_its_text_could_go_for_nothing() {
    let platform = Server::platform();
    let refuse = "[numbers.200000000000001]\nprefer_free = \"refuse\"\n";
    let top = "rules = \"meta-2025-07\"\nprefer_free = true\n";
    let gateway = Gateway::new().platform(&platform).top(top).toml(refuse).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    let noted = gateway.send(&template(CUSTOMER, "summer_promotion"));
    assert_eq!((noted.status, noted.header("X-CSW-Note").as_str()), (200, "free_form_is_free"));
    assert_eq!(gateway.send(&template(STRANGER, "summer_promotion")).header("X-CSW-Note"), "");

    let inbound = inbound(CUSTOMER, now()).replace(BUSINESS, "200000000000001");
    gateway.webhook(&inbound);
    let body = template(CUSTOMER, "summer_promotion");
    let refused = gateway.post("/v23.0/200000000000001/messages", &[], body.as_bytes());
    assert_eq!((refused.status, refused.header("X-CSW-Reason").as_str()), (400, "over_cost"));
    assert!(refused.json()["error"]["error_data"]["details"].as_str().unwrap().contains("free-form"));
}

// --- a workflow's two branches ------------------------------------------------------------------

#[test]
fn workflow_sends_the_body_that_fits_through_the_guard() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    let request = |at: Option<u64>| {
        let mut request = json!({ "business": BUSINESS, "customer": CUSTOMER,
            "open": { "type": "text", "text": { "body": "Hello" } },
            "closed": { "type": "template", "template": { "name": "summer_promotion", "language": { "code": "en_US" } } } });
        if let Some(at) = at {
            request["at"] = json!(at);
        }
        request.to_string()
    };
    let branch = |body: &str| gateway.post("/v23.0/csw/branch", &[("Authorization", "Bearer mine")], body.as_bytes());

    let closed = branch(&request(None));
    assert_eq!((closed.status, closed.header("X-CSW-Branch").as_str()), (200, "closed"));
    assert_eq!(closed.header("X-CSW-Reason"), "template");
    gateway.webhook(&inbound(CUSTOMER, now()));
    let open = branch(&request(None));
    assert_eq!((open.status, open.header("X-CSW-Branch").as_str()), (200, "open"));
    assert_eq!(sent(&platform), ["summer_promotion", "Hello"]);
    let seen = platform.requests();
    assert_eq!(seen[0].line, format!("POST {MESSAGES} HTTP/1.1"));
    assert_eq!(seen[0].header("Authorization"), "Bearer mine");

    let later = branch(&request(Some(now() + 25 * HOUR)));
    assert_eq!((later.status, later.json()), (200, json!({ "branch": "closed", "sent": false })));
    assert_eq!(sent(&platform).len(), 2, "a scheduled send is decided about again when it is due");

    for (wrong, expected) in
        [("no json", "request: expected a JSON object"), ("{}", "business: expected a phone number id")]
    {
        let answer = branch(wrong);
        assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (400, json!(100)));
        assert!(answer.text().contains(expected), "{}", answer.text());
    }
    assert_eq!(gateway.get("/v23.0/csw/branch").status, 405);
}

#[test]
fn body_of_a_workflow_is_stopped_where_the_window_is_closed_after_all() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    let text = json!({ "type": "text", "text": { "body": "Hello" } });
    let request = json!({ "business": BUSINESS, "customer": STRANGER, "open": text, "closed": text });
    let answer = gateway.post("/csw/branch", &[], request.to_string().as_bytes());
    assert_eq!((answer.status, answer.header("X-CSW-Reason").as_str()), (400, "never_seen"));
    assert_eq!(sent(&platform).len(), 0);
}

// --- metrics and the log ------------------------------------------------------------------------

#[test]
fn metrics_are_summed_over_workers_and_their_successors() {
    let platform = Server::platform();
    let mut gateway = Gateway::new().platform(&platform).start();
    for n in 0..40 {
        gateway.send(&text_of(STRANGER, &n.to_string()));
    }
    let denied = "csw_decisions_total{verdict=\"deny\",reason=\"never_seen\"}";
    // Each process tells of its own with its next commit.
    wait("all are counted", || gateway.metric(denied) == 40);
    assert_eq!(gateway.metric("csw_processes"), 2);
    gateway.restart();
    gateway.send(&text(STRANGER));
    wait("counts outlive the processes that made them", || gateway.metric(denied) == 41);
    gateway.webhook(&inbound(CUSTOMER, now()));
    wait("the window is counted", || gateway.metric("csw_windows_opened_total") == 1);
    // Whoever empties the file loses counts, and nothing else.
    fs::write(gateway.dir.path().join("store/csw.metrics.1"), "").unwrap();
    gateway.send(&text(STRANGER));
    wait("they are told anew", || gateway.metric(denied) >= 1);
    let used = gateway.metric("csw_store_bytes");
    assert!(used > 0 && used < 1 << 30, "{used}");

    let outside = gateway.get("/csw/metrics").text();
    assert!(!outside.contains(STRANGER) && !outside.contains(CUSTOMER) && !outside.contains(BUSINESS));
}

#[test]
fn each_decision_is_one_line_of_json_that_names_nobody() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).start();
    gateway.webhook(&inbound(CUSTOMER, now()));
    // Two workers write it: one after the other.
    for (count, body) in [text(CUSTOMER), text(STRANGER), "no json".into()].iter().enumerate() {
        gateway.send(body);
        gateway.decisions(count + 1);
    }
    let lines = gateway.decisions(3);
    assert_eq!(lines.len(), 3);
    let fields: Vec<&String> = lines[0].as_object().unwrap().keys().collect();
    assert!(
        lines.iter().all(|line| line.as_object().unwrap().keys().collect::<Vec<_>>() == fields),
        "the same fields in each"
    );
    assert_eq!((&lines[0]["gateway"], &lines[0]["business"]), (&json!("nginx"), &json!(BUSINESS)));
    assert_eq!((&lines[0]["verdict"], &lines[0]["reason"]), (&json!("allow"), &json!("window_open")));
    assert_eq!((&lines[1]["verdict"], &lines[1]["reason"]), (&json!("deny"), &json!("never_seen")));
    assert_eq!((&lines[1]["customer"], &lines[1]["class"]), (&json!("16*******99"), &json!("free_form")));
    assert_eq!((&lines[2]["verdict"], &lines[2]["reason"]), (&json!("deny"), &json!("body")));
    let log = fs::read_to_string(gateway.dir.path().join("csw.log")).unwrap();
    assert!(!log.contains(CUSTOMER) && !log.contains(STRANGER), "{log}");
}

#[test]
fn endpoints_of_the_host_answer_nobody_else() {
    let gateway = Gateway::new().start();
    for path in ["/csw/metrics", "/csw/drain", "/csw/window"] {
        let conf = fs::read_to_string(gateway.dir.path().join("nginx.conf")).unwrap();
        let block = conf.split(&format!("location = {path} {{")).nth(1).unwrap();
        assert!(block.split('}').next().unwrap().contains("deny all;"), "{path}");
    }
    assert_eq!(gateway.post("/csw/drain", &[], b"").json(), json!({ "sent": 0 }));
}

// --- the table of scenarios ---------------------------------------------------------------------

#[test]
fn scenarios_come_out_as_in_every_gateway() {
    let platform = Server::platform();
    let gateway = Gateway::new().platform(&platform).top("test_clock = true\n").start();
    assert!(scenario::play(&gateway) >= 5);
}
