//! The outside witness: it orders what the processes do, knows what they acknowledged, and judges what they say.

use std::collections::{HashMap, VecDeque};
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};

use csw::time::{Span, Timestamp};

use super::facts::{Began, Fact, Facts};
use super::worker::{Audited, Counts, Order, Said, Seen, Task};
use crate::support::Chance;

/// Few, so that the processes often meet at one of them.
const CONTACTS: usize = 24;
/// What a process has in hand at most before it is given more.
const IN_HAND: usize = 12;
/// Checks that the news of other processes may add to that.
const NEWS: usize = 36;
/// A contact whose clock stands here is erased, so that its books stay short.
const OLD: u32 = 300;

#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    pub acknowledged: u64,
    pub repeated: u64,
    pub checks: u64,
    /// Checks that began right after another fact of the contact was acknowledged.
    pub checks_of_news: u64,
    pub erasures: u64,
    pub audits: u64,
    /// The longest time from a kill to the acknowledgement of something that was submitted after it.
    pub longest_wait: Duration,
}

pub struct Witness {
    books: Mutex<Books>,
}

struct Contact {
    customer: String,
    facts: Facts,
    /// The newest moment that an event of it had, in seconds from the beginning.
    clock: u32,
    /// Messages that were acknowledged, and whose fate nobody has told.
    sent: Vec<(String, Timestamp)>,
    /// Events that are submitted and not acknowledged.
    under_way: usize,
}

struct Pending {
    slot: usize,
    contact: usize,
    task: Task,
    since: Instant,
    began: Option<Began>,
}

struct Books {
    chance: Chance,
    beginning: Timestamp,
    now: Timestamp,
    contacts: Vec<Contact>,
    orders: u64,
    ids: u64,
    pending: HashMap<u64, Pending>,
    /// What died with its process before it was acknowledged.
    repeats: VecDeque<(usize, Task)>,
    voices: Vec<Option<UnixStream>>,
    unanswered_kills: Vec<Instant>,
    expected: Counts,
    /// At-once refusals have no id: one that is repeated may count again.
    refused_again: i64,
    reported: Option<Counts>,
    audited: Option<Audited>,
    tally: Tally,
    faults: Vec<String>,
}

impl Witness {
    pub fn new(slots: usize, seed: u64) -> Self {
        let now = Timestamp::from_seconds(Timestamp::now().seconds());
        let contact = |number| Contact {
            customer: format!("4477009{number:05}"),
            facts: Facts::default(),
            clock: 0,
            sent: Vec::new(),
            under_way: 0,
        };
        let books = Books {
            chance: Chance::of(seed),
            beginning: now - Span::hours(20),
            now,
            contacts: (0..CONTACTS).map(contact).collect(),
            orders: 0,
            ids: 0,
            pending: HashMap::new(),
            repeats: VecDeque::new(),
            voices: (0..slots).map(|_| None).collect(),
            unanswered_kills: Vec::new(),
            expected: Counts::default(),
            refused_again: 0,
            reported: None,
            audited: None,
            tally: Tally::default(),
            faults: Vec::new(),
        };
        Witness { books: Mutex::new(books) }
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap()
    }

    pub fn tally(&self) -> Tally {
        self.books().tally
    }

    pub fn faults(&self) -> Vec<String> {
        self.books().faults.clone()
    }

    pub fn fault(&self, fault: String) {
        self.books().faults.push(fault);
    }

    /// A process took the place of another.
    pub fn meet(&self, slot: usize, voice: UnixStream) {
        self.books().voices[slot] = Some(voice);
    }

    /// Gives a process enough to do: what others left undone, else something new where that is wanted.
    pub fn feed(&self, slot: usize, with_new: bool) {
        let mut books = self.books();
        while books.in_hand(slot) < IN_HAND {
            match books.repeats.pop_front() {
                Some((contact, task)) => {
                    books.tally.repeated += 1;
                    books.order(slot, contact, task);
                }
                None if with_new => books.order_something(slot),
                None => return,
            }
        }
    }

    pub fn hear(&self, slot: usize, said: Said) {
        self.books().hear(slot, said);
    }

