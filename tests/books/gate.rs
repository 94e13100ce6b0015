//! Plays a history on a running gate over LMDB: the platform's payloads, the answers to sends, and a gate that is dropped
//! and opened again at any time.

use std::path::Path;

use csw::gate::Gate;
use csw::gate::recorder::{Outcome, Ticket};
use csw::store::lmdb::LmdbStore;
use csw::store::{Records, Store};
use csw::time::Timestamp;
use csw::wire::send::Endpoint;
use serde_json::{Value, json};

use super::{Books, business, customer, event, expected, kept, message_id, settings};
use crate::model::history::Dice;
use crate::model::{Category, Class, Config, Fact, Pricing, Report, word};
use crate::support::{WITHIN, gate_in, seconds, with};

/// The books after a history. The seed decides how it is told.
///
/// # Errors
/// What must not happen, whatever the model says.
pub fn books(seed: u64, config: &Config, facts: &[Fact]) -> Result<Books, String> {
    let folder = tempfile::tempdir().unwrap();
    let mut teller = Teller { dice: Dice(seed), gate: None, folder: folder.path(), config };
    let cards = expected::cards().into_iter().map(|card| teller.gate().submit_rates(card).unwrap());
    let tickets: Vec<Ticket> = cards.collect();
    teller.settled(&tickets)?;
    teller.tell(facts)?;
    let rows = teller.gate().ledger(0, usize::MAX).unwrap();
    let entries: Vec<_> = rows.into_iter().map(|row| row.entry).collect();
    teller.tell(facts)?;
    let audit = teller.gate().audit(&mut |_| {}).unwrap();
    if audit.wrong > 0 || audit.entries != entries.len() as u64 {
        return Err(format!("told again, {} entries, the audit says {audit:?}", entries.len()));
    }
    teller.gate = None;
    let store = LmdbStore::open(&folder.path().join("store"), true).unwrap();
    let mut ids = Default::default();
    let read = store.read(&mut |snapshot| {
        ids = super::ids(Records(snapshot), facts)?;
        Ok(())
    });
    read.unwrap();
    kept::books(&entries, &ids)
}

struct Teller<'t> {
    dice: Dice,
    gate: Option<Gate>,
    folder: &'t Path,
    config: &'t Config,
}

impl Teller<'_> {
    fn gate(&mut self) -> &Gate {
        let store = "store = \"lmdb:store\"\ndurability = \"relaxed\"\n";
        self.gate.get_or_insert_with(|| gate_in(self.folder, &format!("{store}{}", settings(self.config))))
    }

    fn tell(&mut self, facts: &[Fact]) -> Result<(), String> {
        let mut tickets = Vec::new();
        let mut rest = facts;
        while let [first, ..] = rest {
            let is_send = |fact: &Fact| matches!(fact, Fact::Send { .. });
            let webhook = rest.iter().take(self.dice.one_of(&[1, 1, 2, 4])).take_while(|fact| !is_send(fact)).count();
            let (told, later) = rest.split_at(webhook.max(1));
            rest = later;
            tickets.push(if is_send(first) { self.send(first) } else { self.webhook(told) });
            if self.dice.chance(10) {
                // What was submitted is finished before the gate is gone.
                self.gate = None;
                tickets.clear();
            } else if self.dice.chance(20) {
                self.settled(&std::mem::take(&mut tickets))?;
            }
        }
        self.settled(&tickets)
    }

    fn settled(&mut self, tickets: &[Ticket]) -> Result<(), String> {
        for ticket in tickets {
            match self.gate().wait(*ticket, WITHIN).unwrap() {
                Outcome::Done(report) if report.unreadable.is_empty() => {}
                other => return Err(format!("{other:?}")),
            }
        }
        Ok(())
    }

    /// A program tells of a send, where the clock has come so far; else the gate was asked, and the platform has answered.
    fn send(&mut self, fact: &Fact) -> Ticket {
        let Fact::Send { contact, message, class, category, .. } = *fact else { panic!("no send") };
        let event = event(fact);
        let at = event.at;
        if at < Timestamp::now() && self.dice.chance(30) {
            return self.gate().submit_record(event).unwrap();
        }
        let to = customer(contact);
        let body = with(body(class, category), json!({"to": to.text()})).to_string();
        let decided = self.gate().decide(business(contact), Endpoint::Messages, body.as_bytes(), at).unwrap();
        let contacts = json!([{"input": to.text(), "wa_id": to.text()}]);
        let answer = json!({"contacts": contacts, "messages": [{"id": message_id(message)}]}).to_string();
        self.gate().submit_settle(decided.token, 200, answer.into_bytes(), at).unwrap()
    }

    fn webhook(&mut self, facts: &[Fact]) -> Ticket {
        let changes: Vec<Value> = facts.iter().map(change).collect();
        let entry = json!({"id": "102290129340398", "changes": changes});
        let webhook = json!({"object": "whatsapp_business_account", "entry": [entry]}).to_string();
        let latest = facts.iter().map(Fact::at).max().unwrap_or_default();
        self.gate().submit_replay(webhook.into_bytes(), Timestamp::from_millis(latest)).unwrap()
    }
}

