//! A process that does what the witness orders: it records and checks until it is killed.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};

use csw::error::{Code, Error, Result};
use csw::gate::Gate;
use csw::gate::recorder::Ticket;
use csw::party::Customer;
use csw::rules::decision::Verdict;
use csw::rules::event::EventKind;
use csw::time::{Span, Timestamp};
use csw::wire::record::{self, Stated};
use csw::wire::send::Endpoint;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::support::{SECRET, decided, shop, signature, stated, status, text, webhook, with};

/// What the witness wants done.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Order {
    pub number: u64,
    pub task: Task,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Task {
    /// A customer's message, by the platform's webhook or as a program states it.
    Act {
        customer: String,
        at: Timestamp,
        id: String,
        by_webhook: bool,
    },
    /// A message that the platform accepted, by its answer to a send or as a program states it.
    Send {
        customer: String,
        at: Timestamp,
        id: String,
        by_answer: bool,
    },
    /// The platform's word that a message was delivered.
    Deliver {
        customer: String,
        at: Timestamp,
        id: String,
    },
    /// The platform's later word that a message found no window.
    Fail {
        customer: String,
        at: Timestamp,
        id: String,
    },
    /// A send that the platform refuses at once, since there is no window.
    Refuse {
        customer: String,
        at: Timestamp,
    },
    Erase {
        customer: String,
    },
    Check {
        customer: String,
        at: Timestamp,
    },
    /// The totals of all days.
    Report,
    /// Whether the ledger adds up to the totals.
    Audit,
}

/// What a process says to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Said {
    /// The store is open. The first word of every process.
    Ready,
    Done(u64),
    Seen(u64, Seen),
    Reported(u64, Counts),
    Audited(u64, Audited),
    Failed(u64, String),
}

/// What a check said.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Seen {
    pub state: String,
    pub expires_at: Option<Timestamp>,
    pub last_act: Option<Timestamp>,
}

/// What the totals say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counts {
    pub messages: i64,
    pub refused: i64,
    pub others: i64,
}

/// What adding up the ledger said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    pub entries: u64,
    pub wrong: u64,
}

/// Opens the store in a folder and does what it is told on its standard input, a socket, which takes the answers as well.
pub fn run(folder: &Path) {
    let gate = Arc::new(Gate::open(&folder.join("csw.toml")).unwrap());
    gate.ledger_length().expect("the store opens");
    let witness = UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    let voice = Voice(Arc::new(Mutex::new(witness.try_clone().unwrap())));
    voice.say(&Said::Ready);
    let (submitted, tickets) = mpsc::channel();
    let (waiting, waiter) = (Arc::clone(&gate), voice.clone());
    std::thread::spawn(move || acknowledge(&waiting, &tickets, &waiter));
    for line in BufReader::new(witness).lines() {
        let Order { number, task } = serde_json::from_str(&line.unwrap()).unwrap();
        match perform(&gate, number, task) {
            Ok(Performed::Submitted(ticket)) => submitted.send((number, ticket)).unwrap(),
            Ok(Performed::Answered(said)) => voice.say(&said),
            Err(error) => voice.say(&Said::Failed(number, error.to_string())),
        }
    }
}

#[derive(Clone)]
struct Voice(Arc<Mutex<UnixStream>>);

impl Voice {
    fn say(&self, said: &Said) {
        let line = serde_json::to_string(said).unwrap() + "\n";
        self.0.lock().unwrap().write_all(line.as_bytes()).unwrap();
    }
}

/// Says of each ticket that it is committed, and never before it is.
fn acknowledge(gate: &Gate, tickets: &Receiver<(u64, Ticket)>, voice: &Voice) {
    for (number, ticket) in tickets {
        match decided(gate, ticket) {
            Ok(_) => voice.say(&Said::Done(number)),
            Err(error) => voice.say(&Said::Failed(number, error.to_string())),
        }
    }
}

