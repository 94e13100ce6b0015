//! One event, applied to the records of one transaction: facts, messages, ledger and totals change together.

use crate::error::Result;
use crate::party::{Business, Customer, Kind};
use crate::rules::charge::{self, Item};
use crate::rules::conversation::{self, Effect, Placement};
use crate::rules::decision::Policy;
use crate::rules::event::{
    Act, Category, Class, Event, Notice, NoticeWhat, Progress, Sending, Source, Status, What, says_window_closed,
};
use crate::rules::ledger;
use crate::rules::message::Message;
use crate::rules::ruleset::Anchor;
use crate::store::codec::{self, Entry, IdHash, NumberRecord, SeenId};
use crate::store::{Found, RecordsMut, Table};
use crate::time::Timestamp;

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
            What::Business(sending) => self.sent(business, &mut found, event, *sending),
            What::Status(status) => self.status(business, found, event, status),
            What::Refused => {
                found.contact.refuse(event.at);
                self.records.put_contact(business, &found)?;
                Ok(Applied::DONE)
            }
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

    fn act(
        &mut self,
        business: Business,
        found: &mut Found,
        event: &Event,
        act: Act,
        source: Option<Source>,
    ) -> Result<Applied> {
        if self.was_seen(business, &found.customer, event)? {
            return Ok(Applied::REPEATED);
        }
        let before = found.contact.clone();
        found.contact.act(self.policy.rules.at(event.at), act, source, event.at);
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
    fn was_seen(&mut self, business: Business, customer: &Customer, event: &Event) -> Result<bool> {
        let Some(id) = &event.id else { return Ok(false) };
        let id = codec::id_hash(id, None);
        if self.records.read().recipient(business, id)?.is_some() {
            return Ok(true);
        }
        self.records.put_recipient(business, id, customer)?;
        let seen = SeenId { recorded_at: self.now, message: None };
        self.records.put_seen(business, customer, id, &seen)?;
        Ok(false)
    }

    fn sent(&mut self, business: Business, found: &mut Found, event: &Event, sending: Sending) -> Result<Applied> {
        if sending.class == Class::Receipt {
            return Ok(Applied::DONE);
        }
        let sequence = self.records.read().next_sequence()?;
        let id = match &event.id {
            Some(id) => codec::id_hash(id, None),
            // Nothing will name this message again; its place in the ledger is as good a name as any.
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
        message.sending = Some(sending);
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
                let sequence = self.records.read().next_sequence()?;
                let at = base.as_ref().map_or(event.at, |base| base.at);
                let sending = base.as_ref().and_then(|base| base.sending);
                Message { is_copy: copy.is_some(), ..Message::new(at, sequence, sending) }
            }
        };
        message.apply(status, event.at);
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
            found.contact.refuse(at);
            self.records.put_contact(business, &found)?;
        }
        Ok(Applied::DONE)
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
        Ok(old.contact.last_act > Some(event.at) || self.was_seen(business, &old.customer, event)?)
    }

    fn message(&self, business: Business, customer: &Customer, id: IdHash) -> Result<Option<Message>> {
        let seen = self.records.read().seen(business, customer, id)?;
        Ok(seen.and_then(|seen| seen.message).map(|message| *message))
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
        let is_next = Some(message.at) >= found.contact.last_sent;
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
                    conversation::enter(&self.policy.rules, &mut found.contact, &mut message);
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
        let before = self.records.read().messages(business, &found.customer)?;
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
        conversation::recount(&self.policy.rules, &mut found.contact, &mut messages);
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
        found: &Found,
        id: IdHash,
        before: Option<&Message>,
        mut message: Message,
    ) -> Result<()> {
        self.charge(business, &mut message)?;
        for posting in ledger::postings(self.policy.rules.zone(), before, &message) {
            self.records.post(&Entry {
                recorded_at: self.now,
                business,
                customer: Some(found.customer),
                message: id,
                line: posting.line,
                count: posting.count,
            })?;
        }
        let seen = SeenId { recorded_at: self.now, message: Some(Box::new(message)) };
        self.records.put_seen(business, &found.customer, id, &seen)
    }

    /// The charge of a message whose charge is due; a service message takes its unit of the month's free tier once.
    fn charge(&mut self, business: Business, message: &mut Message) -> Result<()> {
        let Some(due) = message.due_at else {
            message.charge = None;
            return Ok(());
        };
        let rules = self.policy.rules.at(message.ruled_at());
        let item = Item {
            class: message.class(),
            category: message.category(),
            placement: message.placement,
            in_window: message.in_window,
        };
        if item.takes_tier_unit(rules) && message.tier_unit.is_none() {
            let month = self.policy.rules.zone().day(due).month();
            message.tier_unit = Some(self.records.take_tier_unit(business, month)?);
        }
        let used = message.tier_unit.map_or(0, |unit| unit - 1);
        message.charge = Some(charge::charge(rules, &item, used));
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
            let mut record = records.read().template(notice.account, template)?.unwrap_or_default();
            record.approved = Some(*approved);
            record.category = category.or(record.category);
            records.put_template(notice.account, template, &record)
        }
        NoticeWhat::TemplateCategory { template, category } => {
            let mut record = records.read().template(notice.account, template)?.unwrap_or_default();
            record.category = Some(*category);
            records.put_template(notice.account, template, &record)
        }
    }
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
