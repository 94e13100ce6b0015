//! The closed branch of a running gate: what a step of it makes of a denied send, and the doors to what waits.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::parking::{self, BODY_MAX, Fate, Parcel};
use super::recorder::{Outcome, Report, Ticket};
use super::{Applying, Decided, Gate, Token, catalogue, jobs};
use crate::error::{Code, Error, Result};
use crate::party::{Business, Customer, Kind};
use crate::rules::closed::{ChannelStep, Step, StepKind, TemplateStep, Unfit, admits};
use crate::rules::event::{Category, Sending};
use crate::rules::window::State;
use crate::store::codec::{self, Body, Kept, Parked};
use crate::store::{Records, RecordsMut};
use crate::time::Timestamp;
use crate::wire::instead as compose;
use crate::wire::send::{self, Endpoint};

/// A message that could not be parked for so long is not parked any more: the gateway has answered by then, and may be asked again.
const PARK_WITHIN: Duration = Duration::from_secs(4);

/// What a step of the closed branch makes of a denied send.
#[derive(Debug, Clone, PartialEq)]
pub struct Instead {
    /// What kind of step it is.
    pub kind: StepKind,
    /// The step as it is written, such as `template:order_update`.
    pub step: String,
    /// What it does, or why it cannot serve the send.
    pub does: std::result::Result<Does, Unfit>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq)]
pub enum Does {
    /// It answers that the window is closed.
    Block,
    /// It sends this body, which is decided already, to the endpoint of messages.
    Template {
        /// The body.
        body: Vec<u8>,
        /// The decision about it.
        decided: Box<Decided>,
    },
    /// It gives the text to another channel.
    Channel {
        /// Where the gateway reaches it.
        location: String,
        /// The customer's phone number, its digits alone.
        to: String,
        /// The text.
        text: String,
        /// A fresh id for it.
        id: String,
    },
    /// It parks the message.
    Park {
        /// The customer as the send names them.
        to: String,
    },
}

/// The send that a workflow's branch chose.
#[derive(Debug, Clone, PartialEq)]
pub struct Chosen {
    /// The number that sends.
    pub business: Business,
    /// The branch that the customer's window falls into.
    pub branch: State,
    /// For a later moment: nothing is to be sent now.
    pub is_forecast: bool,
    /// The body to send.
    pub body: Vec<u8>,
}

impl Gate {
    /// What the closed branch of a number makes of a denied send at its step of this index, counted from 0; behind the last step stands `block`.
    ///
    /// # Errors
    /// `Body` or `TooLarge` when the body cannot be read; `Store`, `Format` or `Forked`.
    pub fn instead(&self, business: Business, body: &[u8], at: Timestamp, index: usize) -> Result<Instead> {
        let canonical = self.read(|records| self.canonical(records, business))?;
        let step = self.config.closed(Some(canonical)).get(index).unwrap_or(&Step::Block);
        let does = match step {
            Step::Block => Ok(Does::Block),
            Step::Template(step) => self.template_instead(canonical, body, at, step)?,
            Step::Channel(step) => self.channel_instead(canonical, body, step)?,
            Step::Park if body.len() > BODY_MAX => Err(Unfit::TooLarge),
            Step::Park => Ok(Does::Park { to: compose::addressee(body)? }),
        };
        Ok(Instead { kind: step.kind(), step: step.written(), does })
    }

    fn template_instead(
        &self,
        business: Business,
        body: &[u8],
        at: Timestamp,
        step: &TemplateStep,
    ) -> Result<std::result::Result<Does, Unfit>> {
        let Some(letter) = compose::letter(body)? else { return Ok(Err(Unfit::NotText)) };
        let body = match compose::as_template(&letter, step) {
            Ok(body) => body,
            Err(unfit) => return Ok(Err(unfit)),
        };
        let (account, standing) = self.read(|records| {
            let account = catalogue::account(records, &self.config, business)?;
            Ok((account, catalogue::standing(records, &self.config, business, &step.template)?))
        })?;
        if account.is_none() {
            return Ok(Err(Unfit::AccountUnknown));
        }
        let decided = Box::new(self.forecast(business, Endpoint::Messages, &body, at)?);
        Ok(admits(step, standing, &decided.decision).map(|()| Does::Template { body, decided }))
    }

