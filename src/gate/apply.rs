//! One event, applied to the records of one transaction: facts, messages, ledger and totals change together.

use crate::error::Result;
use crate::gate::rates;
use crate::party::{Business, Customer, Kind};
use crate::rules::charge::{self, Bill, Charged, Item};
use crate::rules::conversation::{self, Effect, Placement};
use crate::rules::decision::Policy;
use crate::rules::event::{
    Act, Category, Class, Event, Notice, NoticeWhat, PriceModel, Progress, Sending, Source, Status, TemplateName, What,
    says_window_closed,
};
use crate::rules::ledger::{self, Line, LineKind, Posting};
use crate::rules::market::{Country, Market};
use crate::rules::message::Message;
use crate::rules::rate::Quote;
use crate::rules::ruleset::Anchor;
use crate::rules::window::Reason;
use crate::store::codec::{self, Entry, IdHash, NumberRecord, Seen, SeenId, TemplateRecord};
use crate::store::{Found, RecordsMut, Table};
use crate::time::{Day, Timestamp};

/// What recording an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The same id was recorded before; nothing changed, and what follows is the first result.
    pub repeated: bool,
    /// The conversation that a message of the business opened or joined.
    pub placement: Placement,
    /// The category that it is accounted under.
    pub category: Option<Category>,
}

impl Applied {
    const DONE: Applied = Applied { repeated: false, placement: Placement::NONE, category: None };
    const REPEATED: Applied = Applied { repeated: true, ..Applied::DONE };
}

/// Applies events to the records of a transaction.
pub struct Applying<'a, 'w> {
    /// The transaction.
    pub records: &'a mut RecordsMut<'w>,
    /// The policy of the event's number.
    pub policy: &'a Policy,
    /// Whether the spellings of one mobile number meet in one contact.
    pub fold_numbers: bool,
    /// The wall clock, for the ledger.
    pub now: Timestamp,
}

impl Applying<'_, '_> {
    /// Applies one event of a number that is named by its phone number id. Applying it again, or in another order, changes nothing that it
    /// should not.
    ///
    /// # Errors
    /// `Store` or `Format` when the records cannot be read or written; the transaction must be given up then.
    pub fn event(&mut self, event: &Event) -> Result<Applied> {
        let business = event.business;
        if event.what == What::Identity && self.is_out_of_date(business, event)? {
            return Ok(Applied::REPEATED);
        }
        let mut found = self.resolve(business, event)?;
        match &event.what {
            What::Customer { act, source } => self.act(business, &mut found, event, *act, *source),
            What::Business(sending) => self.sent(business, &mut found, event, sending),
            What::Status(status) => self.status(business, found, event, status),
            What::Refused { sending, code } => self.refused_at_once(business, found, event, sending.as_ref(), *code),
            What::Stopped { sending, reason } => self.stopped(business, &found, event, sending, *reason),
            What::Identity => self.renamed(business, found, event),
        }
    }

