//! The facts remembered about one customer of one business number, and how events change them.

use serde::{Deserialize, Serialize};

use crate::party::Customer;
use crate::rules::conversation::Conversation;
use crate::rules::event::{Act, Source};
use crate::rules::ruleset::RuleSet;
use crate::time::Timestamp;

/// More entry points than this are not remembered: each matters for seven days, and for the messages that are recounted after it.
const ENTRIES_KEPT: usize = 64;

/// A free entry point as the platform reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ReportedEntry {
    /// The send that was reported to be inside it.
    pub from: Timestamp,
    /// When it ends.
    pub until: Timestamp,
}

/// What is remembered of one customer of one number: facts, never verdicts. Whether a window is open is computed from them for each question.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Contact {
    /// The customer's newest act that opens a window.
    pub last_act: Option<Timestamp>,
    /// The newest send that the platform refused because the window was closed.
    pub refused_at: Option<Timestamp>,
    /// The customer's newest clicks on entry points, oldest first.
    pub clicks: Vec<Timestamp>,
    /// The newest free entry points that the platform reported, oldest first.
    pub reported_entries: Vec<ReportedEntry>,
    /// The newest send that was placed in a conversation.
    pub last_sent: Option<Timestamp>,
    /// Conversations that a next send could join: a fold over the messages, kept so that reading needs no messages.
    pub conversations: Vec<Conversation>,
    /// Other names of the same customer.
    pub names: Vec<Customer>,
    /// The numbers that stand for the customer in the ledger: several, where several turned out to be one person.
    pub persons: Vec<u64>,
}

impl Contact {
    /// Takes in a customer's act. Applying it again, late, or in another order gives the same facts.
    pub fn act(&mut self, rules: &RuleSet, act: Act, source: Option<Source>, at: Timestamp) {
        if rules.opens.allows(act) {
            self.last_act = self.last_act.max(Some(at));
        }
        if source.is_some_and(|source| rules.entry.counts(source)) {
            self.click(at);
        }
    }

    /// Takes in that the platform refused a send of this time because the window was closed.
    pub fn refuse(&mut self, sent_at: Timestamp) {
        self.refused_at = self.refused_at.max(Some(sent_at));
    }

    /// Takes in that the platform reported a send to be inside a free entry point.
    pub fn report_entry(&mut self, rules: &RuleSet, sent_at: Timestamp, expires_at: Option<Timestamp>) {
        let covers = |entry: &&ReportedEntry| entry.from <= sent_at && sent_at < entry.until;
        let known = self.reported_entries.iter().rev().find(covers).copied();
        let from = known.map_or(sent_at, |entry| entry.from);
        let until = match expires_at {
            Some(until) => until.min(from + rules.entry.at_most),
            None => known.map_or(from + rules.entry.lasts, |entry| entry.until),
        };
        self.know_entry(ReportedEntry { from, until });
    }

    /// Whether the newest refusal holds: it is later than the last act, both in whole seconds; a tie is open.
    pub fn is_refused(&self) -> bool {
        let seconds = |at: Option<Timestamp>| at.map(Timestamp::seconds);
        seconds(self.refused_at) > seconds(self.last_act)
    }

    /// Takes in all facts of another record of the same customer. In which order records are merged, and how often, changes nothing.
    ///
    /// Conversations are not facts but a fold over messages: who merges records recounts them.
    pub fn merge(&mut self, other: &Contact) {
        self.last_act = self.last_act.max(other.last_act);
        self.refused_at = self.refused_at.max(other.refused_at);
        self.last_sent = self.last_sent.max(other.last_sent);
        other.clicks.iter().for_each(|at| self.click(*at));
        other.reported_entries.iter().for_each(|entry| self.know_entry(*entry));
        for name in &other.names {
            self.know(*name);
        }
        self.persons.extend(other.persons.iter().filter(|person| !self.persons.contains(person)).collect::<Vec<_>>());
        self.persons.sort_unstable();
    }

    /// Remembers another name of the customer.
    pub fn know(&mut self, name: Customer) {
        if let Err(place) = self.names.binary_search(&name) {
            self.names.insert(place, name);
        }
    }

    fn click(&mut self, at: Timestamp) {
        if let Err(place) = self.clicks.binary_search(&at) {
            self.clicks.insert(place, at);
        }
        let spare = self.clicks.len().saturating_sub(ENTRIES_KEPT);
        self.clicks.drain(..spare);
    }

    /// An entry point is known by its beginning; of two expiries the later one counts.
    fn know_entry(&mut self, entry: ReportedEntry) {
        match self.reported_entries.binary_search_by_key(&entry.from, |known| known.from) {
            Ok(place) => self.reported_entries[place].until = self.reported_entries[place].until.max(entry.until),
            Err(place) => self.reported_entries.insert(place, entry),
        }
        let spare = self.reported_entries.len().saturating_sub(ENTRIES_KEPT);
        self.reported_entries.drain(..spare);
    }
}
