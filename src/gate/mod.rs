//! The running system: a [`Gate`] answers for sends and takes in what happened.

pub mod apply;
mod books;
pub mod catalogue;
pub mod config;
pub mod inquiry;
mod instead;
mod jobs;
pub mod metrics;
pub mod parking;
mod persons;
pub mod process;
mod questions;
pub mod rates;
pub mod reader;
pub mod reconcile;
pub mod recorder;
pub mod report;
mod running;
pub mod timeline;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use once_cell::sync::OnceCell;
use subtle::ConstantTimeEq;

use crate::error::{Code, Error, Result};
use crate::party::{Business, Customer};
use crate::rules::contact::{Contact, Hint};
use crate::rules::decision::{self, Decision, Mode, PreferFree, Standing, Verdict};
use crate::rules::event::{Class, Event, Notice};
use crate::rules::market::Country;
use crate::rules::window::{State, Window};
use crate::store::{Read, Records, RecordsMut};
use crate::time::Timestamp;
use crate::wire;
use crate::wire::send::{self, Endpoint};
use apply::Applying;
use config::{Config, Fail};
use process::Signal;
use recorder::{Outcome, Report, Ticket};
use running::{OPEN, Running, forked};

pub use instead::{Chosen, Does, Instead};
pub use jobs::Token;

/// How long a ticket may stay undecided before it reads `timeout`.
pub const TICKET_DEADLINE: Duration = Duration::from_secs(30);

/// The same for replayed webhooks: an operator has many of them on the way at once, and a slow disk takes its time.
pub const REPLAY_DEADLINE: Duration = Duration::from_secs(3600);

/// A handle on a configuration and its store.
///
/// Opening reads and validates the configuration and nothing else. The store opens on first use in each process, so one handle made before a
/// fork works in every child; one used before the fork answers `forked` there. All methods may be called from any thread.
pub struct Gate {
    config: Arc<Config>,
    running: OnceCell<Arc<Running>>,
    signal: OnceCell<Arc<Signal>>,
}

/// A customer's window and the branch that it falls into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checked {
    /// The window.
    pub window: Window,
    /// Open or closed: the state, with unknown falling where the configuration says.
    pub branch: State,
}

/// What a gateway needs to know of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// What happens to sends when csw itself has a fault.
    pub fail: Fail,
    /// What is done with a verdict for the number.
    pub mode: Mode,
    /// Whether the gateway may take the time from the header `X-CSW-At`.
    pub test_clock: bool,
    /// What is done about billable templates whose text could go out for nothing.
    pub prefer_free: PreferFree,
    /// The file that holds the number's access token, for sends that the gateway makes by itself: read it anew for each.
    pub token_file: Option<PathBuf>,
}

/// An answer about a send, and what settling it needs.
#[derive(Debug, Clone, PartialEq)]
pub struct Decided {
    /// The answer.
    pub decision: Decision,
    /// The number, by its phone number id.
    pub business: Business,
    /// For which moment.
    pub at: Timestamp,
    /// To whom it goes, if it names anybody; for logs by its `Debug` alone.
    pub customer: Option<Customer>,
    /// Whether its body is to be given to [`Gate::submit_keep`] once the platform has accepted it.
    pub keep: bool,
    /// To be given back to [`Gate::submit_settle`] with the platform's response.
    pub token: Token,
}

impl Gate {
    /// A gate by its configuration file.
    ///
    /// # Errors
    /// `Config`, naming the file, the line and the key at fault.
    pub fn open(path: &Path) -> Result<Self> {
        Config::read(path).map(Self::with)
    }

    /// A gate by the text of a configuration; paths in it are relative to the working directory.
    ///
    /// # Errors
    /// `Config`, naming the line and the key at fault.
    pub fn open_text(text: &str) -> Result<Self> {
        Config::parse(text, Path::new(".")).map(Self::with)
    }

    /// A gate with a configuration.
    pub fn with(config: Config) -> Self {
        Gate { config: Arc::new(config), running: OnceCell::new(), signal: OnceCell::new() }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A customer's window at a moment. The hot path: a hint in memory, else one read; no lock, no system call.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn check(&self, business: Business, customer: &Customer, at: Timestamp) -> Result<Checked> {
        self.checked(business, customer, || at).map(|(checked, _)| checked)
    }

