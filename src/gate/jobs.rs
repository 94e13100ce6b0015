//! What hosts submit, as jobs of the recorder: a webhook, a single event, the platform's answer to a send.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::error::{Code, Error, Result};
use crate::gate::apply::Applying;
use crate::gate::catalogue;
use crate::gate::config::Config;
use crate::gate::recorder::{Job, Report};
use crate::party::{Business, Customer, Kind};
use crate::rules::decision::{Decision, Verdict};
use crate::rules::event::{Event, Notice, Outgoing, Sending, What};
use crate::rules::window::Reason;
use crate::store::RecordsMut;
use crate::time::Timestamp;
use crate::wire::send;
use crate::wire::{signature, webhook};

/// What settling a send needs to know of its decision, as bytes that a gateway keeps until the platform has answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    business: Business,
    customer: Option<Customer>,
    sending: Option<Sending>,
    /// Why the send was stopped, if it was.
    stopped: Option<Reason>,
    decided_at: Timestamp,
}

impl Token {
    /// More bytes than any token has: the platform's names of templates have up to 512.
    pub const MAX: usize = 768;

    /// The first byte of every token: a cleared one is none.
    const VERSION: u8 = 1;

    /// The token of a decision.
    pub fn new(business: Business, outgoing: &Outgoing, decision: &Decision, at: Timestamp) -> Self {
        let named = outgoing.template.clone().filter(|template| template.name.len() + template.language.len() <= 544);
        let sending = decision.sending(named);
        let stopped = Some(decision.reason).filter(|_| decision.verdict == Verdict::Deny);
        Token { business, customer: outgoing.customer, sending, stopped, decided_at: at }
    }

    /// The token's bytes, at most [`Token::MAX`].
    ///
    /// # Errors
    /// `Internal` when it cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        // Room for most tokens at once.
        let mut bytes = Vec::with_capacity(128);
        bytes.push(Self::VERSION);
        postcard::to_extend(self, bytes)
            .map_err(|cause| Error::new(Code::Internal, format!("a token cannot be made: {cause}")))
    }

    /// The number and the customer of the send, where it names one.
    pub fn addressee(&self) -> Option<(Business, Customer)> {
        self.customer.map(|customer| (self.business, customer))
    }

    /// The token of some bytes.
    ///
    /// # Errors
    /// `Invalid` when no decision gave them.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let token = bytes.split_first().filter(|(version, _)| **version == Self::VERSION);
        let token = token.and_then(|(_, token)| postcard::from_bytes(token).ok());
        token.ok_or_else(|| Error::invalid("the token is not one that a decision gave"))
    }
}

/// Unreadable parts that are told each by its place; of the others, their number.
const UNREADABLE_TOLD: usize = 32;

/// Events and notices that commit together.
#[derive(Default)]
struct Batch {
    events: Vec<Event>,
    notices: Vec<Notice>,
    ignored: u32,
    unreadable: Vec<String>,
}

impl Batch {
    fn apply(&self, config: &Config, records: &mut RecordsMut<'_>, now: Timestamp) -> Result<Report> {
        for notice in &self.notices {
            catalogue::notice(records, notice)?;
        }
        let mut report = Report { ignored: self.ignored, unreadable: self.unreadable.clone(), ..Report::default() };
        for event in &self.events {
            let business = records.read().canonical(config.canonical(event.business))?;
            let policy = config.policy(business);
            let mut applying = Applying { records, policy, fold_numbers: config.fold_numbers, now };
            let applied = match business == event.business {
                true => applying.event(event)?,
                false => applying.event(&Event { business, ..event.clone() })?,
            };
            report.events += 1;
            report.repeated += u32::from(applied.repeated);
            report.opened += u32::from(applied.opened);
            report.last = Some(applied);
        }
        Ok(report)
    }
}

/// A webhook.
pub(super) struct Ingest {
    config: Arc<Config>,
    bytes: Vec<u8>,
    weight: usize,
    proof: Proof,
    at: Timestamp,
    batch: Batch,
}

/// What says that a webhook is the platform's.
pub(super) enum Proof {
    /// Its signature.
    Signature(Option<String>),
    /// The word of the operator, who replays what was stored.
    Operator,
}

impl Ingest {
    pub(super) fn new(config: Arc<Config>, bytes: Vec<u8>, proof: Proof, at: Timestamp) -> Self {
        let weight = bytes.len() + size_of::<Self>();
        Ingest { config, bytes, weight, proof, at, batch: Batch::default() }
    }
}

impl Job for Ingest {
    fn prepare(&mut self) -> Result<()> {
        let bytes = std::mem::take(&mut self.bytes);
        if let Proof::Signature(signature) = &self.proof {
            signature::verify(&self.config.secrets, signature.as_deref(), &bytes)?;
        }
        let mut webhook = webhook::parse(&bytes)?;
        let untold = webhook.unreadable.len().saturating_sub(UNREADABLE_TOLD);
        if untold > 0 {
            webhook.unreadable.truncate(UNREADABLE_TOLD);
            webhook.unreadable.push(format!("and {untold} more"));
        }
        let mut events = webhook.events;
        events.iter_mut().for_each(|event| event.at = event.at.min(self.at));
        self.batch =
            Batch { events, notices: webhook.notices, ignored: webhook.ignored, unreadable: webhook.unreadable };
        Ok(())
    }

