//! Which send opens or joins which conversation.
//!
//! One rule, [`place`], answers for a send; [`enter`] writes the answer into the contact; [`recount`] is `enter` over all messages again.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use crate::rules::contact::Contact;
use crate::rules::event::{Category, Class, Reported};
use crate::rules::message::Message;
use crate::rules::ruleset::{Anchor, EntryOpens, RuleSet, Rules};
use crate::rules::window;
use crate::time::{Span, Timestamp};

/// The category of a conversation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum ConversationCategory {
    /// Opened by a marketing template.
    Marketing = 1,
    /// Opened by a utility template.
    Utility = 2,
    /// Opened by an authentication template.
    Authentication = 3,
    /// Opened by a free-form message.
    Service = 4,
    /// Opened by a click on an entry point, or by the reply to it.
    FreeEntryPoint = 5,
}

words!(ConversationCategory {
    Marketing = "marketing",
    Utility = "utility",
    Authentication = "authentication",
    Service = "service",
    FreeEntryPoint = "free_entry_point",
});

/// What a send does to the conversations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum Effect {
    /// It opens one.
    Opens = 1,
    /// It joins one that is open.
    Joins = 2,
    /// Neither.
    None = 3,
}

words!(Effect { Opens = "opens", Joins = "joins", None = "none" });

/// What a send does, and to a conversation of which category.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Placement {
    /// Opens, joins, none.
    pub effect: Effect,
    /// The conversation's category; `None` exactly when the effect is none.
    pub category: Option<ConversationCategory>,
}

impl Placement {
    /// No conversation.
    pub const NONE: Placement = Placement { effect: Effect::None, category: None };

    fn opens(category: ConversationCategory) -> Self {
        Placement { effect: Effect::Opens, category: Some(category) }
    }

    fn joins(category: ConversationCategory) -> Self {
        Placement { effect: Effect::Joins, category: Some(category) }
    }
}

/// A conversation that was opened by a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conversation {
    /// Its category.
    pub category: ConversationCategory,
    /// The send that opened it: a send from here on joins it.
    pub opened_at: Timestamp,
    /// The first moment at which it is over.
    pub expires_at: Timestamp,
    /// How long it lasts, from the send or from the first delivery.
    pub lasts: Span,
    /// The first delivery of a message that could have opened it, where deliveries anchor conversations.
    pub delivered_at: Option<Timestamp>,
    /// Whether its end is the platform's word, which deliveries do not move.
    pub end_is_reported: bool,
}

impl Conversation {
    /// Whether it is the free entry point.
    pub fn is_entry(&self) -> bool {
        self.category == ConversationCategory::FreeEntryPoint
    }

    fn covers(&self, at: Timestamp) -> bool {
        self.opened_at <= at && at < self.expires_at
    }
}

/// A stretch of time, its end not included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Its first moment.
    pub from: Timestamp,
    /// The first moment after it.
    pub until: Timestamp,
}

impl Stretch {
    fn covers(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.until
    }
}

/// The free entry point that is open at a moment: the customer's click, where that opens one, or a conversation. Of both, what lasts longer.
pub fn free_entry(rules: &RuleSet, contact: &Contact, at: Timestamp) -> Option<Stretch> {
    let clicked = match rules.entry.opens {
        EntryOpens::Click => contact.clicks.iter().rev().find(|click| **click <= at),
        EntryOpens::Reply { .. } => None,
    };
    let clicked = clicked.map(|click| Stretch { from: *click, until: *click + rules.entry.lasts });
    let opened = contact.conversations.iter().filter(|open| open.is_entry());
    let opened = opened.map(|open| Stretch { from: open.opened_at, until: open.expires_at });
    clicked.into_iter().chain(opened).filter(|entry| entry.covers(at)).max_by_key(|entry| entry.until)
}

