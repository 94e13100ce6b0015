//! One writer thread for each store of a process. Hosts submit and never wait; what has gathered meanwhile is committed in one transaction.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::gate::apply::{self, Sweep};
use crate::gate::metrics::Metrics;
use crate::gate::parking::{Parcel, ParcelKind};
use crate::gate::process::{self, Signal};
use crate::store::{Posted, RecordsMut, Store, Write};
use crate::time::{Span, Timestamp};

/// What may wait at once: more is answered with `busy`.
const QUEUE_JOBS: usize = 32_768;
/// The same in bytes.
const QUEUE_BYTES: usize = 64 << 20;
/// What one transaction takes at most. The store keeps the memory of its largest transaction, and a host has better use for it.
const GROUP_JOBS: usize = 256;
/// For how long what nobody asks for gathers before it is committed, unless a whole group is there: a commit costs nearly as much for one as for many.
const GATHER: Duration = Duration::from_millis(10);
/// Outcomes that are remembered; older tickets read `expired`.
const OUTCOMES: usize = 65_536;
/// Parcels that are remembered with their tickets.
const PARCELS: usize = 64;
/// Entries that are looked at for their age with each job: a few for each one that it may bring.
const SWEPT: usize = 4;
/// How often resources of dead processes are given back.
const TIDY_EVERY: Duration = Duration::from_secs(60);
/// How long a stopping recorder is waited for.
const STOP_WITHIN: Duration = Duration::from_secs(2);
/// The largest whole number that every Lua holds exactly.
const LAST_TICKET: u64 = (1 << 53) - 1;

/// A thing to record. Prepared once, outside any transaction; applied in one, perhaps again when the first attempt was given up.
pub trait Job: Send {
    /// Verifies and parses.
    ///
    /// # Errors
    /// What is wrong with it; it fails alone then.
    fn prepare(&mut self) -> Result<()>;

    /// Changes the records.
    ///
    /// # Errors
    /// `Store` or `Format`; the transaction is given up then.
    fn apply(&self, records: &mut RecordsMut<'_>, now: Timestamp) -> Result<Report>;

    /// About how many bytes of the queue it takes.
    fn weight(&self) -> usize;

    /// Whether somebody is likely to wait for it.
    fn is_awaited(&self) -> bool {
        true
    }
}

/// What recording did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// Events recorded.
    pub events: u32,
    /// Of them, those that had been recorded before.
    pub repeated: u32,
    /// Windows that were opened while they were not open.
    pub opened: u32,
    /// Parts that are none of our business.
    pub ignored: u32,
    /// Parts that could not be read, each by its place.
    pub unreadable: Vec<String>,
    /// What the last event did.
    pub last: Option<apply::Applied>,
    /// What was parked, or is handed out.
    pub parcel: Option<Arc<Parcel>>,
}

/// A receipt for something submitted: a number of this process, below 2^53.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

impl Ticket {
    /// The number.
    pub fn number(self) -> u64 {
        self.0
    }

    /// A ticket from its number.
    pub fn from_number(number: u64) -> Self {
        Ticket(number)
    }
}

/// How a ticket stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not committed yet.
    Pending,
    /// Committed.
    Done(Report),
    /// Not recorded, and why.
    Failed(Error),
}

struct Waiting {
    ticket: Ticket,
    job: Box<dyn Job>,
}

struct Queue {
    jobs: VecDeque<Waiting>,
    bytes: usize,
    /// What one transaction takes at most.
    group: usize,
    /// Somebody waits for all that is there, so the next one takes it all.
    is_flushed: bool,
    stopping: bool,
    /// Somebody waits for one of them, or asked how it stands.
    is_awaited: bool,
    /// What the thread sleeps for; where it does not, it will look by itself, and to wake it would be a system call for nothing.
    sleeps_for: Option<Wanted>,
}

/// What wakes the thread.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Any,
    Urgent,
}

impl Queue {
    fn new() -> Self {
        Queue {
            jobs: VecDeque::new(),
            bytes: 0,
            group: GROUP_JOBS,
            is_flushed: false,
            stopping: false,
            is_awaited: false,
            sleeps_for: None,
        }
    }

    /// Whether what waits is not to gather any longer.
    fn is_urgent(&self) -> bool {
        self.is_awaited || self.stopping || self.jobs.len() >= self.group
    }
}

