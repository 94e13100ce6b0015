//! What the tables hold, as records: read from a committed state.

use std::collections::BTreeSet;

use super::codec::{
    self, ContactKey, Due, Entry, Kept, NumberRecord, Parked, PersonNumber, Seen, SeenId, Slot, TemplateRecord,
};
use super::{Read, Table};
use crate::error::Result;
use crate::money::Currency;
use crate::party::{Business, Customer};
use crate::rules::contact::{Contact, Hint};
use crate::rules::event::{Category, TemplateName};
use crate::rules::market::Market;
use crate::rules::message::Message;
use crate::rules::rate::Rate;
use crate::time::{Day, Timestamp};

/// Where the meta table keeps how many messages were recorded.
pub(super) const MESSAGES_KEY: &[u8] = b"messages";
/// Where the meta table keeps how many customers the ledger has had.
pub(super) const PERSONS_KEY: &[u8] = b"persons";

/// A contact where it was found: under its own key.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// The name that its key is made of.
    pub customer: Customer,
    /// Its facts.
    pub contact: Contact,
}

impl Found {
    /// The name by which to write to the customer: the platform's own spelling.
    pub fn addressee(&self) -> Customer {
        self.contact.spelled.unwrap_or(self.customer)
    }
}

/// The records of a committed state.
#[derive(Clone, Copy)]
pub struct Records<'r>(pub &'r dyn Read);

