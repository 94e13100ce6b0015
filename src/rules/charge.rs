//! What a message costs: nothing, something, or what nobody knows; by our own reckoning and by the platform's report.

use serde::{Deserialize, Serialize};

use crate::money::Amount;
use crate::rules::conversation::{ConversationCategory, Effect, Placement};
use crate::rules::event::{Category, Class, PriceModel, Reported};
use crate::rules::rate::{NoAmount, Quote};
use crate::rules::ruleset::{RuleSet, Service};

/// Whether a message is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum Charge {
    /// It costs nothing.
    Free = 1,
    /// It is charged.
    Billable = 2,
    /// It cannot be said.
    Unknown = 3,
}

words!(Charge { Free = "free", Billable = "billable", Unknown = "unknown" });

/// Why a message is or is not charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[repr(i32)]
pub enum ChargeReason {
    /// Free-form messages are free under these rules.
    ServiceFree = 1,
    /// It lies within the month's free service messages of the number.
    FreeTier = 2,
    /// A utility template inside the window.
    InWindow = 3,
    /// It lies inside a free entry point.
    FreeEntryPoint = 4,
    /// Its conversation is open already.
    JoinsConversation = 5,
    /// It opens a conversation.
    OpensConversation = 6,
    /// Every message of its kind is charged.
    PerMessage = 7,
    /// Reactions are never charged.
    Reaction = 8,
    /// No rate is known for it.
    NoRate = 9,
}

words!(ChargeReason {
    ServiceFree = "service_free",
    FreeTier = "free_tier",
    InWindow = "in_window",
    FreeEntryPoint = "free_entry_point",
    JoinsConversation = "joins_conversation",
    OpensConversation = "opens_conversation",
    PerMessage = "per_message",
    Reaction = "reaction",
    NoRate = "no_rate",
});

/// A charge and its reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Charged {
    /// Free, billable or unknown; `None` for what has no price at all.
    pub charge: Option<Charge>,
    /// Why; `None` for receipts.
    pub reason: Option<ChargeReason>,
}

impl Charged {
    /// No charge and nothing to say about one.
    pub const NONE: Charged = Charged { charge: None, reason: None };

    /// Whether something is to be paid.
    pub fn is_billable(&self) -> bool {
        self.charge == Some(Charge::Billable)
    }

    fn free(reason: ChargeReason) -> Self {
        Charged { charge: Some(Charge::Free), reason: Some(reason) }
    }

    fn billable(reason: ChargeReason) -> Self {
        Charged { charge: Some(Charge::Billable), reason: Some(reason) }
    }
}

/// A charge with its amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Bill {
    /// The charge.
    pub charged: Charged,
    /// The category that it is charged under.
    pub category: Category,
    /// The amount in the number's currency: nothing for what is free, `None` where no rate is known or nothing has a price.
    pub amount: Option<Amount>,
    /// Why a billable message has no amount.
    pub no_amount: Option<NoAmount>,
}

impl Bill {
    /// The bill for a charge, at a rate, for the n-th charged message of the month.
    pub fn new(charged: Charged, category: Category, quote: &Quote, place: u64) -> Self {
        let (amount, no_amount) = match charged.charge {
            Some(Charge::Billable) => match quote.of(place) {
                Ok(amount) => (Some(amount), None),
                Err(why) => (None, Some(why)),
            },
            Some(Charge::Free) => (Some(Amount::ZERO), None),
            Some(Charge::Unknown) | None => (None, None),
        };
        Bill { charged, category, amount, no_amount }
    }

    /// Whether it stands where the same charge is reckoned again, by what rate cards say now; not where the customer's market was yet to be learnt.
    pub fn stands_beside(&self, again: &Bill) -> bool {
        (self.charged, self.category) == (again.charged, again.category) && self.no_amount != Some(NoAmount::NoMarket)
    }
}

/// What is charged: a message and the circumstances that its price depends on.
#[derive(Debug, Clone, Copy)]
pub struct Item {
    /// Its class.
    pub class: Class,
    /// Its category.
    pub category: Category,
    /// What it does to the conversations.
    pub placement: Placement,
    /// Whether it was sent inside the customer service window.
    pub in_window: bool,
}