enum Performed {
    Submitted(Ticket),
    Answered(Said),
}

fn perform(gate: &Gate, number: u64, task: Task) -> Result<Performed> {
    let ticket = match task {
        Task::Act { customer, at, id, by_webhook: true } => {
            ingest(gate, json!({"messages": [text(&customer, &id, at)]}))?
        }
        Task::Act { customer, at, id, by_webhook: false } => {
            state(gate, Stated { customer: &customer, id: Some(&id), ..stated(EventKind::CustomerMessage, at) })?
        }
        Task::Send { customer, at, id, by_answer: true } => {
            answer(gate, &customer, at, 200, json!({"messages": [{"id": id}]}))?
        }
        Task::Send { customer, at, id, by_answer: false } => {
            state(gate, Stated { customer: &customer, id: Some(&id), ..stated(EventKind::BusinessMessage, at) })?
        }
        Task::Deliver { customer, at, id } => {
            let delivered = with(status("delivered", &id, at), json!({"recipient_id": customer}));
            ingest(gate, json!({"statuses": [delivered]}))?
        }
        Task::Fail { customer, at, id } => {
            let why = json!({"recipient_id": customer, "errors": [{"code": 131_047}]});
            ingest(gate, json!({"statuses": [with(status("failed", &id, at), why)]}))?
        }
        Task::Refuse { customer, at } => answer(gate, &customer, at, 400, json!({"error": {"code": 131_047}}))?,
        Task::Erase { customer } => gate.submit_forget(Some(shop()), Customer::parse(&customer)?)?,
        Task::Check { customer, at } => {
            let window = gate.check(shop(), &Customer::parse(&customer)?, at)?.window;
            let (state, expires_at, last_act) = (window.state.word().to_owned(), window.expires_at, window.last_act);
            return Ok(Performed::Answered(Said::Seen(number, Seen { state, expires_at, last_act })));
        }
        Task::Report => return Ok(Performed::Answered(Said::Reported(number, report(gate)?))),
        Task::Audit => {
            let audit = gate.audit(&mut |_| {})?;
            let audited = Audited { entries: audit.entries, wrong: audit.wrong };
            return Ok(Performed::Answered(Said::Audited(number, audited)));
        }
    };
    Ok(Performed::Submitted(ticket))
}

fn state(gate: &Gate, stated: Stated<'_>) -> Result<Ticket> {
    gate.submit_record(record::event(stated)?)
}

fn ingest(gate: &Gate, value: serde_json::Value) -> Result<Ticket> {
    let bytes = webhook("messages", value).to_string().into_bytes();
    let signature = signature(SECRET, &bytes);
    gate.submit_ingest(bytes, Some(signature), Timestamp::now())
}

/// Decides a template, which may always go out, and gives back the platform's answer to it.
fn answer(gate: &Gate, customer: &str, at: Timestamp, http_status: u16, answer: serde_json::Value) -> Result<Ticket> {
    let template = json!({"name": "offer", "language": {"code": "en"}});
    let body = json!({"to": customer, "type": "template", "template": template}).to_string();
    let decided = gate.decide(shop(), Endpoint::Messages, body.as_bytes(), at)?;
    match decided.decision.verdict {
        Verdict::Allow => gate.submit_settle(decided.token, http_status, answer.to_string().into_bytes(), at),
        Verdict::Deny => {
            Err(Error::new(Code::Internal, format!("a template was denied: {:?}", decided.decision.reason)))
        }
    }
}

fn report(gate: &Gate) -> Result<Counts> {
    let (now, days) = (Timestamp::now(), Span::hours(24 * 3));
    let rows = gate.report(now - days, now + days, &[])?;
    Ok(rows.iter().fold(Counts::default(), |counts, row| Counts {
        messages: counts.messages + row.messages,
        refused: counts.refused + row.refused,
        others: counts.others + row.stopped + row.dropped,
    }))
}