    /// A process was killed, and all that it said was heard.
    pub fn mourn(&self, slot: usize, killed_at: Instant) {
        let mut books = self.books();
        books.voices[slot] = None;
        books.unanswered_kills.push(killed_at);
        let of_slot = |(_, pending): &(&u64, &Pending)| pending.slot == slot;
        let mut numbers: Vec<u64> = books.pending.iter().filter(of_slot).map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        for number in numbers {
            let Pending { contact, task, began, .. } = books.pending.remove(&number).unwrap();
            if began.is_none() {
                books.repeats.push_back((contact, task));
            }
        }
    }

    /// Whether everything submitted is acknowledged, and everything asked is answered.
    pub fn is_quiet(&self) -> bool {
        let books = self.books();
        books.pending.is_empty() && books.repeats.is_empty()
    }

    /// Orders what shows whether anything was lost or counted twice: each process checks each contact, and one of them adds up the books.
    pub fn order_audit(&self) {
        let mut books = self.books();
        for slot in 0..books.voices.len() {
            (0..CONTACTS).for_each(|contact| books.order_check(slot, contact));
        }
        (books.reported, books.audited) = (None, None);
        // Nothing was submitted after these.
        books.unanswered_kills.clear();
        for task in [Task::Report, Task::Audit] {
            books.order(0, 0, task);
        }
    }

    /// Judges the answers to it.
    pub fn judge_audit(&self) {
        let mut books = self.books();
        let (least, again) = (books.expected, books.refused_again);
        match books.reported {
            Some(Counts { messages, refused, others: 0 })
                if messages == least.messages && (least.refused..=least.refused + again).contains(&refused) => {}
            other => books
                .faults
                .push(format!("the report says {other:?}, expected {least:?} and {again} refusals repeated")),
        }
        match books.audited {
            Some(Audited { wrong: 0, .. }) => {}
            other => books.faults.push(format!("the ledger does not add up: {other:?}")),
        }
        books.tally.audits += 1;
    }
}

impl Books {
    fn in_hand(&self, slot: usize) -> usize {
        self.pending.values().filter(|pending| pending.slot == slot).count()
    }

    fn order(&mut self, slot: usize, contact: usize, task: Task) {
        let Contact { facts, .. } = &mut self.contacts[contact];
        match &task {
            Task::Erase { .. } => facts.submit_erasure(),
            task => fact_of(task).into_iter().for_each(|fact| facts.submit(fact)),
        }
        self.refused_again += i64::from(matches!(task, Task::Refuse { .. }));
        let began = matches!(task, Task::Check { .. }).then(|| facts.begin());
        self.orders += 1;
        let order = Order { number: self.orders, task };
        let line = serde_json::to_string(&order).unwrap() + "\n";
        let pending = Pending { slot, contact, task: order.task, since: Instant::now(), began };
        self.pending.insert(order.number, pending);
        let voice = self.voices[slot].as_mut().expect("nobody gives orders to the dead");
        // One that was killed a moment ago does not hear it; what it was to do is repeated then.
        let _ = voice.write_all(line.as_bytes());
    }

    fn order_check(&mut self, slot: usize, contact: usize) {
        let (customer, now) = (self.contacts[contact].customer.clone(), self.now);
        self.order(slot, contact, Task::Check { customer, at: now });
    }

