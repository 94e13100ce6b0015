//! `csw check` and `csw decide`.

use csw::time::{Span, Timestamp};
use serde_json::{Value, json};

use crate::place::{NOON, Place, anna_writes, out, said};
use crate::support::{ANNA, SHOP, free_form};

fn template(name: &str) -> Vec<u8> {
    let template = json!({"name": name, "language": {"code": "en_US"}});
    json!({"messaging_product": "whatsapp", "to": ANNA, "type": "template", "template": template})
        .to_string()
        .into_bytes()
}

/// A field of a human answer.
fn field(said: &str, name: &str) -> Option<String> {
    said.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix(' ')?.trim().to_owned()))
}

#[test]
fn check_answers_for_people_in_the_zone_of_the_number() {
    let place = Place::with(&format!("[numbers.{SHOP}]\ntimezone = \"America/Sao_Paulo\"\n"));
    place.ingest(&[anna_writes("in-1", NOON)]);
    let output = place.run(&["check", SHOP, ANNA, "--at", "2026-10-10T13:30:00Z"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let expected = [
        ("business", SHOP),
        ("customer", "44********23"),
        ("at", "2026-10-10 10:30:00 -03:00"),
        ("state", "open"),
        ("branch", "open"),
        ("reason", "window_open"),
        ("expires_at", "2026-10-11 09:00:00 -03:00"),
        ("remaining", "22h 30m"),
        ("last_act", "2026-10-10 09:00:00 -03:00"),
    ];
    let expected: Vec<String> = expected.iter().map(|(name, value)| format!("{name:<10}  {value}")).collect();
    assert_eq!(out(&output).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn check_answers_for_programs_with_stable_names() {
    let place = Place::new();
    place.ingest(&[anna_writes("in-1", NOON)]);
    let answer = place.json(&["check", SHOP, ANNA, "--at", "2026-10-10T13:30:00Z"]);
    let expected = json!({
        "business": SHOP, "customer": "44********23", "at": "2026-10-10T13:30:00.000Z", "at_ms": 1_791_639_000_000_i64,
        "state": "open", "branch": "open", "reason": "window_open", "expires_at": "2026-10-11T12:00:00.000Z",
        "expires_at_ms": 1_791_720_000_000_i64, "remaining_ms": 81_000_000, "last_act": "2026-10-10T12:00:00.000Z",
        "last_act_ms": NOON.millis(), "free_entry_expires_at": null, "free_entry_expires_at_ms": null,
    });
    assert_eq!(answer, expected);
}

#[test]
fn check_takes_each_way_of_writing_a_moment() {
    let place = Place::with("timezone = \"America/Sao_Paulo\"\n");
    for (written, millis) in [
        ("2026-10-10T09:00:00-03:00", NOON.millis()),
        ("2026-10-10", NOON.millis() - 9 * 3_600_000),
        ("1791633600", NOON.millis()),
        ("1791633600123", NOON.millis() + 123),
    ] {
        assert_eq!(place.json(&["check", SHOP, ANNA, "--at", written])["at_ms"], json!(millis), "{written}");
    }
}

#[test]
fn the_exit_code_of_check_is_the_branch() {
    let table = [("", 3), ("unknown = \"open\"\n", 0)];
    for (lines, code) in table {
        let place = Place::with(lines);
        assert_eq!(place.run(&["check", SHOP, ANNA]).status.code(), Some(code), "never seen, {lines:?}");
        place.ingest(&[anna_writes("in-1", NOON)]);
        for (at, code) in [(NOON, 0), (NOON + Span::hours(24), 3)] {
            let output = place.run(&["check", SHOP, ANNA, "--at", &at.millis().to_string()]);
            assert_eq!(output.status.code(), Some(code), "{at}, {lines:?}: {}", said(&output));
        }
    }
}

#[test]
fn decide_says_what_a_send_would_open_and_cost() {
    let place = Place::with("[templates.category]\nsummer_sale = \"marketing\"\n");
    place.ingest(&[anna_writes("in-1", NOON)]);
    let decide = |body: &[u8]| {
        let output = place.run_with(&["--json", "decide", SHOP, "--at", "1791640000"], body);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let told = |answer: &Value| {
        let words = ["reason", "class", "category", "conversation", "conversation_category", "charge", "charge_reason"];
        words.map(|word| answer[word].as_str().unwrap_or("-").to_owned()).join(" ")
    };
    let answer = decide(&free_form(ANNA));
    assert_eq!(told(&answer), "window_open free_form service opens service free service_free");
    assert_eq!(
        (&answer["amount"], &answer["currency"], &answer["market"]),
        (&json!("0"), &Value::Null, &json!("united_kingdom"))
    );
    let answer = decide(&template("summer_sale"));
    assert_eq!(told(&answer), "template template marketing opens marketing billable opens_conversation");
    assert_eq!((&answer["amount"], &answer["no_amount"]), (&Value::Null, &json!("no_currency")));
    let answer = decide(&template("another"));
    assert_eq!((&answer["category"], &answer["category_estimated"]), (&json!("unknown"), &json!(true)));
}

#[test]
fn the_exit_code_of_decide_is_the_verdict() {
    let table = [("", "deny", 3, None), ("mode = \"monitor\"\n", "allow", 0, Some("yes"))];
    for (lines, verdict, code, would_deny) in table {
        let place = Place::with(lines);
        let output = place.run_with(&["decide", SHOP], &free_form(ANNA));
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        let said = out(&output);
        assert_eq!(field(&said, "verdict").as_deref(), Some(verdict));
        assert_eq!(field(&said, "would_deny").as_deref(), would_deny);
        assert_eq!(field(&said, "reason").as_deref(), Some("never_seen"));
    }
}

#[test]
fn decide_reads_a_file_and_knows_the_two_endpoints() {
    let place = Place::new();
    let body = place.file("send.json", template("summer_sale"));
    let file = body.to_str().unwrap();
    assert_eq!(place.json(&["decide", SHOP, file])["category"], json!("unknown"));
    assert_eq!(place.json(&["decide", SHOP, file, "--marketing-messages"])["category"], json!("marketing"));
    let output = place.run(&["decide", SHOP, "nowhere.json"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("csw: nowhere.json: "), "{}", said(&output));
}

#[test]
fn a_body_that_cannot_be_read_is_a_failure_and_not_a_denial() {
    let place = Place::new();
    let output = place.run_with(&["decide", SHOP], b"{\"to\":");
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).starts_with("csw: body: expected a JSON object"), "{}", said(&output));
}

#[test]
fn decide_records_nothing() {
    let place = Place::with("unknown = \"open\"\n");
    assert_eq!(place.run_with(&["decide", SHOP], &free_form(ANNA)).status.code(), Some(0));
    assert_eq!(place.gate().ledger_length().unwrap(), 0);
    assert_eq!(place.last_act(ANNA), None::<Timestamp>);
}
