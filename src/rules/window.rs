//! The customer service window: open, closed, or unknown.

use serde::{Deserialize, Serialize};

use crate::rules::contact::Contact;
use crate::rules::conversation;
use crate::rules::ruleset::RuleSet;
use crate::time::{Span, Timestamp};

/// Whether free-form messages may be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum State {
    /// They may.
    Open = 1,
    /// They may not; approved templates may.
    Closed = 2,
    /// No act of the customer and no refusal is on record.
    Unknown = 3,
}

words!(State { Open = "open", Closed = "closed", Unknown = "unknown" });

/// Why a window is as it is, or a send may or may not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum Reason {
    /// The customer acted within the window.
    WindowOpen = 1,
    /// A free entry point lets it through.
    FreeEntryPoint = 2,
    /// A template needs no window.
    Template = 3,
    /// Receipts and typing indicators need nothing.
    Receipt = 4,
    /// The customer's last act is too long ago.
    WindowClosed = 20,
    /// Nothing is known of this customer.
    NeverSeen = 21,
    /// The platform refused a send since the customer's last act.
    RefusedByPlatform = 22,
    /// The template is rejected, paused, disabled, or not yet approved.
    TemplateNotApproved = 23,
    /// The template is not in the catalogue.
    TemplateUnknown = 24,
    /// The number is switched off in the configuration.
    NumberNotEnabled = 25,
    /// A user id stands in `to`; the platform would drop the message silently.
    UserIdInTo = 26,
    /// The send would cost more than was allowed for it.
    OverCost = 27,
    /// csw has a fault, and sends pass when it has.
    FaultOpen = 40,
    /// csw has a fault, and sends stop when it has.
    FaultClosed = 41,
}

words!(Reason {
    WindowOpen = "window_open",
    FreeEntryPoint = "free_entry_point",
    Template = "template",
    Receipt = "receipt",
    WindowClosed = "window_closed",
    NeverSeen = "never_seen",
    RefusedByPlatform = "refused_by_platform",
    TemplateNotApproved = "template_not_approved",
    TemplateUnknown = "template_unknown",
    NumberNotEnabled = "number_not_enabled",
    UserIdInTo = "user_id_in_to",
    OverCost = "over_cost",
    FaultOpen = "fault_open",
    FaultClosed = "fault_closed",
});

/// A customer's window at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Open, closed or unknown.
    pub state: State,
    /// Why.
    pub reason: Reason,
    /// The first moment at which it is closed, the margin taken off; also when that has passed. `None` where nothing is known or the platform
    /// refused.
    pub expires_at: Option<Timestamp>,
    /// The customer's last act that opens a window.
    pub last_act: Option<Timestamp>,
    /// When the free entry point ends, if one is open.
    pub free_entry_expires_at: Option<Timestamp>,
}

impl Window {
    /// How long it stays open from a moment on; nothing when it is not open.
    pub fn remaining(&self, at: Timestamp) -> Span {
        match (self.state, self.expires_at) {
            (State::Open, Some(expires_at)) => Span::between(at, expires_at),
            _ => Span::ZERO,
        }
    }
}

/// The window at a moment: open iff `at < last act + window - margin` (and, where the rules say so, while a free entry point is open).
pub fn window(rules: &RuleSet, contact: &Contact, at: Timestamp, margin: Span) -> Window {
    let free_entry = conversation::free_entry(rules, contact, at);
    let by_act = contact.last_act.map(|act| act + rules.window - margin);
    let by_entry = if rules.entry.permits { entry_expiry(rules, contact).map(|until| until - margin) } else { None };
    let expires_at = by_act.max(by_entry);
    let still = |expiry: Option<Timestamp>| expiry.is_some_and(|expiry| at < expiry);
    let (state, reason) = if contact.is_refused() {
        (State::Closed, Reason::RefusedByPlatform)
    } else if still(by_act) {
        (State::Open, Reason::WindowOpen)
    } else if still(by_entry) {
        (State::Open, Reason::FreeEntryPoint)
    } else if expires_at.is_some() {
        (State::Closed, Reason::WindowClosed)
    } else {
        (State::Unknown, Reason::NeverSeen)
    };
    Window {
        state,
        reason,
        expires_at: expires_at.filter(|_| reason != Reason::RefusedByPlatform),
        last_act: contact.last_act,
        free_entry_expires_at: free_entry.map(|entry| entry.until),
    }
}

/// The customer's act in whose window a send at this moment was, if any: what makes a utility template free.
///
/// `earlier` are acts before the newest one, as far as they are remembered. After a refusal that came between, there was no window.
pub fn act_before(rules: &RuleSet, contact: &Contact, earlier: &[Timestamp], at: Timestamp) -> Option<Timestamp> {
    let acts = earlier.iter().copied().chain(contact.last_act);
    let act = acts.filter(|act| *act <= at && at < *act + rules.window).max()?;
    let was_refused = |refused: &Timestamp| act.seconds() < refused.seconds() && *refused <= at;
    (!contact.refusals.iter().any(was_refused)).then_some(act)
}

/// When the last free entry point ends. Asked for a moment before a click, the click counts all the same, as an act does.
fn entry_expiry(rules: &RuleSet, contact: &Contact) -> Option<Timestamp> {
    let clicked = contact.clicks.last().map(|click| *click + rules.entry.lasts);
    let opened = contact.conversations.iter().filter(|open| open.is_entry());
    opened.map(|open| open.expires_at).chain(clicked).max()
}