/// What a send of this class and category, at this moment, does to the contact's conversations. Whether it may be sent is another question.
///
/// Sources: the guide, "Types of Conversations"; Meta, Conversation-based pricing, "Opening conversations" and "Free entry point conversations".
pub fn place(rules: &RuleSet, contact: &Contact, class: Class, category: Category, at: Timestamp) -> Placement {
    let own = match class {
        Class::Template => of_template(category),
        Class::FreeForm | Class::Unknown => ConversationCategory::Service,
        Class::Reaction | Class::Receipt => return Placement::NONE,
    };
    if let Some(placement) = place_in_entry(rules, contact, at, false) {
        return placement;
    }
    let joined = contact
        .conversations
        .iter()
        .filter(|open| open.covers(at) && !open.is_entry())
        .filter(|open| class != Class::Template || open.category == own)
        .max_by_key(|open| open.opened_at);
    match joined {
        Some(open) => Placement::joins(open.category),
        None if rules.conversation.is_some() => Placement::opens(own),
        None => Placement::NONE,
    }
}

/// What a send does to the free entry point, if anything: it joins the one that is open, else opens one as the first reply to a click, or since
/// the platform reported that it lies in one.
fn place_in_entry(rules: &RuleSet, contact: &Contact, at: Timestamp, is_reported: bool) -> Option<Placement> {
    let joins = Placement::joins(ConversationCategory::FreeEntryPoint);
    if free_entry(rules, contact, at).is_some() {
        return Some(joins);
    }
    match rules.entry.opens {
        // A click opened it that was not heard of.
        EntryOpens::Click => is_reported.then_some(joins),
        EntryOpens::Reply { within } => {
            let answers = contact.clicks.iter().any(|click| *click <= at && at < *click + within);
            (answers || is_reported).then(|| Placement::opens(ConversationCategory::FreeEntryPoint))
        }
    }
}

/// Places a message that is not older than any before it, and writes what it does into the contact and the message. `acts` are acts of the
/// customer before the newest one, for messages that are heard of late.
pub fn enter(rules: &Rules, contact: &mut Contact, acts: &[Timestamp], message: &mut Message) {
    let rules = rules.at(message.ruled_at());
    let at = message.at;
    // The act that it was answered to may be forgotten by now, but not by the message.
    let acts: Vec<Timestamp> = acts.iter().copied().chain(message.window_act).collect();
    message.window_act = window::act_before(rules, contact, &acts, at);
    let in_entry = message.reported.free_entry_point.then(|| place_in_entry(rules, contact, at, true)).flatten();
    let placement = in_entry.unwrap_or_else(|| place(rules, contact, message.class(), message.category(), at));
    // What has no place in a free entry point, or is not known by its class yet, says all the same that there is one.
    message.placement = if own_category(message).is_some() { placement } else { Placement::NONE };
    message.due_at = match rules.anchor {
        Anchor::Send => Some(at),
        Anchor::Delivery => message.delivered_at,
    };
    contact.last_sent = contact.last_sent.max(Some(at));
    let was_open = free_entry(rules, contact, at).is_some();
    end(contact, at);
    let Placement { effect, category: Some(category) } = placement else { return };
    match effect {
        Effect::Opens => open(rules, contact, message, category),
        Effect::Joins => join(rules, contact, message, category),
        Effect::None => {}
    }
    if message.reported.free_entry_point {
        report_entry(rules, contact, message, was_open);
    }
}

/// Whether a message that is heard of late may be entered as the newest one is, since it changes nothing for those sent after it: it opens nothing,
/// and the conversations that are kept are those of its time.
pub fn slips_in(rules: &Rules, contact: &Contact, message: &Message) -> bool {
    let (rules, at) = (rules.at(message.ruled_at()), message.at);
    let is_untold = message.delivered_at.is_none() && message.reported == Reported::default();
    // What was at the same moment may come after it in the order of recording: what opened or ended a conversation, that is.
    let is_after_all_else = contact.conversations_since < Some(at) && contact.last_act <= Some(at);
    // Its end may have been another one then: whatever it was, the message lies before it.
    let was_open = |open: &Conversation| at < open.expires_at.min(open.opened_at + open.lasts);
    let is_apart = |open: &Conversation| open.opened_at != at;
    let are_certain =
        contact.conversations.iter().all(|open| is_apart(open) && (at < open.opened_at || was_open(open)));
    let placement = place(rules, contact, message.class(), message.category(), at);
    is_untold && is_after_all_else && are_certain && placement.effect != Effect::Opens
}