    /// A check half of the time, else an event of a contact.
    fn order_something(&mut self, slot: usize) {
        let contact = self.chance.below(CONTACTS);
        let what = self.chance.below(100);
        if what < 40 || self.contacts[contact].facts.is_being_erased() {
            return self.order_check(slot, contact);
        }
        self.ids += 1;
        let (steps, is_late, either) = (1 + self.chance.below(3) as u32, self.chance.one_in(8), self.chance.one_in(2));
        let fated = self.chance.number() as usize;
        let (beginning, ids) = (self.beginning, self.ids);
        let known = &mut self.contacts[contact];
        let customer = known.customer.clone();
        if (what < 42 || known.clock > OLD) && known.under_way == 0 {
            known.under_way += 1;
            return self.order(slot, contact, Task::Erase { customer });
        }
        known.clock += steps;
        let moment = |clock: u32| beginning + Span::millis(clock * 1000);
        let at = moment(known.clock);
        let task = match what {
            42..65 => {
                let at = if is_late { moment(known.clock.saturating_sub(7)) } else { at };
                Task::Act { customer, at, id: format!("in.{ids}"), by_webhook: either }
            }
            _ if what < 90 && !known.sent.is_empty() => {
                let (id, at) = known.sent.swap_remove(fated % known.sent.len());
                if what < 70 { Task::Deliver { customer, at, id } } else { Task::Fail { customer, at, id } }
            }
            _ if what < 95 => Task::Send { customer, at, id: format!("out.{ids}"), by_answer: either },
            _ => Task::Refuse { customer, at },
        };
        known.under_way += 1;
        self.order(slot, contact, task);
    }

    fn hear(&mut self, slot: usize, said: Said) {
        match said {
            Said::Ready => {}
            Said::Done(number) => {
                let done = self.answered(number);
                self.acknowledge(done);
            }
            Said::Seen(number, seen) => {
                let asked = self.answered(number);
                self.judge(&asked, &seen);
            }
            Said::Reported(number, counts) => {
                self.answered(number);
                self.reported = Some(counts);
            }
            Said::Audited(number, audited) => {
                self.answered(number);
                self.audited = Some(audited);
            }
            Said::Failed(number, error) => {
                let failed = self.answered(number);
                self.faults.push(format!("process {slot}: {:?}: {error}", failed.task));
            }
        }
    }

    fn answered(&mut self, number: u64) -> Pending {
        self.pending.remove(&number).expect("only what was ordered is answered")
    }

    fn acknowledge(&mut self, Pending { contact, task, since, .. }: Pending) {
        self.tally.acknowledged += 1;
        let waited = self.unanswered_kills.iter().filter(|killed_at| **killed_at < since).map(Instant::elapsed).max();
        self.tally.longest_wait = self.tally.longest_wait.max(waited.unwrap_or_default());
        self.unanswered_kills.retain(|killed_at| *killed_at >= since);
        let known = &mut self.contacts[contact];
        known.under_way -= 1;
        fact_of(&task).into_iter().for_each(|fact| known.facts.acknowledge(fact));
        match task {
            Task::Send { id, at, .. } => {
                known.sent.push((id, at));
                self.expected.messages += 1;
            }
            Task::Fail { .. } => {
                self.expected.messages -= 1;
                self.expected.refused += 1;
            }
            Task::Refuse { .. } => {
                self.expected.refused += 1;
                self.refused_again -= 1;
            }
            Task::Erase { .. } => {
                known.facts.acknowledge_erasure();
                known.sent.clear();
                known.clock = if known.clock > OLD { 0 } else { known.clock };
                self.tally.erasures += 1;
            }
            _ => {}
        }
        // Whoever is asked from now on must know it.
        for slot in 0..self.voices.len() {
            if self.voices[slot].is_some() && self.in_hand(slot) < NEWS {
                self.tally.checks_of_news += 1;
                self.order_check(slot, contact);
            }
        }
    }

    fn judge(&mut self, asked: &Pending, seen: &Seen) {
        self.tally.checks += 1;
        let Pending { slot, contact, task: Task::Check { at, .. }, began: Some(began), .. } = asked else {
            return self.faults.push(format!("an answer to no check: {:?}", asked.task));
        };
        let known = &mut self.contacts[*contact];
        if !known.facts.admit(*began, *at, seen) {
            let fault = format!("process {slot} says {seen:?} of {}, which is {:?}", known.customer, known.facts);
            self.faults.push(fault);
        }
    }
}

/// What an event says of the window.
fn fact_of(task: &Task) -> Option<Fact> {
    match task {
        Task::Act { at, .. } => Some(Fact::Act(*at)),
        Task::Fail { at, .. } | Task::Refuse { at, .. } => Some(Fact::Refusal(*at)),
        _ => None,
    }
}
