//! What the tests of costs and books share: a shop with templates, rate cards and deliveries.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::cell::Cell;
use std::rc::Rc;

use csw::gate::Gate;
use csw::gate::inquiry::LedgerRow;
use csw::gate::rates::{Card, Published};
use csw::gate::report::Row;
use csw::money::{Amount, Currency};
use csw::party::Business;
use csw::rules::decision::Decision;
use csw::rules::event::Category;
use csw::rules::market::Market;
use csw::time::{Day, Timestamp};
use csw::wire::send::Endpoint;
use serde_json::{Value, json};

use crate::support::{BRANCH, SHOP, account_webhook, decided, gate, ingest_at, status, text, with};

/// Of France and Brazil, each a market of its own on every day.
pub const PAUL: &str = "33612345678";
pub const RUI: &str = "5511987654321";

/// A gate whose webhooks and sends are all of one number.
pub struct Shop {
    pub gate: Rc<Gate>,
    pub number: &'static str,
    sent: Rc<Cell<u32>>,
}

impl Shop {
    /// A shop in memory.
    pub fn open(lines: &str) -> Self {
        Shop::of(gate(lines))
    }

    /// The shop of a gate; its templates are called as their categories.
    pub fn of(gate: Gate) -> Self {
        let shop = Shop { gate: gate.into(), number: SHOP, sent: Rc::default() };
        let at = moment("2023-01-01T00:00:00Z");
        for number in [SHOP, BRANCH] {
            shop.on(number).hook(json!({}), at);
        }
        for category in ["MARKETING", "UTILITY", "AUTHENTICATION"] {
            let name = category.to_lowercase();
            let template = json!({"message_template_name": name, "message_template_language": "en-US"});
            let change = with(template, json!({"new_category": category}));
            ingest_at(&shop.gate, &account_webhook("template_category_update", change), at).unwrap();
        }
        shop
    }

    /// The same shop's other number.
    pub fn on(&self, number: &'static str) -> Shop {
        Shop { gate: self.gate.clone(), number, sent: self.sent.clone() }
    }

    pub fn business(&self) -> Business {
        Business::parse(self.number).unwrap()
    }

    pub fn card(&self, currency: &str, from: &str, rates: &[(&str, Category, &str)]) {
        let rate = |(market, category, rate): &(&str, Category, &str)| {
            (Market::named(market).unwrap(), *category, Published::List(amount(rate)))
        };
        self.import(currency, from, rates.iter().map(rate).collect());
    }

    pub fn import(&self, currency: &str, from: &str, rates: Vec<(Market, Category, Published)>) {
        let card = Card { currency: Currency::parse(currency).unwrap(), from: Day::parse(from).unwrap(), rates };
        decided(&self.gate, self.gate.submit_rates(card).unwrap()).unwrap();
    }

    pub fn hook(&self, value: Value, at: Timestamp) {
        let metadata = json!({"metadata": {"phone_number_id": self.number}});
        let report = ingest_at(&self.gate, &account_webhook("messages", with(value, metadata)), at).unwrap();
        assert_eq!(report.unreadable, [""; 0]);
    }

    pub fn act(&self, customer: &str, at: Timestamp) {
        self.hook(json!({"messages": [text(customer, &format!("wamid.in.{at}"), at)]}), at);
    }

    pub fn status(&self, status: Value, at: Timestamp) {
        self.hook(json!({"statuses": [status]}), at);
    }

    pub fn decide(&self, body: &[u8], at: Timestamp) -> Decision {
        self.gate.decide(self.business(), Endpoint::Messages, body, at).unwrap().decision
    }

    /// A send that the platform accepts; the id that it gives.
    pub fn send(&self, body: &[u8], at: Timestamp) -> String {
        let decided_on = self.gate.decide(self.business(), Endpoint::Messages, body, at).unwrap();
        self.sent.set(self.sent.get() + 1);
        let id = format!("wamid.{}", self.sent.get());
        let answer = json!({"messages": [{"id": id}]}).to_string().into_bytes();
        decided(&self.gate, self.gate.submit_settle(decided_on.token, 200, answer, at).unwrap()).unwrap();
        id
    }

    /// What is decided about a send that then goes out and arrives at once, with these changes to its status.
    pub fn deliver(&self, body: &[u8], at: Timestamp, changes: Value) -> Decision {
        let decision = self.decide(body, at);
        let id = self.send(body, at);
        self.status(with(status("delivered", &id, at), changes), at);
        decision
    }

    pub fn ledger(&self) -> Vec<LedgerRow> {
        self.gate.ledger(0, 10_000).unwrap()
    }

    pub fn charges(&self) -> Vec<LedgerRow> {
        self.ledger().into_iter().filter(|row| row.entry.line.basis().is_some()).collect()
    }
}

/// One rate for each category of a market.
pub fn of_market(market: &str) -> [(&str, Category, &'static str); 5] {
    [
        (market, Category::Marketing, "0.08"),
        (market, Category::Utility, "0.03"),
        (market, Category::Authentication, "0.025"),
        (market, Category::AuthenticationInternational, "0.13"),
        (market, Category::Service, "0.004"),
    ]
}

/// A send: free-form, by Direct Send, or a template of that name.
pub fn body(customer: &str, what: &str) -> Vec<u8> {
    let key = if customer.contains('.') { "recipient" } else { "to" };
    let text = json!({key: customer, "type": "text", "text": {"body": "hi"}});
    let body = match what.strip_prefix("direct_") {
        Some(category) => with(text, json!({"category": category})),
        None if what == "free_form" => text,
        None => json!({key: customer, "type": "template", "template": {"name": what, "language": {"code": "en_US"}}}),
    };
    body.to_string().into_bytes()
}

pub fn moment(text: &str) -> Timestamp {
    Timestamp::parse(text).unwrap()
}

pub fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// The sum of all days, which must be of one currency.
pub fn total(gate: &Gate) -> Row {
    let rows = gate.report(moment("2020-01-01T00:00:00Z"), moment("2030-01-01T00:00:00Z"), &[]).unwrap();
    assert!(rows.len() < 2, "two currencies: {rows:?}");
    rows.first().copied().unwrap_or_default()
}

/// Decides about a send and settles it with this answer of the platform, whatever was decided.
pub fn settle(shop: &Shop, body: &[u8], at: Timestamp, http_status: u16, answer: Value) {
    let decided_on = shop.gate.decide(shop.business(), Endpoint::Messages, body, at).unwrap();
    let answer = answer.to_string().into_bytes();
    decided(&shop.gate, shop.gate.submit_settle(decided_on.token, http_status, answer, at).unwrap()).unwrap();
}