fn body(class: Class, category: Category) -> Value {
    match class {
        Class::Template => {
            let name = if category == Category::Unknown { "unlisted".into() } else { word(category) };
            json!({"type": "template", "template": {"name": name, "language": {"code": "en_US"}}})
        }
        Class::Reaction => json!({"type": "reaction", "reaction": {"message_id": "wamid.of.theirs", "emoji": "👍"}}),
        Class::FreeForm | Class::Untold => json!({"type": "text", "text": {"body": "hi"}}),
    }
}

fn change(fact: &Fact) -> Value {
    let contact = fact.contact();
    let metadata = json!({"phone_number_id": business(contact).to_string()});
    let time = json!({"id": event(fact).id, "timestamp": seconds(Timestamp::from_millis(fact.at()))});
    let customer = customer(contact);
    let value = match *fact {
        Fact::Act { opens, click, .. } => {
            let content = if opens { json!({"type": "text"}) } else { json!({"type": "reaction", "reaction": {}}) };
            let referral = if click { json!({"source_type": "ad"}) } else { Value::Null };
            json!({"messages": [with(with(content, time), json!({"from": customer.text(), "referral": referral}))]})
        }
        Fact::Status { progress, code, report, .. } => {
            let status = json!({"status": word(progress), "recipient_id": customer.text()});
            let errors = code.map_or(Value::Null, |code| json!([{"code": code}]));
            let reported = report.map_or(json!({}), reported);
            json!({"statuses": [with(with(with(status, time), reported), json!({"errors": errors}))]})
        }
        Fact::Send { .. } => panic!("the platform does not tell of sends"),
    };
    json!({"field": "messages", "value": with(value, json!({"metadata": metadata}))})
}

/// `pricing` and `conversation` as the platform writes them.
fn reported(report: Report) -> Value {
    let Report { category, billable, free_entry_point, expires_at, model, conversation } = report;
    let kind = match billable {
        Some(true) => Some("regular"),
        Some(false) if free_entry_point => Some("free_entry_point"),
        Some(false) | None => None,
    };
    let model = model.map(|model| if model == Pricing::Cbp { "CBP" } else { "PMP" });
    let category = category.map(|category| word(category).replace('_', "-"));
    let pricing = json!({"type": kind, "billable": billable, "pricing_model": model, "category": category});
    let end = expires_at.map(|end| seconds(Timestamp::from_millis(end)));
    let origin =
        (free_entry_point && kind.is_none_or(|kind| kind == "regular")).then(|| json!({"type": "referral_conversion"}));
    let id = conversation.map(|id| format!("conversation {id}"));
    let conversation = json!({"id": id, "expiration_timestamp": end, "origin": origin});
    json!({"pricing": with(pricing, json!({})), "conversation": with(conversation, json!({}))})
}
