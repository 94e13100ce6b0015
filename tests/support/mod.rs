//! What the tests of the running gate share: a gate from a few lines of csw.toml, and the platform's payloads.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use csw::error::Result;
use csw::gate::recorder::{Outcome, Report, Ticket};
use csw::gate::{Checked, Gate, config::Config};
use csw::party::{Business, Customer};
use csw::rules::event::EventKind;
use csw::time::{Span, Timestamp};
use csw::wire::record::{self, Stated};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

pub const ACCOUNT: &str = "102290129340398";
pub const SHOP: &str = "106540352242922";
pub const SHOP_DISPLAY: &str = "15550783881";
pub const BRANCH: &str = "106540352242923";
pub const ANNA: &str = "447700900123";
pub const BERT: &str = "447700900456";
pub const SECRET: &str = "the app's secret";
/// Longer than anything here takes: who waits so long waits in vain.
pub const WITHIN: Duration = Duration::from_secs(20);

/// A gate in memory with these lines of csw.toml. It takes webhooks signed with [`SECRET`].
pub fn gate(lines: &str) -> Gate {
    let folder = tempfile::tempdir().unwrap();
    gate_in(folder.path(), &format!("store = \"memory:\"\n{lines}"))
}

/// A gate with these lines of csw.toml, read as if they stood in a folder.
pub fn gate_in(folder: &Path, lines: &str) -> Gate {
    std::fs::write(folder.join("secret"), SECRET).unwrap();
    let config = Config::parse(&format!("{lines}\n[webhook]\nsecret_file = \"secret\"\n"), folder);
    Gate::with(config.unwrap_or_else(|error| panic!("{error}:\n{lines}")))
}

/// What a ticket came to, once it is decided.
pub fn decided(gate: &Gate, ticket: Ticket) -> Result<Report> {
    match gate.wait(ticket, WITHIN)? {
        Outcome::Done(report) => Ok(report),
        Outcome::Failed(error) => Err(error),
        Outcome::Pending => panic!("waiting ended, and the ticket is pending"),
    }
}

/// What a program says of an event between the shop and Anna.
pub fn stated(kind: EventKind, at: Timestamp) -> Stated<'static> {
    let (business, customer) = (SHOP, ANNA);
    Stated {
        kind,
        business,
        customer,
        at,
        id: None,
        class: None,
        category: None,
        template: None,
        entry_point: false,
        code: None,
    }
}

pub fn record(gate: &Gate, stated: Stated) -> Report {
    decided(gate, gate.submit_record(record::event(stated).unwrap()).unwrap()).unwrap()
}

/// A webhook of one change to the shop's number.
pub fn webhook(field: &str, value: Value) -> Value {
    let metadata = json!({"display_phone_number": SHOP_DISPLAY, "phone_number_id": SHOP});
    account_webhook(field, with(json!({"messaging_product": "whatsapp", "metadata": metadata}), value))
}

/// A webhook of one change to the account.
pub fn account_webhook(field: &str, value: Value) -> Value {
    let entry = json!({"id": ACCOUNT, "changes": [{"field": field, "value": value}]});
    json!({"object": "whatsapp_business_account", "entry": [entry]})
}

/// A customer's text message.
pub fn text(from: &str, id: &str, at: Timestamp) -> Value {
    json!({"from": from, "id": id, "timestamp": seconds(at), "type": "text", "text": {"body": "hello"}})
}

/// A status of a message to Anna.
pub fn status(word: &str, id: &str, at: Timestamp) -> Value {
    json!({"id": id, "status": word, "timestamp": seconds(at), "recipient_id": ANNA})
}

/// A moment as the platform writes it; in milliseconds where seconds would lose something.
pub fn seconds(at: Timestamp) -> String {
    if at.millis() % 1000 == 0 { at.seconds().to_string() } else { at.millis().to_string() }
}

/// `base` with the members of `changes`; `null` takes one away.
pub fn with(mut base: Value, changes: Value) -> Value {
    let (members, Value::Object(changes)) = (base.as_object_mut().unwrap(), changes) else { panic!("no object") };
    members.extend(changes);
    members.retain(|_, value| !value.is_null());
    base
}

pub fn signature(secret: &str, bytes: &[u8]) -> String {
    let mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(bytes).finalize();
    let hex: String = mac.into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256={hex}")
}

/// Takes in a webhook, signed, as of a moment.
pub fn ingest_at(gate: &Gate, webhook: &Value, at: Timestamp) -> Result<Report> {
    let bytes = webhook.to_string().into_bytes();
    let signature = signature(SECRET, &bytes);
    decided(gate, gate.submit_ingest(bytes, Some(signature), at)?)
}

pub fn ingest(gate: &Gate, webhook: &Value) -> Report {
    ingest_at(gate, webhook, Timestamp::now()).unwrap()
}

/// The body of a free-form send.
pub fn free_form(to: &str) -> Vec<u8> {
    json!({"messaging_product": "whatsapp", "to": to, "type": "text", "text": {"body": "hi"}}).to_string().into_bytes()
}

/// A customer's window at the shop.
pub fn check(gate: &Gate, customer: &str, at: Timestamp) -> Checked {
    gate.check(shop(), &Customer::parse(customer).unwrap(), at).unwrap()
}

pub fn shop() -> Business {
    Business::parse(SHOP).unwrap()
}

/// So long before the moment at which the tests began, in whole seconds, as the platform counts.
pub fn hours_ago(hours: u32) -> Timestamp {
    static BEGAN: LazyLock<i64> = LazyLock::new(|| Timestamp::now().seconds());
    Timestamp::from_seconds(*BEGAN) - Span::hours(hours)
}