    fn apply(&self, records: &mut RecordsMut<'_>, now: Timestamp) -> Result<Report> {
        self.batch.apply(&self.config, records, now)
    }

    fn weight(&self) -> usize {
        self.weight
    }
}

/// A job that its submitter has prepared, so that the recorder need not.
pub(super) struct Prepared<J>(pub(super) J);

impl<J: Job> Job for Prepared<J> {
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    fn apply(&self, records: &mut RecordsMut<'_>, now: Timestamp) -> Result<Report> {
        self.0.apply(records, now)
    }

    fn weight(&self) -> usize {
        self.0.weight()
    }

    fn is_awaited(&self) -> bool {
        self.0.is_awaited()
    }
}

/// A single event.
pub(super) struct Record {
    config: Arc<Config>,
    batch: Batch,
}

impl Record {
    pub(super) fn new(config: Arc<Config>, mut event: Event) -> Self {
        event.at = event.at.min(Timestamp::now());
        Record { config, batch: Batch { events: vec![event], ..Batch::default() } }
    }
}

impl Job for Record {
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    fn apply(&self, records: &mut RecordsMut<'_>, now: Timestamp) -> Result<Report> {
        self.batch.apply(&self.config, records, now)
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + size_of::<Event>()
    }
}

/// Anything else that changes the records: rate cards, the catalogue, an erasure, parked messages.
pub(super) struct Work<F> {
    work: F,
    carried: usize,
    is_awaited: bool,
}

impl<F> Work<F> {
    pub(super) fn new(work: F) -> Self {
        Work { work, carried: 0, is_awaited: true }
    }

    /// Work that holds so many bytes.
    pub(super) fn carrying(bytes: usize, work: F) -> Self {
        Work { work, carried: bytes, is_awaited: true }
    }

    /// Work that nobody waits for.
    pub(super) fn aside(self) -> Self {
        Work { is_awaited: false, ..self }
    }
}

impl<F: Fn(&mut RecordsMut<'_>, Timestamp) -> Result<Report> + Send> Job for Work<F> {
    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    fn apply(&self, records: &mut RecordsMut<'_>, now: Timestamp) -> Result<Report> {
        (self.work)(records, now)
    }

    fn weight(&self) -> usize {
        size_of::<Self>() + self.carried
    }

    fn is_awaited(&self) -> bool {
        self.is_awaited
    }
}

/// The platform's answer to a send.
pub(super) struct Settle {
    config: Arc<Config>,
    token: Token,
    http_status: u16,
    response: Vec<u8>,
    weight: usize,
    at: Timestamp,
    batch: Batch,
}

impl Settle {
    pub(super) fn new(config: Arc<Config>, token: Token, http_status: u16, response: Vec<u8>, at: Timestamp) -> Self {
        let weight = response.len() + size_of::<Self>();
        Settle { config, token, http_status, response, weight, at, batch: Batch::default() }
    }
}

impl Job for Settle {
    fn prepare(&mut self) -> Result<()> {
        let receipt = send::receipt(self.http_status, &std::mem::take(&mut self.response));
        // A group's id may look like a phone number: what the answer calls a group by says nothing about a person.
        let is_group = self.token.customer.is_some_and(|customer| customer.kind() == Kind::Group);
        // Nor does an answer about somebody else, whoever mixed it up.
        let is_asked = |names: &Vec<Customer>| {
            self.token.customer.is_none_or(|asked| names.iter().any(|name| name.folded() == asked.folded()))
        };
        let names = receipt.names.into_iter().filter(is_asked).flatten();
        let mut also: Vec<Customer> = names.filter(|_| !is_group).collect();
        // A name that could not be read in the send may stand readable in the answer.
        let Some(customer) = self.token.customer.or_else(|| also.pop()) else { return Ok(()) };
        let event = |at, id, what, also| Event { business: self.token.business, customer, also, at, id, what };
        let decided_at = self.token.decided_at;
        self.batch.events = match (&self.token.sending, self.token.stopped) {
            // It never reached the platform; whatever answered, csw did.
            (Some(sending), Some(reason)) => {
                vec![event(decided_at, None, What::Stopped { sending: sending.clone(), reason }, Vec::new())]
            }
            (sending, _) => {
                let taken = receipt.ids.into_iter().zip(std::iter::repeat(sending));
                let sent = taken.filter_map(|(id, sending)| {
                    Some(event(self.at, Some(id), What::Business(sending.clone()?), also.clone()))
                });
                let refused = receipt.refused.map(|code| {
                    let what = What::Refused { sending: sending.clone(), code: Some(code) };
                    event(decided_at, None, what, Vec::new())
                });
                sent.chain(refused).collect()
            }
        };
        Ok(())
    }

    fn apply(&self, records: &mut RecordsMut<'_>, now: Timestamp) -> Result<Report> {
        self.batch.apply(&self.config, records, now)
    }

    fn weight(&self) -> usize {
        self.weight
    }

    /// The send is over by then.
    fn is_awaited(&self) -> bool {
        false
    }
}
