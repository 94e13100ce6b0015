//! Who is who: the contact that an event is about, by all the names that it gives.

use crate::error::Result;
use crate::gate::apply::Applying;
use crate::party::{Business, Customer, Kind};
use crate::rules::event::{Event, What};
use crate::store::{Found, Table, codec};

impl Applying<'_, '_> {
    /// The contact that an event is about, by all the names that the event gives it.
    ///
    /// A phone number that another user id is known for has changed hands: it goes with whom the event names, and nothing is merged, since a
    /// false merge would open a window for somebody else.
    pub(super) fn resolve(&mut self, business: Business, event: &Event) -> Result<Found> {
        let mut about = self.named(business, &event.customer)?;
        for name in &event.also {
            let mut other = self.named(business, name)?;
            if other.customer == about.customer {
                continue;
            }
            // An older event says nothing about whose the number is today.
            let wrote_since =
                |of: &Customer, found: &Found| of.kind() == Kind::Phone && found.contact.last_act > Some(event.at);
            if wrote_since(name, &other) {
                continue;
            }
            if wrote_since(&event.customer, &about) {
                about = other;
                continue;
            }
            if same_person(&about, &other, event) {
                self.absorb(business, &mut about, other)?;
                continue;
            }
            // Of the two, the one that the event names by its user id is the person, and the other one's phone number goes with it.
            let phone = if name.kind() == Kind::Phone { name } else { &event.customer };
            if name.kind() != Kind::Phone {
                std::mem::swap(&mut about, &mut other);
            }
            if phone.kind() == Kind::Phone {
                let phone = self.spelled(phone);
                self.let_go(business, other, phone)?;
                about.contact.know(phone);
                self.records.put_alias(business, &phone, &about.customer)?;
                self.records.put_contact(business, &about)?;
            }
        }
        Ok(about)
    }

    /// Remembers how the platform writes the customer's number. What a business writes is its own affair.
    pub(super) fn note_spelling(&self, found: &mut Found, event: &Event) {
        if matches!(event.what, What::Customer { .. } | What::Status(_)) {
            let mut names = std::iter::once(&event.customer).chain(&event.also);
            if let Some(name) = names.find(|name| self.spelled(name) == found.customer) {
                found.contact.spelled = (*name != found.customer).then_some(*name);
            }
        }
    }

    /// The contact of a name; a new one, where nothing is known of it.
    pub(super) fn named(&self, business: Business, name: &Customer) -> Result<Found> {
        let name = self.spelled(name);
        let known = self.records.read().contact(business, &name)?;
        Ok(known.unwrap_or_else(|| Found { customer: name, contact: Default::default() }))
    }

    pub(super) fn spelled(&self, name: &Customer) -> Customer {
        if self.fold_numbers { name.folded() } else { *name }
    }

    /// Takes a name away from a contact that goes by others, too.
    pub(super) fn let_go(&mut self, business: Business, mut found: Found, name: Customer) -> Result<()> {
        found.contact.names.retain(|known| *known != name);
        if found.customer == name && found.contact.names.is_empty() {
            // Without another name nobody could ever ask for what is known of them, nor have it erased.
            self.give_up_all(business, &found)?;
            let found = self.named(business, &name)?;
            return self.erase(business, &found);
        }
        self.records.0.delete(Table::Contacts, &codec::contact_key(business, &name))?;
        if let Some(next) = found.contact.names.first().copied().filter(|_| found.customer == name) {
            found.contact.names.retain(|known| *known != next);
            self.move_messages(business, &name, &next)?;
            for known in &found.contact.names {
                self.records.put_alias(business, known, &next)?;
            }
            found.customer = next;
            found.contact.spelled = None;
            self.move_persons(business, &found)?;
        }
        self.records.put_contact(business, &found)
    }

    /// Makes one contact of two.
    pub(super) fn absorb(&mut self, business: Business, into: &mut Found, other: Found) -> Result<()> {
        into.contact.merge(&other.contact);
        into.contact.know(other.customer);
        for name in other.contact.names.iter().chain([&other.customer]) {
            self.records.put_alias(business, name, &into.customer)?;
        }
        self.move_messages(business, &other.customer, &into.customer)?;
        self.move_persons(business, into)?;
        self.recount(business, into, None)?;
        self.records.put_contact(business, into)?;
        // What was parked for the one may go out in the window of the other.
        self.wake(business, into, self.now)
    }

    /// Erases a contact: its facts, its names, its message ids, and who it was in the ledger. What it was charged stays, without it.
    ///
    /// # Errors
    /// `Store` or `Format` when the records cannot be read or written.
    pub fn forget(&mut self, business: Business, customer: &Customer) -> Result<bool> {
        let found = self.named(business, customer)?;
        let is_known = self.records.read().contact(business, &found.customer)?.is_some();
        let had_parked = self.forget_parked(business, &found.customer)?;
        self.erase(business, &found)?;
        Ok(is_known || had_parked)
    }

    fn erase(&mut self, business: Business, found: &Found) -> Result<()> {
        let Found { customer, contact } = found;
        self.forget_parked(business, customer)?;
        let mut ids = Vec::new();
        self.records.read().each_seen(business, customer, &mut |id, _| ids.push(id))?;
        for id in &ids {
            self.records.delete_seen(business, customer, *id)?;
            self.records.0.delete(Table::Ids, &codec::id_key(business, *id))?;
            self.records.delete_kept(business, *id)?;
        }
        for name in contact.names.iter().chain([customer]) {
            self.records.0.delete(Table::Contacts, &codec::contact_key(business, name))?;
        }
        for person in &contact.persons {
            self.records.delete_person(*person)?;
        }
        Ok(())
    }

    pub(super) fn move_messages(&mut self, business: Business, from: &Customer, to: &Customer) -> Result<()> {
        let mut seen = Vec::new();
        self.records.read().each_seen(business, from, &mut |id, what| seen.push((id, what)))?;
        for (id, what) in seen {
            self.records.delete_seen(business, from, id)?;
            self.records.put_seen(business, to, id, &what)?;
            self.records.put_recipient(business, id, to)?;
        }
        self.move_parked(business, from, to)
    }

    /// Lets the numbers that stand for a contact in the ledger lead to the name that it is kept under now.
    pub(super) fn move_persons(&mut self, business: Business, found: &Found) -> Result<()> {
        for person in &found.contact.persons {
            self.records.put_person(*person, business, &found.customer)?;
        }
        Ok(())
    }
}

/// Whether two contacts that one event names are one person: no user id is known of one that the other contradicts.
fn same_person(one: &Found, other: &Found, event: &Event) -> bool {
    let user_ids = |found: &Found| {
        let names = std::iter::once(found.customer).chain(found.contact.names.clone());
        names.filter(|name| name.kind() == Kind::User).collect::<Vec<_>>()
    };
    match event.what {
        // A new user id takes the place of an old one; that of somebody else does not.
        What::Identity => user_ids(other).iter().all(|id| event.also.contains(id)),
        // The answer to a send names what was asked for and whom it reached: one person, unless two are known to write.
        What::Business(_) => one.contact.last_act.is_none() || other.contact.last_act.is_none(),
        _ => {
            let theirs = user_ids(other);
            let differs = |one: &Customer, other: &Customer| one.is_parent_id() == other.is_parent_id() && one != other;
            !user_ids(one).iter().any(|name| theirs.iter().any(|theirs| differs(name, theirs)))
        }
    }
}
