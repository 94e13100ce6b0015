//! The platform's own account of what was delivered and what it costs (Meta, Analytics, `pricing_analytics`).

use serde_json_borrow::Value;

use super::webhook::category;
use super::{Node, Read};
use crate::error::{Error, Result};
use crate::money::Amount;
use crate::party::Business;
use crate::rules::event::Category;
use crate::rules::market::Country;
use crate::time::{Span, Timestamp};

/// What kind of price a delivery had (`pricing_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PriceKind {
    /// It is charged.
    Regular,
    /// It is free in the window, or in the monthly free tier.
    FreeCustomerService,
    /// It is free in a free entry point.
    FreeEntryPoint,
}

words!(PriceKind {
    Regular = "regular",
    FreeCustomerService = "free_customer_service",
    FreeEntryPoint = "free_entry_point",
});

/// A line of the bill. What it is not broken down by is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Its first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
    /// The business's display number (`PHONE`).
    pub business: Option<Business>,
    /// The customers' country (`COUNTRY`).
    pub country: Option<Country>,
    /// The kind of price (`PRICING_TYPE`).
    pub kind: Option<PriceKind>,
    /// The category (`PRICING_CATEGORY`).
    pub category: Option<Category>,
    /// How many messages were delivered.
    pub volume: i64,
    /// What they cost, in the account's currency; `None` where a partner is billed.
    pub cost: Option<Amount>,
}

/// A bill.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bill {
    /// Its lines.
    pub points: Vec<Point>,
    /// What could not be read, each by its place.
    pub unreadable: Vec<String>,
}

/// Reads the platform's answer to `GET /{account}?fields=pricing_analytics...`, or several pages of it one after another.
///
/// # Errors
/// `Invalid` when the text is no such answer, or breaks days into half hours.
pub fn parse(text: &[u8]) -> Result<Bill> {
    let mut bill = Bill::default();
    let expected = "expected the platform's JSON with pricing_analytics.data[].data_points";
    for page in serde_json::Deserializer::from_slice(text).into_iter::<Value>() {
        let page = page.map_err(|error| Error::invalid(format!("bill: {expected}; {error}")))?;
        let root = Node::root(&page);
        let analytics = root.get("pricing_analytics");
        let data = if analytics.exists() { analytics.get("data") } else { root.get("data") };
        if !data.value.is_some_and(Value::is_array) {
            return Err(Error::invalid(format!("bill: {}", data.fault("pricing_analytics"))));
        }
        for part in data.items() {
            for point in part.get("data_points").items() {
                match read(&point) {
                    Ok(point) => bill.points.push(point),
                    Err(fault) => bill.unreadable.push(fault),
                }
            }
        }
    }
    if bill.points.is_empty() && bill.unreadable.is_empty() {
        return Err(Error::invalid(format!("bill: it has no data points; {expected}")));
    }
    if bill.points.iter().any(|point| Span::between(point.start, point.end) < Span::hours(23)) {
        return Err(Error::invalid("bill: its points are shorter than a day; ask for granularity(DAILY) or (MONTHLY)"));
    }
    Ok(bill)
}

fn read(point: &Node) -> Read<Point> {
    let number = |key: &'static str| point.get(key);
    let time = |key| {
        let node = number(key);
        node.integer().map(Timestamp::from_seconds).ok_or_else(|| node.fault("Unix seconds"))
    };
    let text = |key| point.get(key).digits_or_text().map(|text| text.into_owned());
    let read_as = |key: &'static str, expected: &str, known: bool| {
        let node = point.get(key);
        if known || !node.exists() { Ok(()) } else { Err(node.fault(expected)) }
    };
    let business = text("phone_number").and_then(|text| Business::parse(&text).ok());
    let country = text("country").and_then(|code| Country::parse(&code));
    let kind = text("pricing_type").and_then(|word| PriceKind::from_word(&word.to_lowercase().replace("_group", "")));
    let word = text("pricing_category");
    let is_referral = word.as_deref() == Some("REFERRAL_CONVERSION");
    let category = word.as_deref().and_then(category);
    read_as("phone_number", "a phone number", business.is_some())?;
    read_as("country", "a country such as IN", country.is_some())?;
    read_as("pricing_type", "REGULAR, FREE_CUSTOMER_SERVICE or FREE_ENTRY_POINT", kind.is_some())?;
    read_as("pricing_category", "MARKETING, UTILITY, AUTHENTICATION, SERVICE, ...", category.is_some() || is_referral)?;
    let volume = number("volume");
    let cost = number("cost");
    Ok(Point {
        start: time("start")?,
        end: time("end")?,
        business,
        country,
        kind: if is_referral { kind.and(Some(PriceKind::FreeEntryPoint)) } else { kind },
        category: if is_referral { Some(Category::Service) } else { category },
        volume: volume.integer().ok_or_else(|| volume.fault("a whole number"))?,
        cost: match cost.value {
            None => None,
            Some(value) => {
                let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                Some(Amount::from_number(&text).map_err(|error| cost.blame(&error))?)
            }
        },
    })
}
