//! `csw timeline`.

mod picture;
mod svg;
mod terminal;

use std::path::PathBuf;

use clap::Args;

use csw::error::Error;
use csw::gate::timeline::{Acted, Bar, Timeline as Story};
use csw::party::{Business, Customer};
use csw::rules::charge::Bill;
use csw::rules::conversation::{ConversationCategory, Effect};
use csw::rules::message::Message;
use csw::time::{Span, Timestamp, Zone};

use crate::Desk;
use crate::arguments::{self, Name, When};
use crate::ending::{Done, Ended, Failure};
use crate::output::Format;
use crate::value::{Value, word};
use picture::Picture;

/// Draw the last days of a customer: acts, messages, windows, conversations.
///
/// In letters with a table below, or as SVG. Acts and messages are remembered for the configured `retention`.
#[derive(Args)]
pub struct Timeline {
    /// The phone number id, or the display number.
    #[arg(value_parser = Name(Business::parse))]
    business: Business,
    /// The phone number, the user id (`US.1349...`), or `group:<id>`.
    #[arg(value_parser = Name(Customer::parse))]
    customer: Customer,
    /// How many days back.
    #[arg(long, value_name = "COUNT", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=366))]
    days: u32,
    /// As of this moment: RFC 3339, a date, Unix seconds or milliseconds.
    #[arg(long, value_name = "WHEN", value_parser = When::parse)]
    at: Option<When>,
    /// Draw it into this file, as SVG.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// How to write it; without it a drawing and a table, or JSON with `--json`.
    #[arg(long)]
    format: Option<Format>,
}

/// What programs are told of each thing that happened or lasted.
const COLUMNS: [&str; 15] = [
    "at",
    "until",
    "what",
    "opens_window",
    "entry_point",
    "class",
    "category",
    "conversation",
    "conversation_category",
    "progress",
    "code",
    "charge",
    "charge_reason",
    "amount",
    "currency",
];