#[derive(Default)]
struct Outcomes {
    /// The ticket of the first outcome in the ring.
    first: u64,
    ring: VecDeque<(Outcome, Instant)>,
    /// Raised after each commit, for as long as somebody keeps them.
    signals: Vec<Weak<Signal>>,
    /// The tickets whose outcomes hold a parcel.
    parcels: VecDeque<Ticket>,
}

impl Outcomes {
    /// The ticket that is issued next.
    fn next(&self) -> u64 {
        self.first + self.ring.len() as u64
    }
}

impl Outcomes {
    /// Bodies are large and nobody's business: but for the newest, a ticket forgets its parcel.
    fn keep_parcel(&mut self, ticket: Ticket) {
        self.parcels.push_back(ticket);
        let forgotten = (self.parcels.len() > PARCELS).then(|| self.parcels.pop_front()).flatten();
        let place = forgotten.and_then(|ticket| ticket.0.checked_sub(self.first));
        if let Some((Outcome::Done(report), _)) = place.and_then(|place| self.ring.get_mut(place as usize)) {
            report.parcel = None;
        }
    }
}

struct Shared {
    queue: Mutex<Queue>,
    submitted: Condvar,
    outcomes: Mutex<Outcomes>,
    decided: Condvar,
    metrics: Arc<Metrics>,
}

/// Hands out tickets of the recorder's kind and decides them.
#[derive(Clone)]
pub(super) struct Decider(Arc<Shared>);

impl Decider {
    /// A ticket that must be decided within a time.
    ///
    /// # Errors
    /// `Internal` when none are left.
    pub(super) fn issue(&self, within: Duration) -> Result<Ticket> {
        self.0.issue(Instant::now() + within)
    }

    /// Decides a ticket.
    pub(super) fn decide(&self, ticket: Ticket, outcome: Outcome) {
        self.0.decide(vec![(ticket, outcome)]);
    }
}

