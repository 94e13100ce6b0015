//! The books of a contact: its messages placed, charged and posted, and counted anew where something was learnt late.

use crate::error::Result;
use crate::gate::apply::Applying;
use crate::gate::rates;
use crate::party::{Business, Customer};
use crate::rules::charge::{self, Bill, Charged, Item};
use crate::rules::contact::Contact;
use crate::rules::conversation::{self, Effect, Placement};
use crate::rules::event::{Category, Class, Sending};
use crate::rules::ledger::{self, Line, LineKind, Posting};
use crate::rules::market::{Country, Market};
use crate::rules::message::Message;
use crate::rules::rate::Quote;
use crate::rules::ruleset::Anchor;
use crate::store::codec::{Entry, IdHash, Seen, SeenId};
use crate::store::{Found, RecordsMut};
use crate::time::{Day, Timestamp};

impl Applying<'_, '_> {
    pub(super) fn message(&self, business: Business, customer: &Customer, id: IdHash) -> Result<Option<Message>> {
        Ok(match self.records.read().seen(business, customer, id)?.map(|seen| seen.what) {
            Some(Seen::Message(message)) => Some(*message),
            _ => None,
        })
    }

    /// Accounts a message that is new or has changed: places it, charges it, and posts the difference. Returns its placement.
    pub(super) fn account(
        &mut self,
        business: Business,
        found: &mut Found,
        id: IdHash,
        before: Option<Message>,
        mut message: Message,
    ) -> Result<Placement> {
        // Neither another send nor an act came after it: what is remembered in the contact decides.
        let is_next = Some(message.at) >= found.contact.last_sent && Some(message.at) >= found.contact.last_act;
        // What is delivered already may be what the conversation that it joins was waiting for.
        let is_plainly_new = before.is_none() && (!message.counts() || is_next && message.delivered_at.is_none());
        // A status may come before the word of what was sent; one without a price has placed nothing.
        let is_new = before.as_ref().is_none_or(|before| before.sending.is_none());
        if !message.counts() {
            (message.placement, message.due_at) = (Placement::NONE, None);
        }
        match &before {
            Some(before) if !self.moves_others(&found.contact, before, &message) => {
                let anchor = self.policy.rules.at(message.ruled_at()).anchor;
                let is_delivered = before.delivered_at != message.delivered_at && anchor == Anchor::Delivery;
                if message.counts() && is_delivered && message.placement.effect != Effect::Opens {
                    message.due_at = message.delivered_at;
                }
            }
            _ if is_plainly_new || is_new && conversation::slips_in(&self.policy.rules, &found.contact, &message) => {
                if message.counts() {
                    conversation::enter(&self.policy.rules, &mut found.contact, &[], &mut message);
                }
                message.first = message.placement;
                self.records.put_recipient(business, id, &found.customer)?;
            }
            _ => {
                self.records.put_recipient(business, id, &found.customer)?;
                let placement = self.recount(business, found, Some((id, message)))?;
                self.records.put_contact(business, found)?;
                return Ok(placement);
            }
        }
        let placement = message.placement;
        self.write_message(business, found, id, before.as_ref(), message)?;
        self.records.put_contact(business, found)?;
        Ok(placement)
    }

    /// Whether a change of one message may change what others opened, joined or cost.
    fn moves_others(&self, contact: &Contact, before: &Message, after: &Message) -> bool {
        let rules = self.policy.rules.at(after.ruled_at());
        let was_ruled_by = self.policy.rules.at(before.ruled_at());
        let first_delivery = before.delivered_at != after.delivered_at && rules.anchor == Anchor::Delivery;
        let anchors = before.placement.effect != Effect::None && !conversation::runs_since_before(contact, after)
            || before.reported.free_entry_point;
        // What fails without having opened or paid anything leaves no gap behind.
        let had_effect = before.placement.effect == Effect::Opens || before.starts_conversation;
        let leaves_a_gap = before.counts() && !after.counts() && (had_effect || before.reported.free_entry_point);
        leaves_a_gap
            || !before.counts() && after.counts()
            || before.class() != after.class()
            || before.category() != after.category()
            || before.at != after.at
            || before.reported.free_entry_point != after.reported.free_entry_point
            || before.reported.expires_at != after.reported.expires_at && after.reported.free_entry_point
            || first_delivery && (anchors || was_ruled_by.set != rules.set)
    }