/// Whether an act at this moment, which opens a window and is heard of after a later send, changes nothing for that one nor for those before it: by the
/// act that was known they all were in a window, and in whose does not matter.
pub fn was_open_anyway(rules: &Rules, contact: &Contact, at: Timestamp) -> bool {
    let (Some(last_act), Some(last_sent)) = (contact.last_act, contact.last_sent) else { return false };
    last_act <= at && last_sent < last_act + rules.at(at).window && !contact.is_refused()
}

/// Whether the conversation that a message has joined runs from a delivery no later than the message's own, which changes nothing for others then.
pub fn runs_since_before(contact: &Contact, message: &Message) -> bool {
    let Placement { effect: Effect::Joins, category: Some(category) } = message.placement else { return false };
    let joined = contact.conversations.iter().rev().find(|open| open.category == category);
    joined.is_some_and(|open| {
        open.covers(message.at) && open.delivered_at.is_some() && open.delivered_at <= message.delivered_at
    })
}

/// Keeps no conversation any more that is over at a moment.
fn end(contact: &mut Contact, at: Timestamp) {
    let over = contact.conversations.extract_if(.., |open| open.expires_at <= at);
    contact.conversations_since = over.map(|open| open.expires_at).max().max(contact.conversations_since);
}

fn open(rules: &RuleSet, contact: &mut Contact, message: &Message, category: ConversationCategory) {
    let is_entry = category == ConversationCategory::FreeEntryPoint;
    if is_entry && matches!(rules.entry.opens, EntryOpens::Reply { .. }) {
        contact.conversations.iter_mut().for_each(|closed| closed.expires_at = message.at);
        end(contact, message.at);
    }
    let lasts = if is_entry { rules.entry.lasts } else { rules.conversation.unwrap_or_default() };
    let delivered_at = message.delivered_at.filter(|_| rules.anchor == Anchor::Delivery);
    let opened_at = message.at;
    let expires_at = delivered_at.unwrap_or(opened_at) + lasts;
    contact.conversations.push(Conversation {
        category,
        opened_at,
        expires_at,
        lasts,
        delivered_at,
        end_is_reported: false,
    });
}

/// The platform's word for the end of the free entry point takes the place of our own reckoning.
fn report_entry(rules: &RuleSet, contact: &mut Contact, message: &Message, was_open: bool) {
    // Of one that a click opened there is no conversation yet.
    let is_known = contact.conversations.iter().any(Conversation::is_entry);
    if !is_known && (!was_open || message.reported.expires_at.is_some()) {
        open(rules, contact, message, ConversationCategory::FreeEntryPoint);
    }
    let entry = contact.conversations.iter_mut().rev().find(|open| open.is_entry());
    if let (Some(entry), Some(end)) = (entry, message.reported.expires_at) {
        contact.conversations_since = contact.conversations_since.max(Some(message.at));
        (entry.expires_at, entry.end_is_reported) = (end.min(entry.opened_at + rules.entry.at_most), true);
    }
}

/// The first delivery of a message that could have opened the conversation is what it runs from.
fn join(rules: &RuleSet, contact: &mut Contact, message: &Message, category: ConversationCategory) {
    let could_open = category == ConversationCategory::FreeEntryPoint || own_category(message) == Some(category);
    let Some(delivered) = message.delivered_at.filter(|_| rules.anchor == Anchor::Delivery && could_open) else {
        return;
    };
    let joined = contact.conversations.iter_mut().rev().find(|open| open.category == category);
    if let Some(joined) = joined.filter(|open| open.delivered_at.is_none_or(|first| delivered < first)) {
        joined.delivered_at = Some(delivered);
        if !joined.end_is_reported {
            joined.expires_at = delivered + joined.lasts;
        }
    }
}