    /// A customer's window at this moment, which is returned as well. As [`Gate::check`], and the clock is read while memory is asked.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn check_now(&self, business: Business, customer: &Customer) -> Result<(Checked, Timestamp)> {
        self.checked(business, customer, Timestamp::now)
    }

    fn checked(
        &self,
        business: Business,
        customer: &Customer,
        clock: impl Fn() -> Timestamp,
    ) -> Result<(Checked, Timestamp)> {
        self.read(|records| {
            let mut at = None;
            let (business, contact) =
                self.contact(records, business, customer, |_| true, &mut || at = Some(clock()))?;
            let at = at.unwrap_or_else(&clock);
            let policy = self.config.policy(business);
            let window = policy.window(&contact, at);
            Ok((Checked { window, branch: policy.branch(window.state, at) }, at))
        })
    }

    /// Whether a send may go out, and what it would open and cost. Nothing is recorded.
    ///
    /// # Errors
    /// `Body` or `TooLarge` when the body cannot be read (never forward it); `Store`, `Format` or `Forked`.
    pub fn decide(&self, business: Business, endpoint: Endpoint, body: &[u8], at: Timestamp) -> Result<Decided> {
        let decided = self.forecast(business, endpoint, body, at);
        // What cannot be opened cannot be counted either.
        if let Ok(running) = self.running() {
            match &decided {
                Ok(decided) => running.metrics.decided(&decided.decision),
                Err(error) => running.metrics.undecided(error.code()),
            }
        }
        decided
    }

    /// What [`Gate::decide`] would answer, asked by nobody who sends: it is not counted.
    ///
    /// # Errors
    /// As [`Gate::decide`].
    pub fn forecast(&self, business: Business, endpoint: Endpoint, body: &[u8], at: Timestamp) -> Result<Decided> {
        let outgoing = send::parse(endpoint, body)?;
        let country = outgoing.customer.as_ref().and_then(Country::of);
        self.read(|records| {
            let (business, contact) = match &outgoing.customer {
                Some(customer) => {
                    let is_enough = |hint: Hint| hint.is_all && country.is_some();
                    self.contact(records, business, customer, is_enough, &mut || ())?
                }
                None => (self.canonical(records, business)?, Contact::default()),
            };
            let policy = self.config.policy(business);
            let standing = match &outgoing.template {
                Some(template) => catalogue::standing(records, &self.config, business, template)?,
                None => Standing::default(),
            };
            // Of a customer who names none, another name may.
            let country = country.or_else(|| contact.names.iter().find_map(Country::of));
            let category = decision::category_of(policy, &outgoing, standing, country);
            let meter = rates::meter(records, policy, business, &outgoing, category.0, country, at)?;
            let decision = decision::decide(policy, &contact, &outgoing, standing, category, &meter, at);
            let keep = self.config.again
                && policy.mode == Mode::Enforce
                && decision.verdict == Verdict::Allow
                && matches!(decision.class, Class::FreeForm | Class::Unknown);
            let token = Token::new(business, &outgoing, &decision, at);
            Ok(Decided { decision, business, at, customer: outgoing.customer, keep, token })
        })
    }

    /// Records one event; its time is clamped to the wall clock. Returns at once.
    ///
    /// # Errors
    /// `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_record(&self, event: Event) -> Result<Ticket> {
        self.submit(jobs::Record::new(Arc::clone(&self.config), event))
    }

    /// Records a webhook: its signature is verified, it is parsed, and all its events are committed together. Returns at once; what is wrong
    /// with the webhook is said by the ticket. Times after `at` are clamped to it.
    ///
    /// # Errors
    /// `TooLarge`, `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_ingest(&self, bytes: Vec<u8>, signature: Option<String>, at: Timestamp) -> Result<Ticket> {
        wire::check_size(&bytes)?;
        self.submit(jobs::Ingest::new(Arc::clone(&self.config), bytes, jobs::Proof::Signature(signature), at))
    }

    /// Records a webhook that was stored without its signature, on the operator's word; repeats change nothing. Parses it here, since an operator's
    /// thread has time while the recorder has none.
    ///
    /// # Errors
    /// `NotJson` or `TooLarge` when it cannot be read; `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_replay(&self, bytes: Vec<u8>, at: Timestamp) -> Result<Ticket> {
        wire::check_size(&bytes)?;
        let mut job = jobs::Ingest::new(Arc::clone(&self.config), bytes, jobs::Proof::Operator, at);
        recorder::Job::prepare(&mut job)?;
        self.submit_within(jobs::Prepared(job), REPLAY_DEADLINE)
    }

    /// Records what the platform answered to a send. Returns at once; until somebody asks for the ticket, others gather with it for up to 10 ms.
    ///
    /// # Errors
    /// `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_settle(&self, token: Token, http_status: u16, response: Vec<u8>, at: Timestamp) -> Result<Ticket> {
        self.submit(jobs::Settle::new(Arc::clone(&self.config), token, http_status, response, at))
    }

    /// Keeps a rate card: sends are priced by it from its day on. Returns at once.
    ///
    /// # Errors
    /// `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_rates(&self, card: rates::Card) -> Result<Ticket> {
        self.submit(jobs::Work::new(move |records: &mut RecordsMut<'_>, _| {
            rates::import(records, &card)?;
            Ok(Report { events: u32::try_from(card.rates.len()).unwrap_or(u32::MAX), ..Report::default() })
        }))
    }

    /// Gives charges that have no amount one, by the rate cards that are there now. What the ledger says of them is corrected. Returns at once; the
    /// report's events are the messages that were priced.
    ///
    /// # Errors
    /// `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_prices(&self, contacts: Vec<(Business, Customer)>) -> Result<Ticket> {
        let config = Arc::clone(&self.config);
        self.submit(jobs::Work::new(move |records: &mut RecordsMut<'_>, now| {
            let mut report = Report::default();
            for (business, customer) in &contacts {
                let policy = config.policy(*business);
                let mut applying = Applying { records, policy, fold_numbers: config.fold_numbers, now };
                report.events += applying.price(*business, customer)?;
            }
            Ok(report)
        }))
    }

    /// Takes in what the platform says of business accounts: their templates and numbers. Returns at once.
    ///
    /// # Errors
    /// `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_notices(&self, notices: Vec<Notice>) -> Result<Ticket> {
        self.submit(jobs::Work::new(move |records: &mut RecordsMut<'_>, _| {
            notices.iter().try_for_each(|notice| catalogue::notice(records, notice))?;
            Ok(Report { events: u32::try_from(notices.len()).unwrap_or(u32::MAX), ..Report::default() })
        }))
    }

    /// Erases a customer, of one number or of all: facts, names, message ids, and the identity in the ledger; totals stay. Returns at once; the
    /// report's events are the contacts that were erased.
    ///
    /// What the platform says of the customer afterwards is recorded as of a new one.
    ///
    /// # Errors
    /// `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_forget(&self, business: Option<Business>, customer: Customer) -> Result<Ticket> {
        let config = Arc::clone(&self.config);
        self.submit(jobs::Work::new(move |records: &mut RecordsMut<'_>, now| {
            let businesses = match business {
                Some(business) => vec![records.read().canonical(config.canonical(business))?],
                None => records.read().businesses()?,
            };
            let mut report = Report::default();
            for business in businesses {
                let policy = config.policy(business);
                let mut applying = Applying { records, policy, fold_numbers: config.fold_numbers, now };
                report.events += u32::from(applying.forget(business, &customer)?);
            }
            Ok(report)
        }))
    }

    fn submit(&self, job: impl recorder::Job + 'static) -> Result<Ticket> {
        self.submit_within(job, TICKET_DEADLINE)
    }

    fn submit_within(&self, job: impl recorder::Job + 'static, within: Duration) -> Result<Ticket> {
        self.running()?.recorder.submit(Box::new(job), within)
    }

    /// Lets one transaction take so many jobs, in place of 256: for a process that records much and ends soon, since the fewer transactions, the sooner
    /// it is through, and the store keeps the memory of its largest one.
    ///
    /// # Errors
    /// `Store`, `Format`, `Forked`.
    pub fn group_up_to(&self, jobs: usize) -> Result<()> {
        self.running()?.recorder.group_up_to(jobs);
        Ok(())
    }

    /// How a ticket stands.
    ///
    /// # Errors
    /// `Timeout`, `Expired`, `Invalid`, `Forked`.
    pub fn poll(&self, ticket: Ticket) -> Result<Outcome> {
        self.running()?.recorder.poll(ticket)
    }

    /// Waits until a ticket is decided, at most so long.
    ///
    /// # Errors
    /// `Timeout`, `Expired`, `Invalid`, `Forked`.
    pub fn wait(&self, ticket: Ticket, within: Duration) -> Result<Outcome> {
        self.running()?.recorder.wait(ticket, within)
    }

    /// Waits until everything submitted is decided, at most so long.
    ///
    /// # Errors
    /// `Timeout`, `Forked`.
    pub fn flush(&self, within: Duration) -> Result<()> {
        match self.running.get() {
            Some(_) => self.running()?.recorder.flush(within),
            None => Ok(()),
        }
    }

    /// A descriptor that becomes readable after each commit of the recorder. It stays the gate's; read eight bytes from it to reset it.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn event_fd(&self) -> Result<i32> {
        let running = self.running()?;
        let signal = self.signal.get_or_try_init(|| {
            let signal = Arc::new(Signal::new()?);
            running.recorder.notify(&signal);
            Ok::<_, Error>(signal)
        })?;
        Ok(signal.fd())
    }

    /// What a gateway needs to know of the configuration of a number; of those that are not listed, for `None`.
    pub fn settings(&self, business: Option<Business>) -> Settings {
        let number = business.map(|business| self.config.canonical(business));
        let policy = number.map_or(self.config.default_policy(), |number| self.config.policy(number));
        let token_file = self.config.token_file(number).map(Path::to_owned);
        let (mode, prefer_free) = (policy.mode, policy.prefer_free);
        Settings { fail: self.config.fail, mode, test_clock: self.config.test_clock, prefer_free, token_file }
    }

    /// Whether this is a token of the webhook's verification handshake; compared in constant time.
    pub fn is_verify_token(&self, token: &[u8]) -> bool {
        self.config.verify_tokens.iter().fold(false, |found, known| found | bool::from(known.as_ref().ct_eq(token)))
    }

    /// What is known of a customer; from a hint, where that says enough.
    fn contact(
        &self,
        records: Records<'_>,
        business: Business,
        customer: &Customer,
        is_enough: impl Fn(Hint) -> bool,
        meanwhile: &mut dyn FnMut(),
    ) -> Result<(Business, Contact)> {
        let customer = self.config.folded(customer);
        let business = self.config.canonical(business);
        if let Some(hint) = records.hint(business, &customer, meanwhile).filter(|hint| is_enough(*hint)) {
            return Ok((business, hint.into()));
        }
        if let Some(found) = records.contact(business, &customer)? {
            return Ok((business, found.contact));
        }
        // A display number may have been given; looked up last, since it is the rare case.
        let canonical = records.canonical(business)?;
        let found = if canonical == business { None } else { records.contact(canonical, &customer)? };
        Ok((canonical, found.map(|found| found.contact).unwrap_or_default()))
    }

    fn canonical(&self, records: Records<'_>, business: Business) -> Result<Business> {
        records.canonical(self.config.canonical(business))
    }

    fn read<T>(&self, mut work: impl FnMut(Records<'_>) -> Result<T>) -> Result<T> {
        let mut answer = None;
        self.running()?.store.read(&mut |snapshot: &dyn Read| {
            answer = Some(work(Records(snapshot))?);
            Ok(())
        })?;
        answer.ok_or_else(|| Error::new(Code::Internal, "the store read nothing"))
    }

    /// The store and the recorder of this process, opened on first use.
    fn running(&self) -> Result<&Running> {
        let generation = process::generation()?;
        let running = self.running.get_or_try_init(|| Running::of(&self.config, generation))?;
        if running.generation != generation {
            return Err(forked());
        }
        Ok(running)
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        if process::generation().is_ok_and(|generation| generation != running.generation) {
            // The parent's: its map, its thread and its locks are not this process's to close.
            std::mem::forget(running);
            return;
        }
        // Under the lock: who opens the same folder meanwhile finds its store open, or gone.
        let _open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        drop(running);
    }
}
