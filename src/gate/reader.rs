//! One reading thread for each store of a process, for questions that look at so much that no host should wait for the answer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::error::{Code, Error, Result};
use crate::gate::inquiry::Expiring;
use crate::gate::process;
use crate::gate::recorder::{Decider, Outcome, Report, Ticket, guarded};
use crate::gate::report::Row;
use crate::store::{Read, Records, Store, Table, Visit};

/// Questions that may wait at once: more are answered with `busy`.
const QUEUE: usize = 16;
/// Answers that are kept for their reader; older ones read `expired`.
const ANSWERS: usize = 16;
/// How long an answer may take before its ticket reads `timeout`.
const DEADLINE: Duration = Duration::from_secs(600);
/// How long a stopping reader is waited for.
const STOP_WITHIN: Duration = Duration::from_secs(2);

/// What was found.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Rows of a report.
    Report(Vec<Row>),
    /// Windows about to close.
    Expiring(Vec<Expiring>),
}

impl Answer {
    fn rows(&self) -> usize {
        match self {
            Answer::Report(rows) => rows.len(),
            Answer::Expiring(rows) => rows.len(),
        }
    }
}

type Question = Box<dyn Fn(Records<'_>) -> Result<Answer> + Send>;
type Answers = Mutex<VecDeque<(Ticket, Arc<Answer>)>>;

/// The reader of a store.
pub struct Reader {
    decider: Decider,
    questions: Option<SyncSender<(Ticket, Question)>>,
    answers: Arc<Answers>,
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Starts the thread.
    ///
    /// # Errors
    /// `Store` when the system gives no thread.
    pub(super) fn start(store: Arc<dyn Store>, decider: Decider) -> Result<Self> {
        let (questions, asked) = sync_channel(QUEUE);
        let (answers, stopping) = (Arc::<Answers>::default(), Arc::new(AtomicBool::new(false)));
        let worker =
            Worker { store, decider: decider.clone(), answers: Arc::clone(&answers), stopping: Arc::clone(&stopping) };
        let thread = process::spawn("csw-reader", move || worker.run(&asked))?;
        Ok(Reader { decider, questions: Some(questions), answers, stopping, thread: Some(thread) })
    }

    /// Takes a question and returns at once.
    ///
    /// # Errors
    /// `Busy` when too many are waiting.
    pub fn ask(&self, question: Question) -> Result<Ticket> {
        let busy = || Error::new(Code::Busy, format!("{QUEUE} questions wait already; ask again in a moment"));
        let questions = self.questions.as_ref().ok_or_else(busy)?;
        let ticket = self.decider.issue(DEADLINE)?;
        questions.try_send((ticket, question)).map_err(|error| {
            let (TrySendError::Full((ticket, _)) | TrySendError::Disconnected((ticket, _))) = error;
            self.decider.decide(ticket, Outcome::Failed(busy()));
            busy()
        })?;
        Ok(ticket)
    }

    /// The answer of a ticket that is done.
    ///
    /// # Errors
    /// `Expired` when newer answers have pushed it out; `Invalid` for a ticket that asked nothing.
    pub fn answer(&self, ticket: Ticket) -> Result<Arc<Answer>> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let found = answers.iter().find(|(of, _)| *of == ticket).map(|(_, answer)| Arc::clone(answer));
        let is_old = answers.front().is_some_and(|(oldest, _)| ticket < *oldest);
        found.ok_or_else(|| match is_old {
            true => Error::new(Code::Expired, format!("{ANSWERS} newer answers have pushed this one out; ask again")),
            false => Error::invalid("this ticket has no rows: it is not done, or it asked nothing"),
        })
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Release);
        self.questions = None;
        let until = Instant::now() + STOP_WITHIN;
        if let Some(thread) = self.thread.take() {
            while !thread.is_finished() && Instant::now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
}

struct Worker {
    store: Arc<dyn Store>,
    decider: Decider,
    answers: Arc<Answers>,
    stopping: Arc<AtomicBool>,
}

impl Worker {
    fn run(&self, asked: &Receiver<(Ticket, Question)>) {
        while let Ok((ticket, question)) = asked.recv() {
            let mut found = None;
            let read = guarded(|| {
                self.store.read(&mut |snapshot| {
                    found = Some(question(Records(&Stoppable(snapshot, &self.stopping)))?);
                    Ok(())
                })
            });
            let outcome = match (read, found) {
                (Ok(()), Some(answer)) => {
                    let rows = u32::try_from(answer.rows()).unwrap_or(u32::MAX);
                    let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
                    answers.push_back((ticket, Arc::new(answer)));
                    let spare = answers.len().saturating_sub(ANSWERS);
                    answers.drain(..spare);
                    Outcome::Done(Report { events: rows, ..Report::default() })
                }
                (Err(error), _) => Outcome::Failed(error),
                (Ok(()), None) => Outcome::Failed(Error::new(Code::Internal, "the store read nothing")),
            };
            self.decider.decide(ticket, outcome);
        }
    }
}

/// A reading that ends when the gate closes: a store must not stay open behind its host's back.
struct Stoppable<'s>(&'s dyn Read, &'s AtomicBool);

impl Read for Stoppable<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<std::borrow::Cow<'_, [u8]>>> {
        self.0.get(table, key)
    }

    fn scan(&self, table: Table, from: &[u8], visit: &mut Visit<'_>) -> Result<()> {
        self.0.scan(table, from, &mut |key, value| match self.1.load(Ordering::Relaxed) {
            true => Err(Error::new(Code::Busy, "the gate is closing")),
            false => visit(key, value),
        })
    }

    fn last_key(&self, table: Table) -> Result<Option<Vec<u8>>> {
        self.0.last_key(table)
    }
}
