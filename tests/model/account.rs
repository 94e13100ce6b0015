//! What each message costs.

use std::collections::BTreeMap;

use super::messages::{Message, known_at, known_messages};
use super::place::{Placed, place};
use super::*;

/// One message's line in the account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub message: Id,
    pub contact: Contact,
    pub at: Millis,
    pub class: Class,
    pub category: Category,
    /// Nobody named the template's category: it is accounted as marketing.
    pub guess: bool,
    /// The platform names another category than the send did, or a free entry point.
    pub moved: bool,
    /// The rules in force for it.
    pub set: Set,
    pub effect: Effect,
    pub conversation: Option<Kind>,
    /// When its charge falls due; until then the ledger has none.
    pub due: Option<Millis>,
    /// What the rules say; nothing for a free-form message of `meta-2026-10` that has no unit.
    pub estimate: Option<Charge>,
    /// What the platform says.
    pub reported: Option<Charge>,
    /// Its place among the month's free-form deliveries of the number, from 1.
    pub unit: Option<u32>,
}

impl Account {
    /// What the platform reports, else what the rules say.
    pub fn charge(&self) -> Option<Charge> {
        self.reported.or(self.estimate)
    }
}

/// A message that failed: it counts as never sent, and the books say that it was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivenUp {
    pub message: Id,
    pub contact: Contact,
    pub at: Millis,
    pub class: Class,
    pub category: Category,
    pub guess: bool,
    /// The platform's code, as it was first told.
    pub code: Option<i64>,
}

/// Accounts for every message that counts, in the order of their ids.
pub fn account(config: &Config, facts: &[Fact]) -> Vec<Account> {
    let mut units = Units::default();
    let known = (1..=facts.len()).map(|known| units.take(config, &facts[..known])).last();
    let mut accounts = charge_all(config, facts, &known.unwrap_or_default(), &units);
    accounts.sort_by_key(|account| account.message);
    accounts
}

/// The accounts as they stood after each fact, every time in the order in which the messages were first heard of.
pub fn account_step_by_step(config: &Config, facts: &[Fact]) -> Vec<Vec<Account>> {
    let mut units = Units::default();
    let step = |known| {
        let facts = &facts[..known];
        let mut placed = units.take(config, facts);
        placed.sort_by_key(|it| it.message.recorded);
        charge_all(config, facts, &placed, &units)
    };
    (1..=facts.len()).map(step).collect()
}

fn charge_all(config: &Config, facts: &[Fact], placed: &[Placed], units: &Units) -> Vec<Account> {
    placed.iter().map(|it| charged(config, facts, placed, it, units)).collect()
}

/// The messages that failed.
pub fn given_up(facts: &[Fact]) -> Vec<GivenUp> {
    let known = known_messages(facts).into_iter().filter(|it| it.failed && it.class != Class::Untold);
    let given_up = |Message { id, contact, at, class, category, guess, code, .. }| GivenUp {
        message: id,
        contact,
        at,
        class,
        category,
        guess,
        code,
    };
    known.map(given_up).collect()
}

/// The units of the monthly free tier. A unit once taken stays taken.
#[derive(Debug, Default)]
struct Units {
    of: BTreeMap<Id, u32>,
    taken: BTreeMap<(u32, i32), u32>,
}

impl Units {
    /// Places everything that these facts tell, and gives a unit to each message that needs one and has none. Several at
    /// once (a free entry point vanished) take them in the order in which they were first heard of.
    fn take(&mut self, config: &Config, facts: &[Fact]) -> Vec<Placed> {
        let placed = place(config, facts);
        let needs_one = |it: &&Placed| {
            let is_service = it.set == Set::Meta202610 && it.message.class == Class::FreeForm;
            is_service && it.conversation.is_none() && it.due.is_some() && !self.of.contains_key(&it.message.id)
        };
        let mut takers: Vec<&Placed> = placed.iter().filter(needs_one).collect();
        takers.sort_by_key(|it| it.message.recorded);
        for it in takers {
            let month = month((config.day_of)(it.due.unwrap_or(it.message.at)));
            let last = self.taken.entry((it.message.contact.business, month)).or_insert(0);
            *last += 1;
            self.of.insert(it.message.id, *last);
        }
        placed
    }
}

/// One message's line in the account. A reported charge falls due with the message's own delivery, where that is known.
fn charged(config: &Config, facts: &[Fact], all: &[Placed], it: &Placed, units: &Units) -> Account {
    let Placed { message, set, effect, conversation, .. } = *it;
    let Message { id, contact, at, class, category, guess, moved, .. } = message;
    let unit = units.of.get(&id).copied();
    let tier = unit.map(|unit| unit <= config.free_tier);
    let estimate = estimate(it, window_open(facts, contact, at), tier);
    let reported = reported(it, payer(facts, all, &message));
    let due = if reported.is_some() { message.delivered.or(it.due) } else { it.due };
    Account {
        message: id,
        contact,
        at,
        class,
        category,
        guess,
        moved,
        set,
        effect,
        conversation,
        due,
        estimate,
        reported,
        unit,
    }
}

