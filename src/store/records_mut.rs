//! What the tables hold, as records: written in a transaction.

use super::codec::{self, Due, Entry, Kept, NumberRecord, Parked, PersonNumber, SeenId, Slot, TemplateRecord, Total};
use super::records::{MESSAGES_KEY, PERSONS_KEY};
use super::{Found, Records, Table, Write};
use crate::error::Result;
use crate::money::Currency;
use crate::party::{Business, Customer};
use crate::rules::event::Category;
use crate::rules::ledger::{Line, LineKind};
use crate::rules::market::Market;
use crate::rules::rate::Rate;
use crate::time::Day;

/// What a transaction has posted in the ledger, by the numbers of the words: lines that take others back are not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Posted {
    /// Conversations opened, by their category.
    pub conversations: [u64; 8],
    /// Charges, by whether they are free or billable.
    pub charges: [u64; 4],
    /// Parked messages that were given up.
    pub dropped: u64,
}

impl Posted {
    fn count(&mut self, Line { kind, placement, charged, .. }: &Line) {
        let place = match kind {
            LineKind::Conversation => {
                placement.category.and_then(|category| self.conversations.get_mut(category as usize))
            }
            LineKind::Dropped => Some(&mut self.dropped),
            LineKind::Charge => charged.charge.and_then(|charge| self.charges.get_mut(charge as usize)),
            _ => None,
        };
        place.into_iter().for_each(|count| *count += 1);
    }
}

/// The records of a transaction.
pub struct RecordsMut<'w>(pub &'w mut dyn Write, Posted);

impl<'w> RecordsMut<'w> {
    /// The records of a transaction that has just begun.
    pub fn new(transaction: &'w mut dyn Write) -> Self {
        RecordsMut(transaction, Posted::default())
    }

    /// What was posted in the ledger so far.
    pub fn posted(&self) -> Posted {
        self.1
    }