    fn channel_instead(
        &self,
        business: Business,
        body: &[u8],
        step: &ChannelStep,
    ) -> Result<std::result::Result<Does, Unfit>> {
        let Some(letter) = compose::letter(body)? else { return Ok(Err(Unfit::NotText)) };
        let Some(customer) = send::parse(Endpoint::Messages, body)?.customer else {
            return Ok(Err(Unfit::NoPhoneNumber));
        };
        let phone = match customer.kind() {
            Kind::Phone => Some(customer),
            Kind::Group => None,
            Kind::User => self.read(|records| phone_of(records, business, &customer))?,
        };
        Ok(phone.ok_or(Unfit::NoPhoneNumber).map(|phone| Does::Channel {
            location: step.location.clone(),
            to: phone.text().to_owned(),
            text: letter.text,
            id: fresh_id(),
        }))
    }

    /// Parks a denied send until its customer's next act, for a kind of gateway such as `nginx`. Returns at once; [`Gate::parcel`] has its number once
    /// the ticket is done.
    ///
    /// # Errors
    /// `Invalid` for a gateway without a plain name; `Body` or `TooLarge` when the body cannot be read or is larger than 64 KiB; `Busy`, or `Store`, `Format`, `Forked`.
    pub fn submit_park(&self, gateway: &str, business: Business, body: Vec<u8>) -> Result<Ticket> {
        if body.len() > BODY_MAX {
            return Err(Error::new(Code::TooLarge, format!("bodies of at most {BODY_MAX} bytes are parked")));
        }
        let gateway = gateway_name(gateway)?;
        let outgoing = send::parse(Endpoint::Messages, &body)?;
        let customer =
            outgoing.customer.ok_or_else(|| Error::new(Code::Body, "the body names nobody to park it for"))?;
        let sending = Sending::new(outgoing.class, Category::Service);
        let (config, body, submitted) = (Arc::clone(&self.config), Body(body), Instant::now());
        self.submit(jobs::Work::carrying(body.0.len(), move |records: &mut RecordsMut<'_>, now| {
            // Whoever asked has been told by now that it is not parked.
            if submitted.elapsed() > PARK_WITHIN {
                return Err(Error::new(Code::Timeout, "the message was not parked in time, and is not parked"));
            }
            let business = records.read().canonical(config.canonical(business))?;
            let policy = config.policy(business);
            let mut applying = Applying { records, policy, fold_numbers: config.fold_numbers, now };
            let (gateway, sending, body) = (gateway.clone(), sending.clone(), body.clone());
            let expires_at = now + config.parking.keep;
            let message = Parked { expires_at, in_hand_until: None, is_woken: false, gateway, sending, body };
            let parcel = applying.park(business, &customer, message, &config.parking)?;
            Ok(Report { events: 1, parcel: Some(Arc::new(parcel)), ..Report::default() })
        }))
    }

    /// Takes the next message that a kind of gateway parked and that may go out at a moment, or something else for it to send; [`Gate::parcel`] has it once the ticket is done.
    /// Nothing is handed out twice. Returns at once.
    ///
    /// # Errors
    /// `Invalid` for a gateway without a plain name; `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_take(&self, gateway: &str, at: Timestamp) -> Result<Ticket> {
        let (config, gateway) = (Arc::clone(&self.config), gateway_name(gateway)?);
        self.submit(jobs::Work::new(move |records: &mut RecordsMut<'_>, now| {
            let parcel = parking::take(records, &config, &gateway, now, at)?;
            Ok(Report { events: u32::from(parcel.is_some()), parcel, ..Report::default() })
        }))
    }

    /// Says what became of a parcel that was taken. Returns at once.
    ///
    /// # Errors
    /// `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_return(&self, parcel: Parcel, fate: Fate) -> Result<Ticket> {
        self.running()?.metrics.given_back(fate);
        let config = Arc::clone(&self.config);
        self.submit(jobs::Work::new(move |records: &mut RecordsMut<'_>, now| {
            let policy = config.policy(parcel.business);
            let mut applying = Applying { records, policy, fold_numbers: config.fold_numbers, now };
            applying.give_back(&parcel, fate)?;
            Ok(Report { events: 1, ..Report::default() })
        }))
    }

    /// Keeps the body of a send that the platform accepted until its delivery is heard of, so that the closed branch can be run for it should the
    /// platform refuse it after all. Returns at once.
    ///
    /// # Errors
    /// `Invalid` for a gateway without a plain name; `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_keep(
        &self,
        gateway: &str,
        token: Token,
        http_status: u16,
        response: &[u8],
        body: Vec<u8>,
    ) -> Result<Ticket> {
        let (gateway, body) = (gateway_name(gateway)?, Body(body));
        let ids: Vec<_> = send::receipt(http_status, response).ids.iter().map(|id| codec::id_hash(id, None)).collect();
        let config = Arc::clone(&self.config);
        let keep = jobs::Work::carrying(body.0.len(), move |records: &mut RecordsMut<'_>, now| {
            let Some((business, customer)) = token.addressee().filter(|_| body.0.len() <= BODY_MAX) else {
                return Ok(Report::default());
            };
            let policy = config.policy(business);
            let mut applying = Applying { records, policy, fold_numbers: config.fold_numbers, now };
            let kept = Kept { kept_at: now, customer, gateway: gateway.clone(), body: body.clone() };
            for id in &ids {
                applying.keep(business, *id, &kept)?;
            }
            Ok(Report { events: ids.len() as u32, ..Report::default() })
        });
        self.submit(keep.aside())
    }

    /// What a ticket of [`Gate::submit_park`] or [`Gate::submit_take`] is about; `None` where there is nothing to do.
    ///
    /// # Errors
    /// `Invalid` while it is not done; `Timeout`, `Expired`, `Forked`; what recording it failed with.
    pub fn parcel(&self, ticket: Ticket) -> Result<Option<Arc<Parcel>>> {
        match self.poll(ticket)? {
            Outcome::Done(report) => Ok(report.parcel),
            Outcome::Failed(error) => Err(error),
            Outcome::Pending => Err(Error::invalid("the ticket is not done yet")),
        }
    }

    /// Whether there is anything for a kind of gateway to take now. One read, like [`Gate::check`].
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn is_due(&self, gateway: &str) -> Result<bool> {
        let first = self.read(|records| records.first_due_from(gateway))?;
        Ok(first.is_some_and(|from| from <= Timestamp::now()))
    }

    /// Chooses one of the two sends of a workflow's request by the customer's window. For a later moment it only tells which it would be: at that
    /// moment it is to be asked again.
    ///
    /// # Errors
    /// `Body`, naming the key at fault, or `TooLarge`; `Store`, `Format` or `Forked`.
    pub fn choose(&self, request: &[u8], now: Timestamp) -> Result<Chosen> {
        let branches = compose::branches(request)?;
        // What was asked for a time that is over is asked for now.
        let at = branches.at.unwrap_or(now).max(now);
        let business = self.read(|records| self.canonical(records, branches.business))?;
        let branch = self.check(business, &branches.customer, at)?.branch;
        let body = if branch == State::Open { branches.open } else { branches.closed };
        Ok(Chosen { business, branch, is_forecast: at > now, body })
    }
}

/// A phone number of a customer who is known by a user id.
fn phone_of(records: Records<'_>, business: Business, customer: &Customer) -> Result<Option<Customer>> {
    let Some(found) = records.contact(business, customer)? else { return Ok(None) };
    let spelled = found.contact.spelled.into_iter().chain([found.customer]);
    Ok(spelled.chain(found.contact.names.iter().copied()).find(|name| name.kind() == Kind::Phone))
}

/// The name of a kind of gateway, which stands in keys.
fn gateway_name(name: &str) -> Result<String> {
    let is_plain = (1..=32).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    if is_plain {
        Ok(name.to_owned())
    } else {
        Err(Error::invalid("gateway: expected a plain name such as \"nginx\", of at most 32 letters"))
    }
}

/// An id that nobody has had: the keys of the standard library's hashes are the system's random numbers.
fn fresh_id() -> String {
    let random = || RandomState::new().hash_one(0_u8);
    format!("csw.{:016x}{:016x}", random(), random())
}
