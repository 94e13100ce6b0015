//! What waits outside of requests: parked messages until their customer's next act, bodies of accepted sends until their delivery is heard of,
//! and what a gateway has to do about both.
//!
//! A parked message is handed out at most once. Who takes it has it in hand for [`IN_HAND`]; when that is over without a word, nobody can tell
//! whether it went out, and it is given up, with a line in the ledger. While one is in hand, the customer's others wait, so that they arrive in
//! order. What a kind of gateway (nginx, Prosody, ...) has parked is handed out to such a gateway alone: what a message looks like is its own
//! affair.

use std::sync::Arc;

use crate::error::Result;
use crate::gate::apply::Applying;
use crate::gate::config::Config;
use crate::party::{Business, Customer};
use crate::rules::closed::Parking;
use crate::rules::event::{Category, Class, Sending, says_window_closed};
use crate::rules::ledger::{Line, LineKind, Posting};
use crate::rules::window::State;
use crate::store::codec::{self, Body, Due, DueWhat, IdHash, Kept, Parked};
use crate::store::{Found, RecordsMut};
use crate::time::{Span, Timestamp};
use crate::wire::instead;
use crate::wire::send::{self, Endpoint};

/// The largest body that is kept: a text has up to 4096 characters, an interactive message some kilobytes.
pub const BODY_MAX: usize = 64 << 10;
/// How long who took a message may have it in hand.
pub const IN_HAND: Span = Span::millis(60_000);
/// After how long a message that could not be sent now is tried again.
const AGAIN_AFTER: Span = Span::millis(30_000);
/// How much is looked through for something to hand out in one transaction.
const LOOKED_THROUGH: usize = 256;

/// What a message or send that is handed out is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(i32)]
pub enum ParcelKind {
    /// A parked message.
    #[default]
    Parked = 1,
    /// The template that asks a customer with a new backlog to write.
    Nudge = 2,
    /// A message that the platform took and then refused: the closed branch is run for it.
    Refused = 3,
}

words!(ParcelKind { Parked = "parked", Nudge = "nudge", Refused = "refused" });

/// What became of a message or send that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(i32)]
pub enum Fate {
    /// The platform took it.
    Sent = 1,
    /// The window is closed again: it waits for the customer's next act.
    Closed = 2,
    /// It cannot be sent now (throttled, or the platform was not reached): it is tried again a little later.
    Later = 3,
    /// The platform refused it for good.
    Refused = 4,
    /// Nobody can tell whether the platform took it: it is given up, since it must not go out twice.
    Lost = 5,
}

words!(Fate { Sent = "sent", Closed = "closed", Later = "later", Refused = "refused", Lost = "lost" });

/// A message that was parked, or something that is handed out to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parcel {
    /// What it is.
    pub kind: ParcelKind,
    /// Its number, to give it back by.
    pub id: u64,
    /// The business's number.
    pub business: Business,
    /// The customer.
    pub customer: Customer,
    /// The kind of gateway that it is for.
    pub gateway: String,
    /// Until when who took it has it in hand.
    pub in_hand_until: Timestamp,
    /// How many messages of the customer wait now, this one among them.
    pub waiting: u32,
    /// How many were given up for it.
    pub dropped: u32,
    /// What to send; nothing where it was only parked.
    pub body: Body,
}

/// Hands out what a kind of gateway may do now.
///
/// # Errors
/// `Store` or `Format` when the records cannot be read or written.
pub fn take(
    records: &mut RecordsMut<'_>,
    config: &Config,
    gateway: &str,
    now: Timestamp,
    at: Timestamp,
) -> Result<Option<Arc<Parcel>>> {
    for _ in 0..LOOKED_THROUGH {
        let Some((key, due)) = records.read().first_due(gateway)? else { break };
        if codec::due_of(&key).0 > now {
            break;
        }
        records.delete_due(&key)?;
        let policy = config.policy(due.business);
        let mut applying = Applying { records, policy, fold_numbers: config.fold_numbers, now };
        if let Some(parcel) = applying.hand_out(gateway, codec::due_of(&key).1, due, at)? {
            return Ok(Some(Arc::new(parcel)));
        }
    }
    Ok(None)
}