    /// Counts the contact's conversations anew, with one message put in its place, and posts every difference. Returns that message's placement.
    pub(super) fn recount(
        &mut self,
        business: Business,
        found: &mut Found,
        changed: Option<(IdHash, Message)>,
    ) -> Result<Placement> {
        let (mut messages, mut acts) = (Vec::new(), Vec::new());
        let changed_id = changed.as_ref().map(|(id, _)| *id);
        self.records.read().each_seen(business, &found.customer, &mut |id, seen| match seen.what {
            Seen::Message(message) if Some(id) != changed_id => messages.push((id, message)),
            Seen::Act { at, opens: true, .. } => acts.push(at),
            Seen::Message(_) | Seen::Act { .. } | Seen::Other => {}
        })?;
        messages.extend(changed.map(|(id, message)| (id, Box::new(message))));
        if messages.is_empty() {
            return Ok(Placement::NONE);
        }
        let mut counted: Vec<&mut Message> = messages.iter_mut().map(|(_, message)| &mut **message).collect();
        conversation::recount(&self.policy.rules, &mut found.contact, &acts, &mut counted);
        // Several that take units at once take them in the order of recording.
        messages.sort_by_key(|(_, message)| message.sequence);
        let mut placement = Placement::NONE;
        for (id, mut message) in messages {
            // Read once more: a customer may have so many that they are not held twice.
            let old = self.message(business, &found.customer, id)?;
            if Some(id) == changed_id {
                placement = message.placement;
                if old.as_ref().is_none_or(|old| old.sending.is_none()) {
                    message.first = message.placement;
                }
            }
            if old.as_ref() != Some(&*message) {
                self.write_message(business, found, id, old.as_ref(), *message)?;
            }
        }
        Ok(placement)
    }

    /// Charges a message, keeps it, and posts what has changed.
    pub(super) fn write_message(
        &mut self,
        business: Business,
        found: &mut Found,
        id: IdHash,
        before: Option<&Message>,
        mut message: Message,
    ) -> Result<()> {
        message.country = message.country.or_else(|| country_of(found));
        self.charge(business, &mut message)?;
        for posting in ledger::postings(before, &message) {
            self.post(business, found, Some(message.sequence), posting)?;
        }
        let seen = SeenId { recorded_at: self.now, what: Seen::Message(Box::new(message)) };
        self.records.put_seen(business, &found.customer, id, &seen)
    }

    /// Gives the charges of a contact that have no amount one, where there is a rate by now. Returns how many messages were priced.
    ///
    /// # Errors
    /// `Store` or `Format` when the records cannot be read or written.
    pub fn price(&mut self, business: Business, customer: &Customer) -> Result<u32> {
        let Some(mut found) = self.records.read().contact(business, customer)? else { return Ok(0) };
        let mut priced = 0;
        for (id, before) in self.records.read().messages(business, &found.customer)? {
            if before.lacks_amount() {
                let mut message = Message { estimate: None, report: None, ..before.clone() };
                self.charge(business, &mut message)?;
                priced += u32::from(!message.lacks_amount());
                self.write_message(business, &mut found, id, Some(&before), message)?;
            }
        }
        self.records.put_contact(business, &found)?;
        Ok(priced)
    }

    /// Posts a line about a contact, which gets its number in the ledger with the first one.
    pub(super) fn post(
        &mut self,
        business: Business,
        found: &mut Found,
        message: Option<u64>,
        posting: Posting,
    ) -> Result<()> {
        let person = match found.contact.persons.first() {
            Some(person) => *person,
            None => {
                let person = self.records.new_person(business, &found.customer)?;
                found.contact.persons.push(person);
                person
            }
        };
        self.book(business, Some(person), message, posting)
    }

    pub(super) fn book(
        &mut self,
        business: Business,
        person: Option<u64>,
        message: Option<u64>,
        posting: Posting,
    ) -> Result<()> {
        let Posting { line, count, amount, estimated_amount } = posting;
        let recorded_at = self.now;
        self.records.post(&Entry { recorded_at, business, person, message, line, count, amount, estimated_amount })
    }

