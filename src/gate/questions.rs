//! What a gate is asked beside its sends: reports, windows about to close, and what the operator's command looks at.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gate::config::Config;
use crate::gate::inquiry::{self, Audit, Expiring, FreeTier, LedgerRow};
use crate::gate::reader::{Answer, Reader};
use crate::gate::reconcile::{self, BillRow, Difference, Reconciled};
use crate::gate::recorder::Ticket;
use crate::gate::report::{self, By, Row};
use crate::gate::timeline::{self, Timeline};
use crate::gate::{Gate, rates};
use crate::party::{Business, Customer};
use crate::store::codec::TemplateRecord;
use crate::store::{Records, Usage};
use crate::time::{Day, Span, Timestamp, Zone};
use crate::wire::bill::Bill;

impl Gate {
    /// The totals of the days on which two moments fall, both included; each number's days are those of its time zone.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn report(&self, from: Timestamp, to: Timestamp, by: &[By]) -> Result<Vec<Row>> {
        self.read(|records| report_between(records, &self.config, (from, to), by))
    }

    /// The totals of some days, first and last included, whatever the time zones of the numbers.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn report_days(&self, days: (Day, Day), by: &[By]) -> Result<Vec<Row>> {
        self.read(|records| report::report(records, |_| days, days, by))
    }

    /// Asks for [`Gate::report`] and returns at once; [`Gate::answer`] has the rows once the ticket is done.
    ///
    /// # Errors
    /// `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_report(&self, from: Timestamp, to: Timestamp, by: Vec<By>) -> Result<Ticket> {
        let config = Arc::clone(&self.config);
        self.ask(move |records| report_between(records, &config, (from, to), &by).map(Answer::Report))
    }

    /// Asks for [`Gate::expiring`] and returns at once; [`Gate::answer`] has the rows once the ticket is done.
    ///
    /// # Errors
    /// `Busy`, or `Store`, `Format`, `Forked` when the store cannot be opened.
    pub fn submit_expiring(&self, at: Timestamp, within: Span, limit: usize) -> Result<Ticket> {
        let config = Arc::clone(&self.config);
        self.ask(move |records| inquiry::expiring(records, &config, at, within, None, limit).map(Answer::Expiring))
    }

    fn ask(&self, question: impl Fn(Records<'_>) -> Result<Answer> + Send + 'static) -> Result<Ticket> {
        let running = self.running()?;
        let start = || Reader::start(Arc::clone(&running.store), running.recorder.decider());
        running.reader.get_or_try_init(start)?.ask(Box::new(question))
    }

    /// The answer of a ticket that is done; kept until sixteen newer ones have come.
    ///
    /// # Errors
    /// `Expired`; `Invalid` for a ticket that asked nothing or is not done; `Forked`.
    pub fn answer(&self, ticket: Ticket) -> Result<Arc<Answer>> {
        let nothing_asked = || Error::invalid("this ticket has no rows: it asked nothing");
        self.running()?.reader.get().ok_or_else(nothing_asked)?.answer(ticket)
    }

    /// The windows that are open at a moment and close within a span of it, soonest first: at most `limit`, those after `after`. Reads all contacts.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn expiring(
        &self,
        at: Timestamp,
        within: Span,
        after: Option<&Expiring>,
        limit: usize,
    ) -> Result<Vec<Expiring>> {
        self.read(|records| inquiry::expiring(records, &self.config, at, within, after, limit))
    }

    /// How much of the month's free service messages each number has used.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn free_tiers(&self, at: Timestamp) -> Result<Vec<FreeTier>> {
        self.read(|records| inquiry::free_tiers(records, &self.config, at))
    }

    /// At most `limit` entries of the ledger from a place on.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn ledger(&self, from: u64, limit: usize) -> Result<Vec<LedgerRow>> {
        self.read(|records| inquiry::ledger(records, from, limit))
    }

    /// The last place in the ledger; 0 while it is empty.
    ///
    /// # Errors
    /// `Store` or `Forked`.
    pub fn ledger_length(&self) -> Result<u64> {
        self.read(|records| Ok(records.next_sequence()? - 1))
    }

    /// Adds up the whole ledger and compares it with the totals. `each` is told how far it has come.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn audit(&self, each: &mut dyn FnMut(u64)) -> Result<Audit> {
        self.read(|records| inquiry::audit(records, each))
    }

    /// The last days of a contact; `None` where nobody is known by this name.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn timeline(&self, business: Business, customer: &Customer) -> Result<Option<Timeline>> {
        let customer = self.config.folded(customer);
        self.read(|records| {
            let business = self.canonical(records, business)?;
            timeline::timeline(records, self.config.policy(business), business, &customer)
        })
    }

    /// The estimates of some days, first and last included, beside the platform's reports.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn reconcile(&self, days: (Day, Day)) -> Result<Vec<Reconciled>> {
        self.read(|records| reconcile::reconcile(records, days))
    }

    /// The messages of some days whose estimate the platform's report does not confirm. `each` is told how far it has come in the ledger.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn differences(&self, days: (Day, Day), each: &mut dyn FnMut(u64)) -> Result<Vec<Difference>> {
        self.read(|records| reconcile::differences(records, days, each))
    }

    /// The books beside the platform's bill.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn compare(&self, bill: &Bill) -> Result<Vec<BillRow>> {
        self.read(|records| reconcile::compare(records, &self.config, bill))
    }

    /// The rate cards, each by its currency and first day, with its rates.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn cards(&self) -> Result<Vec<rates::Kept>> {
        self.read(rates::cards)
    }

    /// The business accounts that templates are known of.
    ///
    /// # Errors
    /// `Store` or `Forked`.
    pub fn accounts(&self) -> Result<Vec<u64>> {
        self.read(|records| records.accounts())
    }

    /// How much room the store takes and has; `None` for one in memory.
    ///
    /// # Errors
    /// `Store` or `Forked`.
    pub fn usage(&self) -> Result<Option<Usage>> {
        self.running()?.store.usage()
    }

    /// What all processes of the host that share the store have done, in Prometheus's text format.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn metrics(&self) -> Result<String> {
        Ok(self.running()?.metrics.text(self.usage()?))
    }

    /// The templates of a business account.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn templates(&self, account: u64) -> Result<Vec<TemplateRecord>> {
        self.read(|records| records.templates(account))
    }

    /// The contacts with charges that have no amount: at most `limit`, those after `after`.
    ///
    /// # Errors
    /// `Store`, `Format` or `Forked`.
    pub fn unpriced(&self, after: Option<&(Business, Customer)>, limit: usize) -> Result<Vec<(Business, Customer)>> {
        self.read(|records| inquiry::unpriced(records, after, limit))
    }
}

/// The totals of the days on which two moments fall, in each number's own time zone.
fn report_between(
    records: Records<'_>,
    config: &Config,
    (from, to): (Timestamp, Timestamp),
    by: &[By],
) -> Result<Vec<Row>> {
    let days = |business| {
        let zone = config.policy(business).rules.zone();
        (zone.day(from), zone.day(to))
    };
    // No zone is more than a day away from this one's days.
    let outermost = (Zone::UTC.day(from - Span::hours(24)), Zone::UTC.day(to + Span::hours(24)));
    report::report(records, days, outermost, by)
}
