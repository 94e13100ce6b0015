//! Rate cards: which one holds on a day, what it says, and how much of a month's tiers is used.

use std::collections::BTreeMap;

use crate::error::Result;
use crate::money::{Amount, Currency};
use crate::party::Business;
use crate::rules::charge::Item;
use crate::rules::conversation::Placement;
use crate::rules::decision::{Meter, Policy, PreferFree};
use crate::rules::event::{Category, Class, Outgoing};
use crate::rules::market::{Country, Market};
use crate::rules::rate::{NoAmount, Quote, Rate, Tier};
use crate::rules::ruleset::Service;
use crate::store::{Records, RecordsMut};
use crate::time::{Day, Timestamp};

/// What a published rate card says of a market and category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// Its list rate.
    List(Amount),
    /// The rate of a volume tier.
    Tier(Tier),
}

/// A published rate card: of one currency, from one day on. List rates and volume tiers are published apart and may be imported in any order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The currency of its amounts.
    pub currency: Currency,
    /// The first day on which it holds, in each account's own time zone.
    pub from: Day,
    /// What it says.
    pub rates: Vec<(Market, Category, Published)>,
}

/// Keeps a rate card. What an earlier import of the same currency and day said of the same markets and categories is replaced.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read or written.
pub fn import(records: &mut RecordsMut<'_>, card: &Card) -> Result<()> {
    let Card { currency, from, .. } = *card;
    let mut rates: BTreeMap<(Market, Category), Rate> = records.read().card(currency, from)?.into_iter().collect();
    for (market, category, _) in card.rates.iter().filter(|(_, _, published)| matches!(published, Published::Tier(_))) {
        rates.entry((*market, *category)).or_default().tiers.clear();
    }
    for (market, category, published) in &card.rates {
        let rate = rates.entry((*market, *category)).or_default();
        match published {
            Published::List(amount) => rate.list = Some(*amount),
            Published::Tier(tier) => rate.tiers.push(*tier),
        }
    }
    for (of, mut rate) in rates {
        rate.tiers.sort_by_key(|tier| tier.from);
        records.put_rate(currency, from, of, &rate)?;
    }
    let mut days = records.read().rate_cards(currency)?;
    if let Err(place) = days.binary_search(&from) {
        days.insert(place, from);
        records.put_rate_cards(currency, &days)?;
    }
    Ok(())
}

/// A rate card as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The currency of its amounts.
    pub currency: Currency,
    /// The first day on which it holds.
    pub from: Day,
    /// Its rates.
    pub rates: Vec<((Market, Category), Rate)>,
}

/// All rate cards.
///
/// # Errors
/// `Store` or `Format` when they cannot be read.
pub fn cards(records: Records<'_>) -> Result<Vec<Kept>> {
    let mut cards = Vec::new();
    for currency in records.currencies()? {
        for from in records.rate_cards(currency)? {
            cards.push(Kept { currency, from, rates: records.card(currency, from)? });
        }
    }
    Ok(cards)
}

/// The rate of a category for a customer from a country, on a day, in a number's currency.
///
/// A card that names the country itself makes it a market of its own; else it is in the market that was published for the day.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn quote(
    records: Records<'_>,
    currency: Option<Currency>,
    country: Option<Country>,
    category: Category,
    day: Day,
) -> Result<Quote> {
    let published = country.map(|country| Market::of(country, day));
    let without = |why| Quote { currency, market: published, rate: Err(why) };
    let Some(currency) = currency else { return Ok(without(NoAmount::NoCurrency)) };
    let cards = records.rate_cards(currency)?;
    let Some(card) = cards.iter().rev().find(|from| **from <= day) else { return Ok(without(NoAmount::NoRateCard)) };
    let (Some(country), Some(published)) = (country, published) else { return Ok(without(NoAmount::NoMarket)) };
    for market in [Market::Country(country), published] {
        if let Some(rate) = records.rate(currency, *card, market, category)? {
            return Ok(Quote { currency: Some(currency), market: Some(market), rate: Ok(rate) });
        }
        if market == published {
            break;
        }
    }
    Ok(without(NoAmount::NoRate))
}

/// What the cost of a send depends on besides the contact.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn meter(
    records: Records<'_>,
    policy: &Policy,
    business: Business,
    outgoing: &Outgoing,
    category: Option<Category>,
    country: Option<Country>,
    at: Timestamp,
) -> Result<Meter> {
    let Some(category) = category else { return Ok(Meter::NONE) };
    let day = policy.rules.zone().day(at);
    let counts = matches!(policy.rules.at(at).service, Service::FreeTier(_));
    let tier_used = match outgoing.class {
        Class::FreeForm | Class::Unknown if counts => records.tier_used(business, day.month())?,
        // Asked of a template, too, where its text might go out for nothing.
        Class::Template if counts && policy.prefer_free != PreferFree::Off => {
            records.tier_used(business, day.month())?
        }
        _ => 0,
    };
    let category = Item { class: outgoing.class, category, placement: Placement::NONE, in_window: false }.rated();
    let quote = quote(records, policy.currency, country, category, day)?;
    let volume = match (&quote.rate, quote.currency, quote.market) {
        (Ok(rate), Some(currency), Some(market)) if !rate.tiers.is_empty() => {
            records.volume(day.month(), currency, market, category)?
        }
        _ => 0,
    };
    Ok(Meter { tier_used, quote, volume })
}
