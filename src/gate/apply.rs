//! One event, applied to the records of one transaction: facts, messages, ledger and totals change together.

use crate::error::Result;
use crate::party::{Business, Customer, Kind};
use crate::rules::conversation::{self, Placement};
use crate::rules::decision::Policy;
use crate::rules::event::{Act, Category, Class, Event, Progress, Sending, Source, Status, What, says_window_closed};
use crate::rules::ledger::{Line, LineKind, Posting};
use crate::rules::market::Country;
use crate::rules::message::Message;
use crate::rules::window::Reason;
use crate::store::codec::{self, Seen, SeenId};
use crate::store::{Found, RecordsMut, Table};
use crate::time::{Span, Timestamp};

/// What recording an event did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Applied {
    /// The same id was recorded before; nothing changed, and what follows is the first result.
    pub repeated: bool,
    /// An act of the customer opened a window that was not open.
    pub opened: bool,
    /// The conversation that a message of the business opened or joined.
    pub placement: Placement,
    /// The category that it is accounted under.
    pub category: Option<Category>,
}

impl Applied {
    const DONE: Applied = Applied { repeated: false, opened: false, placement: Placement::NONE, category: None };
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
        self.note_spelling(&mut found, event);
        match &event.what {
            What::Customer { act, source } => self.act(business, &mut found, event, *act, *source),
            What::Business(sending) => self.sent(business, &mut found, event, sending),
            What::Status(status) => self.status(business, found, event, status),
            What::Refused { sending, code } => self.refused_at_once(business, found, event, sending.as_ref(), *code),
            What::Stopped { sending, reason } => self.stopped(business, &found, event, sending, *reason),
            What::Identity => self.renamed(business, found, event),
        }
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
        let opens = rules.opens.allows(act);
        let what = Seen::Act { at: event.at, opens, clicked };
        if self.was_seen(business, &found.customer, event, what)? {
            return Ok(Applied::REPEATED);
        }
        let before = found.contact.clone();
        let was_open = self.is_open(found, event.at);
        found.contact.act(rules, act, source, event.at);
        // Heard of late, it may have been the click that an earlier send replied to, or the window that it was in.
        // An act without an id is remembered by the contact and by the messages in its window alone.
        let is_kept = event.id.is_some() && conversation::was_open_anyway(&self.policy.rules, &before, event.at);
        let may_change = clicked || opens && !is_kept;
        if may_change && Some(event.at) <= found.contact.last_sent {
            self.recount(business, found, None)?;
        }
        if found.contact != before {
            self.records.put_contact(business, found)?;
        }
        if opens {
            self.wake(business, found, event.at)?;
        }
        Ok(Applied { opened: !was_open && self.is_open(found, event.at), ..Applied::DONE })
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
            return Ok(Applied {
                repeated: true,
                placement: *placement,
                category: Some(first.category),
                ..Applied::DONE
            });
        }
        if owner != found.customer
            && let Some(known) = self.records.read().contact(business, &owner)?
        {
            *found = known;
        }
        let mut message = before.clone().unwrap_or_else(|| Message::new(event.at, sequence, None));
        message.sending = Some(sending.clone());
        // What was charged by its statuses alone is charged anew, now that it is known what it is.
        (message.estimate, message.report) = (None, None);
        message.at = message.at.min(event.at);
        let placement = self.account(business, found, id, before, message)?;
        Ok(Applied { placement, category: Some(sending.category), ..Applied::DONE })
    }

    fn status(&mut self, business: Business, found: Found, event: &Event, status: &Status) -> Result<Applied> {
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
        let rules = self.policy.rules.at(event.at);
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
        if status.progress >= Progress::Failed {
            let is_refused = status.progress == Progress::Failed && status.code.is_some_and(says_window_closed);
            self.heard_of(business, of_message, is_refused)?;
        }
        if before.as_ref().and_then(|before| before.reported.conversation) != message.reported.conversation {
            message.reported_in_turn = self.records.next_message()?;
            let any = |is_meant: &mut dyn FnMut(&_) -> _| {
                self.records.read().any_message(business, &found.customer, is_meant)
            };
            message.starts_conversation = conversation::starts(&message, any)?;
        }
        if before.as_ref() == Some(&message) {
            return Ok(Applied::REPEATED);
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
        let before = found.contact.refusals.clone();
        found.contact.refuse(at);
        if found.contact.refusals != before && Some(at) <= found.contact.last_sent {
            self.recount(business, found, None)?;
        }
        self.records.put_contact(business, found)
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
}

/// Forgets what has grown old: looks at a few entries of a table with each transaction, round and round.
#[derive(Debug, Default)]
pub struct Sweep {
    messages: Vec<u8>,
    kept: Vec<u8>,
    parked: Vec<u8>,
    due: Vec<u8>,
}

/// The bodies of accepted sends are given up after this time: the platform's word comes within minutes, or never.
const KEPT_FOR: Span = Span::hours(24);

impl Sweep {
    /// Forgets message ids older than the retention, and bodies that are kept for too long.
    ///
    /// # Errors
    /// `Store` or `Format` when the records cannot be read or written.
    pub fn run(&mut self, records: &mut RecordsMut<'_>, now: Timestamp, retention: Span, entries: usize) -> Result<()> {
        for key in old(records, Table::Messages, &mut self.messages, now - retention, entries)? {
            records.0.delete(Table::Messages, &key)?;
            if let (Some(business), Some(id)) = (key.first_chunk::<8>(), key.last_chunk::<16>()) {
                records.0.delete(Table::Ids, &[&business[..], id].concat())?;
            }
        }
        for key in old(records, Table::Kept, &mut self.kept, now - KEPT_FOR, entries)? {
            records.0.delete(Table::Kept, &key)?;
        }
        // What no gateway has fetched long after its time: its kind is not run here any more.
        for key in old(records, Table::Parked, &mut self.parked, now - KEPT_FOR, entries)? {
            records.0.delete(Table::Parked, &key)?;
        }
        for key in old(records, Table::Due, &mut self.due, now - KEPT_FOR, entries)? {
            records.0.delete(Table::Due, &key)?;
        }
        Ok(())
    }
}

/// The keys of the next few entries that were written before a time; moves the cursor on.
fn old(
    records: &RecordsMut<'_>,
    table: Table,
    cursor: &mut Vec<u8>,
    older_than: Timestamp,
    entries: usize,
) -> Result<Vec<Vec<u8>>> {
    let (mut looked_at, mut old, mut next) = (0, Vec::new(), Vec::new());
    records.read().0.scan(table, cursor, &mut |key, value| {
        if looked_at == entries {
            next = key.to_vec();
            return Ok(false);
        }
        looked_at += 1;
        let written = if table == Table::Due { codec::due_of(key).0 } else { codec::recorded_at(table, value)? };
        if written < older_than {
            old.push(key.to_vec());
        }
        Ok(true)
    })?;
    *cursor = next;
    Ok(old)
}