impl Records<'_> {
    /// The contact of a customer, by any of its names.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn contact(&self, business: Business, customer: &Customer) -> Result<Option<Found>> {
        match self.slot(business, customer)? {
            None => Ok(None),
            Some(Slot::Contact(contact)) => {
                if let Some(hint) = contact.hint() {
                    self.0.found(&codec::contact_key(business, customer), hint);
                }
                Ok(Some(Found { customer: *customer, contact }))
            }
            Some(Slot::Alias(canonical)) => match self.slot(business, &canonical)? {
                Some(Slot::Contact(contact)) => Ok(Some(Found { customer: canonical, contact })),
                Some(Slot::Alias(_)) | None => Ok(None),
            },
        }
    }

    /// What is known of a contact by this very name, without a reading: the state after the newest commit, or nothing. `meanwhile` is done while memory
    /// is asked, or not at all.
    pub fn hint(&self, business: Business, customer: &Customer, meanwhile: &mut dyn FnMut()) -> Option<Hint> {
        let mut key = ContactKey::new();
        codec::put_contact_key(&mut key, business, customer);
        self.0.hint(&key, meanwhile)
    }

    fn slot(&self, business: Business, customer: &Customer) -> Result<Option<Slot>> {
        self.decoded(Table::Contacts, &codec::contact_key(business, customer))
    }

    /// What is known under a message id of a contact.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn seen(&self, business: Business, customer: &Customer, id: codec::IdHash) -> Result<Option<SeenId>> {
        self.decoded(Table::Messages, &codec::message_key(business, customer, id))
    }

    /// The messages of the business to a contact, by the hashes of their ids.
    ///
    /// # Errors
    /// `Store` or `Format` when they cannot be read.
    pub fn messages(&self, business: Business, customer: &Customer) -> Result<Vec<(codec::IdHash, Message)>> {
        let mut messages = Vec::new();
        self.each_seen(business, customer, &mut |id, seen| {
            if let Seen::Message(message) = seen.what {
                messages.push((id, *message));
            }
        })?;
        Ok(messages)
    }

    /// Whether one of the messages of the business to a contact is meant; looks at no more of them than it must.
    ///
    /// # Errors
    /// `Store` or `Format` when they cannot be read.
    pub fn any_message(
        &self,
        business: Business,
        customer: &Customer,
        is_meant: &mut dyn FnMut(&Message) -> bool,
    ) -> Result<bool> {
        let mut is_found = false;
        self.visit_seen(business, customer, &mut |_, seen| {
            is_found = matches!(seen.what, Seen::Message(message) if is_meant(&message));
            !is_found
        })?;
        Ok(is_found)
    }

    /// Everything that is known under message ids of a contact.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn each_seen(
        &self,
        business: Business,
        customer: &Customer,
        each: &mut dyn FnMut(codec::IdHash, SeenId),
    ) -> Result<()> {
        self.visit_seen(business, customer, &mut |id, seen| {
            each(id, seen);
            true
        })
    }

    /// Everything that is known under message ids of a contact, for as long as `visit` asks for more.
    fn visit_seen(
        &self,
        business: Business,
        customer: &Customer,
        visit: &mut dyn FnMut(codec::IdHash, SeenId) -> bool,
    ) -> Result<()> {
        let prefix = codec::messages_prefix(business, customer);
        self.0.scan(Table::Messages, &prefix, &mut |key, value| {
            let Some(id) = key.strip_prefix(prefix.as_slice()).and_then(|id| id.try_into().ok()) else {
                return Ok(false);
            };
            Ok(visit(id, codec::decode(Table::Messages, value)?))
        })
    }

    /// The contact that an outbound message id was recorded for.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn recipient(&self, business: Business, id: codec::IdHash) -> Result<Option<Customer>> {
        self.decoded(Table::Ids, &codec::id_key(business, id))
    }

    /// How many service messages of a number were delivered in a month.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn tier_used(&self, business: Business, month: Day) -> Result<u32> {
        Ok(self.decoded(Table::Tiers, &codec::tier_key(business, month))?.unwrap_or(0))
    }

    /// A template of a business account.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn template(&self, account: u64, name: &TemplateName) -> Result<Option<TemplateRecord>> {
        self.decoded(Table::Templates, &codec::template_key(account, name))
    }

    /// All templates of a business account.
    ///
    /// # Errors
    /// `Store` or `Format` when they cannot be read.
    pub fn templates(&self, account: u64) -> Result<Vec<TemplateRecord>> {
        let prefix = account.to_be_bytes();
        let mut templates = Vec::new();
        self.0.scan(Table::Templates, &prefix, &mut |key, value| {
            if !key.starts_with(&prefix) {
                return Ok(false);
            }
            templates.push(codec::decode(Table::Templates, value)?);
            Ok(true)
        })?;
        templates.sort_by(|one: &TemplateRecord, other| one.template.cmp(&other.template));
        Ok(templates)
    }

    /// What is known of a business number.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn number(&self, business: Business) -> Result<Option<NumberRecord>> {
        self.decoded(Table::Numbers, &business.number().to_be_bytes())
    }

    /// The number that a display number stands for, or the number itself.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn canonical(&self, business: Business) -> Result<Business> {
        Ok(match self.number(business)? {
            Some(NumberRecord::Displays(canonical)) => canonical,
            _ => business,
        })
    }

    /// The rate of a market and category on the card of a day.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn rate(&self, currency: Currency, card: Day, market: Market, category: Category) -> Result<Option<Rate>> {
        self.decoded(Table::Rates, &codec::rate_key(currency, card, market, category)?)
    }

    /// The days from which a currency's rate cards hold, in order.
    ///
    /// # Errors
    /// `Store` or `Format` when they cannot be read.
    pub fn rate_cards(&self, currency: Currency) -> Result<Vec<Day>> {
        Ok(self.decoded(Table::Rates, currency.code().as_bytes())?.unwrap_or_default())
    }

    /// The currencies that have rate cards.
    ///
    /// # Errors
    /// `Store` when they cannot be read.
    pub fn currencies(&self) -> Result<Vec<Currency>> {
        let mut currencies = Vec::new();
        self.0.scan(Table::Rates, &[], &mut |key, _| {
            let code = std::str::from_utf8(key).ok().and_then(|code| Currency::parse(code).ok());
            currencies.extend(code);
            Ok(true)
        })?;
        Ok(currencies)
    }

    /// The business accounts that templates are known of.
    ///
    /// # Errors
    /// `Store` when they cannot be read.
    pub fn accounts(&self) -> Result<Vec<u64>> {
        let mut accounts = Vec::new();
        self.0.scan(Table::Templates, &[], &mut |key, _| {
            accounts.extend(key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)));
            accounts.dedup();
            Ok(true)
        })?;
        Ok(accounts)
    }

    /// All rates of a card.
    ///
    /// # Errors
    /// `Store` or `Format` when they cannot be read.
    pub fn card(&self, currency: Currency, from: Day) -> Result<Vec<((Market, Category), Rate)>> {
        let prefix = codec::rates_prefix(currency, from);
        let mut rates = Vec::new();
        self.0.scan(Table::Rates, &prefix, &mut |key, value| {
            if !key.starts_with(&prefix) {
                return Ok(false);
            }
            rates.push((codec::rate_of(key)?, codec::decode(Table::Rates, value)?));
            Ok(true)
        })?;
        Ok(rates)
    }

    /// The numbers that have contacts, or parked messages for somebody of whom nothing else is known.
    ///
    /// # Errors
    /// `Store` when they cannot be read.
    pub fn businesses(&self) -> Result<Vec<Business>> {
        let mut businesses = BTreeSet::new();
        for table in [Table::Contacts, Table::Parked] {
            let mut from = Some(Vec::new());
            while let Some(start) = from.take() {
                self.0.scan(table, &start, &mut |key, _| {
                    if let Some(number) = key.first_chunk().map(|bytes| u64::from_be_bytes(*bytes)) {
                        businesses.insert(Business::from_number(number));
                        from = number.checked_add(1).map(|next| next.to_be_bytes().to_vec());
                    }
                    Ok(false)
                })?;
            }
        }
        Ok(businesses.into_iter().collect())
    }

    /// Visits the contacts of all numbers, each under the name that it is kept by.
    ///
    /// # Errors
    /// `Store` or `Format` when they cannot be read, and what the visitor returns.
    pub fn each_contact(&self, each: &mut dyn FnMut(Business, Found) -> Result<()>) -> Result<()> {
        self.0.scan(Table::Contacts, &[], &mut |key, value| {
            if let Slot::Contact(contact) = codec::decode(Table::Contacts, value)? {
                let (business, customer) = codec::contact_of(key)?;
                each(business, Found { customer, contact })?;
            }
            Ok(true)
        })
    }

    /// Visits the ledger from an entry on.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read, and what the visitor returns.
    pub fn each_entry(&self, from: u64, each: &mut dyn FnMut(u64, Entry) -> Result<bool>) -> Result<()> {
        self.0.scan(Table::Ledger, &from.to_be_bytes(), &mut |key, value| {
            let sequence = key.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
            each(sequence, codec::decode(Table::Ledger, value)?)
        })
    }

    /// How many messages of a market and category were charged in a month.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn volume(&self, month: Day, currency: Currency, market: Market, category: Category) -> Result<u64> {
        let key = codec::volume_key(month, currency, market, category)?;
        Ok(self.decoded(Table::Volumes, &key)?.unwrap_or(0))
    }

    /// The parked messages of a contact, in the order in which they were parked.
    ///
    /// # Errors
    /// `Store` or `Format` when they cannot be read.
    pub fn parked(&self, business: Business, customer: &Customer) -> Result<Vec<(u64, Parked)>> {
        let prefix = codec::messages_prefix(business, customer);
        let mut parked = Vec::new();
        self.0.scan(Table::Parked, &prefix, &mut |key, value| {
            let Some(id) = key.strip_prefix(prefix.as_slice()).and_then(|id| id.try_into().ok()) else {
                return Ok(false);
            };
            parked.push((u64::from_be_bytes(id), codec::decode(Table::Parked, value)?));
            Ok(true)
        })?;
        Ok(parked)
    }

    /// The kept body of an accepted send.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn kept(&self, business: Business, id: codec::IdHash) -> Result<Option<Kept>> {
        self.decoded(Table::Kept, &codec::id_key(business, id))
    }

    /// The first thing that a kind of gateway has to do: its key, and what.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn first_due(&self, gateway: &str) -> Result<Option<(Vec<u8>, Due)>> {
        let mut first = None;
        let prefix = codec::due_prefix(gateway);
        self.0.scan(Table::Due, &prefix, &mut |key, value| {
            if key.starts_with(&prefix) {
                first = Some((key.to_vec(), codec::decode(Table::Due, value)?));
            }
            Ok(false)
        })?;
        Ok(first)
    }

    /// What is to be done under a key.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn due(&self, key: &[u8]) -> Result<Option<Due>> {
        self.decoded(Table::Due, key)
    }

    /// From when on a kind of gateway has something to do.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    pub fn first_due_from(&self, gateway: &str) -> Result<Option<Timestamp>> {
        let mut first = None;
        let prefix = codec::due_prefix(gateway);
        self.0.scan(Table::Due, &prefix, &mut |key, _| {
            first = key.starts_with(&prefix).then(|| codec::due_of(key).0);
            Ok(false)
        })?;
        Ok(first)
    }

    /// Everything that is to be done about a customer, by its keys.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn due_of(&self, business: Business, customer: &Customer) -> Result<Vec<(Vec<u8>, Due)>> {
        let mut found = Vec::new();
        self.0.scan(Table::Due, &[], &mut |key, value| {
            let due: Due = codec::decode(Table::Due, value)?;
            if due.business == business && due.customer == *customer {
                found.push((key.to_vec(), due));
            }
            Ok(true)
        })?;
        Ok(found)
    }

    /// The customer that stands behind a number of the ledger, until it is erased.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read.
    pub fn person(&self, person: PersonNumber) -> Result<Option<(Business, Customer)>> {
        self.decoded(Table::Persons, &codec::person_key(person))
    }

    /// The sequence that the next ledger entry gets.
    ///
    /// # Errors
    /// `Store` when it cannot be read.
    pub fn next_sequence(&self) -> Result<u64> {
        let last = self.0.last_key(Table::Ledger)?;
        let last = last.and_then(|key| key.try_into().ok()).map(u64::from_be_bytes);
        Ok(last.map_or(1, |sequence| sequence + 1))
    }

    pub(super) fn decoded<T: serde::de::DeserializeOwned>(&self, table: Table, key: &[u8]) -> Result<Option<T>> {
        self.0.get(table, key)?.map(|bytes| codec::decode(table, &bytes)).transpose()
    }
}
