//! What was estimated beside what the platform reported, and beside its bill.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::gate::config::Config;
use crate::money::{Amount, Currency};
use crate::party::{Business, Customer};
use crate::rules::charge::{ChargeReason, Charged};
use crate::rules::event::Category;
use crate::rules::ledger::{Line, LineKind};
use crate::rules::market::Market;
use crate::store::codec::{self, Entry, Total};
use crate::store::{Records, Table};
use crate::time::{Day, Span};
use crate::wire::bill::{Bill, Point, PriceKind};

/// How an estimate stands beside the platform's report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Agreement {
    /// They agree on the charge, the category and the amount.
    Agrees,
    /// The platform put the message into another category.
    DiffersInCategory,
    /// The platform charged what was thought free, or the other way round.
    DiffersInCharge,
    /// Category and charge are the same, the amount is not.
    DiffersInAmount,
    /// The platform reported a message that had not been estimated.
    NotEstimated,
    /// The platform has not reported the price yet.
    Unreported,
}

words!(Agreement {
    Agrees = "agrees",
    DiffersInCategory = "differs_in_category",
    DiffersInCharge = "differs_in_charge",
    DiffersInAmount = "differs_in_amount",
    NotEstimated = "not_estimated",
    Unreported = "unreported",
});

/// Charges that stand alike: estimated and reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pair {
    /// How they stand beside each other.
    pub agreement: Agreement,
    /// What was estimated.
    pub estimated: Option<(Category, Charged)>,
    /// What the platform reported.
    pub reported: Option<(Category, Charged)>,
    /// The currency of the amounts.
    pub currency: Option<Currency>,
}

/// How many charges stand alike, and what they come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reconciled {
    /// How they stand.
    pub pair: Pair,
    /// How many messages.
    pub count: i64,
    /// What was estimated for them.
    pub estimated_amount: Amount,
    /// What the platform's report makes of it; nothing while it has not reported.
    pub reported_amount: Amount,
}

/// Compares the estimates of some days, first and last included, with the platform's reports.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn reconcile(records: Records<'_>, (first, last): (Day, Day)) -> Result<Vec<Reconciled>> {
    let mut rows: BTreeMap<Pair, Reconciled> = BTreeMap::new();
    each_charge(records, (first, last), &mut |_, line, total| {
        let Some(pair) = pair(line, total.amount == total.estimated_amount) else { return };
        let zero = Reconciled { pair, count: 0, estimated_amount: Amount::ZERO, reported_amount: Amount::ZERO };
        let row = rows.entry(pair).or_insert(zero);
        row.count += total.count;
        match line.kind {
            LineKind::Reconciled => {
                row.estimated_amount += total.estimated_amount;
                row.reported_amount += total.amount;
            }
            _ => row.estimated_amount += total.amount,
        }
    })?;
    Ok(rows.into_values().filter(|row| row.count != 0).collect())
}

/// How a charge of the ledger stands; `None` for lines that are not about charges, and for what has no price at all.
fn pair(line: &Line, same_amount: bool) -> Option<Pair> {
    line.charged.charge?;
    let own = (line.category, line.charged);
    let currency = line.currency;
    let pair = |agreement, estimated, reported| Some(Pair { agreement, estimated, reported, currency });
    match (line.kind, line.estimate) {
        (LineKind::Charge, _) => pair(Agreement::Unreported, Some(own), None),
        (LineKind::Reconciled, None) => pair(Agreement::NotEstimated, None, Some(own)),
        (LineKind::Reconciled, Some(estimate)) => {
            let agreement = if estimate.charged.charge != line.charged.charge {
                Agreement::DiffersInCharge
            } else if estimate.category != line.category {
                Agreement::DiffersInCategory
            } else if !same_amount {
                Agreement::DiffersInAmount
            } else {
                Agreement::Agrees
            };
            pair(agreement, Some((estimate.category, estimate.charged)), Some(own))
        }
        _ => None,
    }
}

/// A message whose estimate and report differ, or that is not reported yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Difference {
    /// How they stand.
    pub pair: Pair,
    /// The entry that stands.
    pub entry: Entry,
    /// The customer; `None` where it was erased.
    pub customer: Option<Customer>,
}

/// The messages of some days whose estimate the platform's report does not confirm, in the order of their recording. Reads the whole ledger;
/// `each` is told how far it has come.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn differences(
    records: Records<'_>,
    (first, last): (Day, Day),
    each: &mut dyn FnMut(u64),
) -> Result<Vec<Difference>> {
    let mut standing: BTreeMap<u64, Vec<(Pair, Entry)>> = BTreeMap::new();
    records.each_entry(0, &mut |sequence, entry| {
        each(sequence);
        let Some(message) = entry.message.filter(|_| first <= entry.line.day && entry.line.day <= last) else {
            return Ok(true);
        };
        let Some(pair) = pair(&entry.line, entry.amount == entry.estimated_amount) else { return Ok(true) };
        if pair.agreement == Agreement::Agrees {
            return Ok(true);
        }
        let entries = standing.entry(message).or_default();
        match entries.iter().position(|(_, known)| known.line == entry.line && known.count == -entry.count) {
            Some(place) => drop(entries.remove(place)),
            None => entries.push((pair, entry)),
        }
        if entries.is_empty() {
            standing.remove(&message);
        }
        Ok(true)
    })?;
    let whose = |entry: &Entry| {
        Ok(match entry.person {
            Some(person) => records.person(person)?.map(|(_, customer)| customer),
            None => None,
        })
    };
    let all = standing.into_values().flatten().filter(|(_, entry)| entry.count > 0);
    all.map(|(pair, entry)| Ok(Difference { pair, customer: whose(&entry)?, entry })).collect()
}

