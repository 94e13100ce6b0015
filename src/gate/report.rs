//! Totals and ledger as tables.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::money::{Amount, Currency};
use crate::party::Business;
use crate::rules::charge::{Charge, ChargeReason};
use crate::rules::conversation::ConversationCategory;
use crate::rules::event::{Category, Class};
use crate::rules::ledger::{Basis, Line, LineKind};
use crate::rules::market::Market;
use crate::store::codec::Total;
use crate::store::{Records, Table, codec};
use crate::time::Day;

/// What the rows of a report are grouped by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum By {
    /// The day in the account's time zone.
    Day = 1,
    /// The business's number.
    Business = 2,
    /// The class of the messages.
    Class = 4,
    /// The category of the messages.
    Category = 8,
    /// The category of the conversations.
    ConversationCategory = 16,
    /// Why messages are or are not charged.
    ChargeReason = 32,
    /// Whether they are charged.
    Charge = 64,
    /// The customers' market.
    Market = 128,
    /// The currency that numbers are billed in. Amounts of two currencies are never added up: every report is grouped by it.
    Currency = 256,
    /// Whether charges are estimated, or reported by the platform.
    Basis = 512,
}

words!(By {
    Day = "day",
    Business = "business",
    Class = "class",
    Category = "category",
    ConversationCategory = "conversation_category",
    ChargeReason = "charge_reason",
    Charge = "charge",
    Market = "market",
    Currency = "currency",
    Basis = "basis",
});

impl By {
    /// Reads a list of words.
    ///
    /// # Errors
    /// `Invalid` for a word that is not one of them.
    pub fn parse<'w>(words: impl IntoIterator<Item = &'w str>) -> Result<Vec<By>> {
        words.into_iter().map(|word| By::from_word(word).ok_or_else(|| unknown(word))).collect()
    }
}

fn unknown(word: &str) -> Error {
    let words: Vec<&str> = By::ALL.iter().map(|by| by.word()).collect();
    Error::invalid(format!("a report by \"{word}\"? It can be by {}", words.join(", ")))
}

/// What the rows with the same values are about; `None` where the report is not grouped by it, or the messages have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Group {
    /// The day.
    pub day: Option<Day>,
    /// The number.
    pub business: Option<Business>,
    /// The class.
    pub class: Option<Class>,
    /// The category.
    pub category: Option<Category>,
    /// The conversations' category.
    pub conversation_category: Option<ConversationCategory>,
    /// Whether charges are free or billable.
    pub charge: Option<Charge>,
    /// The reason of the charges.
    pub charge_reason: Option<ChargeReason>,
    /// The market.
    pub market: Option<Market>,
    /// Whose word the charges are.
    pub basis: Option<Basis>,
    /// The currency.
    pub currency: Option<Currency>,
}

/// A row of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Row {
    /// What it is about.
    pub group: Group,
    /// Messages that went out.
    pub messages: i64,
    /// Conversations that they opened.
    pub conversations: i64,
    /// Charges that fell due and are nothing.
    pub free: i64,
    /// Charges that fell due and are something.
    pub billable: i64,
    /// Of all charges, those that the platform has reported; the others are estimated.
    pub reported: i64,
    /// Billable charges without an amount, since no rate is known for them.
    pub unpriced: i64,
    /// Sends that csw stopped.
    pub stopped: i64,
    /// Sends and messages that the platform refused.
    pub refused: i64,
    /// Parked messages that were given up.
    pub dropped: i64,
    /// What the charges come to, in the row's currency.
    pub amount: Amount,
}

impl Row {
    /// Counts lines of the ledger.
    fn add(&mut self, line: &Line, total: &Total) {
        let Total { count, amount, .. } = *total;
        match line.kind {
            LineKind::Message => self.messages += count,
            LineKind::Conversation => self.conversations += count,
            LineKind::Stopped => self.stopped += count,
            LineKind::Refused => self.refused += count,
            LineKind::Dropped => self.dropped += count,
            LineKind::Charge | LineKind::Reconciled => {
                match line.charged.charge {
                    Some(Charge::Free) => self.free += count,
                    Some(Charge::Billable) => self.billable += count,
                    Some(Charge::Unknown) | None => {}
                }
                self.reported += if line.kind == LineKind::Reconciled { count } else { 0 };
                self.unpriced += if line.no_amount.is_some() { count } else { 0 };
                self.amount += amount;
            }
        }
    }
}

/// The totals of some days of each number, first and last included, grouped; no number's days lie outside `first` and `last`.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn report(
    records: Records<'_>,
    days: impl Fn(Business) -> (Day, Day),
    (first, last): (Day, Day),
    by: &[By],
) -> Result<Vec<Row>> {
    let mut rows: BTreeMap<Group, Row> = BTreeMap::new();
    records.0.scan(Table::Totals, &first.number().to_be_bytes(), &mut |key, value| {
        let (business, line) = codec::total_of(key)?;
        if line.day > last {
            return Ok(false);
        }
        let (from, to) = days(business);
        if line.day < from || to < line.day {
            return Ok(true);
        }
        let group = group(business, &line, by);
        let row = rows.entry(group).or_insert(Row { group, ..Row::default() });
        row.add(&line, &codec::decode(Table::Totals, value)?);
        Ok(true)
    })?;
    Ok(rows.into_values().collect())
}

fn group(business: Business, line: &Line, by: &[By]) -> Group {
    let wants = |what| by.contains(&what);
    Group {
        day: wants(By::Day).then_some(line.day),
        business: wants(By::Business).then_some(business),
        class: wants(By::Class).then_some(line.class),
        category: wants(By::Category).then_some(line.category),
        conversation_category: line.placement.category.filter(|_| wants(By::ConversationCategory)),
        charge: line.charged.charge.filter(|_| wants(By::Charge)),
        charge_reason: line.charged.reason.filter(|_| wants(By::ChargeReason)),
        market: line.market.filter(|_| wants(By::Market)),
        basis: line.basis().filter(|_| wants(By::Basis)),
        currency: line.currency,
    }
}