    /// The charge of a message, once it is due, by our own reckoning and by the platform's report. A service message takes its unit of the
    /// month's free tier once, a charged one its unit of the volume tiers.
    pub(super) fn charge(&mut self, business: Business, message: &mut Message) -> Result<()> {
        let (zone, before) = (self.policy.rules.zone(), message.clone());
        message.day = zone.day(message.at);
        if before.estimate.is_none() {
            message.currency = self.policy.currency;
        }
        let rules = self.policy.rules.at(message.ruled_at());
        let (class, in_window) = (message.class(), message.window_act.is_some());
        let item = |category, placement| Item { class, category, placement, in_window };
        let standing = item(message.category(), message.placement);
        let reported = charge::reported(rules, &message.reported, &standing, message.starts_conversation);
        // What the platform charges, it charges on delivery, whatever else we go by.
        let reported_on = message.delivered_at.filter(|_| reported.is_some());
        let due = message.due_at.filter(|_| class != Class::Reaction);
        message.due_day = due.map(|due| zone.day(reported_on.unwrap_or(due)));
        let day = message.due_day.unwrap_or(message.day);
        let currency = message.currency;
        let quote = |records: &RecordsMut<'_>, item: &Item| {
            rates::quote(records.read(), currency, message.country, item.rated(), day)
        };
        let quoted = quote(self.records, &standing)?;
        let Some(due_day) = message.due_day else {
            (message.market, message.estimate, message.report) = (quoted.market, None, None);
            return Ok(());
        };
        // What the platform reports is compared with what we should have said without it.
        let reckoned = match reported {
            Some(_) => item(message.reckoned_category(), message.reckoned_placement()),
            None => standing,
        };
        let reckoned_quote =
            if reckoned.rated() == standing.rated() { quoted.clone() } else { quote(self.records, &reckoned)? };
        if standing.takes_tier_unit(rules) && message.tier_unit.is_none() {
            message.tier_unit = Some(self.records.take_tier_unit(business, due_day.month())?);
        }
        let used = message.tier_unit.map_or(0, |unit| unit - 1);
        let estimated = charge::charge(rules, &reckoned, used);
        let place =
            self.volume_place(message.volume_unit, &quoted, &standing, reported.unwrap_or(estimated), due_day)?;
        message.volume_unit = place;
        let place = place.filter(|(of, _)| *of == standing.rated()).map_or(1, |(_, unit)| unit);
        // A card that was imported since changes nothing that is booked.
        let is_same = (before.due_day, before.volume_unit) == (Some(due_day), message.volume_unit);
        let keep = |booked: Option<Bill>, bill: Bill| {
            booked.filter(|booked| is_same && booked.stands_beside(&bill)).unwrap_or(bill)
        };
        let estimate = Bill::new(estimated, reckoned.category, &reckoned_quote, place);
        let report = reported.map(|reported| Bill::new(reported, standing.category, &quoted, place));
        message.estimate = Some(keep(before.estimate, estimate));
        message.report = report.map(|report| keep(before.report, report));
        let stands = is_same && (message.estimate, message.report) == (before.estimate, before.report);
        message.market = if stands { before.market.or(quoted.market) } else { quoted.market };
        Ok(())
    }

    /// The place of a charged message among those of its market and category in the month. Counted without volume tiers, too: the card that has
    /// them may come later.
    pub(super) fn volume_place(
        &mut self,
        taken: Option<(Category, u64)>,
        quote: &Quote,
        item: &Item,
        charged: Charged,
        due: Day,
    ) -> Result<Option<(Category, u64)>> {
        let category = item.rated();
        let is_taken = taken.is_some_and(|(of, _)| of == category);
        match (quote.currency, quote.market) {
            (Some(currency), Some(market)) if charged.is_billable() && !is_taken => {
                let unit = self.records.take_volume_unit(due.month(), currency, market, category)?;
                Ok(Some((category, unit)))
            }
            _ => Ok(taken),
        }
    }

    pub(super) fn line_of(&self, found: &Found, kind: LineKind, sending: &Sending, at: Timestamp) -> Line {
        let day = self.policy.rules.zone().day(at);
        Line {
            day,
            kind,
            class: sending.class,
            category: sending.category,
            estimated: sending.estimated,
            placement: Placement::NONE,
            charged: Charged::NONE,
            no_amount: None,
            estimate: None,
            market: country_of(found).map(|country| Market::of(country, day)),
            currency: self.policy.currency,
            reason: None,
            code: None,
        }
    }
}

/// The country of a contact: its phone number's, else its user id's.
fn country_of(found: &Found) -> Option<Country> {
    let mut names: Vec<&Customer> = std::iter::once(&found.customer).chain(&found.contact.names).collect();
    names.sort_by_key(|name| name.kind());
    names.into_iter().find_map(Country::of)
}