/// The writer of a store. Dropping it finishes what was submitted, within a bound.
pub struct Recorder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Recorder {
    /// Starts the thread. Message ids older than the retention are forgotten as it goes.
    ///
    /// # Errors
    /// `Store` when the system gives no thread.
    pub fn start(store: Arc<dyn Store>, metrics: Arc<Metrics>, retention: Span) -> Result<Self> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue::new()),
            submitted: Condvar::new(),
            outcomes: Mutex::new(Outcomes { first: 1, ..Outcomes::default() }),
            decided: Condvar::new(),
            metrics,
        });
        let mut worker =
            Worker { shared: Arc::clone(&shared), store, retention, sweep: Sweep::default(), tidied: Instant::now() };
        let thread = process::spawn("csw-recorder", move || worker.run())?;
        Ok(Recorder { shared, thread: Some(thread) })
    }

    /// Takes a job and returns at once.
    ///
    /// # Errors
    /// `Busy` when too much is waiting; nothing was taken then.
    pub fn submit(&self, job: Box<dyn Job>, within: Duration) -> Result<Ticket> {
        let weight = job.weight();
        let mut queue = lock(&self.shared.queue);
        if queue.jobs.len() >= QUEUE_JOBS || queue.bytes + weight > QUEUE_BYTES {
            return Err(Error::new(
                Code::Busy,
                format!("the recorder is busy: {} jobs wait; submit it again in a moment", queue.jobs.len()),
            ));
        }
        let ticket = self.shared.issue(Instant::now() + within)?;
        queue.bytes += weight;
        queue.is_awaited |= job.is_awaited();
        queue.jobs.push_back(Waiting { ticket, job });
        self.shared.metrics.queued(queue.jobs.len(), queue.bytes);
        self.shared.wake(queue);
        Ok(ticket)
    }

    /// Lets one transaction take so many jobs.
    pub fn group_up_to(&self, jobs: usize) {
        lock(&self.shared.queue).group = jobs.max(1);
    }

    /// How a ticket stands; looks at the clock, so that a deadline passes even when nothing happens.
    ///
    /// # Errors
    /// `Timeout` past its deadline, `Expired` when its outcome is forgotten, `Invalid` when it was never issued.
    pub fn poll(&self, ticket: Ticket) -> Result<Outcome> {
        let outcome = self.shared.poll(&lock(&self.shared.outcomes), ticket);
        if outcome == Ok(Outcome::Pending) {
            self.shared.hurry(ticket);
        }
        outcome
    }

    /// Waits until a ticket is decided, at most so long.
    ///
    /// # Errors
    /// As [`Recorder::poll`]; `Timeout` when the time is over first.
    pub fn wait(&self, ticket: Ticket, within: Duration) -> Result<Outcome> {
        let until = Instant::now() + within;
        self.shared.hurry(ticket);
        let mut outcomes = lock(&self.shared.outcomes);
        loop {
            match self.shared.poll(&outcomes, ticket)? {
                Outcome::Pending => {}
                decided => return Ok(decided),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(timeout());
            }
            let waited = self.shared.decided.wait_timeout(outcomes, left);
            outcomes = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until everything submitted so far is decided, at most so long.
    ///
    /// # Errors
    /// `Timeout` when the time is over first.
    pub fn flush(&self, within: Duration) -> Result<()> {
        let last = lock(&self.shared.outcomes).next() - 1;
        if last == 0 {
            return Ok(());
        }
        let mut queue = lock(&self.shared.queue);
        queue.is_flushed = !queue.jobs.is_empty();
        drop(queue);
        match self.wait(Ticket(last), within) {
            // So many came after it that it is forgotten: it was decided long before.
            Err(error) if error.code() == Code::Expired => Ok(()),
            other => other.map(drop),
        }
    }

    /// What else hands out tickets and decides them.
    pub(super) fn decider(&self) -> Decider {
        Decider(Arc::clone(&self.shared))
    }

    /// Raises a signal after each commit, for as long as somebody keeps it.
    pub fn notify(&self, signal: &Arc<Signal>) {
        lock(&self.shared.outcomes).signals.push(Arc::downgrade(signal));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        lock(&self.shared.queue).stopping = true;
        self.shared.submitted.notify_all();
        let until = Instant::now() + STOP_WITHIN;
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            // One that hangs in a sync is left to itself: a host that exits must not hang with it.
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

impl Shared {
    /// Wakes the thread where it sleeps for what is there now.
    fn wake(&self, mut queue: MutexGuard<'_, Queue>) {
        let is_urgent = queue.is_urgent();
        let wanted = queue.sleeps_for.take_if(|wanted| *wanted == Wanted::Any || is_urgent);
        drop(queue);
        if wanted.is_some() {
            self.submitted.notify_one();
        }
    }

    /// Somebody asks for a ticket: what waits with it gathers no longer.
    fn hurry(&self, ticket: Ticket) {
        let mut queue = lock(&self.queue);
        if queue.jobs.front().is_some_and(|first| first.ticket <= ticket) {
            queue.is_awaited = true;
            self.wake(queue);
        }
    }

    fn issue(&self, deadline: Instant) -> Result<Ticket> {
        let mut outcomes = lock(&self.outcomes);
        let ticket = outcomes.next();
        if ticket > LAST_TICKET {
            return Err(Error::new(Code::Internal, "no tickets are left; restart the gateway"));
        }
        if outcomes.ring.len() == OUTCOMES {
            outcomes.ring.pop_front();
            outcomes.first += 1;
        }
        outcomes.ring.push_back((Outcome::Pending, deadline));
        Ok(Ticket(ticket))
    }

    fn poll(&self, outcomes: &Outcomes, ticket: Ticket) -> Result<Outcome> {
        let Some(place) = ticket.0.checked_sub(outcomes.first) else {
            return Err(match ticket.0 {
                0 => Error::invalid("ticket 0 was never issued"),
                _ => Error::new(Code::Expired, "the ticket is too old; its outcome is forgotten"),
            });
        };
        match outcomes.ring.get(place as usize) {
            Some((Outcome::Pending, deadline)) if Instant::now() > *deadline => Err(timeout()),
            Some((outcome, _)) => Ok(outcome.clone()),
            None => Err(Error::invalid(format!("ticket {} was never issued here", ticket.0))),
        }
    }

    fn decide(&self, decided: Vec<(Ticket, Outcome)>) {
        let mut outcomes = lock(&self.outcomes);
        for (ticket, outcome) in decided {
            if let Some(place) = ticket.0.checked_sub(outcomes.first)
                && let Some((standing, _)) = outcomes.ring.get_mut(place as usize)
            {
                let holds_parcel = matches!(&outcome, Outcome::Done(Report { parcel: Some(_), .. }));
                *standing = outcome;
                if holds_parcel {
                    outcomes.keep_parcel(ticket);
                }
            }
        }
        outcomes.signals.retain(|signal| signal.upgrade().inspect(|signal| signal.raise()).is_some());
        drop(outcomes);
        self.decided.notify_all();
    }
}

struct Worker {
    shared: Arc<Shared>,
    store: Arc<dyn Store>,
    retention: Span,
    sweep: Sweep,
    tidied: Instant,
}

impl Worker {
    fn run(&mut self) {
        while let Some(group) = self.next_group() {
            let (mut decided, mut ready) = (Vec::with_capacity(group.len()), Vec::with_capacity(group.len()));
            for Waiting { ticket, mut job } in group {
                match guarded(|| job.prepare()) {
                    Ok(()) => ready.push(Waiting { ticket, job }),
                    Err(error) => decided.push((ticket, Outcome::Failed(error))),
                }
            }
            self.commit(&ready, &mut decided);
            self.shared.decide(decided);
            if self.tidied.elapsed() > TIDY_EVERY {
                self.tidied = Instant::now();
                // Nothing depends on it now, and the next commit says what is wrong with the store.
                let _ = self.store.tidy();
            }
        }
    }

    /// Everything that waits, up to a limit; `None` when the recorder stops and nothing is left.
    fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut queue = lock(&self.shared.queue);
        while queue.jobs.is_empty() {
            if queue.stopping {
                return None;
            }
            queue.sleeps_for = Some(Wanted::Any);
            queue = self.shared.submitted.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        let until = Instant::now() + GATHER;
        while !queue.is_urgent() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            queue.sleeps_for = Some(Wanted::Urgent);
            let waited = self.shared.submitted.wait_timeout(queue, left);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        let takes_all = std::mem::take(&mut queue.is_flushed) || queue.stopping;
        let jobs = if takes_all { queue.jobs.len() } else { queue.jobs.len().min(queue.group) };
        let group: Vec<Waiting> = queue.jobs.drain(..jobs).collect();
        // What is left of a crowd has waited for this group.
        (queue.sleeps_for, queue.is_awaited) = (None, !queue.jobs.is_empty());
        queue.bytes -= group.iter().map(|waiting| waiting.job.weight()).sum::<usize>();
        self.shared.metrics.queued(queue.jobs.len(), queue.bytes);
        Some(group)
    }

    /// Commits a group in one transaction. When that fails, each job by itself, so that a bad one takes no other down.
    fn commit(&mut self, group: &[Waiting], decided: &mut Vec<(Ticket, Outcome)>) {
        if group.is_empty() {
            return;
        }
        match (self.transact(group), group) {
            (Ok(reports), _) => {
                let done = group.iter().zip(reports).map(|(waiting, report)| (waiting.ticket, Outcome::Done(report)));
                decided.extend(done);
            }
            (Err(error), [only]) => decided.push((only.ticket, Outcome::Failed(error))),
            (Err(_), several) => several.chunks(1).for_each(|alone| self.commit(alone, decided)),
        }
    }

    fn transact(&mut self, group: &[Waiting]) -> Result<Vec<Report>> {
        let now = Timestamp::now();
        let (store, retention, sweep) = (&self.store, self.retention, &mut self.sweep);
        let mut reports: Vec<Report> = Vec::with_capacity(group.len());
        let mut posted = Posted::default();
        let began = Instant::now();
        let mut work = |transaction: &mut dyn Write| {
            let mut records = RecordsMut::new(transaction);
            for waiting in group {
                reports.push(waiting.job.apply(&mut records, now)?);
            }
            posted = records.posted();
            sweep.run(&mut records, now, retention, SWEPT * group.len())
        };
        guarded(|| store.write(&mut work))?;
        let sum = |count: fn(&Report) -> u32| reports.iter().map(|report| u64::from(count(report))).sum();
        let (events, opened) = (sum(|report| report.events), sum(|report| report.opened));
        let is_new = |parcel: &Arc<Parcel>| parcel.kind == ParcelKind::Parked && parcel.body.0.is_empty();
        let parked = reports.iter().filter_map(|report| report.parcel.as_ref()).filter(|parcel| is_new(parcel)).count();
        self.shared.metrics.committed(began.elapsed(), events, opened, parked as u64, &posted);
        Ok(reports)
    }
}

/// Runs something that must not take the thread down with it.
pub(super) fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(Error::new(Code::Internal, "a fault inside csw was caught; nothing was recorded")))
}

fn timeout() -> Error {
    Error::new(
        Code::Timeout,
        "the deadline passed before the commit; the outcome is unknown, and repeating is harmless",
    )
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