/// What a line of the bill is about. What the bill is not broken down by is `None`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BillGroup {
    /// The first and the last day of the period.
    pub days: (Day, Day),
    /// The business's number.
    pub business: Option<Business>,
    /// The customers' market.
    pub market: Option<Market>,
    /// The kind of price.
    pub kind: Option<PriceKind>,
    /// The category; of what is free in a window the platform says `service`, whatever was sent.
    pub category: Option<Category>,
}

/// A line of the bill beside our own books.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BillRow {
    /// What it is about.
    pub group: BillGroup,
    /// How many deliveries our books have.
    pub volume: i64,
    /// What they come to.
    pub amount: Amount,
    /// Of ours, how many the platform has reported by status.
    pub reported: i64,
    /// How many deliveries the bill has.
    pub billed_volume: i64,
    /// What it asks for them; `None` where it names no cost.
    pub billed: Option<Amount>,
}

impl BillRow {
    /// Whether the books and the bill say the same.
    pub fn agrees(&self) -> bool {
        self.volume == self.billed_volume && self.billed.is_none_or(|billed| billed == self.amount)
    }
}

/// Compares our books with the platform's bill, period by period, broken down as the bill is.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn compare(records: Records<'_>, config: &Config, bill: &Bill) -> Result<Vec<BillRow>> {
    let has = |of: &dyn Fn(&Point) -> bool| bill.points.iter().any(of);
    let (by_business, by_market) = (has(&|point| point.business.is_some()), has(&|point| point.country.is_some()));
    let (by_kind, by_category) = (has(&|point| point.kind.is_some()), has(&|point| point.category.is_some()));
    let mut rows: BTreeMap<BillGroup, BillRow> = BTreeMap::new();
    let mut periods: BTreeSet<(Day, Day)> = BTreeSet::new();
    for point in &bill.points {
        let business = point.business.map(|number| records.canonical(config.canonical(number))).transpose()?;
        let policy = business.map_or(config.default_policy(), |business| config.policy(business));
        let zone = policy.rules.zone();
        let days = (zone.day(point.start), zone.day(point.end - Span::millis(1)));
        periods.insert(days);
        let market = point.country.map(|country| Market::of(country, days.0));
        let category = billed_category(point.kind, point.category);
        let group = BillGroup { days, business, market, kind: point.kind, category };
        let row = row(&mut rows, group);
        row.billed_volume += point.volume;
        row.billed = match (row.billed, point.cost) {
            (Some(mut sum), Some(cost)) => {
                sum += cost;
                Some(sum)
            }
            (sum, cost) => sum.or(cost),
        };
    }
    for days in periods {
        each_charge(records, days, &mut |business, line, total| {
            let Some(kind) = kind_of(line.charged) else { return };
            let kind = by_kind.then_some(kind);
            let category = by_category.then(|| billed_category(kind_of(line.charged), Some(line.category))).flatten();
            let business = by_business.then_some(business);
            // A country that a rate card made a market of its own is in the bill's market all the same.
            let published = |market| match market {
                Market::Country(country) => Market::of(country, days.0),
                Market::Region(_) => market,
            };
            let market = line.market.filter(|_| by_market).map(published);
            let row = row(&mut rows, BillGroup { days, business, market, kind, category });
            row.volume += total.count;
            row.amount += total.amount;
            row.reported += if line.kind == LineKind::Reconciled { total.count } else { 0 };
        })?;
    }
    Ok(rows.into_values().filter(|row| row.volume != 0 || row.billed_volume != 0).collect())
}

fn row(rows: &mut BTreeMap<BillGroup, BillRow>, group: BillGroup) -> &mut BillRow {
    let (volume, amount, reported, billed_volume, billed) = (0, Amount::ZERO, 0, 0, None);
    rows.entry(group).or_insert(BillRow { group, volume, amount, reported, billed_volume, billed })
}

fn kind_of(charged: Charged) -> Option<PriceKind> {
    charged.charge?;
    Some(match charged.reason {
        _ if charged.is_billable() => PriceKind::Regular,
        Some(ChargeReason::FreeEntryPoint) => PriceKind::FreeEntryPoint,
        _ => PriceKind::FreeCustomerService,
    })
}

/// The category as bills name it: what is free counts as service; a template of unknown category was accounted as marketing.
fn billed_category(kind: Option<PriceKind>, category: Option<Category>) -> Option<Category> {
    match (kind, category?) {
        (Some(PriceKind::FreeCustomerService | PriceKind::FreeEntryPoint), _) => Some(Category::Service),
        (_, Category::Unknown) => Some(Category::Marketing),
        (_, category) => Some(category),
    }
}

/// Visits the totals of charges of some days.
fn each_charge(
    records: Records<'_>,
    (first, last): (Day, Day),
    each: &mut dyn FnMut(Business, &Line, &Total),
) -> Result<()> {
    records.0.scan(Table::Totals, &first.number().to_be_bytes(), &mut |key, value| {
        let (business, line) = codec::total_of(key)?;
        if line.day > last {
            return Ok(false);
        }
        if line.basis().is_some() {
            each(business, &line, &codec::decode(Table::Totals, value)?);
        }
        Ok(true)
    })
}
