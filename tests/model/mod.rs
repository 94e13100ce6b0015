//! A plain, slow model of what the platform charges.
//!
//! It is written from the documents alone and shares no code with the library. Nothing is kept up to date: the account
//! is computed from scratch from the list of everything the gateway was told. Where the documents are silent, a comment
//! says what was decided.

mod account;
mod calendar;
mod cases;
mod histories;
pub mod history;
mod messages;
mod place;
mod telling;

use std::fmt::Debug;

pub use account::{Account, GivenUp, account, account_step_by_step, given_up};
pub use calendar::{date, day, month};

/// A moment in Unix milliseconds, or a length of time in milliseconds.
pub type Millis = i64;

/// A message's id, the same in all the facts about it and unlike every other's.
pub type Id = u32;

pub const SECOND: Millis = 1000;
pub const HOUR: Millis = 3600 * SECOND;
pub const DAY: Millis = 24 * HOUR;

/// A window, and a conversation other than the free entry point.
const SHORT: Millis = 24 * HOUR;
/// A free entry point whose end the platform does not report.
const ENTRY: Millis = 72 * HOUR;
/// The longest free entry point.
const LONGEST: Millis = 168 * HOUR;

/// One customer of one business number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Contact {
    pub business: u32,
    pub customer: u32,
}

/// What a send is. Receipts are no messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    FreeForm,
    Template,
    Reaction,
    /// Nobody has said what it is: it is not accounted.
    Untold,
}

/// The category of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Category {
    Marketing,
    Utility,
    Authentication,
    AuthenticationInternational,
    Service,
    Unknown,
}

/// The category of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Marketing,
    Utility,
    Authentication,
    Service,
    FreeEntryPoint,
}

/// How far a message came; it never goes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Progress {
    Sent,
    Failed,
    Delivered,
    Read,
}

/// How the platform says that it charges: per conversation until 2025-06-30, per message since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Pricing {
    Cbp,
    Pmp,
}

/// What the platform says of a message's price. Of each field, the first value told is the one that counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    pub category: Option<Category>,
    pub billable: Option<bool>,
    pub free_entry_point: bool,
    pub expires_at: Option<Millis>,
    pub model: Option<Pricing>,
    pub conversation: Option<u32>,
}

/// One thing that the gateway was told. A history is a list of them in the order of recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fact {
    /// The customer did something: it may open the window, and it may be the click on an ad.
    Act { contact: Contact, at: Millis, opens: bool, click: bool },
    /// The business sent a message.
    Send { contact: Contact, message: Id, at: Millis, class: Class, category: Category },
    /// The platform told how far a message came.
    Status { contact: Contact, message: Id, at: Millis, progress: Progress, code: Option<i64>, report: Option<Report> },
}

impl Fact {
    pub fn contact(&self) -> Contact {
        match *self {
            Fact::Act { contact, .. } | Fact::Send { contact, .. } | Fact::Status { contact, .. } => contact,
        }
    }

    pub fn at(&self) -> Millis {
        match *self {
            Fact::Act { at, .. } | Fact::Send { at, .. } | Fact::Status { at, .. } => at,
        }
    }

    pub fn message(&self) -> Option<Id> {
        match *self {
            Fact::Act { .. } => None,
            Fact::Send { message, .. } | Fact::Status { message, .. } => Some(message),
        }
    }
}

/// One set of rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Set {
    Guide,
    Meta202306,
    Meta202411,
    Meta202507,
    Meta202610,
}

impl Set {
    /// Whether conversations, not messages, are counted.
    fn counts_conversations(self) -> bool {
        self == Set::Guide || self.by_conversation()
    }

    /// Whether conversations are charged, re-anchored to the first delivery.
    fn by_conversation(self) -> bool {
        matches!(self, Set::Meta202306 | Set::Meta202411)
    }
}

/// What `rules` in csw.toml names: one set, or `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rules {
    Always(Set),
    ByDay,
}

impl Rules {
    pub const ALL: [Rules; 6] = [
        Rules::Always(Set::Guide),
        Rules::Always(Set::Meta202306),
        Rules::Always(Set::Meta202411),
        Rules::Always(Set::Meta202507),
        Rules::Always(Set::Meta202610),
        Rules::ByDay,
    ];

    pub fn word(self) -> &'static str {
        match self {
            Rules::Always(Set::Guide) => "guide",
            Rules::Always(Set::Meta202306) => "meta-2023-06",
            Rules::Always(Set::Meta202411) => "meta-2024-11",
            Rules::Always(Set::Meta202507) => "meta-2025-07",
            Rules::Always(Set::Meta202610) => "meta-2026-10",
            Rules::ByDay => "meta",
        }
    }
}

/// Everything the account depends on besides the facts.
#[derive(Debug, Clone, Copy)]
pub struct Config {
    pub rules: Rules,
    /// The IANA name of the account's time zone.
    pub zone: &'static str,
    /// The day on which a moment falls in that zone, counted as [`day`] counts.
    pub day_of: fn(Millis) -> i32,
    /// Free-form deliveries per number and month that `meta-2026-10` leaves free.
    pub free_tier: u32,
}

/// What a send does to the contact's conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Effect {
    Opens,
    Joins,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Price {
    Free,
    Billable,
    /// Not charged at all: a reaction.
    Nil,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    ServiceFree,
    FreeTier,
    InWindow,
    FreeEntryPoint,
    JoinsConversation,
    OpensConversation,
    PerMessage,
    Reaction,
}

/// What a message costs, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Charge {
    pub price: Price,
    pub reason: Reason,
}

impl Charge {
    const fn free(reason: Reason) -> Self {
        Charge { price: Price::Free, reason }
    }

    const fn billable(reason: Reason) -> Self {
        Charge { price: Price::Billable, reason }
    }
}

/// A value's word in the API: `FreeForm` is `free_form`.
pub fn word(value: impl Debug) -> String {
    let mut word = String::new();
    for letter in format!("{value:?}").chars() {
        if letter.is_uppercase() && !word.is_empty() {
            word.push('_');
        }
        word.extend(letter.to_lowercase());
    }
    word
}
