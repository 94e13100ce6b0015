//! The last days of one contact: what was said, which windows were open, and which conversations ran.

use crate::error::Result;
use crate::party::Business;
use crate::party::Customer;
use crate::rules::conversation::{self, ConversationCategory};
use crate::rules::decision::Policy;
use crate::rules::message::Message;
use crate::rules::ruleset::EntryOpens;
use crate::store::codec::Seen;
use crate::store::{Found, Records};
use crate::time::Timestamp;

/// An act of the customer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acted {
    /// When.
    pub at: Timestamp,
    /// Whether it opened or refreshed the window.
    pub opens: bool,
    /// Whether it came through an entry point.
    pub clicked: bool,
}

/// A stretch of time in which something was open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bar {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

/// The last days of one contact.
#[derive(Debug, Clone, PartialEq)]
pub struct Timeline {
    /// The name that its record is kept under.
    pub customer: Customer,
    /// What the customer did, as far as it is remembered, in order.
    pub acts: Vec<Acted>,
    /// What the business sent, in order, also what failed.
    pub messages: Vec<Message>,
    /// When the customer service window was open, or will be, in order.
    pub windows: Vec<Bar>,
    /// The conversations, in order; the free entry points among them.
    pub conversations: Vec<(ConversationCategory, Bar)>,
}

/// The timeline of a customer; `None` where nobody is known by this name.
///
/// Acts and messages are remembered for the configured retention; acts that were recorded without an id only as the newest one.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn timeline(
    records: Records<'_>,
    policy: &Policy,
    business: Business,
    customer: &Customer,
) -> Result<Option<Timeline>> {
    let Some(Found { customer, contact }) = records.contact(business, customer)? else { return Ok(None) };
    let (mut acts, mut messages) = (Vec::new(), Vec::new());
    records.each_seen(business, &customer, &mut |_, seen| match seen.what {
        Seen::Message(message) if !message.is_copy => messages.push(*message),
        Seen::Act { at, opens, clicked } => acts.push(Acted { at, opens, clicked }),
        Seen::Message(_) | Seen::Other => {}
    })?;
    let is_kept = |acts: &[Acted], at| acts.iter().any(|act| act.at == at);
    for (at, clicked) in contact.clicks.iter().map(|at| (*at, true)).chain(contact.last_act.map(|at| (at, false))) {
        if !is_kept(&acts, at) {
            acts.push(Acted { at, opens: contact.last_act == Some(at), clicked });
        }
    }
    acts.sort();
    messages.sort_by_key(|message: &Message| (message.at, message.sequence));

    let mut windows: Vec<Bar> = Vec::new();
    for act in acts.iter().filter(|act| act.opens) {
        let bar = Bar { from: act.at, until: act.at + policy.rules.at(act.at).window };
        match windows.last_mut().filter(|last| bar.from <= last.until) {
            Some(last) => last.until = bar.until,
            None => windows.push(bar),
        }
    }
    if let (true, Some(refused), Some(last)) = (contact.is_refused(), contact.refusals.last(), windows.last_mut()) {
        last.until = last.until.min(*refused);
    }

    let mut again = contact.clone();
    let mut copies: Vec<Message> = messages.clone();
    let openings: Vec<Timestamp> = acts.iter().filter(|act| act.opens).map(|act| act.at).collect();
    let spans = conversation::history(&policy.rules, &mut again, &openings, &mut copies);
    let mut conversations: Vec<(ConversationCategory, Bar)> =
        spans.into_iter().map(|open| (open.category, Bar { from: open.opened_at, until: open.expires_at })).collect();
    for at in acts.iter().filter(|act| act.clicked).map(|act| act.at) {
        let rules = policy.rules.at(at);
        if rules.entry.opens == EntryOpens::Click {
            let until =
                conversation::free_entry(rules, &contact, at).map_or(at + rules.entry.lasts, |entry| entry.until);
            conversations.push((ConversationCategory::FreeEntryPoint, Bar { from: at, until }));
        }
    }
    conversations.sort_by_key(|(category, bar)| (bar.from, *category));
    Ok(Some(Timeline { customer, acts, messages, windows, conversations }))
}