/// Counts the contact's conversations anew from its remaining messages, in the order of their sending.
///
/// This is what a late, a failed or a corrected message needs: it counts as if everything had been known from the start.
pub fn recount(rules: &Rules, contact: &mut Contact, acts: &[Timestamp], messages: &mut [&mut Message]) {
    messages.sort_by_key(|message| (message.at, message.sequence));
    (contact.conversations, contact.conversations_since) = (Vec::new(), None);
    // The messages that opened conversations: when, of which category, and their places.
    let mut openers: Vec<(Timestamp, ConversationCategory, usize)> = Vec::new();
    for index in 0..messages.len() {
        let message = &mut *messages[index];
        if !message.counts() {
            (message.placement, message.due_at) = (Placement::NONE, None);
            continue;
        }
        enter(rules, contact, acts, message);
        let placement = message.placement;
        if let Placement { effect: Effect::Opens, category: Some(category) } = placement {
            openers.push((message.at, category, index));
        }
        // A conversation is charged once, to the message that opened it, as soon as anything in it that could have opened it is delivered.
        for open in contact.conversations.iter().filter(|open| open.delivered_at.is_some()) {
            let opener = openers.iter().rev().find(|(at, of, _)| (*at, *of) == (open.opened_at, open.category));
            let Some(opener) = opener.map(|(_, _, opener)| &mut messages[*opener]) else { continue };
            if rules.at(opener.ruled_at()).conversation.is_some() {
                opener.due_at = open.delivered_at;
            }
        }
    }
    settle_payers(messages);
    // As `enter` leaves it: only what a next send can join, also after a newest message that does not count any more.
    if let Some(last_sent) = contact.last_sent {
        end(contact, last_sent);
    }
}

/// Of the messages that report the same conversation, the one that was the first to do so pays.
fn settle_payers(messages: &mut [&mut Message]) {
    let mut first = HashMap::new();
    for message in messages.iter().filter(|message| message.is_accounted()) {
        let turn = message.reported_in_turn;
        first
            .entry(message.reported.conversation)
            .and_modify(|first: &mut u64| *first = turn.min(*first))
            .or_insert(turn);
    }
    for message in messages {
        let is_first = first.get(&message.reported.conversation) == Some(&message.reported_in_turn);
        message.starts_conversation = message.reported.conversation.is_some() && message.is_accounted() && is_first;
    }
}

/// Whether a message pays for the conversation that it reports: whether none of the contact's messages was told of it before. `any` says whether one of
/// them is as it is asked for.
///
/// # Errors
/// What `any` returns.
pub fn starts<E>(
    message: &Message,
    any: impl FnOnce(&mut dyn FnMut(&Message) -> bool) -> Result<bool, E>,
) -> Result<bool, E> {
    let may_pay = message.reported.conversation.is_some() && message.is_accounted();
    let mut was_before = |other: &Message| {
        let is_same = other.reported.conversation == message.reported.conversation;
        is_same && other.is_accounted() && other.reported_in_turn < message.reported_in_turn
    };
    Ok(may_pay && !any(&mut was_before)?)
}

/// All conversations that a contact's messages opened, each until it ended or will end. Counts them anew, as [`recount`] does.
pub fn history(
    rules: &Rules,
    contact: &mut Contact,
    acts: &[Timestamp],
    messages: &mut [Message],
) -> Vec<Conversation> {
    messages.sort_by_key(|message| (message.at, message.sequence));
    contact.conversations.clear();
    let mut known: Vec<Conversation> = Vec::new();
    for message in messages.iter_mut().filter(|message| message.counts()) {
        enter(rules, contact, acts, message);
        let is_same = |one: &Conversation, other: &Conversation| {
            (one.category, one.opened_at) == (other.category, other.opened_at)
        };
        // What a free entry point has closed is over.
        for known in known.iter_mut().filter(|known| message.at < known.expires_at) {
            let running = contact.conversations.iter().find(|open| is_same(open, known));
            *known = running.copied().unwrap_or(Conversation { expires_at: message.at, ..*known });
        }
        let opened = contact.conversations.iter().filter(|open| !known.iter().any(|known| is_same(open, known)));
        let opened: Vec<Conversation> = opened.copied().collect();
        known.extend(opened);
    }
    known
}

/// The conversation category that a message would open by itself.
fn own_category(message: &Message) -> Option<ConversationCategory> {
    match message.class() {
        Class::Template => Some(of_template(message.category())),
        Class::FreeForm | Class::Unknown => Some(ConversationCategory::Service),
        Class::Reaction | Class::Receipt => None,
    }
}

/// A template's conversation; one of unknown category is accounted as marketing.
fn of_template(category: Category) -> ConversationCategory {
    match category {
        Category::Utility => ConversationCategory::Utility,
        Category::Authentication | Category::AuthenticationInternational => ConversationCategory::Authentication,
        Category::Marketing | Category::Service | Category::Unknown => ConversationCategory::Marketing,
    }
}