impl Applying<'_, '_> {
    /// What is due, as a parcel, where it is still to be done.
    fn hand_out(&mut self, gateway: &str, id: u64, due: Due, at: Timestamp) -> Result<Option<Parcel>> {
        let Due { business, customer, in_hand, what } = due;
        let found = self.named(business, &customer)?;
        let is_open = self.is_open(&found, at);
        let (kind, body) = match &what {
            DueWhat::Backlog => return self.next_of(business, &found, gateway, is_open),
            // Who has written meanwhile need not be asked to.
            DueWhat::Nudge(_) if is_open => return Ok(None),
            DueWhat::Nudge(body) => (ParcelKind::Nudge, body.clone()),
            DueWhat::Refused(body) => (ParcelKind::Refused, body.clone()),
        };
        if in_hand || !self.is_for(business, &found, &body)? {
            if kind == ParcelKind::Refused {
                let sending = Sending::new(Class::FreeForm, Category::Service);
                self.book_dropped(business, &found, &sending)?;
            }
            return Ok(None);
        }
        let in_hand_until = self.now + IN_HAND;
        let due = Due { business, customer: found.customer, in_hand: true, what };
        self.records.put_due(&codec::due_key(gateway, in_hand_until, id), &due)?;
        let (customer, gateway) = (found.customer, gateway.to_owned());
        Ok(Some(Parcel { kind, id, business, customer, gateway, in_hand_until, waiting: 0, dropped: 0, body }))
    }

    /// Whether a body still goes to this contact: a phone number may have changed hands since.
    fn is_for(&self, business: Business, found: &Found, body: &Body) -> Result<bool> {
        let addressee = send::parse(Endpoint::Messages, &body.0).ok().and_then(|outgoing| outgoing.customer);
        Ok(match addressee {
            Some(addressee) => self.named(business, &addressee)?.customer == found.customer,
            None => false,
        })
    }

    /// Parks a message. For one more than there may be, the oldest is given up.
    ///
    /// # Errors
    /// `Store` or `Format` when the records cannot be read or written.
    pub fn park(
        &mut self,
        business: Business,
        customer: &Customer,
        message: Parked,
        parking: &Parking,
    ) -> Result<Parcel> {
        let found = self.named(business, customer)?;
        let waiting = self.records.read().parked(business, &found.customer)?;
        let in_hand = |parked: &Parked| parked.in_hand_until.is_some();
        let spare = (waiting.len() + 1).saturating_sub(parking.at_most as usize);
        let oldest: Vec<_> = waiting.iter().filter(|(_, parked)| !in_hand(parked)).take(spare).collect();
        for (id, parked) in &oldest {
            self.give_up(business, &found, *id, parked)?;
        }
        let id = self.records.next_message()?;
        self.records.put_parked(business, &found.customer, id, &message)?;
        let gateway = &message.gateway;
        self.due(business, &found.customer, gateway, message.expires_at, id, DueWhat::Backlog)?;
        if let (true, Some(nudge)) = (waiting.is_empty(), &parking.nudge) {
            let nudge = Body(instead::template_to(&found.addressee(), nudge));
            let id = self.records.next_message()?;
            self.due(business, &found.customer, gateway, self.now, id, DueWhat::Nudge(nudge))?;
        }
        // The customer may have acted since it was decided.
        self.wake(business, &found, self.now)?;
        Ok(Parcel {
            kind: ParcelKind::Parked,
            id,
            business,
            customer: found.customer,
            gateway: gateway.clone(),
            in_hand_until: self.now,
            waiting: (waiting.len() - oldest.len() + 1) as u32,
            dropped: oldest.len() as u32,
            body: Body::default(),
        })
    }

    /// Lets a customer's parked messages go out, if the window is open.
    pub(super) fn wake(&mut self, business: Business, found: &Found, at: Timestamp) -> Result<()> {
        let waiting = self.records.read().parked(business, &found.customer)?;
        if waiting.is_empty() || !self.is_open(found, at) {
            return Ok(());
        }
        let mut gateways: Vec<&str> = Vec::new();
        for (id, first) in &waiting {
            if gateways.contains(&first.gateway.as_str()) {
                continue;
            }
            gateways.push(&first.gateway);
            if first.in_hand_until.is_some() {
                let woken = Parked { is_woken: true, ..first.clone() };
                self.records.put_parked(business, &found.customer, *id, &woken)?;
            } else {
                self.due(business, &found.customer, &first.gateway, self.now, *id, DueWhat::Backlog)?;
            }
        }
        Ok(())
    }

