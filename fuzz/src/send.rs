//! A send: decided as it was read, by clear and compressed bytes alike, and allowed into a closed window only where it is something that the platform
//! takes there.

use std::sync::LazyLock;

use csw::gate::{Does, Gate};
use csw::party::Customer;
use csw::rules::decision::Verdict;
use csw::rules::event::{Class, EventKind};
use csw::time::Span;
use csw::wire::instead;
use csw::wire::record::{self, Stated};
use csw::wire::send::{self, Endpoint};
use flate2::Crc;
use serde_json::Value;

use super::{ANNA, NOON, recorded, shop};

const CONFIG: &str = r#"
    store = "memory:"
    account = "102290129340398"
    [closed]
    steps = ["template:order_update", "channel:sms", "park"]
    [closed.template.order_update]
    too_long = "cut"
    [closed.channel.sms]
"#;

/// A gate that nobody has written to but Anna.
static GATE: LazyLock<Gate> = LazyLock::new(|| {
    let gate = Gate::open_text(CONFIG).expect("it is valid");
    let act = Stated {
        kind: EventKind::CustomerMessage,
        business: &shop().to_string(),
        customer: ANNA,
        at: NOON - Span::millis(60_000),
        id: None,
        class: None,
        category: None,
        template: None,
        entry_point: false,
        code: None,
    };
    let act = record::event(act).expect("it is an act");
    recorded(&gate, gate.submit_record(act).expect("the queue is empty")).expect("it is recorded");
    gate
});

/// Reads a body as a send and as a workflow's request, decides about it, and asks what would be done in its place.
pub fn check(body: &[u8]) {
    for endpoint in [Endpoint::Messages, Endpoint::MarketingMessages] {
        check_decision(endpoint, body);
    }
    check_instead(body);
    if let Ok(branches) = instead::branches(body) {
        for body in [branches.open, branches.closed] {
            let sent = send::parse(Endpoint::Messages, &body);
            assert!(sent.is_ok() || sent.is_err_and(|error| !error.message().is_empty()));
        }
    }
}

fn check_decision(endpoint: Endpoint, body: &[u8]) {
    let read = send::parse(endpoint, body);
    if let Some(zipped) = zipped(body).filter(|_| !body.starts_with(&[0x1f, 0x8b])) {
        assert_eq!(send::parse(endpoint, &zipped), read, "gzip changes nothing");
    }
    let decided = GATE.decide(shop(), endpoint, body, NOON);
    let (sent, decided) = match (read, decided) {
        (Ok(sent), Ok(decided)) => (sent, decided),
        (Err(error), decided) => return assert_eq!(decided.map(|_| ()), Err(error)),
        (Ok(sent), Err(error)) => panic!("{sent:?}: {error}"),
    };
    let decision = decided.decision;
    assert_eq!((decision.class, decided.customer), (sent.class, sent.customer));
    let token = decided.token.to_bytes().expect("a token can be made");
    assert!(token.len() <= csw::gate::Token::MAX, "{}", token.len());
    let is_anna = |customer: Customer| customer.folded().text() == ANNA;
    if decision.verdict == Verdict::Allow && !sent.customer.is_some_and(is_anna) {
        match decision.class {
            Class::Template => assert!(sent.template.is_some() || sent.category.is_some(), "{sent:?}"),
            Class::Receipt => check_receipt(body),
            other => panic!("{other:?} into a closed window: {sent:?}"),
        }
    }
}

/// What passes as a receipt holds nothing that anybody could be sent.
fn check_receipt(body: &[u8]) {
    let text = String::from_utf8_lossy(body);
    if let Ok(Value::Object(fields)) = serde_json::from_str(text.trim_start_matches('\u{feff}').trim()) {
        assert_eq!(fields.get("status").and_then(Value::as_str), Some("read"));
        for key in ["to", "recipient", "type", "text", "template"] {
            assert!(!fields.contains_key(key), "{key}");
        }
    }
}

fn check_instead(body: &[u8]) {
    for index in 0..4 {
        let Ok(instead) = GATE.instead(shop(), body, NOON, index) else { continue };
        match instead.does {
            Ok(Does::Template { body: template, decided }) => {
                let sent = send::parse(Endpoint::Messages, &template).expect("csw can read what it has written");
                assert_eq!((sent.class, sent.customer), (Class::Template, decided.customer));
                let original = send::parse(Endpoint::Messages, body).expect("it was read for its text");
                assert_eq!(sent.customer, original.customer, "to whom it was written");
            }
            Ok(Does::Channel { to, text, .. }) => {
                assert!(to.bytes().all(|byte| byte.is_ascii_digit()), "{to}");
                assert!(!text.trim().is_empty());
            }
            Ok(Does::Park { .. } | Does::Block) | Err(_) => {}
        }
    }
}

/// The body as gzip, stored as it is: one block, which holds so much at most.
fn zipped(body: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(body.len()).ok()?;
    let mut crc = Crc::new();
    crc.update(body);
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 1];
    gzip.extend(length.to_le_bytes().into_iter().chain((!length).to_le_bytes()));
    gzip.extend_from_slice(body);
    gzip.extend(crc.sum().to_le_bytes().into_iter().chain(crc.amount().to_le_bytes()));
    Some(gzip)
}
