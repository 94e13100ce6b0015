//! The facts remembered about one customer of one business number, and how events change them.

use serde::{Deserialize, Serialize};

use crate::party::Customer;
use crate::rules::conversation::Conversation;
use crate::rules::event::{Act, Source};
use crate::rules::ruleset::RuleSet;
use crate::time::Timestamp;

/// More clicks, and more refusals, than this are not remembered: each matters for some days, and for the messages that are recounted after it.
const MOMENTS_KEPT: usize = 64;

/// What is remembered of one customer of one number: facts, never verdicts. Whether a window is open is computed from them for each question.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contact {
    /// The customer's newest act that opens a window.
    pub last_act: Option<Timestamp>,
    /// The newest sends that the platform refused because the window was closed, oldest first.
    pub refusals: Vec<Timestamp>,
    /// The customer's newest clicks on entry points, oldest first.
    pub clicks: Vec<Timestamp>,
    /// No message of the business that counts was sent later than this.
    pub last_sent: Option<Timestamp>,
    /// Conversations that a next send could join: a fold over the messages, kept so that reading needs no messages.
    pub conversations: Vec<Conversation>,
    /// Since when they are all there were and end when they do: a send before this moment may have found others.
    pub conversations_since: Option<Timestamp>,
    /// The customer's phone number as the platform writes it, where that is another spelling than the one that the record is kept under.
    pub spelled: Option<Customer>,
    /// Other names of the same customer.
    pub names: Vec<Customer>,
    /// The numbers that stand for the customer in the ledger: several, where several turned out to be one person.
    pub persons: Vec<u64>,
}

/// What is enough of most contacts to answer about them. Of others there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hint {
    /// The customer's newest act that opens a window. Their window depends on nothing else.
    pub last_act: Timestamp,
    /// Whether conversations and charges of a next send depend on nothing else either.
    pub is_all: bool,
}

impl From<Hint> for Contact {
    fn from(hint: Hint) -> Self {
        Contact { last_act: Some(hint.last_act), ..Contact::default() }
    }
}

impl Contact {
    /// The contact's hint, under whatever rules: there is none where a free entry point or a refusal could play a part.
    pub fn hint(&self) -> Option<Hint> {
        let is_plain = self.clicks.is_empty() && !self.conversations.iter().any(Conversation::is_entry);
        let is_all = self.conversations.is_empty() && self.refusals.is_empty();
        let last_act = self.last_act.filter(|_| is_plain && !self.is_refused())?;
        Some(Hint { last_act, is_all })
    }

    /// Takes in a customer's act. Applying it again, late, or in another order gives the same facts.
    pub fn act(&mut self, rules: &RuleSet, act: Act, source: Option<Source>, at: Timestamp) {
        if rules.opens.allows(act) {
            self.last_act = self.last_act.max(Some(at));
        }
        if source.is_some_and(|source| rules.entry.counts(source)) {
            insert(&mut self.clicks, at);
        }
    }

    /// Takes in that the platform refused a send of this time because the window was closed.
    pub fn refuse(&mut self, sent_at: Timestamp) {
        insert(&mut self.refusals, sent_at);
    }

    /// Whether the newest refusal holds: it is later than the last act, both in whole seconds; a tie is open.
    pub fn is_refused(&self) -> bool {
        let seconds = |at: Option<Timestamp>| at.map(Timestamp::seconds);
        seconds(self.refusals.last().copied()) > seconds(self.last_act)
    }

    /// Takes in all facts of another record of the same customer. In which order records are merged, and how often, changes nothing.
    ///
    /// Conversations are not facts but a fold over messages: who merges records recounts them.
    pub fn merge(&mut self, other: &Contact) {
        self.last_act = self.last_act.max(other.last_act);
        other.refusals.iter().for_each(|at| self.refuse(*at));
        self.last_sent = self.last_sent.max(other.last_sent);
        other.clicks.iter().for_each(|at| insert(&mut self.clicks, *at));
        for name in &other.names {
            self.know(*name);
        }
        self.spelled = self.spelled.or(other.spelled);
        self.persons.extend(other.persons.iter().filter(|person| !self.persons.contains(person)).collect::<Vec<_>>());
        self.persons.sort_unstable();
    }

    /// Remembers another name of the customer.
    pub fn know(&mut self, name: Customer) {
        if let Err(place) = self.names.binary_search(&name) {
            self.names.insert(place, name);
        }
    }
}

/// Remembers a moment among the newest ones.
fn insert(moments: &mut Vec<Timestamp>, at: Timestamp) {
    if let Err(place) = moments.binary_search(&at) {
        moments.insert(place, at);
    }
    let spare = moments.len().saturating_sub(MOMENTS_KEPT);
    moments.drain(..spare);
}
