//! May this send go out, and what would it open and cost? Pure: everything that the answer depends on is an argument.

use crate::rules::charge::{self, Charged, Item};
use crate::rules::contact::Contact;
use crate::rules::conversation::{self, Placement};
use crate::rules::event::{Category, Class, Outgoing, Sending};
use crate::rules::ruleset::Rules;
use crate::rules::window::{self, Reason, State, Window};
use crate::time::{Span, Timestamp};

/// Whether a send may go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Verdict {
    /// It may.
    Allow = 1,
    /// It may not.
    Deny = 2,
}

words!(Verdict { Allow = "allow", Deny = "deny" });

/// What is done with a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(i32)]
pub enum Mode {
    /// Denied sends are stopped.
    #[default]
    Enforce = 1,
    /// Everything passes; what would have been stopped is marked.
    Monitor = 2,
    /// Everything passes, for numbers on stacks that have no window.
    Off = 3,
}

words!(Mode { Enforce = "enforce", Monitor = "monitor", Off = "off" });

/// What is done about templates that are not known to be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(i32)]
pub enum TemplatePolicy {
    /// They pass; the platform judges.
    #[default]
    Trust = 1,
    /// They pass, and the reason says what is wrong with them.
    Warn = 2,
    /// They are denied.
    RequireApproved = 3,
}

words!(TemplatePolicy { Trust = "trust", Warn = "warn", RequireApproved = "require_approved" });

/// Where a state that is not known falls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnknownBranch {
    /// Into the closed branch.
    #[default]
    Closed,
    /// Into the open branch.
    Open,
    /// Into the open branch until this moment, into the closed one from then on: for the first days of a new store.
    OpenUntil(Timestamp),
}

/// The part of a number's configuration that decisions depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// The rules.
    pub rules: Rules,
    /// Whether the number may send at all.
    pub enabled: bool,
    /// What is done with a verdict.
    pub mode: Mode,
    /// By how much the window is taken to close early.
    pub margin: Span,
    /// Where an unknown state falls.
    pub unknown: UnknownBranch,
    /// What is done about templates that are not known to be approved.
    pub templates: TemplatePolicy,
}

impl Policy {
    /// The branch for a state: open, closed.
    pub fn branch(&self, state: State, at: Timestamp) -> State {
        let unknown_is_open = match self.unknown {
            UnknownBranch::Closed => false,
            UnknownBranch::Open => true,
            UnknownBranch::OpenUntil(end) => at < end,
        };
        match state {
            State::Unknown if unknown_is_open => State::Open,
            State::Unknown => State::Closed,
            known => known,
        }
    }

    /// The window of a contact under this policy.
    pub fn window(&self, contact: &Contact, at: Timestamp) -> Window {
        window::window(self.rules.at(at), contact, at, self.margin)
    }
}

/// What the catalogue says of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing {
    /// Whether it may be sent; `None` when the catalogue does not know it.
    pub approved: Option<bool>,
    /// Its category, if known.
    pub category: Option<Category>,
}

/// The answer about a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Whether it may go out.
    pub verdict: Verdict,
    /// Whether it would have been denied, were the number's mode not `monitor`.
    pub would_deny: bool,
    /// Why.
    pub reason: Reason,
    /// Its class.
    pub class: Class,
    /// Its category; `None` for receipts.
    pub category: Option<Category>,
    /// Whether the category is a guess.
    pub estimated: bool,
    /// What it would do to the conversations: the order of commits decides in the end.
    pub placement: Placement,
    /// What it would cost.
    pub charged: Charged,
    /// The customer's window.
    pub window: Window,
    /// The branch that the window falls into.
    pub branch: State,
}

/// The category that a send is accounted under, and whether that is a guess; `None` for receipts.
fn category_of(outgoing: &Outgoing, standing: Standing) -> (Option<Category>, bool) {
    match outgoing.class {
        Class::Receipt => (None, false),
        Class::FreeForm | Class::Reaction | Class::Unknown => (Some(Category::Service), false),
        Class::Template => match outgoing.category.or(standing.category) {
            Some(Category::Unknown) | None => (Some(Category::Unknown), true),
            known => (known, false),
        },
    }
}

/// Decides about a send. `tier_used` is how many service messages of the number were delivered in this month.
pub fn decide(
    policy: &Policy,
    contact: &Contact,
    outgoing: &Outgoing,
    standing: Standing,
    tier_used: u32,
    at: Timestamp,
) -> Decision {
    let rules = policy.rules.at(at);
    let window = policy.window(contact, at);
    let branch = policy.branch(window.state, at);
    let (verdict, reason) = judge(policy, outgoing, standing, &window, branch);
    let would_deny = verdict == Verdict::Deny && policy.mode == Mode::Monitor;
    let verdict = if policy.mode == Mode::Enforce { verdict } else { Verdict::Allow };
    let (category, estimated) = category_of(outgoing, standing);
    let (placement, charged) = match (verdict, category) {
        (Verdict::Allow, Some(category)) => {
            let placement = conversation::place(rules, contact, outgoing.class, category, at);
            let in_window = window::in_window(rules, contact, at);
            let item = Item { class: outgoing.class, category, placement, in_window };
            (placement, charge::charge(rules, &item, tier_used))
        }
        _ => (Placement::NONE, Charged::NONE),
    };
    Decision {
        verdict,
        would_deny,
        reason,
        class: outgoing.class,
        category,
        estimated,
        placement,
        charged,
        window,
        branch,
    }
}

fn judge(
    policy: &Policy,
    outgoing: &Outgoing,
    standing: Standing,
    window: &Window,
    branch: State,
) -> (Verdict, Reason) {
    let deny = |reason| (Verdict::Deny, reason);
    if outgoing.class == Class::Receipt {
        return (Verdict::Allow, Reason::Receipt);
    }
    if !policy.enabled {
        return deny(Reason::NumberNotEnabled);
    }
    if outgoing.user_id_in_to {
        return deny(Reason::UserIdInTo);
    }
    if outgoing.class == Class::Template {
        let complaint = match (&outgoing.template, standing.approved) {
            (Some(_), None) => Some(Reason::TemplateUnknown),
            (Some(_), Some(false)) => Some(Reason::TemplateNotApproved),
            // Direct Send names no template of the business: the platform approves it as it goes out.
            (Some(_), Some(true)) | (None, _) => None,
        };
        return match (complaint, policy.templates) {
            (Some(complaint), TemplatePolicy::RequireApproved) => deny(complaint),
            (Some(complaint), TemplatePolicy::Warn) => (Verdict::Allow, complaint),
            _ => (Verdict::Allow, Reason::Template),
        };
    }
    match branch {
        State::Open => (Verdict::Allow, window.reason),
        _ => deny(window.reason),
    }
}

impl Decision {
    /// What accounting needs to know of the send once the platform has accepted it; `None` for receipts.
    pub fn sending(&self) -> Option<Sending> {
        self.category.map(|category| Sending { class: self.class, category, estimated: self.estimated })
    }
}
