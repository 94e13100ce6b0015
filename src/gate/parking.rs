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
use crate::rules::event::says_window_closed;
use crate::rules::ledger::{Line, LineKind, Posting};
use crate::rules::window::State;
use crate::store::codec::{self, Body, Due, DueWhat, IdHash, Kept, Parked};
use crate::store::{Found, RecordsMut};
use crate::time::{Span, Timestamp};
use crate::wire::instead;

/// The largest body that is kept: a text has up to 4096 characters, an interactive message some kilobytes.
pub const BODY_MAX: usize = 64 << 10;
/// How long who took a message may have it in hand.
pub const IN_HAND: Span = Span::millis(60_000);
/// After how long a message that could not be sent now is tried again.
const AGAIN_AFTER: Span = Span::millis(30_000);
/// How much is looked through for something to hand out in one transaction.
const LOOKED_THROUGH: usize = 256;

/// What a [`Parcel`] is.
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

/// What became of a [`Parcel`].
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
        let (from, id) = codec::due_of(&key);
        if from > now {
            break;
        }
        records.delete_due(&key)?;
        let Due { business, customer, what } = due;
        let policy = config.policy(business);
        let mut applying = Applying { records, policy, fold_numbers: config.fold_numbers, now };
        let found = applying.named(business, &customer)?;
        let is_open = applying.is_open(&found, at);
        let parcel = |kind, body| Parcel { kind, id, business, customer, waiting: 0, dropped: 0, body };
        let handed = match what {
            DueWhat::Backlog => applying.next_of(business, &found, gateway, &config.parking, is_open)?,
            // Who has written meanwhile need not be asked to.
            DueWhat::Nudge(body) => Some(parcel(ParcelKind::Nudge, body)).filter(|_| !is_open),
            DueWhat::Refused(body) => Some(parcel(ParcelKind::Refused, body)),
        };
        if let Some(parcel) = handed {
            return Ok(Some(Arc::new(parcel)));
        }
    }
    Ok(None)
}

impl Applying<'_, '_> {
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
            self.give_up(business, &found, *id, parked, parking)?;
        }
        let id = self.records.next_message()?;
        self.records.put_parked(business, &found.customer, id, &message)?;
        let gateway = &message.gateway;
        self.due(business, &found.customer, gateway, message.parked_at + parking.keep, id, DueWhat::Backlog)?;
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

    /// The next of a customer's parked messages, if it may go out. What has grown too old on the way is given up.
    fn next_of(
        &mut self,
        business: Business,
        found: &Found,
        gateway: &str,
        parking: &Parking,
        is_open: bool,
    ) -> Result<Option<Parcel>> {
        let mut waiting = self.records.read().parked(business, &found.customer)?;
        waiting.retain(|(_, parked)| parked.gateway == gateway);
        let mut left = waiting.len();
        for (id, mut parked) in waiting {
            match parked.in_hand_until {
                Some(until) if until > self.now => return Ok(None),
                Some(until) => self.records.delete_due(&codec::due_key(gateway, until, id))?,
                None if parked.parked_at + parking.keep <= self.now => {}
                None if !is_open => {
                    // Again, where csw.toml keeps messages for another time than it did when this one was parked.
                    let expires = parked.parked_at + parking.keep;
                    self.due(business, &found.customer, gateway, expires, id, DueWhat::Backlog)?;
                    return Ok(None);
                }
                None => {
                    let until = self.now + IN_HAND;
                    parked.in_hand_until = Some(until);
                    self.records.put_parked(business, &found.customer, id, &parked)?;
                    self.due(business, &found.customer, gateway, until, id, DueWhat::Backlog)?;
                    let (kind, customer, body) = (ParcelKind::Parked, found.customer, parked.body);
                    return Ok(Some(Parcel { kind, id, business, customer, waiting: left as u32, dropped: 0, body }));
                }
            }
            self.give_up(business, found, id, &parked, parking)?;
            left -= 1;
        }
        Ok(None)
    }

    /// Takes in what became of a parked message that was handed out.
    ///
    /// # Errors
    /// `Store` or `Format` when the records cannot be read or written.
    pub fn give_back(
        &mut self,
        business: Business,
        customer: &Customer,
        id: u64,
        fate: Fate,
        parking: &Parking,
    ) -> Result<()> {
        let found = self.named(business, customer)?;
        let waiting = self.records.read().parked(business, &found.customer)?;
        // It may have been erased meanwhile, or given up since it was in hand for too long.
        let Some((_, parked)) = waiting.iter().find(|(known, _)| *known == id) else { return Ok(()) };
        let Some(until) = parked.in_hand_until else { return Ok(()) };
        let gateway = &parked.gateway;
        self.records.delete_due(&codec::due_key(gateway, until, id))?;
        let again_from = match fate {
            Fate::Later => Some(self.now + AGAIN_AFTER),
            Fate::Closed if parked.is_woken => Some(self.now),
            _ => None,
        };
        match fate {
            Fate::Closed | Fate::Later => {
                let free = Parked { in_hand_until: None, is_woken: false, ..parked.clone() };
                self.records.put_parked(business, &found.customer, id, &free)?;
                if let Some(from) = again_from {
                    self.due(business, &found.customer, gateway, from, id, DueWhat::Backlog)?;
                }
                return Ok(());
            }
            Fate::Sent | Fate::Refused => self.remove(business, &found, id, parked, parking)?,
            Fate::Lost => self.give_up(business, &found, id, parked, parking)?,
        }
        if waiting.iter().any(|(other, parked)| *other != id && parked.gateway == *gateway) {
            self.due(business, &found.customer, gateway, self.now, id, DueWhat::Backlog)?;
        }
        Ok(())
    }

    /// Removes a parked message, with a line in the ledger.
    fn give_up(
        &mut self,
        business: Business,
        found: &Found,
        id: u64,
        parked: &Parked,
        parking: &Parking,
    ) -> Result<()> {
        let line: Line = self.line_of(found, LineKind::Dropped, &parked.sending, self.now);
        let person = found.contact.persons.first().copied();
        self.book(business, person, None, Posting::of(line))?;
        self.remove(business, found, id, parked, parking)
    }

    fn remove(&mut self, business: Business, found: &Found, id: u64, parked: &Parked, parking: &Parking) -> Result<()> {
        self.records.delete_due(&codec::due_key(&parked.gateway, parked.parked_at + parking.keep, id))?;
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

    /// Forgets what waits of a contact.
    pub(super) fn forget_parked(&mut self, business: Business, customer: &Customer) -> Result<()> {
        for (id, _) in self.records.read().parked(business, customer)? {
            self.records.delete_parked(business, customer, id)?;
        }
        for (key, _) in self.records.read().due_of(business, customer)? {
            self.records.delete_due(&key)?;
        }
        Ok(())
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
        self.records.put_due(&codec::due_key(gateway, from, id), &Due { business, customer: *customer, what })
    }
}