impl Item {
    /// The category whose rate it is charged at: a template of unknown category counts as marketing.
    pub fn rated(&self) -> Category {
        match (self.class, self.category) {
            (Class::Template, Category::Unknown) => Category::Marketing,
            (Class::Template, category) => category,
            _ => Category::Service,
        }
    }

    /// Whether its price depends on how many service messages were delivered this month: whether it takes a unit of the free tier.
    pub fn takes_tier_unit(&self, rules: &RuleSet) -> bool {
        matches!(rules.service, Service::FreeTier(_))
            && matches!(self.class, Class::FreeForm | Class::Unknown)
            && self.placement.effect == Effect::None
    }
}

/// The charge of a message. `tier_used` is how many service messages of the number were delivered in this month before it.
///
/// Sources: the guide, "Types of Conversations"; Meta, Conversation-based pricing; Meta, Pricing on the WhatsApp Business Platform, and its
/// updates of 2025-07-01 and 2026-10-01.
pub fn charge(rules: &RuleSet, item: &Item, tier_used: u32) -> Charged {
    match item.class {
        Class::Receipt => return Charged::NONE,
        Class::Reaction => return Charged { charge: None, reason: Some(ChargeReason::Reaction) },
        Class::FreeForm | Class::Unknown | Class::Template => {}
    }
    if item.placement.category == Some(ConversationCategory::FreeEntryPoint) {
        return Charged::free(ChargeReason::FreeEntryPoint);
    }
    let free_form = item.class != Class::Template;
    match (item.placement.effect, rules.service) {
        (_, Service::Free) if free_form => Charged::free(ChargeReason::ServiceFree),
        (Effect::Joins, _) => Charged::free(ChargeReason::JoinsConversation),
        (Effect::Opens, _) => Charged::billable(ChargeReason::OpensConversation),
        (Effect::None, Service::FreeTier(free)) if free_form && tier_used < free => {
            Charged::free(ChargeReason::FreeTier)
        }
        (Effect::None, _) if item.category == Category::Utility && item.in_window && rules.utility_in_window_free => {
            Charged::free(ChargeReason::InWindow)
        }
        (Effect::None, _) => Charged::billable(ChargeReason::PerMessage),
    }
}

/// The charge as the platform reported it; `None` while it has not said whether the message is billable.
///
/// `type` and `billable` win over any reckoning. Under conversation-based pricing each message of a billable conversation is reported billable;
/// the first of them pays. Sources: Meta, Status messages webhook reference, `pricing`; Meta, Conversation-based pricing.
pub fn reported(rules: &RuleSet, reported: &Reported, item: &Item, starts_conversation: bool) -> Option<Charged> {
    if matches!(item.class, Class::Receipt | Class::Reaction) {
        return None;
    }
    if reported.free_entry_point {
        return Some(Charged::free(ChargeReason::FreeEntryPoint));
    }
    let joins = Charged::free(ChargeReason::JoinsConversation);
    let opens = Charged::billable(ChargeReason::OpensConversation);
    let counted = if rules.conversation.is_some() { PriceModel::Conversation } else { PriceModel::Message };
    Some(match (reported.billable?, reported.model.unwrap_or(counted), reported.conversation, item.category) {
        (false, _, _, Category::Utility) => Charged::free(ChargeReason::InWindow),
        (false, _, _, Category::Service) if matches!(rules.service, Service::FreeTier(_)) => {
            Charged::free(ChargeReason::FreeTier)
        }
        (false, _, _, Category::Service) => Charged::free(ChargeReason::ServiceFree),
        (false, ..) => joins,
        (true, PriceModel::Conversation, Some(_), _) => {
            if starts_conversation {
                opens
            } else {
                joins
            }
        }
        (true, PriceModel::Conversation, None, _) if item.placement.effect == Effect::Joins => joins,
        (true, PriceModel::Conversation, None, _) => opens,
        (true, PriceModel::Message, ..) => Charged::billable(ChargeReason::PerMessage),
    })
}
