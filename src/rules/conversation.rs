//! Which send opens or joins which conversation.
//!
//! One rule, [`place`], answers for a send; [`enter`] writes the answer into the contact; [`recount`] is `enter` over all messages again.

use serde::{Deserialize, Serialize};

use crate::rules::contact::Contact;
use crate::rules::event::{Category, Class};
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
}

impl Conversation {
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

/// The free entry point that is open at a moment. What the platform reported about it takes the place of our own reckoning.
pub fn free_entry(rules: &RuleSet, contact: &Contact, at: Timestamp) -> Option<Stretch> {
    let reported = contact.reported_entries.iter().rev().find(|entry| entry.from <= at);
    let reported = reported.map(|entry| Stretch { from: entry.from, until: entry.until });
    let reckoned = match rules.entry.opens {
        EntryOpens::Click => {
            let click = contact.clicks.iter().rev().find(|click| **click <= at);
            click.map(|click| Stretch { from: *click, until: *click + rules.entry.lasts })
        }
        EntryOpens::Reply { .. } => {
            let opened = contact
                .conversations
                .iter()
                .rev()
                .find(|open| open.category == ConversationCategory::FreeEntryPoint && open.opened_at <= at);
            opened.map(|open| Stretch { from: open.opened_at, until: open.expires_at })
        }
    };
    let overruled = |reckoned: &Stretch| reported.is_some_and(|reported| reckoned.covers(reported.from));
    reported.filter(|entry| entry.covers(at)).or(reckoned.filter(|entry| entry.covers(at) && !overruled(entry)))
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
    let entry = free_entry(rules, contact, at);
    if opens_entry(rules, contact, entry, at) {
        return Placement::opens(ConversationCategory::FreeEntryPoint);
    }
    if entry.is_some() {
        return Placement::joins(ConversationCategory::FreeEntryPoint);
    }
    let joined = contact
        .conversations
        .iter()
        .filter(|open| open.covers(at) && open.category != ConversationCategory::FreeEntryPoint)
        .filter(|open| class != Class::Template || open.category == own)
        .max_by_key(|open| open.opened_at);
    match joined {
        Some(open) => Placement::joins(open.category),
        None if rules.conversation.is_some() => Placement::opens(own),
        None => Placement::NONE,
    }
}

/// Whether a send opens the free entry point itself: as the first reply to a click, or as the first send that the platform reported inside one.
fn opens_entry(rules: &RuleSet, contact: &Contact, entry: Option<Stretch>, at: Timestamp) -> bool {
    let EntryOpens::Reply { within } = rules.entry.opens else { return false };
    let is_open = |open: &Conversation| open.category == ConversationCategory::FreeEntryPoint && open.covers(at);
    match entry {
        Some(entry) => entry.from == at && !contact.conversations.iter().any(is_open),
        None => contact.clicks.iter().any(|click| *click <= at && at < *click + within),
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
    message.placement = place(rules, contact, message.class(), message.category(), at);
    message.due_at = match rules.anchor {
        Anchor::Send => Some(at),
        Anchor::Delivery => message.delivered_at,
    };
    contact.last_sent = contact.last_sent.max(Some(at));
    contact.conversations.retain(|open| at < open.expires_at);
    let Placement { effect, category: Some(category) } = message.placement else { return };
    match effect {
        Effect::Opens => open(rules, contact, message, category),
        Effect::Joins => join(rules, contact, message, category),
        Effect::None => {}
    }
}

fn open(rules: &RuleSet, contact: &mut Contact, message: &Message, category: ConversationCategory) {
    let lasts = match category {
        ConversationCategory::FreeEntryPoint => {
            contact.conversations.clear();
            rules.entry.lasts
        }
        _ => rules.conversation.unwrap_or_default(),
    };
    let delivered_at = message.delivered_at.filter(|_| rules.anchor == Anchor::Delivery);
    let expires_at = delivered_at.unwrap_or(message.at) + lasts;
    contact.conversations.push(Conversation { category, opened_at: message.at, expires_at, lasts, delivered_at });
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
        joined.expires_at = delivered + joined.lasts;
    }
}

/// Counts the contact's conversations anew from its remaining messages, in the order of their sending.
///
/// This is what a late, a failed or a corrected message needs: it counts as if everything had been known from the start.
pub fn recount(rules: &Rules, contact: &mut Contact, acts: &[Timestamp], messages: &mut [&mut Message]) {
    messages.sort_by_key(|message| (message.at, message.sequence));
    contact.conversations.clear();
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
        let Some(category) = placement.category else { continue };
        if placement.effect == Effect::Opens {
            openers.push((message.at, category, index));
        }
        // A conversation is charged once, to the message that opened it, as soon as anything in it that could have opened it is delivered.
        let Some(open) = contact.conversations.iter().rev().find(|open| open.category == category) else { continue };
        let opener = openers.iter().rev().find(|(at, of, _)| (*at, *of) == (open.opened_at, category));
        if let (Some((_, _, opener)), Some(delivered)) = (opener, open.delivered_at) {
            messages[*opener].due_at = Some(delivered);
        }
    }
    // As `enter` leaves it: only what a next send can join, also after a newest message that does not count any more.
    contact.conversations.retain(|open| contact.last_sent < Some(open.expires_at));
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