    /// The next of a customer's parked messages, if it may go out. What has grown too old on the way, or is for somebody else by now, is given up.
    fn next_of(&mut self, business: Business, found: &Found, gateway: &str, is_open: bool) -> Result<Option<Parcel>> {
        let mut waiting = self.records.read().parked(business, &found.customer)?;
        waiting.retain(|(_, parked)| parked.gateway == gateway);
        let mut left = waiting.len();
        for (id, mut parked) in waiting {
            // A clock that was set back holds nobody up for longer.
            let in_hand = |until: Timestamp| self.now < until && until <= self.now + IN_HAND;
            match parked.in_hand_until {
                Some(until) if in_hand(until) => return Ok(None),
                Some(until) => self.records.delete_due(&codec::due_key(gateway, until, id))?,
                None if parked.expires_at <= self.now || !self.is_for(business, found, &parked.body)? => {}
                None if !is_open => {
                    self.due(business, &found.customer, gateway, parked.expires_at, id, DueWhat::Backlog)?;
                    return Ok(None);
                }
                None => {
                    let in_hand_until = self.now + IN_HAND;
                    parked.in_hand_until = Some(in_hand_until);
                    self.records.put_parked(business, &found.customer, id, &parked)?;
                    self.due(business, &found.customer, gateway, in_hand_until, id, DueWhat::Backlog)?;
                    return Ok(Some(Parcel {
                        kind: ParcelKind::Parked,
                        id,
                        business,
                        customer: found.customer,
                        gateway: parked.gateway,
                        in_hand_until,
                        waiting: left as u32,
                        dropped: 0,
                        body: parked.body,
                    }));
                }
            }
            self.give_up(business, found, id, &parked)?;
            left -= 1;
        }
        Ok(None)
    }

    /// Takes in what became of a parcel that was handed out.
    ///
    /// # Errors
    /// `Store` or `Format` when the records cannot be read or written.
    pub fn give_back(&mut self, parcel: &Parcel, fate: Fate) -> Result<()> {
        if parcel.kind == ParcelKind::Parked {
            self.give_back_parked(parcel, fate)
        } else {
            self.give_back_due(parcel, fate)
        }
    }

    fn give_back_due(&mut self, parcel: &Parcel, fate: Fate) -> Result<()> {
        let Parcel { kind, id, business, gateway, in_hand_until, .. } = parcel;
        let key = codec::due_key(gateway, *in_hand_until, *id);
        // It may have been erased meanwhile, or given up since it was in hand for too long.
        let Some(due) = self.records.read().due(&key)?.filter(|due| due.in_hand) else { return Ok(()) };
        self.records.delete_due(&key)?;
        match (fate, kind) {
            (Fate::Later, _) => {
                let key = codec::due_key(gateway, self.now + AGAIN_AFTER, *id);
                self.records.put_due(&key, &Due { in_hand: false, ..due })
            }
            (Fate::Lost, ParcelKind::Refused) => {
                let found = self.named(*business, &due.customer)?;
                self.book_dropped(*business, &found, &Sending::new(Class::FreeForm, Category::Service))
            }
            _ => Ok(()),
        }
    }

    fn give_back_parked(&mut self, parcel: &Parcel, fate: Fate) -> Result<()> {
        let Parcel { id, business, customer, .. } = *parcel;
        let found = self.named(business, &customer)?;
        let waiting = self.records.read().parked(business, &found.customer)?;
        // It may have been erased meanwhile, or given up since it was in hand for too long.
        let Some((_, parked)) = waiting.iter().find(|(known, _)| *known == id) else { return Ok(()) };
        let Some(until) = parked.in_hand_until else { return Ok(()) };
        let gateway = &parked.gateway;
        self.records.delete_due(&codec::due_key(gateway, until, id))?;
        let again_from = match fate {
            Fate::Later => self.now + AGAIN_AFTER,
            Fate::Closed if parked.is_woken => self.now,
            _ => parked.expires_at,
        };
        match fate {
            Fate::Closed | Fate::Later => {
                let free = Parked { in_hand_until: None, is_woken: false, ..parked.clone() };
                self.records.put_parked(business, &found.customer, id, &free)?;
                return self.due(business, &found.customer, gateway, again_from, id, DueWhat::Backlog);
            }
            Fate::Sent | Fate::Refused => self.remove(business, &found, id, parked)?,
            Fate::Lost => self.give_up(business, &found, id, parked)?,
        }
        if waiting.iter().any(|(other, parked)| *other != id && parked.gateway == *gateway) {
            self.due(business, &found.customer, gateway, self.now, id, DueWhat::Backlog)?;
        }
        Ok(())
    }

