//! The lines that a message puts into the ledger, and what has to be posted when they change.

use serde::{Deserialize, Serialize};

use crate::rules::charge::Charged;
use crate::rules::conversation::Placement;
use crate::rules::event::{Category, Class};
use crate::rules::message::Message;
use crate::time::{Day, Zone};

/// What a ledger line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum LineKind {
    /// A message went out, and opened or joined a conversation or neither.
    Message = 1,
    /// Its charge fell due.
    Charge = 2,
}

words!(LineKind { Message = "message", Charge = "charge" });

/// A line of the ledger without its message: what totals are counted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Line {
    /// The day in the account's time zone: of the send, or of the charge.
    pub day: Day,
    /// What the line says.
    pub kind: LineKind,
    /// The message's class.
    pub class: Class,
    /// The message's category.
    pub category: Category,
    /// Whether the category is a guess.
    pub estimated: bool,
    /// The conversation that it opened or joined.
    pub placement: Placement,
    /// The charge; nothing in lines about messages.
    pub charged: Charged,
}

/// A line with how often it counts: 1, or -1 where it takes an earlier line back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The line.
    pub line: Line,
    /// 1 or -1.
    pub count: i64,
}

/// The lines of a message as it stands: none while it does not count.
pub fn lines(zone: Zone, message: &Message) -> impl Iterator<Item = Line> {
    let accounted = message.counts() && message.class() != Class::Receipt;
    let line = |kind, at, placement, charged| Line {
        day: zone.day(at),
        kind,
        class: message.class(),
        category: message.category(),
        estimated: message.is_estimated(),
        placement,
        charged,
    };
    let went_out = (!message.is_copy).then(|| line(LineKind::Message, message.at, message.placement, Charged::NONE));
    let charge =
        message.due_at.zip(message.charge).map(|(at, charged)| line(LineKind::Charge, at, message.placement, charged));
    [went_out, charge].into_iter().flatten().filter(move |_| accounted)
}

/// What has to be posted when a message changes: its old lines taken back, its new ones added, and nothing where they are the same.
pub fn postings(zone: Zone, before: Option<&Message>, after: &Message) -> Vec<Posting> {
    let old: Vec<Line> = before.into_iter().flat_map(|message| lines(zone, message)).collect();
    let new: Vec<Line> = lines(zone, after).collect();
    let gone = old.iter().filter(|line| !new.contains(line)).map(|line| Posting { line: *line, count: -1 });
    let come = new.iter().filter(|line| !old.contains(line)).map(|line| Posting { line: *line, count: 1 });
    gone.chain(come).collect()
}
