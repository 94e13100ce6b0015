//! The lines that a message puts into the ledger, and what has to be posted when they change.

use std::ops::Neg;

use serde::{Deserialize, Serialize};

use crate::money::{Amount, Currency};
use crate::rules::charge::{Bill, Charged};
use crate::rules::conversation::{Effect, Placement};
use crate::rules::event::{Category, Class};
use crate::rules::market::Market;
use crate::rules::message::Message;
use crate::rules::rate::NoAmount;
use crate::rules::window::Reason;
use crate::time::Day;

/// What a ledger line says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum LineKind {
    /// A message went out, and opened or joined a conversation or neither.
    Message = 1,
    /// Its charge fell due, by our own reckoning: it stands until the platform reports.
    Charge = 2,
    /// It opened a conversation.
    Conversation = 3,
    /// The platform reported its charge, which takes the place of our own reckoning.
    Reconciled = 4,
    /// csw stopped a send.
    Stopped = 5,
    /// The platform refused a send, or gave a message up.
    Refused = 6,
    /// A parked message was given up: it grew too old, there were too many, or nobody can tell what became of it.
    Dropped = 7,
}

words!(LineKind {
    Message = "message",
    Charge = "charge",
    Conversation = "conversation",
    Reconciled = "reconciled",
    Stopped = "stopped",
    Refused = "refused",
    Dropped = "dropped",
});

/// Whose word a charge is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum Basis {
    /// Our own reckoning.
    Estimated = 1,
    /// The platform's report.
    Reported = 2,
}

words!(Basis { Estimated = "estimated", Reported = "reported" });

/// What had been reckoned of a charge before the platform reported it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Estimate {
    /// The category.
    pub category: Category,
    /// The charge.
    pub charged: Charged,
    /// Why it had no amount.
    pub no_amount: Option<NoAmount>,
}

/// A line of the ledger without its message and amounts: what totals are counted by.
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
    /// The charge; nothing in lines that are not about charges.
    pub charged: Charged,
    /// Why the charge has no amount.
    pub no_amount: Option<NoAmount>,
    /// What had been reckoned of a reported charge.
    pub estimate: Option<Estimate>,
    /// The customer's market on the day.
    pub market: Option<Market>,
    /// The currency that the number is billed in.
    pub currency: Option<Currency>,
    /// Why a send was stopped.
    pub reason: Option<Reason>,
    /// The platform's error code for what it refused.
    pub code: Option<i64>,
}

impl Line {
    /// Whose word the charge is; `None` where the line is not about one.
    pub fn basis(&self) -> Option<Basis> {
        match self.kind {
            LineKind::Charge => Some(Basis::Estimated),
            LineKind::Reconciled => Some(Basis::Reported),
            _ => None,
        }
    }
}

/// A line with how often it counts (1, or -1 where it takes an earlier line back) and its amounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Posting {
    /// The line.
    pub line: Line,
    /// 1 or -1.
    pub count: i64,
    /// The amount that is charged.
    pub amount: Amount,
    /// The amount that was reckoned before the platform reported.
    pub estimated_amount: Amount,
}

impl Posting {
    /// A line that charges nothing.
    pub fn of(line: Line) -> Self {
        Posting { line, count: 1, amount: Amount::ZERO, estimated_amount: Amount::ZERO }
    }
}

impl Neg for Posting {
    type Output = Posting;
    fn neg(self) -> Posting {
        let Posting { line, count, amount, estimated_amount } = self;
        Posting { line, count: -count, amount: -amount, estimated_amount: -estimated_amount }
    }
}

/// The lines of a message as it stands. They depend on nothing but the message: what a changed configuration would say of it changes no books.
pub fn lines(message: &Message) -> Vec<Posting> {
    if message.class() == Class::Receipt {
        return Vec::new();
    }
    let plain = Line {
        day: message.day,
        kind: LineKind::Message,
        class: message.class(),
        category: message.category(),
        estimated: message.is_estimated(),
        placement: message.placement,
        charged: Charged::NONE,
        no_amount: None,
        estimate: None,
        market: message.market,
        currency: message.currency,
        reason: None,
        code: None,
    };
    let mut lines = Vec::with_capacity(3);
    if !message.counts() {
        let failure = message.failure.filter(|_| !message.is_copy);
        lines.extend(
            failure.map(|failure| Line { kind: LineKind::Refused, code: failure.code, ..plain }).map(Posting::of),
        );
        return lines;
    }
    if !message.is_copy {
        lines.push(Posting::of(plain));
        if message.placement.effect == Effect::Opens {
            lines.push(Posting::of(Line { kind: LineKind::Conversation, ..plain }));
        }
    }
    lines.extend(message.due_day.and_then(|day| charge_line(Line { day, ..plain }, message.estimate, message.report)));
    lines
}

fn charge_line(due: Line, estimate: Option<Bill>, report: Option<Bill>) -> Option<Posting> {
    let amount = |bill: Option<Bill>| bill.and_then(|bill| bill.amount).unwrap_or_default();
    let billed = |kind, bill: Bill| Line {
        kind,
        category: bill.category,
        charged: bill.charged,
        no_amount: bill.no_amount,
        ..due
    };
    Some(match (estimate, report) {
        (estimate, Some(bill)) => {
            let estimate_of = |Bill { charged, category, no_amount, .. }| Estimate { category, charged, no_amount };
            let line = Line { estimate: estimate.map(estimate_of), ..billed(LineKind::Reconciled, bill) };
            Posting { amount: amount(report), estimated_amount: amount(estimate), ..Posting::of(line) }
        }
        (Some(bill), None) => Posting { amount: amount(estimate), ..Posting::of(billed(LineKind::Charge, bill)) },
        (None, None) => return None,
    })
}

/// What has to be posted when a message changes: its old lines taken back, its new ones added, and nothing where they are the same.
pub fn postings(before: Option<&Message>, after: &Message) -> Vec<Posting> {
    let old: Vec<Posting> = before.map(lines).unwrap_or_default();
    let new: Vec<Posting> = lines(after);
    let gone = old.iter().filter(|posting| !new.contains(posting)).map(|posting| -*posting);
    let come = new.iter().filter(|posting| !old.contains(posting)).copied();
    gone.chain(come).collect()
}