    /// Removes a parked message, with a line in the ledger.
    fn give_up(&mut self, business: Business, found: &Found, id: u64, parked: &Parked) -> Result<()> {
        self.book_dropped(business, found, &parked.sending)?;
        self.remove(business, found, id, parked)
    }

    /// Gives up all parked messages of a contact.
    pub(super) fn give_up_all(&mut self, business: Business, found: &Found) -> Result<()> {
        for (id, parked) in self.records.read().parked(business, &found.customer)? {
            self.give_up(business, found, id, &parked)?;
        }
        Ok(())
    }

    /// Says whose message was given up, even where nothing else is known of the customer.
    fn book_dropped(&mut self, business: Business, found: &Found, sending: &Sending) -> Result<()> {
        let line: Line = self.line_of(found, LineKind::Dropped, sending, self.now);
        let known = self.records.read().contact(business, &found.customer)?;
        let mut found = known.unwrap_or_else(|| found.clone());
        self.post(business, &mut found, None, Posting::of(line))?;
        self.records.put_contact(business, &found)
    }

    fn remove(&mut self, business: Business, found: &Found, id: u64, parked: &Parked) -> Result<()> {
        self.records.delete_due(&codec::due_key(&parked.gateway, parked.expires_at, id))?;
        self.records.delete_parked(business, &found.customer, id)
    }

    /// Keeps the body of an accepted send until its delivery is heard of.
    pub(super) fn keep(&mut self, business: Business, id: IdHash, kept: &Kept) -> Result<()> {
        let found = self.named(business, &kept.customer)?;
        let kept = Kept { customer: found.customer, ..kept.clone() };
        let message = self.message(business, &kept.customer, id)?;
        let failure = message.as_ref().and_then(|message| message.failure);
        // Another process may have heard first.
        if failure.is_some_and(|failure| failure.code.is_some_and(says_window_closed)) {
            return self.refused_after_all(business, kept);
        }
        if message.is_some_and(|message| message.delivered_at.is_some() || !message.counts()) {
            return Ok(());
        }
        self.records.put_kept(business, id, &kept)
    }

    /// The body of an accepted send is needed no longer; where the platform refused it because of the window, the closed branch is run for it.
    pub(super) fn heard_of(&mut self, business: Business, id: IdHash, is_refused: bool) -> Result<()> {
        let Some(kept) = self.records.read().kept(business, id)? else { return Ok(()) };
        self.records.delete_kept(business, id)?;
        if is_refused { self.refused_after_all(business, kept) } else { Ok(()) }
    }

    fn refused_after_all(&mut self, business: Business, kept: Kept) -> Result<()> {
        let id = self.records.next_message()?;
        self.due(business, &kept.customer, &kept.gateway, self.now, id, DueWhat::Refused(kept.body))
    }

    /// What waits of a contact goes with it to another name.
    pub(super) fn move_parked(&mut self, business: Business, from: &Customer, to: &Customer) -> Result<()> {
        for (id, parked) in self.records.read().parked(business, from)? {
            self.records.delete_parked(business, from, id)?;
            self.records.put_parked(business, to, id, &parked)?;
        }
        for (key, due) in self.records.read().due_of(business, from)? {
            self.records.put_due(&key, &Due { customer: *to, ..due })?;
        }
        Ok(())
    }

    /// Forgets what waits of a contact; whether there was anything.
    pub(super) fn forget_parked(&mut self, business: Business, customer: &Customer) -> Result<bool> {
        let (parked, due) =
            (self.records.read().parked(business, customer)?, self.records.read().due_of(business, customer)?);
        for (id, _) in &parked {
            self.records.delete_parked(business, customer, *id)?;
        }
        for (key, _) in &due {
            self.records.delete_due(key)?;
        }
        Ok(!parked.is_empty() || !due.is_empty())
    }

    pub(super) fn is_open(&self, found: &Found, at: Timestamp) -> bool {
        self.policy.branch(self.policy.window(&found.contact, at).state, at) == State::Open
    }

    fn due(
        &mut self,
        business: Business,
        customer: &Customer,
        gateway: &str,
        from: Timestamp,
        id: u64,
        what: DueWhat,
    ) -> Result<()> {
        self.records
            .put_due(&codec::due_key(gateway, from, id), &Due { business, customer: *customer, in_hand: false, what })
    }
}