    /// The contact that an event is about, by all the names that the event gives it.
    ///
    /// A phone number that another user id is known for has changed hands: it goes with whom the event names, and nothing is merged, since a
    /// false merge would open a window for somebody else.
    fn resolve(&mut self, business: Business, event: &Event) -> Result<Found> {
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

    /// The contact of a name; a new one, where nothing is known of it.
    fn named(&self, business: Business, name: &Customer) -> Result<Found> {
        let name = self.spelled(name);
        let known = self.records.read().contact(business, &name)?;
        Ok(known.unwrap_or_else(|| Found { customer: name, contact: Default::default() }))
    }

    fn spelled(&self, name: &Customer) -> Customer {
        if self.fold_numbers { name.folded() } else { *name }
    }

    /// Takes a name away from a contact that goes by others, too.
    fn let_go(&mut self, business: Business, mut found: Found, name: Customer) -> Result<()> {
        found.contact.names.retain(|known| *known != name);
        self.records.0.delete(Table::Contacts, &codec::contact_key(business, &name))?;
        if found.customer == name {
            let Some(next) = found.contact.names.first().copied() else { return Ok(()) };
            found.contact.names.retain(|known| *known != next);
            self.move_messages(business, &name, &next)?;
            for known in &found.contact.names {
                self.records.put_alias(business, known, &next)?;
            }
            found.customer = next;
            self.move_persons(business, &found)?;
        }
        self.records.put_contact(business, &found)
    }

    /// Makes one contact of two.
    fn absorb(&mut self, business: Business, into: &mut Found, other: Found) -> Result<()> {
        into.contact.merge(&other.contact);
        into.contact.know(other.customer);
        for name in other.contact.names.iter().chain([&other.customer]) {
            self.records.put_alias(business, name, &into.customer)?;
        }
        self.move_messages(business, &other.customer, &into.customer)?;
        self.move_persons(business, into)?;
        self.recount(business, into, None)?;
        self.records.put_contact(business, into)
    }

    fn move_messages(&mut self, business: Business, from: &Customer, to: &Customer) -> Result<()> {
        let mut seen = Vec::new();
        self.records.read().each_seen(business, from, &mut |id, what| seen.push((id, what)))?;
        for (id, what) in seen {
            self.records.delete_seen(business, from, id)?;
            self.records.put_seen(business, to, id, &what)?;
            self.records.put_recipient(business, id, to)?;
        }
        Ok(())
    }

    /// Lets the numbers that stand for a contact in the ledger lead to the name that it is kept under now.
    fn move_persons(&mut self, business: Business, found: &Found) -> Result<()> {
        for person in &found.contact.persons {
            self.records.put_person(*person, business, &found.customer)?;
        }
        Ok(())
    }

    fn act(
        &mut self,
        business: Business,
        found: &mut Found,
        event: &Event,
        act: Act,
        source: Option<Source>,
    ) -> Result<Applied> {
        let rules = self.policy.rules.at(event.at);
        let clicked = source.is_some_and(|source| rules.entry.counts(source));
        let what = Seen::Act { at: event.at, opens: rules.opens.allows(act), clicked };
        if self.was_seen(business, &found.customer, event, what)? {
            return Ok(Applied::REPEATED);
        }
        let before = found.contact.clone();
        found.contact.act(rules, act, source, event.at);
        if found.contact == before {
            return Ok(Applied::DONE);
        }
        // Heard of late, it may have been the click that an earlier send replied to, or the window that it was in.
        if Some(event.at) <= found.contact.last_sent {
            self.recount(business, found, None)?;
        }
        self.records.put_contact(business, found)?;
        Ok(Applied::DONE)
    }

    /// Whether an id of the customer's was recorded before; it is from now on.
    fn was_seen(&mut self, business: Business, customer: &Customer, event: &Event, what: Seen) -> Result<bool> {
        let Some(id) = &event.id else { return Ok(false) };
        let id = codec::id_hash(id, None);
        if self.records.read().recipient(business, id)?.is_some() {
            return Ok(true);
        }
        self.records.put_recipient(business, id, customer)?;
        self.records.put_seen(business, customer, id, &SeenId { recorded_at: self.now, what })?;
        Ok(false)
    }

    fn sent(&mut self, business: Business, found: &mut Found, event: &Event, sending: &Sending) -> Result<Applied> {
        if sending.class == Class::Receipt {
            return Ok(Applied::DONE);
        }
        let sequence = self.records.next_message()?;
        let id = match &event.id {
            Some(id) => codec::id_hash(id, None),
            // Nothing will name this message again; its place in the order of recording is as good a name as any.
            None => codec::id_hash(&format!("{sequence}"), Some(&found.customer)),
        };
        let owner = self.records.read().recipient(business, id)?.unwrap_or(found.customer);
        let before = self.message(business, &owner, id)?;
        if let Some(Message { sending: Some(first), first: placement, .. }) = &before {
            return Ok(Applied { repeated: true, placement: *placement, category: Some(first.category) });
        }
        if owner != found.customer
            && let Some(known) = self.records.read().contact(business, &owner)?
        {
            *found = known;
        }
        let mut message = before.clone().unwrap_or_else(|| Message::new(event.at, sequence, None));
        message.sending = Some(sending.clone());
        message.at = message.at.min(event.at);
        let placement = self.account(business, found, id, before, message)?;
        Ok(Applied { repeated: false, placement, category: Some(sending.category) })
    }

    fn status(&mut self, business: Business, found: Found, event: &Event, status: &Status) -> Result<Applied> {
        let rules = *self.policy.rules.at(event.at);
        let Some(id) = &event.id else {
            // Without an id no message can be meant; a refusal is one all the same.
            return self.refused(business, found, status, event.at);
        };
        let of_message = codec::id_hash(id, None);
        let mut found = match self.records.read().recipient(business, of_message)? {
            Some(customer) => self.records.read().contact(business, &customer)?.unwrap_or(found),
            None => found,
        };
        let base = self.message(business, &found.customer, of_message)?;
        // Where messages are charged one by one, each member's copy of a group message is charged by itself.
        let copy = status.member.filter(|_| status.progress >= Progress::Delivered && rules.conversation.is_none());
        let (id, before) = match copy {
            Some(member) => {
                let id = codec::id_hash(id, Some(&member));
                (id, self.message(business, &found.customer, id)?)
            }
            None => (of_message, base.clone()),
        };
        let mut message = match &before {
            Some(message) => message.clone(),
            None => {
                let sequence = self.records.next_message()?;
                let at = base.as_ref().map_or(event.at, |base| base.at);
                let sending = base.as_ref().and_then(|base| base.sending.clone());
                let country = copy.as_ref().and_then(Country::of);
                Message { is_copy: copy.is_some(), country, ..Message::new(at, sequence, sending) }
            }
        };
        message.apply(status, event.at);
        if before.as_ref().map(|before| before.reported.conversation) != Some(message.reported.conversation) {
            message.starts_conversation = self.starts_conversation(business, &found.customer, &message)?;
        }
        if before.as_ref() == Some(&message) {
            return Ok(Applied::REPEATED);
        }
        if message.reported.free_entry_point {
            found.contact.report_entry(&rules, message.at, message.reported.expires_at);
        }
        let refused_at = if before.is_some() { message.at } else { event.at };
        self.account(business, &mut found, id, before, message)?;
        self.refused(business, found, status, refused_at)
    }

    fn refused(&mut self, business: Business, mut found: Found, status: &Status, at: Timestamp) -> Result<Applied> {
        if status.progress == Progress::Failed && status.code.is_some_and(says_window_closed) {
            self.refuse(business, &mut found, at)?;
        }
        Ok(Applied::DONE)
    }

    /// Takes in that there was no window any more: what was sent since then was not in one.
    fn refuse(&mut self, business: Business, found: &mut Found, at: Timestamp) -> Result<()> {
        let before = found.contact.refused_at;
        found.contact.refuse(at);
        if found.contact.refused_at != before && Some(at) <= found.contact.last_sent {
            self.recount(business, found, None)?;
        }
        self.records.put_contact(business, found)
    }

    /// Whether no message of the contact has reported the same conversation before: it is paid for once.
    fn starts_conversation(&self, business: Business, customer: &Customer, message: &Message) -> Result<bool> {
        let reported = &message.reported;
        if reported.model != Some(PriceModel::Conversation) || reported.conversation.is_none() {
            return Ok(false);
        }
        let messages = self.records.read().messages(business, customer)?;
        Ok(!messages.iter().any(|(_, known)| known.reported.conversation == reported.conversation))
    }

    /// The platform refused a send at once. It never was a message; the books say that it was tried.
    fn refused_at_once(
        &mut self,
        business: Business,
        mut found: Found,
        event: &Event,
        sending: Option<&Sending>,
        code: Option<i64>,
    ) -> Result<Applied> {
        if let Some(sending) = sending {
            let line = self.line_of(&found, LineKind::Refused, sending, event.at);
            self.post(business, &mut found, None, Posting::of(Line { code, ..line }))?;
        }
        match code {
            Some(code) if says_window_closed(code) => self.refuse(business, &mut found, event.at)?,
            _ => self.records.put_contact(business, &found)?,
        }
        Ok(Applied::DONE)
    }

    /// csw stopped a send. Of a customer whom nobody knows, nothing is kept but the count.
    fn stopped(
        &mut self,
        business: Business,
        found: &Found,
        event: &Event,
        sending: &Sending,
        reason: Reason,
    ) -> Result<Applied> {
        let line = self.line_of(found, LineKind::Stopped, sending, event.at);
        let person = found.contact.persons.first().copied();
        self.book(business, person, None, Posting::of(Line { reason: Some(reason), ..line }))?;
        Ok(Applied::DONE)
    }

    fn line_of(&self, found: &Found, kind: LineKind, sending: &Sending, at: Timestamp) -> Line {
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

    /// A customer goes by another name: all that is known goes with them, and an old phone number, which somebody else may get, is let go.
    fn renamed(&mut self, business: Business, found: Found, event: &Event) -> Result<Applied> {
        let old = self.spelled(&event.customer);
        let has_new_phone = event.also.iter().any(|name| name.kind() == Kind::Phone && self.spelled(name) != old);
        if old.kind() == Kind::Phone && has_new_phone {
            self.let_go(business, found, old)?;
        }
        Ok(Applied::DONE)
    }

    /// Whether a change of names was recorded before, or comes after its old name has acted again: it has a new owner then.
    fn is_out_of_date(&mut self, business: Business, event: &Event) -> Result<bool> {
        let old = self.named(business, &event.customer)?;
        Ok(old.contact.last_act > Some(event.at) || self.was_seen(business, &old.customer, event, Seen::Other)?)
    }

    fn message(&self, business: Business, customer: &Customer, id: IdHash) -> Result<Option<Message>> {
        Ok(match self.records.read().seen(business, customer, id)?.map(|seen| seen.what) {
            Some(Seen::Message(message)) => Some(*message),
            _ => None,
        })
    }

    /// Accounts a message that is new or has changed: places it, charges it, and posts the difference. Returns its placement.
    fn account(
        &mut self,
        business: Business,
        found: &mut Found,
        id: IdHash,
        before: Option<Message>,
        mut message: Message,
    ) -> Result<Placement> {
        // Neither another send nor an act came after it: what is remembered in the contact decides.
        let is_next = Some(message.at) >= found.contact.last_sent && Some(message.at) >= found.contact.last_act;
        match &before {
            Some(before) if !self.moves_others(before, &message) => {
                let anchor = self.policy.rules.at(message.ruled_at()).anchor;
                if !message.counts() {
                    (message.placement, message.due_at) = (Placement::NONE, None);
                } else if anchor == Anchor::Delivery && message.placement.effect == Effect::None {
                    message.due_at = message.delivered_at;
                }
            }
            None if is_next || !message.counts() => {
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
    fn moves_others(&self, before: &Message, after: &Message) -> bool {
        let rules = self.policy.rules.at(after.ruled_at());
        let was_ruled_by = self.policy.rules.at(before.ruled_at());
        let first_delivery = before.delivered_at != after.delivered_at && rules.anchor == Anchor::Delivery;
        // What fails without having opened anything leaves no gap behind.
        let leaves_a_gap = before.counts() && !after.counts() && before.placement.effect == Effect::Opens;
        leaves_a_gap
            || !before.counts() && after.counts()
            || before.class() != after.class()
            || before.category() != after.category()
            || before.at != after.at
            || before.reported.free_entry_point != after.reported.free_entry_point
            || before.reported.expires_at != after.reported.expires_at && after.reported.free_entry_point
            || first_delivery && (before.placement.effect != Effect::None || was_ruled_by.set != rules.set)
    }

    /// Counts the contact's conversations anew, with one message put in its place, and posts every difference. Returns that message's placement.
    fn recount(
        &mut self,
        business: Business,
        found: &mut Found,
        changed: Option<(IdHash, Message)>,
    ) -> Result<Placement> {
        let (mut before, mut acts) = (Vec::new(), Vec::new());
        self.records.read().each_seen(business, &found.customer, &mut |id, seen| match seen.what {
            Seen::Message(message) => before.push((id, *message)),
            Seen::Act { at, opens: true, .. } => acts.push(at),
            Seen::Act { .. } | Seen::Other => {}
        })?;
        if before.is_empty() && changed.is_none() {
            return Ok(Placement::NONE);
        }
        let mut after = before.clone();
        let changed_id = changed.as_ref().map(|(id, _)| *id);
        if let Some((id, message)) = changed {
            after.retain(|(known, _)| *known != id);
            after.push((id, message));
        }
        let mut messages: Vec<&mut Message> = after.iter_mut().map(|(_, message)| message).collect();
        conversation::recount(&self.policy.rules, &mut found.contact, &acts, &mut messages);
        let mut placement = Placement::NONE;
        for (id, mut message) in after {
            let old = before.iter().find(|(known, _)| *known == id).map(|(_, message)| message);
            if Some(id) == changed_id {
                placement = message.placement;
                if old.is_none_or(|old| old.sending.is_none()) {
                    message.first = message.placement;
                }
            }
            if old != Some(&message) {
                self.write_message(business, found, id, old, message)?;
            }
        }
        Ok(placement)
    }

    /// Charges a message, keeps it, and posts what has changed.
    fn write_message(
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

    /// Posts a line about a contact, which gets its number in the ledger with the first one.
    fn post(&mut self, business: Business, found: &mut Found, message: Option<u64>, posting: Posting) -> Result<()> {
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

    fn book(&mut self, business: Business, person: Option<u64>, message: Option<u64>, posting: Posting) -> Result<()> {
        let Posting { line, count, amount, estimated_amount } = posting;
        let recorded_at = self.now;
        self.records.post(&Entry { recorded_at, business, person, message, line, count, amount, estimated_amount })
    }

    /// The charge of a message, once it is due, by our own reckoning and by the platform's report. A service message takes its unit of the
    /// month's free tier once, a charged one its unit of the volume tiers.
    fn charge(&mut self, business: Business, message: &mut Message) -> Result<()> {
        let zone = self.policy.rules.zone();
        message.day = zone.day(message.at);
        message.currency = self.policy.currency;
        message.due_day = message.due_at.map(|due| zone.day(due));
        let rules = self.policy.rules.at(message.ruled_at());
        let item = |category, placement| Item {
            class: message.class(),
            category,
            placement,
            in_window: message.window_act.is_some(),
        };
        let standing = item(message.category(), message.placement);
        let day = message.due_day.unwrap_or(message.day);
        let quote = |records: &RecordsMut<'_>, item: &Item| {
            rates::quote(records.read(), self.policy.currency, message.country, item.rated(), day)
        };
        let quoted = quote(self.records, &standing)?;
        let Some(due_day) = message.due_day else {
            (message.market, message.estimate, message.report) = (quoted.market, None, None);
            return Ok(());
        };
        let reported = charge::reported(rules, &message.reported, &standing, message.starts_conversation);
        // What the platform reports is compared with what we should have said without it.
        let reckoned = match reported {
            Some(_) => item(message.reckoned_category(), message.reckoned_placement()),
            None => standing,
        };
        let reckoned_quote =
            if reckoned.rated() == standing.rated() { quoted.clone() } else { quote(self.records, &reckoned)? };
        if reckoned.takes_tier_unit(rules) && message.tier_unit.is_none() {
            message.tier_unit = Some(self.records.take_tier_unit(business, due_day.month())?);
        }
        let used = message.tier_unit.map_or(0, |unit| unit - 1);
        let estimated = charge::charge(rules, &reckoned, used);
        let place =
            self.volume_place(message.volume_unit, &quoted, &standing, reported.unwrap_or(estimated), due_day)?;
        message.volume_unit = place;
        let place = place.unwrap_or(1);
        message.estimate = Some(Bill::new(estimated, reckoned.category, &reckoned_quote, place));
        message.report = reported.map(|reported| Bill::new(reported, standing.category, &quoted, place));
        message.market = quoted.market;
        Ok(())
    }

    /// The place of a charged message among those of its market and category in the month, where the rate depends on it.
    fn volume_place(
        &mut self,
        taken: Option<u64>,
        quote: &Quote,
        item: &Item,
        charged: Charged,
        due: Day,
    ) -> Result<Option<u64>> {
        let has_tiers = quote.rate.as_ref().is_ok_and(|rate| !rate.tiers.is_empty());
        match (taken, quote.currency, quote.market) {
            (None, Some(currency), Some(market)) if has_tiers && charged.is_billable() => {
                self.records.take_volume_unit(due.month(), currency, market, item.rated()).map(Some)
            }
            _ => Ok(taken),
        }
    }
}

/// The country of a contact: its phone number's, else its user id's.
fn country_of(found: &Found) -> Option<Country> {
    let mut names: Vec<&Customer> = std::iter::once(&found.customer).chain(&found.contact.names).collect();
    names.sort_by_key(|name| name.kind());
    names.into_iter().find_map(Country::of)
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

/// Applies what the platform says about a business account.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read or written.
pub fn notice(records: &mut RecordsMut<'_>, notice: &Notice) -> Result<()> {
    match &notice.what {
        NoticeWhat::Number { business, display } => {
            let belongs = NumberRecord::Belongs(notice.account);
            if records.read().number(*business)? != Some(belongs) {
                records.put_number(*business, &belongs)?;
            }
            let displays = NumberRecord::Displays(*business);
            match display {
                Some(display) if display != business && records.read().number(*display)? != Some(displays) => {
                    records.put_number(*display, &displays)
                }
                _ => Ok(()),
            }
        }
        NoticeWhat::TemplateStatus { template, approved, category } => {
            amend_template(records, notice, template, Some(*approved), *category)
        }
        NoticeWhat::TemplateCategory { template, category } => {
            amend_template(records, notice, template, None, Some(*category))
        }
    }
}

/// Keeps what a notice says of a template, unless something newer is known.
fn amend_template(
    records: &mut RecordsMut<'_>,
    notice: &Notice,
    template: &TemplateName,
    approved: Option<bool>,
    category: Option<Category>,
) -> Result<()> {
    let known = records.read().template(notice.account, template)?.unwrap_or_default();
    if notice.at.is_some() && notice.at < known.as_of {
        return Ok(());
    }
    let record = TemplateRecord {
        approved: approved.or(known.approved),
        category: category.or(known.category),
        as_of: notice.at.or(known.as_of),
    };
    records.put_template(notice.account, template, &record)
}

/// Forgets message ids older than the retention: looks at a few entries from the cursor on and moves it, round and round.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read or written.
pub fn sweep(records: &mut RecordsMut<'_>, cursor: &mut Vec<u8>, older_than: Timestamp, entries: usize) -> Result<()> {
    let (mut looked_at, mut old, mut next) = (0, Vec::new(), Vec::new());
    records.read().0.scan(Table::Messages, cursor, &mut |key, value| {
        if looked_at == entries {
            next = key.to_vec();
            return Ok(false);
        }
        looked_at += 1;
        let seen: SeenId = codec::decode(Table::Messages, value)?;
        if seen.recorded_at < older_than {
            old.push(key.to_vec());
        }
        Ok(true)
    })?;
    for key in old {
        records.0.delete(Table::Messages, &key)?;
        if let (Some(business), Some(id)) = (key.first_chunk::<8>(), key.last_chunk::<16>()) {
            records.0.delete(Table::Ids, &[&business[..], id].concat())?;
        }
    }
    *cursor = next;
    Ok(())
}
