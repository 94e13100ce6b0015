//! The books of a history, as the model expects them and as the library keeps them, in words that both can be said in.

pub mod expected;
pub mod gate;
pub mod kept;
pub mod memory;

use std::collections::{BTreeMap, BTreeSet};

use csw::money::{Amount, Currency};
use csw::party::{Business, Customer};
use csw::rules::event::{Act, Category, Class, Event, PriceModel, Progress, Reported, Sending, Source, Status, What};
use csw::store::{Records, codec};
use csw::time::Timestamp;

use crate::model::{self, Config, Contact, Fact, Id, Pricing};

/// One line of the ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    pub text: String,
    /// What had been reckoned of a reported charge; nothing where that is not compared.
    pub estimate: Option<String>,
}

impl Line {
    fn agrees(&self, kept: &Line) -> bool {
        self.text == kept.text && (self.estimate.is_none() || self.estimate == kept.estimate)
    }

    fn shown(&self) -> String {
        let estimate = self.estimate.as_ref().map(|estimate| format!(" (estimated {estimate})"));
        format!("{}{}", self.text, estimate.unwrap_or_default())
    }
}

/// The lines of each message, in order.
pub type Books = BTreeMap<Id, Vec<Line>>;

/// What the two sides say where they differ; nothing where they agree.
pub fn difference(expected: &Books, kept: &Books) -> Option<String> {
    let none = Vec::new();
    let mut told = Vec::new();
    let ids: BTreeSet<&Id> = expected.keys().chain(kept.keys()).collect();
    for id in ids {
        let [expected, kept] = [expected, kept].map(|books| books.get(id).unwrap_or(&none));
        let agree =
            expected.len() == kept.len() && expected.iter().zip(kept).all(|(expected, kept)| expected.agrees(kept));
        if !agree {
            let list = |side: &str, lines: &[Line]| {
                let lines = lines.iter().map(|line| format!("\n    {side}: {}", line.shown()));
                lines.collect::<String>()
            };
            told.push(format!("  message {id}{}{}", list("model  ", expected), list("library", kept)));
        }
    }
    (!told.is_empty()).then(|| told.join("\n"))
}

/// The business's numbers and its customers: one in France, and one in Morocco, which becomes a market of its own on
/// 2026-10-01.
pub fn business(contact: Contact) -> Business {
    Business::from_number(100 + u64::from(contact.business))
}

pub fn customer(contact: Contact) -> Customer {
    let number = if contact.customer == 1 { "33612345678" } else { "212612345678" };
    Customer::parse(number).unwrap()
}

pub fn euro() -> Currency {
    Currency::parse("EUR").unwrap()
}

pub fn amount(text: &str) -> Amount {
    Amount::parse(text).unwrap()
}

/// The lines of csw.toml for a history.
pub fn settings(config: &Config) -> String {
    let Config { rules, zone, free_tier, .. } = config;
    let categories = ["marketing", "utility", "authentication", "authentication_international"];
    let categories: String = categories.map(|word| format!("{word} = \"{word}\"\n")).concat();
    let rules = format!("[rules]\nset = \"{}\"\nfree_tier = {free_tier}", rules.word());
    let monitor = "mode = \"monitor\"\ncurrency = \"EUR\"";
    format!("{monitor}\ntimezone = \"{zone}\"\n{rules}\n[templates.category]\n{categories}")
}

pub fn message_id(id: Id) -> String {
    format!("wamid.{id}")
}

/// What the library is told of a fact.
pub fn event(fact: &Fact) -> Event {
    let contact = fact.contact();
    let id = match *fact {
        Fact::Act { at, opens, click, .. } => format!("act {contact:?} {at} {opens} {click}"),
        Fact::Send { message, .. } | Fact::Status { message, .. } => message_id(message),
    };
    let what = match *fact {
        Fact::Act { opens, click, .. } => What::Customer {
            act: if opens { Act::Content } else { Act::Reaction },
            source: click.then_some(Source::Ad),
        },
        Fact::Send { class, category, .. } => What::Business(Sending::new(class_of(class), category_of(category))),
        Fact::Status { progress, code, report, .. } => {
            let reported = report.map(reported);
            What::Status(Status { progress: progress_of(progress), code, reported, member: None })
        }
    };
    let at = Timestamp::from_millis(fact.at());
    Event { business: business(contact), customer: customer(contact), also: Vec::new(), at, id: Some(id), what }
}

fn class_of(class: model::Class) -> Class {
    Class::from_word(&model::word(class)).unwrap()
}

fn category_of(category: model::Category) -> Category {
    Category::from_word(&model::word(category)).unwrap()
}

fn progress_of(progress: model::Progress) -> Progress {
    match progress {
        model::Progress::Sent => Progress::Sent,
        model::Progress::Failed => Progress::Failed,
        model::Progress::Delivered => Progress::Delivered,
        model::Progress::Read => Progress::Read,
    }
}

fn reported(report: model::Report) -> Reported {
    Reported {
        category: report.category.map(category_of),
        billable: report.billable,
        free_entry_point: report.free_entry_point,
        expires_at: report.expires_at.map(Timestamp::from_millis),
        model: report.model.map(|model| match model {
            Pricing::Cbp => PriceModel::Conversation,
            Pricing::Pmp => PriceModel::Message,
        }),
        conversation: report.conversation.map(|id| [id as u8; 16]),
    }
}

/// The messages by their places in the order of recording.
pub fn ids(records: Records<'_>, facts: &[Fact]) -> csw::error::Result<BTreeMap<u64, Id>> {
    let mut ids = BTreeMap::new();
    for fact in facts {
        let (Some(id), contact) = (fact.message(), fact.contact()) else { continue };
        let seen = records.seen(business(contact), &customer(contact), codec::id_hash(&message_id(id), None))?;
        if let Some(codec::Seen::Message(message)) = seen.map(|seen| seen.what) {
            ids.insert(message.sequence, id);
        }
    }
    Ok(ids)
}
