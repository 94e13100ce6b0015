//! `csw report`.

use std::collections::BTreeMap;

use clap::Args;

use csw::gate::report::{By, Row};
use csw::money::Currency;

use crate::Desk;
use crate::arguments::{self, Days};
use crate::ending::{Done, Ended};
use crate::output::Format;
use crate::value::{Value, word};

/// Say what was sent in some days, and what it cost.
///
/// Counted are messages that went out, conversations that they opened, charges by what they are (`free`, `billable`), of them those that the
/// platform has reported and billable ones without a known rate (`unpriced`), sends that csw stopped, those that the platform refused, and parked messages that were given up (`dropped`).
/// Amounts of different currencies are never added up.
#[derive(Args)]
pub struct Report {
    #[command(flatten)]
    days: Days,
    /// What the rows are about.
    #[arg(long, value_delimiter = ',', value_name = "WORDS", default_value = "category", value_parser = arguments::words::<By>())]
    by: Vec<By>,
    /// How to write the rows; without it a table, or JSON with `--json`.
    #[arg(long)]
    format: Option<Format>,
}

const COUNTS: [&str; 11] = [
    "messages",
    "conversations",
    "free",
    "billable",
    "reported",
    "unpriced",
    "stopped",
    "refused",
    "dropped",
    "amount",
    "currency",
];

impl Report {
    /// Reports.
    pub fn run(self, desk: &mut Desk) -> Ended {
        let gate = desk.gate()?;
        let (from, to) = self.days.range(gate.config().default_policy().rules.zone())?;
        // The currency has its column beside the amounts.
        let mut by: Vec<By> = Vec::new();
        for word in self.by.into_iter().filter(|by| *by != By::Currency) {
            if !by.contains(&word) {
                by.push(word);
            }
        }
        let found = gate.report_days((from, to), &by)?;
        let names: Vec<&str> = by.iter().map(|by| by.word()).chain(COUNTS).collect();
        let format = desk.output.format(self.format, Format::Table, Format::Json);
        let mut rows = desk.output.rows(format, &names)?;
        let mut totals: BTreeMap<Option<Currency>, Row> = BTreeMap::new();
        for row in &found {
            rows.row(by.iter().map(|by| group(*by, row)).chain(counts(row)).collect())?;
            add(totals.entry(row.group.currency).or_default(), row);
        }
        // A report by nothing but the currency is its own total.
        totals.retain(|_, _| !by.is_empty());
        for (currency, mut total) in totals {
            total.group.currency = currency;
            let label =
                (0..by.len()).map(|place| if place == 0 { Value::Text("total".into()) } else { Value::Nothing });
            rows.total(label.chain(counts(&total)).collect());
        }
        rows.end()?;
        Ok(Done::Yes)
    }
}

fn group(by: By, row: &Row) -> Value {
    let group = &row.group;
    match by {
        By::Day => group.day.into(),
        By::Business => group.business.into(),
        By::Class => group.class.map(word).into(),
        By::Category => group.category.map(word).into(),
        By::ConversationCategory => group.conversation_category.map(word).into(),
        By::ChargeReason => group.charge_reason.map(word).into(),
        By::Charge => group.charge.map(word).into(),
        By::Market => group.market.into(),
        By::Currency => group.currency.into(),
        By::Basis => group.basis.map(word).into(),
    }
}

fn counts(row: &Row) -> [Value; 11] {
    let Row { group, messages, conversations, free, billable, reported, unpriced, stopped, refused, dropped, amount } =
        *row;
    let counts =
        [messages, conversations, free, billable, reported, unpriced, stopped, refused, dropped].map(Value::Count);
    let [a, b, c, d, e, f, g, h, i] = counts;
    [a, b, c, d, e, f, g, h, i, Value::Amount(amount), group.currency.into()]
}

fn add(total: &mut Row, row: &Row) {
    total.messages += row.messages;
    total.conversations += row.conversations;
    total.free += row.free;
    total.billable += row.billable;
    total.reported += row.reported;
    total.unpriced += row.unpriced;
    total.stopped += row.stopped;
    total.refused += row.refused;
    total.dropped += row.dropped;
    total.amount += row.amount;
}