/// What the rules charge; `tier` says whether its unit is a free one.
fn estimate(it: &Placed, window_open: bool, tier: Option<bool>) -> Option<Charge> {
    let free_form = it.message.class == Class::FreeForm;
    Some(match (it.set, it.effect) {
        _ if it.message.class == Class::Reaction => Charge { price: Price::Nil, reason: Reason::Reaction },
        _ if it.conversation == Some(Kind::FreeEntryPoint) => Charge::free(Reason::FreeEntryPoint),
        (Set::Guide | Set::Meta202411 | Set::Meta202507, _) if free_form => Charge::free(Reason::ServiceFree),
        (Set::Meta202610, _) if free_form => match tier? {
            true => Charge::free(Reason::FreeTier),
            false => Charge::billable(Reason::PerMessage),
        },
        (_, Effect::Joins) => Charge::free(Reason::JoinsConversation),
        (_, Effect::Opens) => Charge::billable(Reason::OpensConversation),
        (Set::Meta202507, _) if it.message.category == Category::Utility && window_open => {
            Charge::free(Reason::InWindow)
        }
        _ => Charge::billable(Reason::PerMessage),
    })
}

/// What the platform says it charges, in our words. `payer` is the message that pays for the reported conversation.
///
/// Decided: where it does not say how it counts, it counts as the set in force does; a conversation without an id is
/// paid by whoever does not join one.
fn reported(it: &Placed, payer: Option<Id>) -> Option<Charge> {
    let report = it.message.report;
    let counts = if it.set.counts_conversations() { Pricing::Cbp } else { Pricing::Pmp };
    let opens = Charge::billable(Reason::OpensConversation);
    let joins = Charge::free(Reason::JoinsConversation);
    if it.message.class == Class::Reaction {
        return None;
    }
    if report.free_entry_point {
        return Some(Charge::free(Reason::FreeEntryPoint));
    }
    Some(match (report.billable?, report.model.unwrap_or(counts)) {
        (false, _) => match it.message.category {
            Category::Service if it.set == Set::Meta202610 => Charge::free(Reason::FreeTier),
            Category::Service => Charge::free(Reason::ServiceFree),
            Category::Utility => Charge::free(Reason::InWindow),
            _ => joins,
        },
        (true, Pricing::Cbp) => match payer {
            Some(payer) if payer == it.message.id => opens,
            None if it.effect != Effect::Joins => opens,
            _ => joins,
        },
        (true, Pricing::Pmp) => Charge::billable(Reason::PerMessage),
    })
}

/// The contact's message that was the first to report the conversation of this one's report.
fn payer(facts: &[Fact], all: &[Placed], message: &Message) -> Option<Id> {
    let conversation = message.report.conversation?;
    let reports_it = |it: &Message| it.contact == message.contact && it.report.conversation == Some(conversation);
    let told = |id: Id| {
        facts.iter().position(|fact| match fact {
            Fact::Status { message, report: Some(report), .. } => *message == id && report.conversation.is_some(),
            _ => false,
        })
    };
    all.iter().map(|it| it.message).filter(reports_it).map(|it| it.id).min_by_key(|id| told(*id))
}

/// Whether the window was open for a send: the newest act that opens one at or before it covers it, and no refusal came
/// between the two. Decided: only the act and the refusal are compared in whole seconds.
fn window_open(facts: &[Fact], contact: Contact, at: Millis) -> bool {
    let act = |fact: &Fact| match *fact {
        Fact::Act { contact: actor, at, opens: true, .. } if actor == contact => Some(at),
        _ => None,
    };
    let newest = facts.iter().filter_map(act).filter(|act| *act <= at).max();
    let second = |at: Millis| at.div_euclid(SECOND);
    newest.is_some_and(|act| {
        let between = |refusal: &Millis| second(act) < second(*refusal) && *refusal <= at;
        at < act + SHORT && !refusals(facts, contact).iter().any(between)
    })
}

/// When the platform refused sends for a closed window: the time of the send as it was known once the refusal was
/// recorded, the refusal's own if that is all. A refusal that is repeated says nothing new.
fn refusals(facts: &[Fact], contact: Contact) -> Vec<Millis> {
    let mut refused = BTreeMap::new();
    for (place, fact) in facts.iter().enumerate().filter(|(_, fact)| fact.contact() == contact) {
        if let Fact::Status { message, at, progress: Progress::Failed, code: Some(131_047 | 470), .. } = *fact {
            refused.entry(message).or_insert(known_at(&facts[..=place], message).unwrap_or(at));
        }
    }
    refused.into_values().collect()
}
