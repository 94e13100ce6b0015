//! Totals and ledger as tables.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::party::Business;
use crate::rules::charge::Charge;
use crate::rules::conversation::Effect;
use crate::rules::ledger::{Line, LineKind};
use crate::store::{Records, Table, codec};
use crate::time::{Day, Span, Timestamp, Zone};

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
}

words!(By {
    Day = "day",
    Business = "business",
    Class = "class",
    Category = "category",
    ConversationCategory = "conversation_category",
    ChargeReason = "charge_reason",
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
    pub class: Option<crate::rules::event::Class>,
    /// The category.
    pub category: Option<crate::rules::event::Category>,
    /// The conversations' category.
    pub conversation_category: Option<crate::rules::conversation::ConversationCategory>,
    /// The reason of the charges.
    pub charge_reason: Option<crate::rules::charge::ChargeReason>,
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
}

/// The totals of the days on which two moments fall, both included, grouped. The days are those of each number's own time zone.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn report(
    records: Records<'_>,
    zone: impl Fn(Business) -> Zone,
    (from, to): (Timestamp, Timestamp),
    by: &[By],
) -> Result<Vec<Row>> {
    // No zone is more than a day away from this one's days.
    let (first, last) = (Zone::UTC.day(from - Span::hours(24)), Zone::UTC.day(to + Span::hours(24)));
    let mut rows: BTreeMap<Group, Row> = BTreeMap::new();
    records.0.scan(Table::Totals, &first.number().to_be_bytes(), &mut |key, value| {
        let (business, line) = codec::total_of(key)?;
        if line.day > last {
            return Ok(false);
        }
        let zone = zone(business);
        if line.day < zone.day(from) || zone.day(to) < line.day {
            return Ok(true);
        }
        let count: i64 = codec::decode(Table::Totals, value)?;
        let group = group(business, &line, by);
        let row = rows.entry(group).or_insert(Row { group, ..Row::default() });
        match (line.kind, line.charged.charge) {
            (LineKind::Message, _) => {
                row.messages += count;
                row.conversations += if line.placement.effect == Effect::Opens { count } else { 0 };
            }
            (LineKind::Charge, Some(Charge::Free)) => row.free += count,
            (LineKind::Charge, Some(Charge::Billable)) => row.billable += count,
            (LineKind::Charge, _) => {}
        }
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
        charge_reason: line.charged.reason.filter(|_| wants(By::ChargeReason)),
    }
}
