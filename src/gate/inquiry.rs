//! What an operator or a program may ask about many contacts at once: windows about to close, free tiers, the ledger.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::Result;
use crate::gate::config::Config;
use crate::party::{Business, Customer};
use crate::rules::ruleset::Service;
use crate::rules::window::State;
use crate::store::codec::{self, Entry, PersonNumber, Seen, SeenId};
use crate::store::{Records, Table};
use crate::time::{Day, Span, Timestamp};

/// A window that is about to close.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Expiring {
    /// When it closes.
    pub expires_at: Timestamp,
    /// The business's number.
    pub business: Business,
    /// The customer, as the platform writes them.
    pub customer: Customer,
}

/// The windows that are open at a moment and close within a span of it, soonest first: at most `limit`, those after `after` in this order.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn expiring(
    records: Records<'_>,
    config: &Config,
    at: Timestamp,
    within: Span,
    after: Option<&Expiring>,
    limit: usize,
) -> Result<Vec<Expiring>> {
    let mut soonest = BTreeSet::new();
    records.each_contact(&mut |business, found| {
        let window = config.policy(business).window(&found.contact, at);
        let Some(expires_at) = window.expires_at.filter(|end| window.state == State::Open && *end <= at + within)
        else {
            return Ok(());
        };
        let expiring = Expiring { expires_at, business, customer: found.addressee() };
        if after.is_none_or(|after| expiring > *after) {
            soonest.insert(expiring);
            if soonest.len() > limit {
                soonest.pop_last();
            }
        }
        Ok(())
    })?;
    Ok(soonest.into_iter().collect())
}

/// How much of a month's free service messages a number has used, as far as csw has heard of its deliveries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FreeTier {
    /// The business's number.
    pub business: Business,
    /// The first day of the month.
    pub month: Day,
    /// How many service messages were delivered.
    pub used: u32,
    /// How many are free; `None` where the number's rules know no free tier.
    pub free: Option<u32>,
    /// When the next month begins in the account's time zone.
    pub resets_at: Timestamp,
}

/// The free tiers of the month of a moment, in each account's own time zone: of all numbers that have contacts.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn free_tiers(records: Records<'_>, config: &Config, at: Timestamp) -> Result<Vec<FreeTier>> {
    let tier = |business| {
        let rules = &config.policy(business).rules;
        let month = rules.zone().day(at).month();
        let free = match rules.at(at).service {
            Service::FreeTier(free) => Some(free),
            Service::Free | Service::Charged => None,
        };
        let used = records.tier_used(business, month)?;
        Ok(FreeTier { business, month, used, free, resets_at: rules.zone().midnight(month.next_month()) })
    };
    records.businesses()?.into_iter().map(tier).collect()
}

/// An entry of the ledger and whom it is about.
#[derive(Debug, Clone, PartialEq)]
pub struct LedgerRow {
    /// Its place in the ledger.
    pub sequence: u64,
    /// What it says.
    pub entry: Entry,
    /// The customer; `None` where it was erased, or never known.
    pub customer: Option<Customer>,
}

/// At most `limit` entries of the ledger from a place on.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn ledger(records: Records<'_>, from: u64, limit: usize) -> Result<Vec<LedgerRow>> {
    let mut rows = Vec::with_capacity(limit.min(4096));
    let mut known: BTreeMap<PersonNumber, Option<Customer>> = BTreeMap::new();
    records.each_entry(from, &mut |sequence, entry| {
        if rows.len() == limit {
            return Ok(false);
        }
        let customer = match entry.person {
            None => None,
            Some(person) => match known.get(&person) {
                Some(customer) => *customer,
                None => {
                    let customer = match records.person(person)? {
                        Some((business, customer)) => {
                            records.contact(business, &customer)?.map(|found| found.addressee())
                        }
                        None => None,
                    };
                    known.insert(person, customer);
                    customer
                }
            },
        };
        rows.push(LedgerRow { sequence, entry, customer });
        Ok(true)
    })?;
    Ok(rows)
}

/// The contacts with charges that have no amount: at most `limit`, those after `after` in the order of the store.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn unpriced(
    records: Records<'_>,
    after: Option<&(Business, Customer)>,
    limit: usize,
) -> Result<Vec<(Business, Customer)>> {
    // What follows a contact's messages: their keys go on with a zero byte.
    let from = after.map(|(business, customer)| [codec::contact_key(*business, customer).as_slice(), &[1]].concat());
    let mut found: Vec<(Business, Customer)> = Vec::new();
    records.0.scan(Table::Messages, &from.unwrap_or_default(), &mut |key, value| {
        let seen: SeenId = codec::decode(Table::Messages, value)?;
        if let Seen::Message(message) = seen.what
            && message.lacks_amount()
        {
            let contact = codec::contact_of(key.split_last_chunk::<17>().map_or(key, |(contact, _)| contact))?;
            if found.last() != Some(&contact) {
                if found.len() == limit {
                    return Ok(false);
                }
                found.push(contact);
            }
        }
        Ok(true)
    })?;
    Ok(found)
}

/// What a recount of the ledger says of the totals.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audit {
    /// How many entries the ledger has.
    pub entries: u64,
    /// How many totals there are.
    pub totals: u64,
    /// How many of them are not what the ledger adds up to.
    pub wrong: u64,
}

/// Adds up the whole ledger and compares it with the totals. `each` is told how far it has come.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read.
pub fn audit(records: Records<'_>, each: &mut dyn FnMut(u64)) -> Result<Audit> {
    let mut counted: BTreeMap<Vec<u8>, codec::Total> = BTreeMap::new();
    let mut audit = Audit::default();
    records.each_entry(0, &mut |sequence, entry| {
        counted.entry(codec::total_key(entry.business, &entry.line)?).or_default().add(&entry);
        audit.entries += 1;
        each(sequence);
        Ok(true)
    })?;
    counted.retain(|_, total| *total != codec::Total::default());
    records.0.scan(Table::Totals, &[], &mut |key, value| {
        audit.totals += 1;
        let total: codec::Total = codec::decode(Table::Totals, value)?;
        audit.wrong += u64::from(counted.remove(key) != Some(total));
        Ok(true)
    })?;
    audit.wrong += counted.len() as u64;
    Ok(audit)
}
