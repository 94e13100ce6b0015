//! May this send go out, and what would it open and cost? Pure: everything that the answer depends on is an argument.

use crate::money::{Amount, Currency};
use crate::rules::charge::{self, Bill, Charge, Charged, Item};
use crate::rules::contact::Contact;
use crate::rules::conversation::{self, Placement};
use crate::rules::event::{Category, Class, Outgoing, Sending, TemplateName};
use crate::rules::market::{Country, Market};
use crate::rules::rate::{NoAmount, Quote};
use crate::rules::ruleset::{RuleSet, Rules};
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

/// What is done about a billable template while its text could go out free-form for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(i32)]
pub enum PreferFree {
    /// Nothing.
    #[default]
    Off = 1,
    /// It passes, and the decision says so.
    Note = 2,
    /// It is denied.
    Refuse = 3,
}

words!(PreferFree { Off = "off", Note = "note", Refuse = "refuse" });

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
    /// What is done about billable templates whose text could go out for nothing.
    pub prefer_free: PreferFree,
    /// The currency that the number is billed in.
    pub currency: Option<Currency>,
    /// The business account that the number belongs to, where the configuration says so.
    pub account: Option<u64>,
    /// The countries to which authentication templates are charged at the rate for senders from abroad (Meta, Authentication-international rates).
    pub international: Vec<Country>,
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

/// What a send would cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// The amount by what is known now; `None` where no rate is known.
    pub amount: Option<Amount>,
    /// The least that it can come to: other than the amount where that depends on the free tier, which sends that are still under way may use up.
    pub lowest: Option<Amount>,
    /// The most that it can come to.
    pub highest: Option<Amount>,
    /// Why there is no amount.
    pub no_amount: Option<NoAmount>,
    /// The currency that the number is billed in.
    pub currency: Option<Currency>,
    /// The customer's market.
    pub market: Option<Market>,
}

impl Cost {
    /// Of what has no price: denied sends, receipts, reactions.
    pub const NONE: Cost =
        Cost { amount: None, lowest: None, highest: None, no_amount: None, currency: None, market: None };
}

/// What the answer about a send's cost depends on besides the contact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meter {
    /// How many service messages of the number were delivered in this month.
    pub tier_used: u32,
    /// The rate of the send's market and category.
    pub quote: Quote,
    /// How many messages were charged in that market and category in this month.
    pub volume: u64,
}

impl Meter {
    /// Nothing used, and no rate known.
    pub const NONE: Meter = Meter { tier_used: 0, quote: Quote::NONE, volume: 0 };
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
    /// Whether it would be charged.
    pub charged: Charged,
    /// What it would cost.
    pub cost: Cost,
    /// Whether it is a billable template whose text could go out free-form for nothing, and the number asks to be told.
    pub prefer_free: bool,
    /// The customer's window.
    pub window: Window,
    /// The branch that the window falls into.
    pub branch: State,
}

/// The category that a send to this country is accounted under, and whether that is a guess; `None` for receipts.
pub fn category_of(
    policy: &Policy,
    outgoing: &Outgoing,
    standing: Standing,
    country: Option<Country>,
) -> (Option<Category>, bool) {
    match outgoing.class {
        Class::Receipt => (None, false),
        Class::FreeForm | Class::Reaction | Class::Unknown => (Some(Category::Service), false),
        Class::Template => match outgoing.category.or(standing.category) {
            Some(Category::Unknown) | None => (Some(Category::Unknown), true),
            Some(Category::Authentication)
                if country.is_some_and(|country| policy.international.contains(&country)) =>
            {
                (Some(Category::AuthenticationInternational), false)
            }
            known => (known, false),
        },
    }
}

/// Decides about a send. `category` is what [`category_of`] says of it; the meter is read for that category.
pub fn decide(
    policy: &Policy,
    contact: &Contact,
    outgoing: &Outgoing,
    standing: Standing,
    (category, estimated): (Option<Category>, bool),
    meter: &Meter,
    at: Timestamp,
) -> Decision {
    let rules = policy.rules.at(at);
    let window = policy.window(contact, at);
    let branch = policy.branch(window.state, at);
    let accounted = |class, category| {
        let placement = conversation::place(rules, contact, class, category, at);
        let in_window = window::act_before(rules, contact, &[], at).is_some();
        let item = Item { class, category, placement, in_window };
        (item, charge::charge(rules, &item, meter.tier_used))
    };
    let (verdict, reason) = judge(policy, outgoing, standing, &window, branch);
    let could_be_free_form = verdict == Verdict::Allow
        && outgoing.class == Class::Template
        && !matches!(category, Some(Category::Authentication | Category::AuthenticationInternational))
        && branch == State::Open;
    let prefer_free = policy.prefer_free != PreferFree::Off
        && could_be_free_form
        && category.is_some_and(|category| accounted(Class::Template, category).1.is_billable())
        && accounted(Class::FreeForm, Category::Service).1.charge == Some(Charge::Free);
    let (verdict, reason) = match policy.prefer_free {
        PreferFree::Refuse if prefer_free => (Verdict::Deny, Reason::OverCost),
        _ => (verdict, reason),
    };
    let would_deny = verdict == Verdict::Deny && policy.mode == Mode::Monitor;
    let verdict = if policy.mode == Mode::Enforce { verdict } else { Verdict::Allow };
    let (placement, charged, cost) = match (verdict, category) {
        (Verdict::Allow, Some(category)) => {
            let (item, charged) = accounted(outgoing.class, category);
            (item.placement, charged, cost(rules, &item, charged, meter))
        }
        _ => (Placement::NONE, Charged::NONE, Cost::NONE),
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
        cost,
        prefer_free,
        window,
        branch,
    }
}

fn cost(rules: &RuleSet, item: &Item, charged: Charged, meter: &Meter) -> Cost {
    let Meter { quote, volume, .. } = meter;
    let bill = |charged| Bill::new(charged, item.rated(), quote, volume + 1);
    if charged.charge.is_none() {
        return Cost::NONE;
    }
    let Bill { amount, no_amount, .. } = bill(charged);
    // Within the free tier it is the deliveries until then that decide, not the sends.
    let beyond = charge::charge(rules, item, u32::MAX);
    let highest = if item.takes_tier_unit(rules) { bill(beyond).amount } else { amount };
    Cost { amount, lowest: amount, highest, no_amount, currency: quote.currency, market: quote.market }
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
    pub fn sending(&self, template: Option<TemplateName>) -> Option<Sending> {
        let Decision { class, estimated, .. } = *self;
        self.category.map(|category| Sending { class, category, estimated, template })
    }
}