    /// The same transaction, for reading.
    pub fn read(&self) -> Records<'_> {
        Records(self.0)
    }

    /// Keeps a contact under its key.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_contact(&mut self, business: Business, found: &Found) -> Result<()> {
        let key = codec::contact_key(business, &found.customer);
        self.put(Table::Contacts, &key, &Slot::Contact(found.contact.clone()))
    }

    /// Lets another name lead to a contact.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_alias(&mut self, business: Business, name: &Customer, canonical: &Customer) -> Result<()> {
        self.put(Table::Contacts, &codec::contact_key(business, name), &Slot::Alias(*canonical))
    }

    /// Keeps what is known under a message id.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_seen(
        &mut self,
        business: Business,
        customer: &Customer,
        id: codec::IdHash,
        seen: &SeenId,
    ) -> Result<()> {
        self.put(Table::Messages, &codec::message_key(business, customer, id), seen)
    }

    /// Forgets a message id of a contact.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn delete_seen(&mut self, business: Business, customer: &Customer, id: codec::IdHash) -> Result<()> {
        self.0.delete(Table::Messages, &codec::message_key(business, customer, id))
    }

    /// Remembers which contact an outbound message id belongs to.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_recipient(&mut self, business: Business, id: codec::IdHash, customer: &Customer) -> Result<()> {
        self.put(Table::Ids, &codec::id_key(business, id), customer)
    }

    /// Takes the next unit of a month's free service messages and returns it, counted from 1.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read or written.
    pub fn take_tier_unit(&mut self, business: Business, month: Day) -> Result<u32> {
        let unit = self.read().tier_used(business, month)?.saturating_add(1);
        self.put(Table::Tiers, &codec::tier_key(business, month), &unit)?;
        Ok(unit)
    }

    /// Counts one more charged message of a market and category, and returns how many they are now.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read or written.
    pub fn take_volume_unit(
        &mut self,
        month: Day,
        currency: Currency,
        market: Market,
        category: Category,
    ) -> Result<u64> {
        let unit = self.read().volume(month, currency, market, category)? + 1;
        self.put(Table::Volumes, &codec::volume_key(month, currency, market, category)?, &unit)?;
        Ok(unit)
    }

    /// The next place in the order in which messages were recorded.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read or written.
    pub fn next_message(&mut self) -> Result<u64> {
        let next = self.read().decoded::<u64>(Table::Meta, MESSAGES_KEY)?.unwrap_or(0) + 1;
        self.put(Table::Meta, MESSAGES_KEY, &next)?;
        Ok(next)
    }

    /// Keeps a parked message.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_parked(&mut self, business: Business, customer: &Customer, id: u64, parked: &Parked) -> Result<()> {
        self.put(Table::Parked, &codec::parked_key(business, customer, id), parked)
    }

    /// Removes a parked message.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn delete_parked(&mut self, business: Business, customer: &Customer, id: u64) -> Result<()> {
        self.0.delete(Table::Parked, &codec::parked_key(business, customer, id))
    }

    /// Keeps the body of an accepted send.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_kept(&mut self, business: Business, id: codec::IdHash, kept: &Kept) -> Result<()> {
        self.put(Table::Kept, &codec::id_key(business, id), kept)
    }

    /// Removes the body of an accepted send, if it is there.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn delete_kept(&mut self, business: Business, id: codec::IdHash) -> Result<()> {
        self.0.delete(Table::Kept, &codec::id_key(business, id))
    }

    /// Keeps what is to be done, under a [`codec::due_key`].
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be written.
    pub fn put_due(&mut self, key: &[u8], due: &Due) -> Result<()> {
        self.put(Table::Due, key, due)
    }

    /// Takes something off what is to be done.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn delete_due(&mut self, key: &[u8]) -> Result<()> {
        self.0.delete(Table::Due, key)
    }

    /// Lets a number of the ledger stand for nobody.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn delete_person(&mut self, person: PersonNumber) -> Result<()> {
        self.0.delete(Table::Persons, &codec::person_key(person))
    }

    /// Gives a customer a number in the ledger.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read or written.
    pub fn new_person(&mut self, business: Business, customer: &Customer) -> Result<PersonNumber> {
        // Counted by itself: an erased number must not come to stand for somebody else.
        let person = self.read().decoded::<u64>(Table::Meta, PERSONS_KEY)?.unwrap_or(0) + 1;
        self.put(Table::Meta, PERSONS_KEY, &person)?;
        self.put_person(person, business, customer)?;
        Ok(person)
    }

    /// Lets a number of the ledger stand for a customer.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_person(&mut self, person: PersonNumber, business: Business, customer: &Customer) -> Result<()> {
        self.put(Table::Persons, &codec::person_key(person), &(business, customer))
    }

    /// Appends an entry to the ledger and counts it in the totals.
    ///
    /// # Errors
    /// `Store` or `Format` when it cannot be read or written.
    pub fn post(&mut self, entry: &Entry) -> Result<()> {
        if entry.count > 0 {
            self.1.count(&entry.line);
        }
        let sequence = self.read().next_sequence()?;
        self.put(Table::Ledger, &sequence.to_be_bytes(), entry)?;
        let key = codec::total_key(entry.business, &entry.line)?;
        let mut total = self.read().decoded::<Total>(Table::Totals, &key)?.unwrap_or_default();
        total.add(entry);
        if total == Total::default() {
            self.0.delete(Table::Totals, &key)
        } else {
            self.put(Table::Totals, &key, &total)
        }
    }

    /// Keeps a template.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_template(&mut self, account: u64, record: &TemplateRecord) -> Result<()> {
        self.put(Table::Templates, &codec::template_key(account, &record.template), record)
    }

    /// Keeps a rate of a card.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_rate(
        &mut self,
        currency: Currency,
        card: Day,
        (market, category): (Market, Category),
        rate: &Rate,
    ) -> Result<()> {
        self.put(Table::Rates, &codec::rate_key(currency, card, market, category)?, rate)
    }

    /// Keeps the days from which a currency's rate cards hold.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_rate_cards(&mut self, currency: Currency, days: &[Day]) -> Result<()> {
        self.put(Table::Rates, currency.code().as_bytes(), &days)
    }

    /// Keeps what is known of a business number.
    ///
    /// # Errors
    /// `Store` when it cannot be written.
    pub fn put_number(&mut self, business: Business, record: &NumberRecord) -> Result<()> {
        self.put(Table::Numbers, &business.number().to_be_bytes(), record)
    }

    fn put<T: serde::Serialize>(&mut self, table: Table, key: &[u8], value: &T) -> Result<()> {
        self.0.put(table, key, &codec::encode(value)?)
    }
}