/// A thing that happened, or that lasted.
enum Entry<'s> {
    Act(&'s Acted),
    Message(&'s Message),
    Window(&'s Bar),
    Conversation(ConversationCategory, &'s Bar),
}

impl Timeline {
    /// Draws it, or tells it row by row.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let zone = arguments::zone(gate.config(), self.business);
        let at = arguments::at(self.at, zone);
        let story = gate.timeline(self.business, &self.customer)?;
        let since = at - Span::hours(24 * self.days);
        let story = story.map(|story| recent(story, since));
        let entries = story.as_ref().map(entries).unwrap_or_default();
        let format = desk.output.format(self.format, Format::Table, Format::Json);
        let named = format!("{} and {}", desk.output.customer(&self.customer), self.business);
        let picture = story.as_ref().and_then(|story| Picture::of(story, named, zone, at));
        if let Some(path) = &self.svg {
            let Some(picture) = &picture else { return Err(nothing(self.days).into()) };
            std::fs::write(path, svg::drawn(picture))
                .map_err(|cause| Error::invalid(format!("{}: {cause}", path.display())))?;
            return Ok(Done::Yes);
        }
        if let (Format::Table, Some(picture)) = (format, &picture) {
            terminal::draw(picture, &mut desk.output)?;
        }
        tell(desk, format, &entries, zone)
    }
}

fn nothing(days: u32) -> Error {
    Error::invalid(format!("nothing is known of this customer in the last {days} days"))
}

/// What reaches into the days after a moment.
fn recent(mut story: Story, since: Timestamp) -> Story {
    story.acts.retain(|act| act.at >= since);
    story.messages.retain(|message| message.at >= since);
    story.windows.retain(|window| window.until > since);
    story.conversations.retain(|(_, bar)| bar.until > since);
    story
}

fn entries(story: &Story) -> Vec<Entry<'_>> {
    let windows = story.windows.iter().map(Entry::Window);
    let acts = story.acts.iter().map(Entry::Act);
    let conversations = story.conversations.iter().map(|(category, bar)| Entry::Conversation(*category, bar));
    let mut entries: Vec<Entry> = acts.chain(windows).chain(conversations).collect();
    entries.extend(story.messages.iter().map(Entry::Message));
    entries.sort_by_key(Entry::at);
    entries
}

fn tell(desk: &mut Desk, format: Format, entries: &[Entry], zone: Zone) -> Result<Done, Failure> {
    let for_people = format == Format::Table;
    let names: &[&str] = if for_people { &["at", "until", "what", "details"] } else { &COLUMNS };
    let mut rows = desk.output.rows(format, names)?;
    for entry in entries {
        let when =
            [Value::Moment(Some(entry.at()), zone), Value::Moment(entry.until(), zone), Value::Word(entry.what())];
        let rest = if for_people { vec![Value::Text(entry.said())] } else { entry.values() };
        rows.row(when.into_iter().chain(rest).collect())?;
    }
    rows.end()?;
    Ok(Done::Yes)
}

impl Entry<'_> {
    fn at(&self) -> Timestamp {
        match self {
            Entry::Act(act) => act.at,
            Entry::Message(message) => message.at,
            Entry::Window(bar) | Entry::Conversation(_, bar) => bar.from,
        }
    }

    fn until(&self) -> Option<Timestamp> {
        match self {
            Entry::Act(_) | Entry::Message(_) => None,
            Entry::Window(bar) | Entry::Conversation(_, bar) => Some(bar.until),
        }
    }

    fn what(&self) -> &'static str {
        match self {
            Entry::Act(_) => "act",
            Entry::Message(_) => "message",
            Entry::Window(_) => "window",
            Entry::Conversation(..) => "conversation",
        }
    }

    /// For people.
    fn said(&self) -> String {
        match self {
            Entry::Act(act) => said_of_act(act).to_owned(),
            Entry::Message(message) => said_of_message(message),
            Entry::Window(_) => "customer service window".to_owned(),
            Entry::Conversation(category, _) => category.word().to_owned(),
        }
    }

    /// For programs.
    fn values(&self) -> Vec<Value> {
        let mut values = vec![Value::Nothing; COLUMNS.len() - 3];
        match self {
            Entry::Act(act) => (values[0], values[1]) = (act.opens.into(), act.clicked.into()),
            Entry::Window(_) => {}
            Entry::Conversation(category, _) => values[5] = word(*category),
            Entry::Message(message) => {
                let bill = bill(message);
                let charged = bill.map(|bill| bill.charged);
                values.splice(
                    2..,
                    [
                        word(message.class()),
                        word(message.category()),
                        word(message.placement.effect),
                        message.placement.category.map(word).into(),
                        Value::Word(message.progress.word()),
                        message.failure.and_then(|failure| failure.code).into(),
                        charged.and_then(|charged| charged.charge).map(word).into(),
                        charged.and_then(|charged| charged.reason).map(word).into(),
                        bill.and_then(|bill| bill.amount).into(),
                        message.currency.into(),
                    ],
                );
            }
        }
        values
    }
}

fn said_of_act(act: &Acted) -> &'static str {
    match (act.clicked, act.opens) {
        (true, _) => "the customer, through an entry point",
        (false, true) => "the customer",
        (false, false) => "the customer; opens no window",
    }
}

fn said_of_message(message: &Message) -> String {
    let mut parts = vec![match (message.class().word(), message.category().word()) {
        ("template", category) => format!("{category} template"),
        // Only a status was heard of it, and none that says a price.
        ("receipt", _) => "a message".to_owned(),
        (class, _) => class.to_owned(),
    }];
    if let (Effect::Opens | Effect::Joins, Some(category)) = (message.placement.effect, message.placement.category) {
        parts.push(format!("{} {}", message.placement.effect.word(), category.word()));
    }
    if let Some(bill) = bill(message) {
        let charge = bill.charged.charge.map(|charge| charge.word().to_owned());
        let price = bill.amount.filter(|_| bill.charged.is_billable()).zip(message.currency);
        parts.extend(
            charge.map(|charge| price.map_or(charge.clone(), |(amount, of)| format!("{charge} {amount} {of}"))),
        );
    }
    let code = message.failure.and_then(|failure| failure.code).map(|code| format!(" ({code})"));
    parts.push(format!("{}{}", message.progress.word(), code.unwrap_or_default()));
    parts.join(", ")
}

/// What is charged: by the platform's report, else by our own reckoning.
fn bill(message: &Message) -> Option<Bill> {
    message.report.or(message.estimate)
}
